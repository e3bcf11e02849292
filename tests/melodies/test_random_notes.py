from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.melodies.extract import extract_bytes
from folkrnn.melodies.grid import melody_to_midi, to_notes
from folkrnn.melodies.random_notes import draw_random_notes
from folkrnn.melodies.rules import Rules
from folkrnn.melodies.twinkle import twinkle


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 16]))
def test_one_note_sounds_at_all_times(seed, bars):
    drawn = draw_random_notes(20, np.random.default_rng(seed), bars)
    assert drawn.classes.shape == (20, 16 * bars)
    assert not (drawn.classes == 1).any()
    for row in drawn.classes:
        notes = to_notes(row)
        assert notes[0].start == 0
        assert notes[-1].end == 16 * bars
        assert all(a.end == b.start for a, b in itertools.pairwise(notes))
        assert 2 <= len(notes) <= 16 * bars
        assert all(30 <= note.pitch <= 100 for note in notes)


def test_numbers_of_notes_places_pitches_and_seconds_are_uniform():
    drawn = draw_random_notes(62_000, np.random.default_rng(0))
    begins = drawn.classes >= 2
    counts = np.bincount(begins.sum(axis=1), minlength=33)[2:]
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)
    places = begins[:, 1:].sum(axis=0)
    assert np.abs(places / places.mean() - 1).max() < 0.02
    pitches = np.bincount(drawn.classes[begins].astype(int) + 19)[30:101]
    assert (pitches > 0).all()
    assert np.abs(pitches / pitches.mean() - 1).max() < 0.05
    seconds, how_often = np.unique(drawn.seconds, return_counts=True)
    assert seconds.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert np.abs(how_often - 7750).max() < 5 * np.sqrt(7750)


def test_the_number_of_notes_says_nothing_of_their_places():
    begins = draw_random_notes(20_000, np.random.default_rng(1)).classes >= 2
    few = begins[begins.sum(axis=1) == 2]
    assert np.bincount(few.argmax(axis=1)).tolist() == [len(few)]
    second = few[:, 1:].argmax(axis=1)
    assert set(second.tolist()) == set(range(31))


def test_the_tempo_makes_two_bars_last_their_seconds():
    drawn = draw_random_notes(100, np.random.default_rng(2))
    assert drawn.quarters_per_minute.tolist() == (480 / drawn.seconds).tolist()


def test_magenta_s_rules_find_each_sequence_once_at_its_tempo():
    drawn = draw_random_notes(8, np.random.default_rng(3))
    for row, tempo in zip(drawn.classes, drawn.quarters_per_minute, strict=True):
        assert extract_bytes(melody_to_midi(row, tempo), Rules()).slices.tolist() == [row.tolist()]


def test_the_seed_decides():
    same = [draw_random_notes(5, np.random.default_rng(4)) for _ in range(2)]
    assert (same[0].classes == same[1].classes).all()
    assert (same[0].seconds == same[1].seconds).all()


def test_no_bars_are_refused():
    with pytest.raises(UserError, match="0 bars"):
        draw_random_notes(1, np.random.default_rng(0), bars=0)
    with pytest.raises(UserError, match="at least one"):
        twinkle(0)


def test_twinkle_is_twinkle():
    notes = to_notes(twinkle())
    assert [note.pitch for note in notes] == [60, 60, 67, 67, 69, 69, 67]
    assert [note.end - note.start for note in notes] == [4, 4, 4, 4, 4, 4, 8]


def test_twinkle_has_twelve_bars_and_begins_again():
    long = twinkle(16)
    assert long.shape == (256,)
    assert (long[192:] == long[:64]).all()
    assert (long[128:192] == long[:64]).all()
    assert (long[:32] == twinkle()).all()


def test_twinkle_is_the_melody_of_the_oracle(test_data):
    oracle = np.load(test_data / "melody_parity/oracle/twinkle_12bar.npz")
    assert (oracle["mel_2bar_ordered"][0] == twinkle()).all()
