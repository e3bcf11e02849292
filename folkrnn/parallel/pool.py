"""Much work on many small things, shared among processes, with a progress bar on a terminal."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import TypeVar

log = logging.getLogger(__name__)

_Chunk = TypeVar("_Chunk")
_Result = TypeVar("_Result")


def in_parallel(
    work: Callable[[_Chunk], _Result], chunks: Sequence[_Chunk], label: str, workers: int | None = None
) -> Iterator[_Result]:
    """Yields `work(chunk)` for each of `chunks` in their order; `workers` processes, as many as there are CPUs if None.

    One worker is this process. `work` must be a function of a module.
    """
    from rich.progress import track

    workers = min(available_cpus() if workers is None else workers, len(chunks))
    if workers < 2:
        yield from track(map(work, chunks), label, len(chunks), transient=True)
        return
    yield from track(_shared(work, chunks, workers, label), label, len(chunks), transient=True)


def _shared(work: Callable[[_Chunk], _Result], chunks: Sequence[_Chunk], workers: int, label: str) -> Iterator[_Result]:
    """The results of several processes; where one of them is killed, this one does the rest alone."""
    done = 0
    # spawn, not fork: the parent may hold threads (torch, MLflow) that a forked child would inherit half-alive
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
            for found in pool.map(work, chunks):
                done += 1
                yield found
    except BrokenProcessPool:
        log.warning("%s: the system ended a process that took part (no memory left?); one process does the rest", label)
        yield from map(work, chunks[done:])


def end_with_parent() -> None:
    """Has this process, which `multiprocessing` started, end at once when the one that started it does."""
    parent = parent_process()
    assert parent is not None
    threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def available_cpus() -> int:
    """Returns how many CPUs this process may use, which on a shared machine are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
