"""One training at a time in a folder: a second would overwrite the checkpoints of the first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from folkrnn.files.whole import locked

LOCK = "training.lock"


@contextmanager
def alone_in(folder: Path, first: bool = True) -> Iterator[None]:
    """Within the block no other training writes to `folder`; the system lifts the lock when a process dies.

    Further processes of a distributed training pass: the `first` of them holds the lock. Raises UserError where another
    training has it.
    """
    if not first:
        yield
        return
    busy = f"another training is at work in {folder}: wait for it or end it; another seed or recipe has another folder"
    with locked(folder / LOCK, busy, seconds=0):
        yield
