"""A sweep (`-m`): every job is checked before the first one starts, and all hang under one MLflow run."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.experimental.callback import Callback

from folkrnn.refusal import Refusal
from folkrnn.settings import check, folders, known_keys

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.findings import Findings
    from folkrnn.tracking import Child, Store, TrackedRun

EFFECT = "arrays/effect_tunes.npz"
"""What the analysis `effect` files of its tunes: from it sweeps of interventions are compared."""

PANELS = 12
"""Most metrics in the figure that compares jobs."""

_VARIABLE = "FOLKRNN_PARENT_RUN"
_INTERRUPTED = (130, 143)


class Unignored(BaseException):
    """Carries an error out of a callback: Hydra turns ordinary exceptions there into warnings."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Sweep:
    """The sweep that is running: its MLflow run, how many jobs it has and how many were started."""

    store: Store
    run: str
    jobs: int
    folder: Path
    """Where the parent keeps its own results."""
    seed: int = 0
    started: int = 0


_running: Sweep | None = None


class Parent(Callback):
    """Hydra calls it when a sweep starts, in the process that launches the jobs."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_multirun_start(self, config: DictConfig, **_: object) -> None:
        try:
            _open(config, self.folder)
        except Exception as error:
            raise Unignored(error) from error


def parent() -> str | None:
    """Returns the id of the MLflow run that this process's runs hang under; None outside a sweep."""
    return os.environ.get(_VARIABLE)


def _open(config: DictConfig, folder: Path) -> None:
    global _running  # noqa: PLW0603 — there is one sweep in a process, and Hydra makes the callback
    jobs = _jobs(config)
    known = known_keys(folders(config.hydra))
    for number, (overrides, job) in enumerate(jobs, start=1):
        try:
            check(job, known)
        except Refusal as error:
            raise Refusal(f"job {number} of {len(jobs)} ({shlex.join(overrides)}): {error}") from error
    from folkrnn.tracking import open_store, start_parent

    typed = _typed(config)
    store = open_store(config.tracking.uri, config.tracking.experiment, folder)
    run = start_parent(store, " ".join(typed) or "sweep", overrides=typed)
    _running = Sweep(store, run, len(jobs), folder / "runs" / "sweeps" / run[:12], config.seed)
    os.environ[_VARIABLE] = run


def _typed(config: DictConfig) -> list[str]:
    """Returns the overrides of the whole sweep, in Hydra's quotes."""
    from omegaconf import OmegaConf

    params = OmegaConf.to_container(config.hydra.sweeper, resolve=False).get("params") or {}
    overrides = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return [f"{key}={value}" for key, value in params.items()] + overrides


def _jobs(config: DictConfig) -> list[tuple[list[str], DictConfig]]:
    """Returns the overrides and the configuration of each job; raises what composing one of them raises."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import open_dict

    loader = GlobalHydra.instance().config_loader()
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(_typed(config))
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
    """Compares the jobs of the sweep and closes its MLflow run: FINISHED for 0, KILLED after a signal, else FAILED."""
    global _running
    if _running is None:
        return
    from folkrnn.tracking import finish_parent

    ended, _running = _running, None
    os.environ.pop(_VARIABLE, None)
    final = "KILLED" if status in _INTERRUPTED else "FAILED" if status else "FINISHED"
    tracked = None
    try:
        tracked = None if final == "KILLED" else _compare(ended)
    finally:
        if tracked is None:
            finish_parent(ended.store, ended.run, final, ended.folder)
        else:
            tracked.finish(final)


def _compare(sweep: Sweep) -> TrackedRun | None:
    """Files on the parent what sets its jobs apart: a table and a figure, and the dose–response of interventions.

    Returns the parent, to be finished; None where fewer than two jobs have come to their end.
    """
    from folkrnn.tracking import finished_children

    jobs = finished_children(sweep.store, sweep.run)
    if len(jobs) < 2:
        return None
    import numpy as np

    from analyses.dose_response import Condition, compare
    from folkrnn.tracking import child_arrays, parent_run

    varied = varied_settings([job.overrides for job in jobs])
    tracked = parent_run(sweep.store, sweep.run, sweep.folder)
    arrays = [child_arrays(sweep.store, job, EFFECT) for job in jobs]
    conditions = [
        Condition(settings, tunes) for settings, tunes in zip(varied, arrays, strict=True) if tunes is not None
    ]
    found = compare(conditions, np.random.default_rng(sweep.seed)) if conditions else None
    if found is not None:
        tracked.log_findings("dose_response", found)
    comparison = compare_jobs(jobs, varied)
    tracked.log_findings("sweep", comparison)
    captions = [figure.caption for findings in (found, comparison) if findings for figure in findings.figures.values()]
    print("\n" + "\n".join([*captions[:1], f"sweep    {sweep.folder}", f"MLflow   {tracked.link}"]), flush=True)
    return tracked


def varied_settings(overrides: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Returns of each job's overrides those that are not the same in all jobs ("" where a job lacks one)."""
    keys = list(dict.fromkeys(key for words in overrides for key in words))
    several = [key for key in keys if len({words.get(key, "") for words in overrides}) > 1]
    return [{key: words.get(key, "") for key in several} for words in overrides]


def _label(settings: Mapping[str, str]) -> str:
    """A job by what was varied, for an axis: "cut_random fraction=0.1 seed=2"."""
    words = [value if key == "intervention" else f"{key.rsplit('.', 1)[-1]}={value}" for key, value in settings.items()]
    return " ".join(words)


def compare_jobs(jobs: Sequence[Child], varied: Sequence[Mapping[str, str]]) -> Findings:
    """Returns one row per job with all its metrics, and a figure of those that analyses name first."""
    import pandas as pd

    from analyses.drawings import dose_response as draw
    from folkrnn.findings import Figure, Findings

    rows = [
        {"run": job.run_id, **settings, **dict(sorted(job.metrics.items()))}
        for job, settings in zip(jobs, varied, strict=True)
    ]
    table = pd.DataFrame(rows)
    first = dict.fromkeys(name for job in jobs for name in job.main if not name.startswith("intervention/"))
    names = [name for name in first if name in table.columns]
    labels = [_label(settings) or job.name for job, settings in zip(jobs, varied, strict=True)]
    shown = [name for name in names if table[name].nunique() > 1][:PANELS] or names[:PANELS]
    settings = ", ".join(varied[0])
    figures = {}
    if shown:
        caption = f"{len(jobs)} runs that differ in {settings or 'nothing'}: what their analyses name first."
        figures["comparison"] = Figure(draw.metrics(table, shown, labels), caption)
    return Findings(figures=figures, tables={"comparison": table})
