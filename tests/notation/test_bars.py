"""Bars, their exact lengths, and the defects of any string of tokens."""

from __future__ import annotations

import csv
import gzip
import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.notation.bars import (
    DOUBLE_FIRST_ENDING,
    EMPTY_REPEAT,
    LONE_FIRST_ENDING,
    LONE_SECOND_ENDING,
    MISSING_METER,
    MISSING_MODE,
    NO_NOTES,
    TOO_LONG,
    TOO_SHORT,
    UNCLOSED_REPEAT,
    UNKNOWN_METER,
    FullBars,
    bars,
    flaws,
    share_of_full_bars,
)
from folkrnn.notation.events import (
    DANGLING_BROKEN_RHYTHM,
    EMPTY_CHORD,
    HEADER_IN_BODY,
    LENGTH_WITHOUT_NOTE,
    MARKER_IN_BODY,
    NESTED_CHORD,
    SIGN_IN_CHORD,
    UNFINISHED_TUPLET,
    UNKNOWN_TOKEN,
    UNMATCHED_CLOSE,
    UNMATCHED_OPEN,
)
from folkrnn.vocabulary import V2

GOLDEN = """M:4/4 K:Cdor c 3 d c 2 B G | G F F 2 G B c d | c 3 d c B G A | B G G F G 2 f e | d 2 c d c B G A |
B G F G B F G F | G B c d c d e f | g b f d e 2 e f | d B B 2 B 2 d c | B G G 2 B G F B | d B B 2 c d e f |
g 2 f d g f d c | d g g 2 f d B c | d B B 2 B G B c | d f d c B 2 d B | c B B G F B G B | d 2 c d d 2 f d |
g e c d e 2 f g | f d d B c 2 d B | d c c B G B B c | d 2 c d d 2 f d | c d c B c 2 d f | g b b 2 g a b d' |
c' d' b g f d d f |""".split()
"""The tune that v2 writes with seed 42 (facts sheet, section 3.5)."""

soup = st.lists(st.sampled_from(V2.tokens), max_size=120)


def lengths(text: str) -> list[Fraction]:
    return [bar.duration for bar in bars(text.split())]


def reasons(text: str) -> list[str]:
    return [flaw.reason for flaw in flaws(text.split())]


def four_four(body: str) -> list[str]:
    return reasons(f"M:4/4 K:Cmaj {body}")


def test_the_golden_tune_has_24_bars_of_8_eighths_and_no_flaw():
    assert lengths(" ".join(GOLDEN)) == [8] * 24
    assert flaws(GOLDEN) == []
    assert share_of_full_bars([GOLDEN])["all"].share == 1.0


@pytest.mark.parametrize(
    ("bar", "eighths"),
    [
        ("C D E F", 4),
        ("C 2 D 3/2 E /2 F /4", Fraction(17, 4)),
        ("C > D", 2),
        ("C 2> D 2", 4),
        ("C 2 > D 2", 4),
        ("C /2< D /2", 1),
        ("C > D > E", Fraction(3, 2) + Fraction(3, 4) + Fraction(1, 2)),
        ("C > > D", 2),
        ("(3 C D E", 2),
        ("(3 C D E F", 3),
        ("(2 C D", 3),
        ("(4 C D E F", 3),
        ("(6 C D E F G A", 2),
        ("(3 C 2 D 2 E 2", 4),
        ("(3 C > D E", 2),
        ("[ C E G ]", 1),
        ("[ C E G ] 2", 2),
        ("[ C 2 E 2 ]", 2),
        ("[ C 2 E ] 2", 4),
        ("[ C E ] > [ D F ]", 2),
        ("(3 [ C E ] z G", 2),
        ("z 8", 8),
    ],
)
def test_lengths_follow_the_abc_standard(bar: str, eighths: Fraction):
    assert lengths(f"M:4/4 K:Cmaj {bar} |") == [eighths]


@pytest.mark.parametrize("size", [5, 7, 9])
def test_odd_tuplets_take_two_eighths_in_simple_meter_and_three_in_compound(size: int):
    notes = " ".join("C" * size)
    assert lengths(f"M:4/4 K:Cmaj ({size} {notes} |") == [2]
    assert lengths(f"M:6/8 K:Cmaj ({size} {notes} |") == [3]
    assert lengths(f"M:3/2 K:Cmaj ({size} {notes} |") == [2]


def test_broken_rhythm_lengthens_one_neighbour_and_shortens_the_other():
    (bar,) = bars("M:4/4 K:Cmaj C > D E < F |".split())
    assert [event.duration for event in bar.events] == [
        Fraction(3, 2),
        Fraction(1, 2),
        Fraction(1, 2),
        Fraction(3, 2),
    ]


