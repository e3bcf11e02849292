from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.melodies.extract import extract_bytes
from folkrnn.melodies.from_tunes import TuneSlices, from_score, from_tokens
from folkrnn.melodies.grid import GridNote, one_voice, to_notes
from folkrnn.melodies.rules import REASONS, Rules
from folkrnn.notation.midi import to_midi
from folkrnn.vocabulary import V2

ALL = Rules(meters="all")
ONE_BAR = Rules(bars=1, meters="all")


def tune(text: str, rules: Rules = ALL) -> TuneSlices:
    return from_tokens(text.split(), rules)


def starts(found: TuneSlices) -> list[int]:
    """The pitch with which each slice begins."""
    return [to_notes(row)[0].pitch for row in found.classes]


def test_two_bars_of_a_reel_are_thirty_two_steps():
    (row,) = tune("M:4/4 K:Cmaj C D E F G 4 | c 2 z 2 C 4 |").classes
    assert to_notes(row) == [GridNote(2 * k, 2 * k + 2, pitch) for k, pitch in enumerate((60, 62, 64, 65))] + [
        GridNote(8, 16, 67),
        GridNote(16, 20, 72),
        GridNote(24, 32, 60),
    ]


def test_the_key_signature_sounds():
    (row,) = tune("M:4/4 K:Cdor E 8 | B 8 |").classes
    assert [note.pitch for note in to_notes(row)] == [63, 70]


def test_slices_begin_on_every_bar_line_and_say_which():
    found = tune("M:4/4 K:Cmaj C 8 | D 8 | E 8 | F 8 |")
    assert starts(found) == [60, 62, 64]
    assert found.bar.tolist() == [1, 2, 3]


def test_a_pickup_begins_no_slice():
    assert starts(tune("M:4/4 K:Cmaj G 2 | C 8 | D 8 |")) == [60]


def test_pickup_and_short_last_bar_make_one_bar_where_a_part_is_repeated():
    found = tune("M:4/4 K:Cmaj |: G 2 | C 8 | D 6 :|")
    assert starts(found) == [60, 62]  # C D G, and over the repeat D G C
    assert [note.pitch for note in to_notes(found.classes[1])] == [62, 67, 60]


def test_a_bar_that_is_too_short_or_too_long_is_in_no_slice():
    assert starts(tune("M:4/4 K:Cmaj C 8 | D 8 | E 5 | F 8 | G 8 | A 9 | B 8 |")) == [60, 65]


def test_bars_that_run_on_for_want_of_a_bar_line_are_divided():
    assert starts(tune("M:4/4 K:Cmaj C 8 | D 8 E 8 F 8 |")) == [60, 62, 64]


def test_repeats_are_played_out_and_give_each_slice_once():
    found = tune("M:4/4 K:Cmaj |: C 8 | D 8 :|")
    assert [[note.pitch for note in to_notes(row)] for row in found.classes] == [[60, 62], [62, 60]]


def test_only_common_time_is_taken_by_magenta_s_rule():
    found = tune("M:6/8 K:Cmaj C 6 | D 6 | E 6 |", Rules())
    assert (len(found.classes), found.reason) == (0, "meter")


@pytest.mark.parametrize(
    ("meter", "eighths", "bars"),
    [("6/8", 6, 2.67), ("3/4", 6, 2.67), ("2/4", 4, 4), ("9/8", 9, 1.78), ("12/8", 12, 1.33), ("3/2", 12, 1.33)],
)
def test_in_other_meters_a_slice_runs_over_as_many_bars_as_it_takes(meter, eighths, bars):
    text = " | ".join(f"{pitch} {eighths}" for pitch in "C D E F G A B c".split())
    found = tune(f"M:{meter} K:Cmaj {text} |")
    assert starts(found)[:2] == [60, 62]
    notes = to_notes(found.classes[0])
    assert len(notes) == int(np.ceil(bars))
    assert {note.end - note.start for note in notes[:-1]} == {2 * eighths}
    assert notes[-1].end == 32


def test_a_chord_sounds_as_its_highest_note():
    (row,) = tune("M:4/4 K:Cmaj [ C E G ] 8 |", ONE_BAR).classes
    assert to_notes(row) == [GridNote(0, 16, 67)]


