"""From the start of a run to its final status, whatever happens in between."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folkrnn.refusal import Refusal
from folkrnn.tracking.journal import Journal, now
from folkrnn.tracking.process import is_gone, process_tags
from folkrnn.tracking.provenance import provenance_tags
from folkrnn.tracking.run import TrackedRun, in_one_line
from folkrnn.tracking.store import Store


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
    with_svg: bool = False,
    with_csv: bool = False,
) -> Iterator[TrackedRun]:
    """Runs the block as the run `name`, with its results in `folder`; the final status is always written.

    FINISHED; FAILED after an exception (its traceback becomes `traceback.txt`) or if a part was reported with
    `log_failure`; KILLED after Ctrl-C or SIGTERM. Exceptions go on to the caller. `parent` is the run id of a sweep.
    With `resume`, the run begun in `folder` is continued under its id. Raises Refusal where `folder` holds a run
    already and is not to be resumed, where that run still runs, or where the store takes no run.
    """
    run = _begin(store, name, Path(folder).absolute(), parent, resume, with_svg, with_csv)
    run.set_tags({**process_tags(), **provenance_tags(store.folder, overrides, device), **(tags or {})})
    try:
        with _sigterm_as_exception():
            yield run
    except BaseException as error:
        status, reason = ending(error)
        with _undisturbed():
            if status == "FAILED":
                run.log_text(traceback.format_exc(), "traceback.txt")
            run.finish(status, reason)
        raise
    with _undisturbed():
        run.finish("FAILED" if run.failures else "FINISHED", "; ".join(run.failures))


def ending(error: BaseException) -> tuple[str, str]:
    """Returns the final status of a run that ends with `error`, and the reason in one line."""
    if isinstance(error, KeyboardInterrupt):
        return "KILLED", "interrupted (Ctrl-C)"
    if not isinstance(error, SystemExit):
        return "FAILED", in_one_line(error)
    if isinstance(error.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into exit(1)
        return "KILLED", "interrupted (Ctrl-C)"
    if type(error) is not SystemExit or (isinstance(error.code, int) and error.code > 128):
        return "KILLED", "terminated (SIGTERM)"  # Lightning's SIGTERMException carries no code
    if error.code in (None, 0):
        return "FINISHED", ""
    return "FAILED", f"exit code {error.code}"


def _begin(
    store: Store, name: str, folder: Path, parent: str | None, resume: bool, with_svg: bool, with_csv: bool
) -> TrackedRun:
    from mlflow.exceptions import MlflowException

    try:
        folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(folder)
    except OSError as error:
        raise Refusal(f"cannot keep results in {folder} ({error.strerror}): choose another folder") from error
    begun = journal.about
    try:
        if begun and resume:
            run_id = begun["run_id"]
            _check_not_running(store, run_id, folder)
            journal.add({"kind": "status", "status": "RUNNING", "time": now()})
        elif begun:
            raise Refusal(f"{folder} holds the run {begun['name']!r} already: resume it, or choose another folder")
        else:
            tags = {"mlflow.parentRunId": parent} if parent else {}
            run_id = store.client.create_run(store.experiment_id, tags=tags, run_name=name).info.run_id
            journal.begin(uri=store.uri, experiment=store.experiment, root=str(store.folder), run_id=run_id, name=name)
    except MlflowException as error:
        raise Refusal(f"the tracking store {store.uri} takes no run: {in_one_line(error)}") from error
    return TrackedRun(store, run_id, name, folder, journal, with_svg, with_csv)


def _check_not_running(store: Store, run_id: str, folder: Path) -> None:
    run = store.client.get_run(run_id)
    if run.info.status == "RUNNING" and not is_gone(run.data.tags):
        raise Refusal(f"the run in {folder} is still running (process {run.data.tags.get('process.id', '?')}): end it")


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """SIGTERM ends the block with SystemExit(143), so that the status can be written.

    Whoever puts a handler in front of this one decides: Lightning stops at the end of the batch.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def stop(signum: int, frame: object) -> None:
        if signal.getsignal(signal.SIGTERM) is stop:
            raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


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
        for number, handler in before.items():
            signal.signal(number, handler)
