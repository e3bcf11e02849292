"""Memory of a training: what an update frees stays at hand for the next one, and no more than that stays.

By default glibc gives large blocks back to the system at once and asks for them anew, page by page; an update of a
3 × 512 LSTM then spends a quarter of its time on first touches (`benchmarks/training_step.py`). Kept without bound, the
blocks of ever new sizes that batches of ever new lengths need leave a heap in pieces, which grows by gigabytes: so what
is free is given back whenever the process has grown by ALLOWANCE since the last time.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt(3)."""

_LARGE, _LARGEST = 2**30, 2**31 - 1
_USUAL = 2**17

ALLOWANCE = 256 * 2**20
"""Bytes by which resident memory may exceed what was in use after it was last given back."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """Within the block freed memory is kept, and given back after it. Does nothing where there is no glibc."""
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _LARGE)
    library.mallopt(_TRIM_THRESHOLD, _LARGEST)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _USUAL)
        library.mallopt(_TRIM_THRESHOLD, _USUAL)
        library.malloc_trim(0)


class BoundedMemory(Callback):
    """Gives free memory back to the system after each epoch, and whenever the process has grown by `allowance` bytes.

    It looks between updates, when all that an update needed is free again. Does nothing where there is no glibc.
    """

    def __init__(self, allowance: int = ALLOWANCE) -> None:
        self.allowance = allowance
        self._least: int | None = None

    def on_train_batch_end(self, *_: Any) -> None:
        if _glibc() is not None and (self._least is None or resident_bytes() > self._least + self.allowance):
            self._give_back()

    def on_train_epoch_end(self, *_: Any) -> None:
        self._give_back()

    def _give_back(self) -> None:
        library = _glibc()
        if library is not None:
            library.malloc_trim(0)
            self._least = resident_bytes()


def resident_bytes() -> int:
    """Returns the memory of this process that is in RAM, in bytes (Linux only)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@cache
def _glibc() -> ctypes.CDLL | None:
    """Returns the C library where it is a glibc that can be told what to keep."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library is not None and hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