def test_a_rest_is_one_note_off_however_it_is_written():
    (row,) = tune("M:4/4 K:Cmaj C 4 z z z 2 | z 4 C 4 |").classes
    assert np.flatnonzero(row == 1).tolist() == [8]


def test_triplets_fall_on_the_nearest_sixteenths():
    (row,) = tune("M:4/4 K:Cmaj (3 C D E F 2 G 4 |", ONE_BAR).classes
    assert [note.start for note in to_notes(row)] == [0, 1, 3, 4, 8]


def test_where_rounding_brings_two_notes_to_one_step_the_higher_is_heard():
    (row,) = tune("M:4/4 K:Cmaj (3 C /2 D /2 E /2 F G 6 |", ONE_BAR).classes
    assert [(note.start, note.pitch) for note in to_notes(row)] == [(0, 60), (1, 64), (2, 65), (4, 67)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_notes"),
        ("M:4/4 K:Cmaj z 8 | z 8 |", "no_notes"),
        ("M:4/4 K:Cmaj C 8 |", "too_short"),
        ("M:4/4 K:Cmaj C 7 | D 7 |", "meter"),
    ],
)
def test_a_tune_without_slices_says_why(text, reason):
    assert tune(text).reason == reason
    assert reason in REASONS


def test_a_tune_yields_what_magenta_s_rules_find_in_its_midi_file():
    draw = random.Random(0)
    for _ in range(20):
        bars = [
            " ".join(f"{draw.choice('CDEFGABcde')} {n}" for n in draw.choice([(2, 2, 4), (3, 1, 4), (1, 1, 2, 4)]))
            for _ in range(8)
        ]
        tokens = ("M:4/4 K:Cmix " + " | ".join(bars) + " |").split()
        # a flute in the file, and one that is played: all programs
        found = extract_bytes(to_midi(tokens), Rules(programs=None))
        assert from_tokens(tokens, Rules()).classes.tolist() == found.slices[found.distinct()].tolist()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(V2.tokens), max_size=80),
    st.sampled_from(["M:4/4", "M:6/8", "M:3/4"]),
    st.sampled_from([1, 2, 16]),
)
def test_any_soup_of_tokens_yields_slices_or_a_reason(body, meter, bars):
    found = from_tokens([meter, "K:Cmaj", *body], Rules(bars=bars, meters="all"))
    assert found.reason in ("", *REASONS)
    assert bool(found.reason) == (len(found.classes) == 0)
    assert found.classes.shape == (len(found.bar), 16 * bars)
    for row in found.classes:
        heard = np.array([(note.start, note.end, note.pitch) for note in to_notes(row)]).T
        assert one_voice(*heard, 16 * bars).tolist() == row.tolist()
        assert row.any()


def score(text: str):
    from music21 import converter

    return converter.parse(text, format="abc")


HEAD = "X:1\nT:t\nM:4/4\nL:1/8\nK:C\n"


def test_a_score_yields_what_its_tokens_yield():
    body = "|: C2 D2 E2 F2 | G4 z2 c2 :| e2 d2 c2 B2 | [CEG]8 |"
    tokens = "M:4/4 K:Cmaj |: C 2 D 2 E 2 F 2 | G 4 z 2 c 2 :| e 2 d 2 c 2 B 2 | [ C E G ] 8 |".split()
    assert from_score(score(HEAD + body), ALL).classes.tolist() == from_tokens(tokens, ALL).classes.tolist()


def test_a_tied_note_in_a_score_sounds_on():
    (row,) = from_score(score(HEAD + "C4 D4- | D4 E4 |"), ALL).classes
    assert to_notes(row) == [GridNote(0, 8, 60), GridNote(8, 24, 62), GridNote(24, 32, 64)]


def test_parts_of_a_score_yield_slices_of_their_own():
    from music21 import note, stream

    parts = [stream.Part([note.Note(pitch, quarterLength=4) for pitch in pitches]) for pitches in ((60, 62), (48, 50))]
    found = from_score(stream.Score(parts), ALL)
    assert [[n.pitch for n in to_notes(row)] for row in found.classes] == [[60, 62], [48, 50]]


def test_an_empty_score_has_no_notes():
    from music21 import stream

    assert from_score(stream.Score(), ALL).reason == "no_notes"
