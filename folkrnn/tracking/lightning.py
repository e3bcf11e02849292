"""Lightning's curves into the run that is already open (its own MLFlowLogger would open another)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from folkrnn.tracking.run import TrackedRun


class RunLogger(Logger):
    """Passes metrics with their step to `run`. The configuration is logged by whoever opened the run."""

    def __init__(self, run: TrackedRun | None) -> None:
        """`run` may be None in processes other than the first of a distributed training."""
        super().__init__()
        self._run = run

    @property
    def name(self) -> str:
        return self._run.name if self._run else ""

    @property
    def version(self) -> str:
        return self._run.run_id if self._run else ""

    @property
    def save_dir(self) -> str | None:
        return str(self._run.folder) if self._run else None

    @property
    @rank_zero_experiment
    def experiment(self) -> TrackedRun | None:
        return self._run

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if self._run is not None:
            self._run.log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Does nothing: hyper-parameters are part of the configuration, which the run has."""
