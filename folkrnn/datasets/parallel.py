"""Much work on many small things, shared among processes, with a progress bar on a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

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
    # spawn, not fork: the parent may hold threads (torch, MLflow) that a forked child would inherit half-alive
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from track(pool.map(work, chunks), label, len(chunks), transient=True)


def available_cpus() -> int:
    """Returns how many CPUs this process may use, which on a shared machine are fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
