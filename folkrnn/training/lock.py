"""One training at a time in a folder: a second would overwrite the checkpoints of the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from folkrnn.refusal import Refusal

LOCK = "training.lock"


@contextmanager
def alone_in(folder: Path, first: bool = True) -> Iterator[None]:
    """Within the block no other training writes to `folder`; the system lifts the lock when a process dies.

    Further processes of a distributed training pass: the `first` of them holds the lock. Raises Refusal where another
    training has it.
    """
    if not first:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise Refusal(
            f"another training is at work in {folder}: wait for it or end it; another seed or recipe has another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
