"""Memory that a training frees stays at hand for its next update.

By default glibc gives large blocks back to the system at once and asks for them anew, page by page; an update of a
3 × 512 LSTM then spends a quarter of its time on first touches (`benchmarks/training_step.py`).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Of glibc's mallopt(3)."""

_LARGE, _LARGEST = 2**30, 2**31 - 1
_USUAL = 2**17


@contextmanager
def memory_kept() -> Iterator[None]:
    """Within the block freed memory is kept, and given back after it. Does nothing where there is no glibc."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim"):
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
