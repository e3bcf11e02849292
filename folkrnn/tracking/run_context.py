"""From the start of a run to its final status, whatever happens in between."""

from __future__ import annotations

import logging
import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folkrnn.config.figures import AS_PNG, Figures
from folkrnn.errors import Terminated, UserError, signal_behind
from folkrnn.tracking.journal import Journal, in_one_line, now, writing
from folkrnn.tracking.process import is_gone, process_tags
from folkrnn.tracking.provenance import CHECKOUT, provenance, provenance_tags
from folkrnn.tracking.run import TrackedRun
from folkrnn.tracking.store import Store
from folkrnn.tracking.upload import enter
from folkrnn.training.preemption import Requeued

log = logging.getLogger(__name__)


@contextmanager
def start_run(
    store: Store,
    name: str,
    folder: Path | str,
    *,
    overrides: Sequence[str] = (),
    tags: Mapping[str, Any] | None = None,
    parent: str | None = None,
    device: str = "cpu",
    resume: bool = False,
    figures: Figures = AS_PNG,
    wanted: Sequence[str] = (),
) -> Iterator[TrackedRun]:
    """Runs the block as the run `name`, with its results in `folder`; the final status is always written.

    FINISHED; FAILED after an exception (its traceback becomes `traceback.txt`) or if a part was reported with
    `log_failure`; KILLED after Ctrl-C or SIGTERM; SCHEDULED where the job went back into a queue. Exceptions go on to
    the caller. `parent` is the run id of a sweep. `figures` says as what figures are written beside PNG. `wanted` names
    numbers that become metrics whatever else does. With `resume`, the run begun in `folder` is continued under its id,
    or begun anew with all it had where `store` has not got it. Raises UserError where `folder` holds a run already and
    is not to be resumed, where that run still runs, or where the store takes no run.
    """
    every = {**provenance_tags(CHECKOUT, overrides), **(tags or {}), **process_tags()}
    folder = Path(folder).absolute()
    with writing(folder):
        run = _begin(store, name, folder, parent, every, resume)
        run.figures, run.wanted = figures, tuple(wanted)
        yield from _to_its_end(run, provenance(CHECKOUT, overrides, device))


def _to_its_end(run: TrackedRun, origin: Mapping[str, str]) -> Iterator[TrackedRun]:
    try:
        run.log_provenance(origin)
        with _signals_as_exceptions():
            yield run
    except BaseException as error:
        status, reason = ending(error)
        with _undisturbed():
            _finish_after(run, error, status, reason)
        if status == "KILLED" and isinstance(error, SystemExit):
            raise _as_signalled(reason, error) from error
        raise
    with _undisturbed():
        run.finish("FAILED" if run.failures else "FINISHED", "; ".join(run.failures))


def _finish_after(run: TrackedRun, error: BaseException, status: str, reason: str) -> None:
    """Ends a run whose exception is being handled: that one matters more than another on the way out."""
    try:
        try:
            if status == "FAILED":
                run.log_text(traceback.format_exc(), "traceback.txt")
        finally:
            run.finish(status, reason)
    except UserError as refusal:
        if not isinstance(error, UserError):  # a disk without room need not be told of twice
            log.error("%s", refusal)


_CTRL_C = "interrupted (Ctrl-C)"
_SIGTERM = "terminated (SIGTERM)"


def ending(error: BaseException) -> tuple[str, str]:
    """Returns the final status of a run that ends with `error`, and the reason in one line."""
    if isinstance(error, KeyboardInterrupt):
        return "KILLED", _SIGTERM if isinstance(error, Terminated) else _CTRL_C
    if isinstance(error, Requeued):
        return "SCHEDULED", "preempted; the job is back in the queue"
    if not isinstance(error, SystemExit):
        broken_off = signal_behind(error)
        return ("FAILED", in_one_line(error)) if broken_off is None else ending(broken_off)
    if isinstance(error.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into exit(1)
        return ending(error.__context__)
    if type(error) is not SystemExit or error.code == 128 + signal.SIGTERM:
        return "KILLED", _SIGTERM  # Lightning's SIGTERMException carries no code
    if isinstance(error.code, int) and error.code > 128:
        return "KILLED", f"ended by signal {error.code - 128}"
    if error.code in (None, 0):
        return "FINISHED", ""
    return "FAILED", f"exit code {error.code}"


def _as_signalled(reason: str, error: SystemExit) -> BaseException:
    """What a signal leaves a run with, whatever library caught it first: exit codes tell sweeps why a job ended."""
    if reason == _CTRL_C:
        return KeyboardInterrupt()
    return SystemExit(error.code if isinstance(error.code, int) and error.code > 128 else 128 + signal.SIGTERM)


def _begin(
    store: Store, name: str, folder: Path, parent: str | None, tags: Mapping[str, Any], resume: bool
) -> TrackedRun:
    journal = Journal(folder)
    if journal.about and not resume:
        raise UserError(
            f"{folder} holds the run {journal.about['name']!r} already: resume it, or choose another folder"
        )
    if parent:
        tags = {**tags, "mlflow.parentRunId": parent}
    if journal.about and _is_in(store, journal, folder):
        journal.add({"kind": "status", "status": "RUNNING", "time": now()})
        run_id = journal.about["run_id"]
    else:
        run_id = enter(store, journal, name, tags)
    run = TrackedRun(store, run_id, name, folder, journal)
    run.set_tags(tags)
    return run


def _is_in(store: Store, journal: Journal, folder: Path) -> bool:
    """Whether the store has the run of the journal; raises UserError if that one still runs."""
    from mlflow.exceptions import MlflowException

    try:
        run = store.client.get_run(journal.about["run_id"])
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise UserError(f"the tracking store {store.uri} cannot continue the run: {in_one_line(error)}") from error
    if run.info.status == "RUNNING" and not is_gone(run.data.tags):
        raise UserError(
            f"the run in {folder} is still running (process {run.data.tags.get('process.id', '?')}): end it"
        )
    return run.info.lifecycle_stage == "active"


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """SIGTERM ends the block with SystemExit(143), so that the status can be written; afterwards all is as before.

    Whoever puts a handler in front of this one decides: Lightning stops at the end of the batch.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(signum: int, frame: object) -> None:
        if signal.getsignal(signal.SIGTERM) is stop:
            raise SystemExit(128 + signum)

    if before[signal.SIGTERM] == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait for nothing here, they are dropped: a second Ctrl-C must not leave a run RUNNING."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # None: set by a library in C, out of reach
            signal.signal(number, handler)
