import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.datasets.batches import IGNORED, BucketSampler, bucketed, filled_share, pad
from folkrnn.datasets.irish import irish

LENGTHS = st.lists(st.integers(3, 900), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 40), st.integers(0, 99))
def test_an_epoch_holds_every_tune_once_in_batches_of_the_asked_for_size(lengths, size, seed):
    batches = bucketed(lengths, size, np.random.default_rng(seed))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)
    assert sum(len(batch) < size for batch in batches) <= 1


def test_an_epoch_is_drawn_from_seed_and_number_alone():
    sampler = BucketSampler(range(10, 200), 8, seed=3)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert len(first) == len(sampler)


@given(LENGTHS, st.integers(1, 20), st.integers(1, 5))
def test_the_shares_of_all_processes_are_the_batches_of_one(lengths, size, processes):
    alone = list(BucketSampler(lengths, size, seed=1))
    shares = [list(BucketSampler(lengths, size, 1, processes=processes, process=p)) for p in range(processes)]
    for whole, *parts in zip(alone, *shares, strict=True):
        assert sorted(i for part in parts for i in part.rows) == sorted(whole.rows)
        assert {part.tokens for part in parts} == {whole.tokens} == {sum(lengths[i] for i in whole.rows)}


def test_a_process_without_a_share_predicts_nothing():
    _, targets = pad([], padding=59)
    assert targets.tolist() == [[IGNORED]]


def test_at_least_95_percent_of_the_positions_of_irish_batches_are_real_tokens():
    lengths = [len(ids) - 1 for ids in irish().ids]
    for size in (32, 64):
        assert filled_share(lengths, bucketed(lengths, size, np.random.default_rng(0))) >= 0.95


@given(st.lists(st.lists(st.integers(0, 136), min_size=2, max_size=20), min_size=1, max_size=6))
def test_padded_targets_are_the_inputs_one_step_ahead(tunes):
    arrays = [np.array(tune) for tune in tunes]
    inputs, targets = pad(arrays, padding=59)
    assert inputs.shape == targets.shape == (len(tunes), max(map(len, tunes)) - 1)
    for row, tune in enumerate(tunes):
        assert inputs[row, : len(tune) - 1].tolist() == tune[:-1]
        assert targets[row, : len(tune) - 1].tolist() == tune[1:]
        assert torch.all(targets[row, len(tune) - 1 :] == IGNORED)
