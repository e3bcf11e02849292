"""A sweep (`-m`): every job is checked before the first one starts, and all hang under one MLflow run."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.experimental.callback import Callback

from folkrnn.build import check
from folkrnn.refusal import Refusal

if TYPE_CHECKING:
    from omegaconf import DictConfig


class Unignored(BaseException):
    """Carries an error out of a callback: Hydra turns ordinary exceptions there into warnings."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Sweep:
    """The sweep that is running: how many jobs it has and how many were started."""

    jobs: int
    started: int = 0


_running: Sweep | None = None


class Parent(Callback):
    """Hydra calls it when a sweep starts, in the process that launches the jobs."""

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        try:
            _open(config)
        except Exception as error:
            raise Unignored(error) from error


def _open(config: DictConfig) -> None:
    global _running  # noqa: PLW0603 — there is one sweep in a process, and Hydra makes the callback
    jobs = _jobs(config)
    for number, (overrides, job) in enumerate(jobs, start=1):
        try:
            check(job)
        except Refusal as error:
            raise Refusal(f"job {number} of {len(jobs)} ({shlex.join(overrides)}): {error}") from error
    _running = Sweep(len(jobs))


def _jobs(config: DictConfig) -> list[tuple[list[str], DictConfig]]:
    """Returns the overrides and the configuration of each job; raises what composing one of them raises."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf, open_dict

    loader = GlobalHydra.instance().config_loader()
    params = OmegaConf.to_container(config.hydra.sweeper, resolve=False).get("params") or {}
    typed = [f"{key}={value}" for key, value in params.items()]
    typed += OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(typed)
    found = []
    for overrides in BasicSweeper.split_arguments(parsed, None)[0]:
        job = loader.load_sweep_config(config, list(overrides))
        with open_dict(job):
            del job["hydra"]
        found.append((list(overrides), job))
    return found


def announce(overrides: list[str]) -> None:
    """Prints which job of the sweep begins; outside a sweep, nothing."""
    if _running is None:
        return
    _running.started += 1
    print(f"\n── job {_running.started} of {_running.jobs}: {shlex.join(overrides)}", file=sys.stderr, flush=True)


def summarise(statuses: list[int]) -> None:
    """Prints which jobs of the sweep failed, if any did; outside a sweep, nothing."""
    failed = [str(number) for number, status in enumerate(statuses, start=1) if status]
    if _running is not None and failed:
        print(f"\n{len(failed)} of {len(statuses)} jobs failed: {', '.join(failed)}", file=sys.stderr, flush=True)


def close(status: int) -> None:
    """Closes the sweep's MLflow run: FINISHED for status 0, KILLED after a signal, else FAILED."""
    global _running  # noqa: PLW0603
    _running = None
