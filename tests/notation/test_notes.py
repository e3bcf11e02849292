"""What a tune sounds like: pitches, onsets, repeats."""

from __future__ import annotations

import gzip
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.notation.bars import bars, flaws
from folkrnn.notation.notes import notes, signature, signature_letters
from folkrnn.vocabulary import V2

soup = st.lists(st.sampled_from(V2.tokens), max_size=120)


def pitches(text: str, unfold: bool = True) -> list[int]:
    return [note.pitch for note in notes(text.split(), unfold)]


def letters(body: str) -> str:
    """The letters of the notes of a body in the order in which they are played."""
    tokens = f"M:4/4 K:Cmaj {body}".split()
    return "".join(tokens[note.index] for note in notes(tokens))


def test_middle_c_is_60_and_marks_move_by_octaves():
    assert pitches("M:4/4 K:Cmaj C, C c c' z") == [48, 60, 72, 84]


@pytest.mark.parametrize(
    ("mode", "sounding"),
    [
        ("K:Cmaj", [60, 62, 64, 65, 67, 69, 71]),
        ("K:Cmix", [60, 62, 64, 65, 67, 69, 70]),
        ("K:Cdor", [60, 62, 63, 65, 67, 69, 70]),
        ("K:Cmin", [60, 62, 63, 65, 67, 68, 70]),
        ("[K:Cmin]", [60, 62, 63, 65, 67, 68, 70]),
        ("K:Dmaj", [61, 62, 64, 66, 67, 69, 71]),
    ],
)
def test_the_key_signature_is_implied(mode: str, sounding: list[int]):
    assert pitches(f"M:4/4 {mode} C D E F G A B") == sounding


def test_signatures_count_sharps_and_flats():
    assert [signature(f"K:{key}") for key in ("Gmaj", "Bbmaj", "F#min", "Edor", "Amix", "min", "nonsense")] == [
        1,
        -2,
        3,
        2,
        2,
        -3,
        0,
    ]
    assert signature_letters(3) == {"F": 1, "C": 1, "G": 1}
    assert signature_letters(-3) == {"B": -1, "E": -1, "A": -1}
    assert signature_letters(0) == {}


def test_an_accidental_holds_to_the_end_of_the_bar_in_every_octave():
    assert pitches("M:4/4 K:Cmaj ^F F f | F") == [66, 66, 78, 65]
    assert pitches("M:4/4 K:Cmin =E E _E E |: E") == [64, 64, 63, 63, 63]


def test_onsets_and_durations_are_exact():
    found = notes("M:4/4 K:Cmaj C (3 D E F z G > A |".split())
    third = Fraction(2, 3)
    assert [(note.onset, note.duration) for note in found] == [
        (0, 1),
        (1, third),
        (1 + third, third),
        (1 + 2 * third, third),
        (4, Fraction(3, 2)),
        (Fraction(11, 2), Fraction(1, 2)),
    ]


def test_the_notes_of_a_chord_sound_together_for_as_long_as_its_first():
    found = notes("M:4/4 K:Cmaj [ G, 2 B, ] 2 C".split())
    assert [(note.onset, note.duration, note.pitch) for note in found] == [(0, 4, 55), (0, 4, 59), (4, 1, 60)]


def test_a_chord_sounds_each_pitch_once():
    assert pitches("M:4/4 K:Cmaj [ C C z E ]") == [60, 64]


@pytest.mark.parametrize(
    ("body", "played"),
    [
        ("|: C | D :|", "CDCD"),
        ("C | D :|", "CDCD"),
        ("C |: D :| E", "CDDE"),
        ("|: C :| |: D :|", "CCDD"),
        ("C :| D :|", "CCDD"),
        ("|: C | D |1 E :| |2 F | G", "CDECDFG"),
        ("|: C |1 D :| |2 E :| |: F :|", "CDCEFF"),
        ("|: C |1 D :| |2 E | F | G :|", "CDCEFGFG"),
        ("|: C |1 D | E :| |2 F | G :|", "CDECFG"),
        ("|: C |1 D |2 E | F", "CDCEF"),
        ("|: C |1 D :| |1 E :| F", "CDCEF"),
        ("|: C |1 D :| E", "CDCE"),
        ("|: C |2 D :| E", "CDCDE"),
        ("|: C |1 D :| |: E :|", "CDCEE"),
        ("|: C |: D :|", "CDD"),
        (":| C :| :| D", "CCD"),
        ("|: C | D", "CD"),
        ("|1 C :| |2 D", "CD"),
    ],
)
def test_repeats_and_endings_are_played_out(body: str, played: str):
    assert letters(body) == played


def test_without_unfolding_each_bar_sounds_once():
    assert pitches("M:4/4 K:Cmaj |: C |1 D :| |2 E :|", unfold=False) == [60, 62, 64]


def test_index_is_that_of_the_pitch_token():
    tokens = "M:4/4 K:Cdor |: [ C 2 E 2 ] ^F /2 :|".split()
    assert {tokens[note.index] for note in notes(tokens)} == {"C", "E", "^F"}


@given(soup)
def test_any_string_of_tokens_has_notes(tokens: list[str]):
    once, played = notes(tokens, unfold=False), notes(tokens)
    assert len(once) <= len(played) <= 2 * len(once)
    assert {note.index for note in once} == {note.index for note in played}
    assert all(note.duration > 0 and 0 <= note.pitch <= 127 for note in played)
    assert [note.onset for note in played] == sorted(note.onset for note in played)


@given(soup)
def test_once_through_lasts_as_long_as_all_bars(tokens: list[str]):
    end = max((note.onset + note.duration for note in notes(tokens, unfold=False)), default=Fraction(0))
    assert end <= sum(bar.duration for bar in bars(tokens))


def well_formed(test_data: Path) -> list[list[str]]:
    with gzip.open(test_data / "folkrnn_v2" / "data_v2_subset.txt.gz", "rt") as file:
        tunes = [tune.split() for tune in file.read().strip().split("\n\n")]
    return [tune for tune in tunes[::23] if not flaws(tune) and "|2" not in tune and dots_equal_notes(tune)]


def dots_equal_notes(tokens: list[str]) -> bool:
    """Between unequal notes, as three real tunes have it, abc2midi ignores broken rhythm."""
    events = [event for bar in bars(tokens) for event in bar.events]
    dotted = [i for i, event in enumerate(events) if tokens[event.stop - 1][-1] in "<>"]
    return all(events[i].length == events[i + 1].length for i in dotted)


def test_abc2midi_hears_the_same(test_data: Path):
    """abc2midi, the reference player of ABC, comes with symusic; its grid is 1/240 of an eighth."""
    symusic = pytest.importorskip("symusic")
    tunes = well_formed(test_data)
    assert len(tunes) > 100
    for tokens in tunes:
        score = symusic.Score.from_abc(f"X:1\n{tokens[0]}\nL:1/8\n{tokens[1]}\n{''.join(tokens[2:])}\n")
        heard = sorted((note.pitch, 2 * note.start / score.tpq) for note in score.tracks[0].notes)
        expected = sorted((note.pitch, float(note.onset)) for note in notes(tokens))
        assert [pitch for pitch, _ in heard] == [pitch for pitch, _ in expected]
        assert [onset for _, onset in heard] == pytest.approx([onset for _, onset in expected], abs=0.1)
