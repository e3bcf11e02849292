"""Freed memory is kept while a training runs, and given back afterwards."""

import platform
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from folkrnn.training.memory import BoundedMemory, memory_kept, resident_bytes

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


def update(megabytes, positions):
    """What an update does to the heap: blocks of sizes that no other update has, all freed at its end."""
    sizes = np.random.default_rng(positions).integers(2**17, 2**20, 8 * megabytes)
    blocks, total = [], 0
    for size in sizes:
        if total < megabytes * 2**20:
            blocks.append(torch.empty(int(size), dtype=torch.uint8).fill_(1))
            total += int(size)
    return (torch.empty(1, positions),)


def test_memory_is_given_back_before_a_batch_larger_than_all_since_it_last_was():
    bound, given_back = BoundedMemory(), []
    with memory_kept():
        bound.on_train_start()
        for k, positions in enumerate((100, 50, 400, 300, 400, 500)):
            first_touches(2)
            before = resident_bytes()
            bound.on_train_batch_start(None, None, (torch.empty(1, positions),), k)
            given_back.append(before - resident_bytes() > 32 * 2**20)
    assert given_back == [False, False, True, False, False, True]


def test_updates_of_ever_new_sizes_do_not_pile_up():
    def grown(bound):
        with memory_kept():
            before = resident_bytes()
            if bound:
                bound.on_train_start()
            left = []  # small blocks that live on between large ones keep the heap from shrinking
            for k in range(40):
                batch = update(20 + 3 * k, 100 + 15 * k)
                left.append(torch.empty(2**18, dtype=torch.uint8).fill_(1))
                if bound:
                    bound.on_train_batch_end(None, None, None, batch, k)
            if bound:
                bound.on_train_epoch_end()
            return resident_bytes() - before

    assert grown(None) > 100 * 2**20
    assert grown(BoundedMemory()) < 40 * 2**20
