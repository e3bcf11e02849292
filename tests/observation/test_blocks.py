"""Every tune is in exactly one block, the last one too."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from folkrnn.observation.blocks import Blocks
from folkrnn.observation.latents import BATCH, MelodyBlocks


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 7))
@example([3], 4)
@example([5, 4, 3, 2, 1], 2)
@example([2] * 9, 4)
def test_tunes_are_cut_into_blocks_from_long_to_short_and_none_is_lost(lengths, size):
    tunes = [np.full(length, k) for k, length in enumerate(lengths)]
    blocks = Blocks(tunes, lambda _: size)
    numbers = [k for block in blocks for k in block[0]]
    assert sorted(numbers) == list(range(len(lengths)))
    assert [lengths[k] for k in numbers] == sorted(lengths, reverse=True)
    assert [len(block[0]) for block in blocks][:-1] == [size] * (len(blocks) - 1)
    assert all(
        (tune == k).all() and len(tune) == lengths[k]
        for k, tune in zip(numbers, (tune for block in blocks for tune in block[1]), strict=True)
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_how_many_tunes_a_block_has_goes_by_its_longest(lengths):
    blocks = Blocks([np.zeros(length) for length in lengths], lambda longest: max(1, 60 // longest))
    assert sorted(k for block in blocks for k in block[0]) == list(range(len(lengths)))
    assert all(len(block[0]) <= max(1, 60 // max(map(len, block[1]))) for block in blocks)


@given(st.sampled_from([1, 2, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH, 2 * BATCH + 1]))
def test_melodies_are_cut_into_blocks_in_their_order_and_none_is_lost(count):
    classes = np.arange(count)[:, None]
    blocks = MelodyBlocks(classes)
    assert [number for numbers, _ in blocks for number in numbers] == list(range(count))
    assert np.concatenate([some for _, some in blocks]).tolist() == classes.tolist()
    assert max(len(some) for _, some in blocks) <= BATCH
    assert all(len(numbers) == len(some) for numbers, some in blocks)