@pytest.mark.parametrize(
    ("meter", "eighths"),
    [("4/4", 8), ("6/8", 6), ("9/8", 9), ("12/8", 12), ("3/4", 6), ("2/4", 4), ("3/2", 12)],
)
def test_the_meter_says_how_long_a_bar_is(meter: str, eighths: int):
    for token in (f"M:{meter}", f"[M:{meter}]"):
        assert bars([token, "K:Cmaj", "C", "|"])[0].nominal == eighths


def test_a_meter_inside_the_tune_counts_from_the_next_bar():
    assert [bar.nominal for bar in bars("M:4/4 K:Cmaj C 8 | M:3/4 C 6 | C 6 |".split())] == [8, 8, 6]


def test_bars_know_their_tokens_and_the_signs_around_them():
    tokens = "M:4/4 K:Cmaj |: G | C 8 :| |: D 8 |1 E 8 :| |2 F 8 |".split()
    found = bars(tokens)
    assert [" ".join(bar.tokens) for bar in found] == ["G", "C 8", "D 8", "E 8", "F 8"]
    assert [bar.opening for bar in found] == [("|:",), ("|",), (":|", "|:"), ("|1",), (":|", "|2")]
    assert [bar.closing for bar in found] == [("|",), (":|", "|:"), ("|1",), (":|", "|2"), ("|",)]
    assert all(tuple(tokens[bar.start : bar.stop]) == bar.tokens for bar in found)


def test_pickups_and_half_bars_are_not_full_but_no_flaws_either():
    text = "M:4/4 K:Cmaj G 2 |: C 8 | C 6 :| |: G 2 | C 8 | C 6 :|"
    assert share_of_full_bars([text.split()])["all"] == FullBars(2, 6)
    assert reasons(text) == []


def test_two_parts_of_one_bar_are_no_flaw():
    assert four_four("C 8 | C 8 | C 6 | G 2 | C 8 | C 8 |") == []
    assert four_four("C 8 | C 8 | C 6 | G 3 | C 8 | C 8 |") == [TOO_SHORT, TOO_SHORT]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C 8 | ] C 8 |", [UNMATCHED_CLOSE]),
        ("C 8 | [ C E 7 |", [UNMATCHED_OPEN]),
        ("C 8 | [ C E 7 | G 8 ] |", [UNMATCHED_OPEN, UNMATCHED_CLOSE]),
        ("[ C [ E ] G ] 8 |", [NESTED_CHORD]),
        ("[ C [ E ] 7 |", [UNMATCHED_OPEN]),
        ("[ ] C 8 |", [EMPTY_CHORD]),
        ("[ C > E ] 8 |", [SIGN_IN_CHORD]),
        ("[ C (3 E ] 8 |", [SIGN_IN_CHORD]),
        ("C 8 | C 6 (3 D 3/2 E 3/2 | C 8 |", [UNFINISHED_TUPLET]),
        ("C 4 (3 D 3/2 E 3/2 (3 D E F |", [UNFINISHED_TUPLET]),
        ("C 8 | (3 C 8 |", [UNFINISHED_TUPLET]),
        ("2 C 8 |", [LENGTH_WITHOUT_NOTE]),
        ("C 8 2 |", [LENGTH_WITHOUT_NOTE]),
        ("C 8 | /2 > C 8 |", [LENGTH_WITHOUT_NOTE, DANGLING_BROKEN_RHYTHM]),
        ("C 8 > | C 8 |", [DANGLING_BROKEN_RHYTHM]),
        ("> C 8 |", [DANGLING_BROKEN_RHYTHM]),
        ("C 8 | C 8 >", [DANGLING_BROKEN_RHYTHM]),
        ("C > < D C 6 |", [DANGLING_BROKEN_RHYTHM]),
        ("C 8 | C 9 | C 8 |", [TOO_LONG]),
        ("C 8 | C 7 | C 8 |", [TOO_SHORT]),
        ("C 9 |", [TOO_LONG]),
        ("|: C 8 |", [UNCLOSED_REPEAT]),
        ("|: C 8 |: D 8 :|", [UNCLOSED_REPEAT]),
        ("|: C 8 :| :|", [EMPTY_REPEAT]),
        ("|: :| C 8 |", [EMPTY_REPEAT]),
        ("C 8 :|", []),
        ("|: C 8 |1 D 8 :| |2 E 8 :|", []),
        ("|: C 8 |1 D 8 :| |1 E 8 |2 F 8 |", [DOUBLE_FIRST_ENDING]),
        ("|: C 8 |1 D 8 :|", [LONE_FIRST_ENDING]),
        ("|: C 8 |1 D 8 :| |: E 8 :|", [LONE_FIRST_ENDING]),
        ("|: C 8 :| |2 E 8 |", [LONE_SECOND_ENDING]),
        ("C 8 | M:6/8 C 8 | C 6 |", [HEADER_IN_BODY]),
        ("C 8 | K:Cmin C 8 |", [HEADER_IN_BODY]),
        ("C 8 <s> | </s>", [MARKER_IN_BODY, MARKER_IN_BODY]),
        ("C 8 | 1 C 8 |", [LENGTH_WITHOUT_NOTE]),
        ("C 8 | bla C 8 |", [UNKNOWN_TOKEN]),
    ],
)
def test_each_defect_has_its_name(body: str, expected: list[str]):
    assert four_four(body) == expected


