"""Files that are whole or not there, and locks that the system lifts when their holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from folkrnn.errors import UserError


def write_whole(path: Path, data: bytes | memoryview | str, durable: bool = False) -> None:
    """Writes a file, in a folder that may be new, whole or not at all: whoever looks sees the old one or the new one.

    `durable`: also after a power cut. Text is written as UTF-8. Raises OSError, the old file intact, where it cannot.
    """
    with replacing(path, durable) as draft:
        draft.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yields where to write what takes the place of `path` once the block has ended well, as `write_whole` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        if durable:
            _sync(draft)
        draft.replace(path)
        if durable and os.name == "posix":
            _sync(path.parent)  # the renaming itself
    finally:
        draft.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, busy: str, seconds: float = -1) -> Iterator[None]:
    """Holds the lock `path` for the block.

    Raises UserError, saying `busy`, where another process still has it after so many seconds (−1: waits as long as it
    takes), and OSError where there can be no such file.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise UserError(busy) from None
    try:
        yield
    finally:
        lock.release()
