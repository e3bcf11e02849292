"""Memory of a training: what an update frees stays at hand for the next one, and no more than that stays.

By default glibc gives large blocks back to the system at once and asks for them anew, page by page; an update of a
3 × 512 LSTM then spends a quarter of its time on first touches (`benchmarks/training_step.py`). Kept without bound, the
blocks of ever new sizes that batches of ever new lengths need leave a heap in pieces, which grows by gigabytes: so what
is free is given back whenever more is kept than the largest batch needs.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt(3)."""

_LARGE, _LARGEST = 2**30, 2**31 - 1
_USUAL = 2**17

SPARE, ALLOWANCE = 1.25, 64 * 2**20
"""How many times what the largest batch needs may be kept, and how many bytes beyond that."""


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
    """Gives free memory back to the system after each epoch, and when more is kept than the largest batch needs.

    It looks between updates, when all that an update needed is free again. What a batch needs is measured in the first
    update after memory was given back, per position of its padded input. It gives memory back, too, before a batch that
    is larger than all since it last did, whose blocks do not fit into the pieces that these left. Does nothing where
    there is no glibc.
    """

    def __init__(self) -> None:
        self._least = 0
        self._given_back, self._per_position, self._positions = False, 0.0, 0
        self._largest = 0
        """Positions of the largest batch since memory was given back."""

    def on_train_start(self, *_: Any) -> None:
        self._give_back()

    def on_train_batch_start(self, _: pl.Trainer, __: pl.LightningModule, batch: Any, index: int) -> None:
        positions = positions_of(batch)
        if 0 < self._largest < positions:
            self._give_back()
        self._largest = max(self._largest, positions)

    def on_train_batch_end(self, _: pl.Trainer, __: pl.LightningModule, ___: Any, batch: Any, index: int) -> None:
        if _glibc() is None:
            return
        grown, positions = resident_bytes() - self._least, positions_of(batch)
        if self._given_back:
            self._given_back, self._per_position = False, grown / positions
        self._positions = max(self._positions, positions)
        if grown > SPARE * self._per_position * self._positions + ALLOWANCE:
            self._give_back()

    def on_train_epoch_end(self, *_: Any) -> None:
        self._give_back()

    def _give_back(self) -> None:
        library = _glibc()
        if library is not None:
            library.malloc_trim(0)
            self._least, self._given_back, self._largest = resident_bytes(), True, 0


def positions_of(batch: Any) -> int:
    """Returns the positions of a batch's padded input, rows times steps."""
    return batch[0].shape[0] * batch[0].shape[1]


def resident_bytes() -> int:
    """Returns the memory of this process that is in RAM, in bytes (Linux only)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@cache
def _glibc() -> ctypes.CDLL | None:
    """Returns the C library where it is a glibc that can be told what to keep."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if library is not None and hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
