"""A sweep from its first check to its exit status."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from folkrnn.config.build import build
from folkrnn.config.digest import job_key
from folkrnn.config.settings import check
from folkrnn.errors import UserError
from folkrnn.sweep import comparison
from folkrnn.sweep.environment import DIGEST, JOB, in_this_process, variables
from folkrnn.sweep.exit_status import in_words
from folkrnn.sweep.in_process import InProcess
from folkrnn.sweep.jobs import (
    FAILED,
    FINISHED,
    KILLED,
    SKIPPED,
    WAITING,
    Ending,
    Job,
    Launch,
    Launcher,
    Outcome,
    introduced,
)
from folkrnn.sweep.progress import Progress, log_name, numbers
from folkrnn.sweep.scheduler import run_jobs
from folkrnn.tracking.folders import REPORT, folder_name, run_name
from folkrnn.training.processes import group

if TYPE_CHECKING:
    from folkrnn.findings import Findings
    from folkrnn.tracking import ChildRun, Store, TrackedRun

Perform = Callable[[Job], int]
"""Runs a job in this process and returns its exit status."""

MOST = 100
"""The highest exit status of a sweep that came to its end: above it, shells tell of signals."""

_LOGS_FILED = 20
_LOG_TAIL = 200_000


@dataclass
class Sweep:
    """A sweep that is running."""

    jobs: Sequence[Job]
    store: Store
    tracked: TrackedRun
    """Its MLflow run, the parent of those of its jobs."""
    typed: Sequence[str] = ()
    """What it was asked for with."""

    @property
    def logs(self) -> Path:
        return self.tracked.folder / "jobs"


def run_sweep(jobs: Sequence[Job], known: Collection[str], typed: Sequence[str], root: Path, perform: Perform) -> int:
    """Runs the jobs of a sweep under one MLflow run; returns how many failed, at most 100.

    `known` are the settings that there are, `typed` what the sweep was asked for with, `root` the folder that `conf`
    lies in, beside `run.py` in a checkout; `perform` is for `launcher=here`. Raises UserError, before anything
    starts, where a job or the store is not usable; KeyboardInterrupt or what SIGTERM raises after the signal that
    stopped the sweep.
    """
    started_once()
    if jobs[0].config.sweep.metric is not None:
        raise UserError("sweep.metric: type it on the command line; in a file it begins no search")
    jobs = introduced(jobs)
    launcher = checked(jobs, known)
    with opened(jobs, typed) as sweep:
        return closed(sweep, *all_of(sweep, launcher, root, perform, len(jobs)))


def started_once() -> None:
    """Raises UserError where torchrun or SLURM run this command several times: each would be the whole sweep."""
    mine = group()
    if mine.size > 1:
        raise UserError(
            f"-m: a sweep is one process, and {mine.launcher} runs this command {mine.size} times: type it once, "
            "without torchrun or srun (in a script for SLURM, with --ntasks=1); every job starts the processes it needs"
        )


def checked(jobs: Sequence[Job], known: Collection[str]) -> Launcher | InProcess:
    """Returns the launcher that all jobs agree on. Raises UserError for a job that cannot be run, naming it."""
    for job in jobs:
        try:
            check(job.config, known)
        except UserError as error:
            raise UserError(f"job {job.number} of {len(jobs)} ({job}): {error}") from error
    if any(job.config.launcher != jobs[0].config.launcher for job in jobs):
        raise UserError("launcher: one launcher runs the whole sweep; its settings cannot be swept")
    launcher = build(jobs[0].config.launcher, "launcher")
    launcher.check(jobs)
    return launcher


@contextmanager
def opened(jobs: Sequence[Job], typed: Sequence[str]) -> Iterator[Sweep]:
    """Opens the store and yields a sweep of these jobs under a new parent, which an error in the block ends."""
    from folkrnn.tracking import located, open_store, parent_run, start_parent
    from folkrnn.tracking.run_context import ending as how_it_ended

    tracking = jobs[0].config.tracking
    uri, home = located(tracking.uri, tracking.folder)
    store = open_store(uri, tracking.experiment, home)
    name = run_name(typed) if typed else "sweep"
    run_id = start_parent(store, name, overrides=["-m", *typed])
    folder = home / "runs" / "sweeps" / folder_name(name, run_id)
    sweep = Sweep(jobs, store, parent_run(store, run_id, folder), typed)
    try:
        yield sweep
    except BaseException as error:
        sweep.tracked.finish(*how_it_ended(error))
        raise


def at_once(launcher: Launcher | InProcess) -> int | None:
    """Returns how many jobs the launcher takes at a time; None: all."""
    return 1 if isinstance(launcher, InProcess) else launcher.at_once


def all_of(
    sweep: Sweep, launcher: Launcher | InProcess, root: Path, perform: Perform, count: int
) -> tuple[list[Outcome], int | None]:
    """Runs the jobs, of `count` in all; returns how each ended, by number, and the signal that stopped them, if any."""
    with Progress(count, at_once(launcher), sweep.logs, live=not isinstance(launcher, InProcess)) as progress:
        outcomes = _skipped(sweep)
        for outcome in outcomes:
            progress.ended(outcome)
        left = [job for job in sweep.jobs if job.number not in {outcome.job.number for outcome in outcomes}]
        stopped = None
        if isinstance(launcher, InProcess):
            outcomes += [_here(sweep, job, perform, progress) for job in left]
        else:
            sweep.logs.mkdir(parents=True, exist_ok=True)
            launches = [_launch(sweep, job, root) for job in left]
            found, stopped = run_jobs(launcher, launches, progress, lambda *ended: _recorded_from_log(sweep, *ended))
            outcomes += found
    begun = {outcome.job.number for outcome in outcomes}
    outcomes += [Outcome(job, WAITING, "the sweep was stopped first") for job in sweep.jobs if job.number not in begun]
    return sorted(outcomes, key=lambda outcome: outcome.job.number), stopped


def _skipped(sweep: Sweep) -> list[Outcome]:
    """Returns the jobs that need not be run: those that finished before, and those equal to an earlier one."""
    from folkrnn.tracking import finished_run
    from folkrnn.tracking.journal import in_one_line, is_trouble
    from folkrnn.tracking.provenance import git_state

    outcomes, seen = list[Outcome](), dict[str, int]()
    commit = git_state()[0]
    for job in sweep.jobs:
        if job.config.rerun:
            continue
        digest = job_key(job.config, job.overrides)
        try:
            before = finished_run(sweep.store, DIGEST, digest)
        except Exception as error:
            if not is_trouble(error):
                raise
            raise UserError(
                f"{sweep.store.uri} does not say which jobs finished before ({in_one_line(error)}): run the command "
                "again when it answers"
            ) from error
        if before is not None:
            outcomes.append(Outcome(job, SKIPPED, _finished_before(before, commit), run=before.run_id))
        elif digest in seen:
            outcomes.append(Outcome(job, SKIPPED, f"the same as job {seen[digest]}; rerun=true runs both"))
        seen.setdefault(digest, job.number)
    return outcomes


def _finished_before(run: ChildRun, commit: str) -> str:
    other = f", by the code of commit {run.commit[:8]}" if run.commit not in ("", commit) else ""
    return f"finished before (run {run.run_id[:12]}{other}); rerun=true runs it again"


def _here(sweep: Sweep, job: Job, perform: Perform, progress: Progress) -> Outcome:
    """Runs a job in this process; what would end the process ends the sweep."""
    progress.say(f"\n── job {job.number} of {progress.jobs}: {job}")
    began = time.monotonic()
    with in_this_process(sweep.tracked.run_id, job.number):
        status = perform(job)
    ending = Ending(status, "" if status == 0 else f"exit status {status}")
    outcome = _recorded(sweep, job, FAILED if status else FINISHED, ending, time.monotonic() - began)
    progress.done += 1
    return outcome


def _launch(sweep: Sweep, job: Job, root: Path) -> Launch:
    program = root / "run.py"
    start = (str(program),) if program.is_file() else ("-m", "folkrnn")  # in a checkout, or installed
    command = (sys.executable, *start, *job.words)
    environment = variables(sweep.tracked.run_id, job.number) | {"PYTHONUNBUFFERED": "1"}
    return Launch(job, command, environment, sweep.logs / log_name(job))


def _recorded_from_log(sweep: Sweep, launch: Launch, ending: Ending, seconds: float) -> Outcome:
    status, reason = in_words(ending, launch.log)
    return _recorded(sweep, launch.job, status, replace(ending, reason=reason), seconds, known=bool(ending.reason))


def _recorded(sweep: Sweep, job: Job, status: str, ending: Ending, seconds: float, known: bool = False) -> Outcome:
    """Returns how a job ended after seeing to it that its run says so too."""
    from folkrnn.tracking import end_child
    from folkrnn.tracking.journal import in_one_line, is_trouble

    tag = (JOB, str(job.number))
    try:
        run = end_child(sweep.store, sweep.tracked.run_id, tag, status, ending.reason, known)
    except Exception as error:
        if not is_trouble(error):
            raise
        return Outcome(job, status, f"{ending.reason} (not in the store: {in_one_line(error)})".strip(), seconds)
    if run is None:
        return Outcome(job, status, ending.reason, seconds)
    reason = ending.reason if known or not run.ended else run.ended
    return Outcome(job, status, "" if status == FINISHED else reason, seconds, run.run_id)


def closed(sweep: Sweep, outcomes: Sequence[Outcome], stopped: int | None, best: str = "") -> int:
    """Files what came of the jobs and says it, and `best`; returns how many failed, at most MOST.

    Raises the signal that stopped the sweep, if one did.
    """
    tracked = sweep.tracked
    comparison.file_outcomes(tracked, outcomes)
    failed = [outcome for outcome in outcomes if outcome.failed]
    _file_logs(sweep, failed)
    found, line = ({}, "") if stopped is not None else _compared(sweep, outcomes)
    comparison.file_report(tracked, sweep.typed, outcomes, found, best)
    report = f"report   {tracked.folder / REPORT}"
    said = [line, best, f"sweep    {tracked.folder}", report, f"MLflow   {tracked.link}"]
    print("\n" + "\n".join(words for words in said if words), flush=True)
    if failed:
        told = f"\n{len(failed)} of {len(sweep.jobs)} jobs failed: {numbers(failed)}"
        print(f"{told}; the same command again runs what is missing or failed", file=sys.stderr, flush=True)
    status = KILLED if stopped is not None else FAILED if failed else FINISHED
    tracked.finish(status, "; ".join(tracked.failures))
    if stopped is not None:
        signal.raise_signal(stopped)
    return min(MOST, len(failed))


def _compared(sweep: Sweep, outcomes: Sequence[Outcome]) -> tuple[dict[str, Findings], str]:
    """Files what sets apart the jobs that finished, now or before; returns what was found, and one line on it.

    A run is called by what its job asks for: of one that finished before, the command may have been another.
    """
    from folkrnn.tracking import by_key, child
    from folkrnn.tracking.journal import in_one_line, is_trouble

    jobs = {outcome.run: outcome.job for outcome in outcomes if outcome.run and not outcome.failed}
    try:
        children = [
            replace(child(sweep.store, run_id), overrides=by_key(job.overrides)) for run_id, job in jobs.items()
        ]
        found = comparison.file_comparison(sweep.tracked, children, int(sweep.jobs[0].config.seed))
        return found, next(iter(comparison.captions(found)), "")
    except Exception as error:
        if not is_trouble(error):
            raise
        gone = f"the jobs were not compared, the tracking store went away ({in_one_line(error)}): run the command again"
        return {}, gone


def _file_logs(sweep: Sweep, failed: Sequence[Outcome]) -> None:
    for outcome in failed[:_LOGS_FILED]:
        log = sweep.logs / log_name(outcome.job)
        if log.exists() and log.stat().st_size:
            with log.open("rb") as file:
                file.seek(max(0, log.stat().st_size - _LOG_TAIL))
                sweep.tracked.log_bytes(file.read(), f"logs/{log.name.removesuffix('.log')}.txt")
