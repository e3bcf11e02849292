"""Melodies in batches: shuffled, transposed, shared among processes, resumed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.datasets.melodies import MelodyCorpus, MelodySource, random_notes
from folkrnn.datasets.melody_batches import Melodies, MelodyBatches, MelodySampler, MelodyShare
from folkrnn.errors import UserError
from folkrnn.melodies.grid import FIRST_ON


def lengths(count, steps=32):
    return np.full(count, steps)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 9), st.integers(1, 4), st.integers(1, 3))
def test_every_melody_stands_in_one_batch_of_an_epoch_and_with_one_process(count, batch_size, epoch, processes, parts):
    seen, sizes = [], []
    for process in range(processes):
        sampler = MelodySampler(lengths(count), batch_size, 1, processes=processes, process=process, parts=parts)
        sampler.set_epoch(epoch)
        shares = list(sampler)
        assert len(shares) == len(sampler)
        assert not any(share.semitones.any() for share in shares)  # unless asked, no melody is moved
        seen += [row for share in shares for row in share.rows]
        sizes.append([share.size for share in shares])
    assert sorted(seen) == list(range(count))
    assert all(other == sizes[0] for other in sizes)
    assert sum(size.tunes for size in sizes[0]) == parts * count
    assert sum(size.tokens for size in sizes[0]) == parts * 32 * count


def test_epochs_and_seeds_differ_and_repeat():
    def order(seed, epoch):
        sampler = MelodySampler(lengths(50), 50, seed, most=5)
        sampler.set_epoch(epoch)
        (share,) = sampler
        return [*share.rows.tolist(), *share.semitones.tolist()]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


@settings(deadline=None)
@given(st.integers(0, 9))
def test_a_resumed_epoch_goes_on_at_its_batch_with_the_same_transpositions(skipped):
    whole = MelodySampler(lengths(95), 10, 1, most=5, moved=0.5)
    rest = MelodySampler(lengths(95), 10, 1, most=5, moved=0.5, skip=(3, skipped))
    whole.set_epoch(3), rest.set_epoch(3)
    for one, other in zip(list(whole)[skipped:], rest, strict=True):
        assert (one.rows == other.rows).all()
        assert (one.semitones == other.semitones).all()
    rest.set_epoch(4)
    assert len(list(rest)) == 10


def test_the_share_that_is_said_is_moved_by_every_number_of_semitones_alike():
    semitones = np.concatenate([s.semitones for s in MelodySampler(lengths(44_000), 1000, 1, most=5, moved=0.5)])
    counts = np.bincount(semitones + 5, minlength=11) / len(semitones)
    assert np.delete(counts, 5) == pytest.approx(0.5 / 11, abs=0.004)
    assert counts[5] == pytest.approx(0.5 + 0.5 / 11, abs=0.01)


def test_transposing_moves_notes_and_nothing_else():
    notes = random_notes(20, seed=1)
    rows = np.arange(20)
    classes, _, _ = Melodies(notes.classes, notes.lengths)[MelodyShare(rows, np.full(20, 2), (640, 20))]
    begins = notes.classes >= FIRST_ON
    inside = begins & (notes.classes < 88)
    assert (classes.numpy()[inside] == notes.classes[inside].astype(int) + 2).all()
    assert (classes.numpy()[~begins & ~inside] <= 1).all()


def test_steps_past_a_melodys_end_are_marked():
    classes = np.array([[5, 0, 0, 7], [6, 0, 0, 0]], np.uint8)
    found, ends, _ = Melodies(classes, np.array([4, 2]))[MelodyShare(np.arange(2), np.zeros(2, int), (6, 2))]
    assert found.tolist() == [[5, 0, 0, 7], [6, 0, -1, -1]]
    assert ends.tolist() == [4, 2]


def test_a_process_without_a_share_reads_one_melody_of_no_steps():
    share = list(MelodySampler(lengths(3), 2, 1, shuffle=False, processes=2, process=1))[-1]
    classes, ends, size = Melodies(np.ones((3, 32), np.uint8), lengths(3))[share]
    assert torch.equal(classes, torch.full((1, 32), -1))
    assert ends.tolist() == [0]
    assert size.tunes == 1


def test_families_stand_on_one_side_and_validation_melodies_where_they_are():
    corpus = random_notes(400, seed=1)
    batches = MelodyBatches(corpus, 64, 1, transpose=5)
    assert not set(batches.training) & set(batches.validation)
    first = next(iter(batches.val_dataloader()))[0]
    assert (first.numpy() == corpus.classes[batches.validation][: len(first)]).all()
    assert sum(len(lengths) for _, lengths, _ in batches.train_dataloader()) == len(batches.training)


def test_a_corpus_of_one_family_is_refused():
    classes = np.full((4, 32), 5, np.uint8)
    one = MelodyCorpus(
        "one", classes, np.zeros(4, int), np.ones(4, int), [MelodySource("a", "b", "c")], np.zeros(1, int)
    )
    with pytest.raises(UserError, match="too few families"):
        MelodyBatches(one, 8, 1)
