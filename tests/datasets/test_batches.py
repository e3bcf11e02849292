from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.datasets.batches import (
    IGNORED,
    BucketSampler,
    bucketed,
    filled_share,
    pad,
    published_epochs,
    published_split,
)
from folkrnn.datasets.irish import irish
from folkrnn.errors import UserError

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


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.integers(0, 99), st.booleans())
def test_each_tune_is_seen_once_an_epoch_over_all_processes_and_parts(lengths, size, processes, parts, epoch, shuffle):
    seen, updates = [], set()
    for process in range(processes):
        sampler = BucketSampler(lengths, size, 1, shuffle, processes, process, parts=parts)
        sampler.set_epoch(epoch)
        shares = list(sampler)
        assert len(shares) == len(sampler)
        updates.add(len(shares))
        seen += [i for share in shares for i in share.rows]
    assert sorted(seen) == list(range(len(lengths)))
    assert updates == {parts * -(-len(lengths) // size)}, "every process makes as many steps: none waits for another"


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40), st.integers(1, 9), st.integers(1, 3), st.sampled_from(["bucketed", "published"]))
def test_shares_have_equal_numbers_of_padded_positions_within_the_bound(lengths, size, processes, parts, batching):
    size = min(size, len(lengths))
    samplers = [BucketSampler(lengths, size, 1, True, processes, p, batching, parts=parts) for p in range(processes)]
    shares = [list(sampler) for sampler in samplers]
    for first in range(0, len(shares[0]), parts):
        mine = [share.rows for process in shares for share in process[first : first + parts]]
        padded = [len(rows) * max((lengths[i] for i in rows), default=0) for rows in mine]
        batch = sorted((lengths[i] for rows in mine for i in rows), reverse=True)
        every = processes * parts
        spread = batch[0] - batch[min(every, len(batch)) - 1]
        assert max(padded) - min(padded) <= batch[0] + len(batch) // every * spread
        assert max(map(len, mine)) - min(map(len, mine)) <= 1


def test_on_irish_batches_two_processes_have_the_same_work_to_one_percent_and_eight_to_two():
    lengths = [len(ids) - 1 for ids in irish().ids]
    for processes, bound in ((2, 0.01), (8, 0.02)):
        shares = [list(BucketSampler(lengths, 64, 1, processes=processes, process=p)) for p in range(processes)]
        padded = [sum(len(s.rows) * max(lengths[i] for i in s.rows) for s in some if s.rows) for some in shares]
        assert max(padded) <= (1 + bound) * min(padded)


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


def test_a_resumed_epoch_goes_on_after_the_batches_it_has_had():
    lengths = range(10, 200)
    for batching in ("bucketed", "published"):
        whole, resumed = (BucketSampler(lengths, 8, 3, batching=batching, skip=skip) for skip in ((0, 0), (2, 5)))
        for epoch, first in ((2, 5), (3, 0), (0, 0)):
            whole.set_epoch(epoch)
            resumed.set_epoch(epoch)
            assert list(resumed) == list(whole)[first:]


def test_the_split_of_v2_holds_out_1152_tunes_and_leaves_351_batches():
    lengths = np.random.default_rng(0).integers(20, 400, 23_636)
    training, validation = published_split(lengths)
    assert (len(training), len(validation)) == (22_484, 1_152)
    assert len(BucketSampler(lengths[training], 64, 1, batching="published")) == 351
    order = sorted(range(len(lengths)), key=lambda i: lengths[i], reverse=True)
    drawn = set(np.random.RandomState(42).choice(np.arange(23_636), 1_152, replace=False).tolist())
    assert validation == [tune for place, tune in enumerate(order) if place in drawn]
    assert training == [tune for place, tune in enumerate(order) if place not in drawn]


@pytest.mark.parametrize(("tunes", "held"), [(65, 64), (1919, 64), (1921, 128), (64 * 100, 320)])
def test_the_published_split_holds_out_whole_batches_nearest_to_five_percent_and_at_least_one(tunes, held):
    training, validation = published_split(range(1, tunes + 1))
    assert (len(training), len(validation)) == (tunes - held, held)
    assert sorted([*training, *validation]) == list(range(tunes))


def test_too_few_tunes_for_the_published_split_or_batches_are_refused():
    with pytest.raises(UserError, match="split=families"):
        published_split([10] * 64)
    with pytest.raises(UserError, match="batching=bucketed"):
        BucketSampler([10] * 30, 64, 1, batching="published")


@given(LENGTHS, st.integers(1, 40))
def test_a_published_epoch_is_whole_batches_of_distinct_tunes_and_drops_the_rest(lengths, size):
    for batches in islice(published_epochs(lengths, size), 2):
        drawn = [i for batch in batches for i in batch]
        assert len(batches) == len(lengths) // size
        assert all(len(batch) == size for batch in batches)
        assert len(set(drawn)) == len(drawn)


@given(LENGTHS, st.integers(2, 40))
def test_a_published_batch_whose_length_runs_out_goes_on_with_a_neighbour_of_those_left(lengths, size):
    left = Counter(lengths)
    for batch in next(iter(published_epochs(lengths, size))):
        drawn = Counter(lengths[tune] for tune in batch)
        between = [length for length in left if min(drawn) < length < max(drawn)]
        left = +(left - drawn)
        assert not set(between) & set(left)


def test_published_batches_are_uniform_over_lengths_however_many_tunes_have_them():
    # 63 lengths of 8 tunes and one of 8 × 63: uniform over tunes, half the first batches would be of the long list
    lengths = [length for length in range(10, 73) for _ in range(8)] + [73] * (8 * 63)
    firsts = Counter()
    for batches in islice(published_epochs(lengths, 8), 400):
        firsts[lengths[batches[0][0]]] += 1
    assert firsts[73] < 25
    assert len(firsts) > 55


def test_published_batches_follow_the_authors_stream_by_hand():
    # lengths 5 (tunes 0, 1, 2) and 9 (tunes 3, 4); batches of two
    rng = np.random.RandomState(42)
    short, long = [0, 1, 2], [3, 4]
    rng.shuffle(short)
    rng.shuffle(long)
    left = {5: list(short), 9: list(long)}
    expected, lengths, batch, drawn = [], [5, 9], [], rng.choice([5, 9])
    while lengths:
        take = 2 - len(batch)
        batch, left[drawn] = batch + left[drawn][:take], left[drawn][take:]
        if len(batch) == 2:
            expected.append(batch)
            batch, drawn = [], rng.choice(lengths)
        else:
            lengths.remove(drawn)
            drawn = lengths[0] if lengths else None
    epochs = published_epochs([5, 5, 5, 9, 9], 2)
    assert next(epochs) == expected
    assert len(next(epochs)) == 2
