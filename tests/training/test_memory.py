"""Freed memory is kept while a training runs, and given back afterwards."""

import platform
import resource
import sys
from pathlib import Path

import pytest
import torch

from folkrnn.training.memory import memory_kept

PAGES = 64 * 2**20 // resource.getpagesize()

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory"
)


def first_touches(times):
    """How many pages were touched for the first time, in 64 MiB that are asked for again and again."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.empty(64 * 2**18).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])


def test_memory_that_is_asked_for_again_is_not_touched_anew():
    assert first_touches(10) > 9 * PAGES
    with memory_kept():
        first_touches(20)  # until the heap has found its place
        assert first_touches(10) < PAGES


def test_memory_is_given_back_afterwards():
    before = resident()
    with memory_kept():
        first_touches(2)
        assert resident() > before + PAGES / 2
    assert resident() < before + PAGES / 2
