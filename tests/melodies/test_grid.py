from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.melodies.extract import extract
from folkrnn.melodies.grid import (
    CLASSES,
    GridNote,
    from_first_note,
    melody_to_midi,
    one_hot,
    one_voice,
    tidy,
    to_notes,
    transposed,
)
from folkrnn.melodies.read import read_midi
from folkrnn.melodies.rules import Rules

STEPS = 32
any_classes = st.lists(st.integers(0, CLASSES - 1), min_size=STEPS, max_size=STEPS).map(
    lambda values: np.array(values, np.uint8)
)
sparse_classes = st.lists(
    st.one_of(st.just(0), st.just(1), st.integers(0, CLASSES - 1)), min_size=STEPS, max_size=STEPS
).map(lambda values: np.array(values, np.uint8))


def from_notes(notes: list[GridNote], steps: int) -> np.ndarray:
    rows = np.array([(note.start, note.end, note.pitch) for note in notes], np.int64).reshape(-1, 3)
    return one_voice(*rows.T, steps)


@st.composite
def monophonic(draw: st.DrawFn) -> list[GridNote]:
    edges = sorted(draw(st.sets(st.integers(0, STEPS), min_size=2, max_size=20)))
    notes = [GridNote(a, b, draw(st.integers(21, 108))) for a, b in itertools.pairwise(edges)]
    return [note for note in notes if draw(st.booleans())]


@given(monophonic())
def test_notes_of_one_voice_survive_the_grid(notes):
    assert to_notes(from_notes(notes, STEPS)) == notes


@given(sparse_classes)
def test_tidy_classes_survive_their_notes(classes):
    clean = tidy(classes)
    assert from_notes(to_notes(clean), STEPS).tolist() == clean.tolist()


@given(sparse_classes)
def test_tidying_changes_no_note(classes):
    assert to_notes(tidy(classes)) == to_notes(classes)


@given(
    st.lists(
        st.builds(lambda a, n, p: GridNote(a, a + n, p), st.integers(0, 31), st.integers(1, 40), st.integers(21, 108))
    )
)
def test_any_notes_give_one_voice_that_a_later_note_interrupts(notes):
    heard = to_notes(from_notes(notes, STEPS))
    assert all(a.end <= b.start for a, b in itertools.pairwise(heard))
    assert {note.start for note in heard} == {note.start for note in notes}
    for note in heard:
        assert note.pitch == max(other.pitch for other in notes if other.start == note.start)


def test_the_classes_are_hold_off_and_the_keys_of_a_piano():
    assert from_notes([GridNote(0, 1, 21), GridNote(2, 4, 108)], 4).tolist() == [2, 1, 89, 0]


def test_nothing_sounds_in_an_empty_melody():
    assert to_notes(np.zeros(STEPS, np.uint8)) == []


@given(sparse_classes.map(tidy), st.integers(-12, 12))
def test_transposition_moves_the_notes_and_drops_those_beyond_the_keys(classes, semitones):
    moved = [GridNote(n.start, n.end, n.pitch + semitones) for n in to_notes(classes)]
    assert to_notes(transposed(classes, semitones)) == [note for note in moved if 21 <= note.pitch <= 108]


@given(st.lists(any_classes, min_size=3, max_size=3), st.lists(st.integers(-5, 5), min_size=3, max_size=3))
def test_each_melody_of_a_batch_has_its_own_transposition(rows, semitones):
    batch = np.array([tidy(row) for row in rows])
    alone = [transposed(row, shift).tolist() for row, shift in zip(batch, semitones, strict=True)]
    assert transposed(batch, np.array(semitones)).tolist() == alone


def test_what_one_melody_loses_changes_no_other_of_its_batch():
    untidy, loses = np.array([1, 57, 1, 1], np.uint8), np.array([89, 0, 0, 0], np.uint8)
    assert np.array_equal(transposed(np.stack([untidy, loses]), np.array([2, 2]))[0], transposed(untidy, 2))


@given(any_classes)
def test_transposition_leaves_what_it_is_given(classes):
    before = classes.copy()
    transposed(classes, 5)
    assert (classes == before).all()


@given(any_classes)
def test_one_hot_rows_name_the_classes(classes):
    rows = one_hot(classes)
    assert rows.shape == (STEPS, CLASSES)
    assert rows.dtype == bool
    assert (rows.argmax(-1) == classes).all()
    assert (rows.sum(-1) == 1).all()


def test_rows_past_the_length_are_empty():
    rows = one_hot(np.ones((2, 4), np.uint8), np.array([3, 0]))
    assert rows.sum(-1).tolist() == [[1, 1, 1, 0], [0, 0, 0, 0]]


@given(sparse_classes)
def test_before_the_first_note_nothing_is_ended(classes):
    cleaned = from_first_note(classes)
    assert to_notes(cleaned) == to_notes(classes)
    first = next(iter(np.flatnonzero(classes >= 2)), STEPS)
    assert not cleaned[:first].any()
    assert (cleaned[first:] == classes[first:]).all()


@given(monophonic())
def test_a_midi_file_holds_the_notes_at_120_quarters_a_minute(notes):
    heard = read_midi(melody_to_midi(from_notes(notes, STEPS)))
    eighths_of_a_second = [(n.start / 8, n.end / 8, n.pitch, 80, 0) for n in notes]
    columns = (heard.start, heard.end, heard.pitch, heard.velocity, heard.program)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == eighths_of_a_second
    assert heard.tempos == [(0.0, 120.0)]
    assert heard.meters == [(0.0, 4, 4)]


@given(monophonic(), st.integers(21, 108))
def test_a_melody_that_begins_at_once_comes_back_out_of_its_midi_file(notes, pitch):
    sustained = [note for note in notes if note.start > 0]
    edges = [*(note.start for note in sustained), STEPS]
    # no silence: one of a bar or more would end the melody
    sustained = [GridNote(n.start, stop, n.pitch) for n, stop in zip(sustained, edges[1:], strict=False)]
    classes = from_notes([GridNote(0, edges[0], pitch), *sustained], STEPS)
    assert extract(read_midi(melody_to_midi(classes)), Rules()).slices.tolist() == [classes.tolist()]


def test_a_tempo_must_be_positive():
    with pytest.raises(UserError, match="positive"):
        melody_to_midi(np.zeros(STEPS, np.uint8), quarters_per_minute=0)


def test_notes_decode_as_magenta_decodes_them(test_data):
    compared = 0
    for file in sorted((test_data / "melody_parity/oracle").glob("*.npz")):
        oracle = np.load(file)
        decoded = oracle["mel_2bar_decoded_notes"]
        for i in np.unique(decoded[:, 0]).astype(int):
            ours = [(n.pitch, 80, n.start / 8, n.end / 8) for n in to_notes(oracle["mel_2bar_ordered"][i])]
            assert ours == [tuple(row[1:]) for row in decoded if row[0] == i]
            compared += 1
    assert compared > 150