def test_defects_of_the_header_have_names():
    assert reasons("K:Cmaj C 8 |") == [MISSING_METER]
    assert reasons("M:4/4 C 8 |") == [MISSING_MODE]
    assert reasons("C 8 |") == [MISSING_METER, MISSING_MODE]
    assert reasons("M:none K:Cmaj C 8 |") == [UNKNOWN_METER]
    assert reasons("M:4/4 M:4/4 K:Cmaj C 8 |") == [MISSING_MODE, HEADER_IN_BODY, HEADER_IN_BODY]
    assert reasons("M:4/4 K:Cmaj") == [NO_NOTES]
    assert reasons("") == [MISSING_METER, MISSING_MODE, NO_NOTES]


def test_a_flaw_points_at_its_token():
    (flaw,) = flaws("M:4/4 K:Cmaj C 8 | ] C 8 |".split())
    assert flaw.index == 5
    (flaw,) = flaws("M:4/4 K:Cmaj C 8 | C 9 | C 8 |".split())
    assert (flaw.index, flaw.detail) == (5, "9 of 8 eighths")


@given(soup)
def test_any_string_of_tokens_has_bars_and_flaws(tokens: list[str]):
    found = bars(tokens)
    assert all(tuple(tokens[bar.start : bar.stop]) == bar.tokens for bar in found)
    assert [bar.start for bar in found] == sorted({bar.start for bar in found})
    assert all(bar.duration > 0 for bar in found)
    assert all(0 <= flaw.index < max(len(tokens), 1) for flaw in flaws(tokens))


@given(st.lists(st.text(max_size=6), max_size=20))
def test_words_of_no_vocabulary_are_flaws_and_no_error(tokens: list[str]):
    bars(tokens)
    assert flaws(tokens)


@given(soup)
def test_every_pitch_belongs_to_one_bar(tokens: list[str]):
    pitches = [i for bar in bars(tokens) for event in bar.events for i in event.pitches]
    assert len(pitches) == len(set(pitches))
    assert set(pitches) == {i for i, token in enumerate(tokens) if V2.types[V2.index[token]] == "pitch"}


def test_a_thousand_random_tunes_are_read_in_seconds():
    draw = random.Random(7)
    for _ in range(1000):
        flaws(draw.choices(V2.tokens, k=150))


REPORTED = {"all": 88.5, "M:4/4": 89.1, "M:6/8": 90.9, "M:9/8": 90.0, "M:3/4": 87.1, "M:2/4": 84.5}
"""Per cent of full bars of the first 5,000 tunes of data_v2 (facts sheet, section 4.2)."""


def v2_tunes(test_data: Path) -> list[list[str]]:
    """The 4,043 of those 5,000 tunes that the test data hold."""
    folder = test_data / "folkrnn_v2"
    with gzip.open(folder / "data_v2_subset.txt.gz", "rt") as file:
        tunes = [tune.split() for tune in file.read().strip().split("\n\n")]
    with gzip.open(folder / "data_v2_subset_meta.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return [tune for tune, row in zip(tunes, rows, strict=True) if "data_v2Small" in row["source_files"]]


def test_real_tunes_have_as_many_full_bars_as_reported(test_data: Path):
    tunes = v2_tunes(test_data)
    shares = share_of_full_bars(tunes)
    assert len(tunes) == 4043
    assert shares["all"].bars / len(tunes) == pytest.approx(102_064 / 5_000, rel=0.005)
    for meter, reported in REPORTED.items():
        assert 100 * shares[meter].share == pytest.approx(reported, abs=1.0)
    assert 100 * shares["M:12/8"].share == pytest.approx(58.4, abs=4.0)  # 50 tunes
    assert 100 * shares["M:3/2"].share == pytest.approx(80.9, abs=4.0)  # 20 tunes


def test_nine_of_ten_real_tunes_are_without_flaw(test_data: Path):
    tunes = v2_tunes(test_data)
    assert sum(not flaws(tune) for tune in tunes) / len(tunes) > 0.88
