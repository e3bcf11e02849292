"""What becomes of a tune of somebody's on its way into tokens is said."""

from __future__ import annotations

import pytest

from folkrnn.notation.abc import read_abc
from folkrnn.notation.changes import changes
from folkrnn.notation.tokenise import prime_changes, prime_tokens

TUNE = 'X:1\nT:A reel\nM:C|\nL:1/8\nK:G\n"G"G2 {a}BG d2-d2 | ~g3 !trill!e dB A2 |]\nw: la la\n'


def told(text: str) -> list[str]:
    (tune,) = read_abc(text)
    return changes(tune)


def test_key_meter_and_what_is_left_out_are_told():
    assert told(TUNE) == [
        "transposed from G major to C by −4 diatonic steps",
        "meter C| read as 4/4",
        '1 × "…" left out (chord symbols and annotations)',
        "1 × {…} left out (grace notes)",
        "1 × - left out (ties: both notes are struck)",
        "1 × ~ left out (ornaments)",
        "1 × !…! left out (ornaments)",
        "1 × w: left out (lines of words)",
    ]


@pytest.mark.parametrize("meter", ["4/4", "C", "6/8"])
def test_nothing_is_told_of_a_tune_that_is_said_as_it_stands(meter: str):
    assert told(f"X:1\nM:{meter}\nL:1/16\nK:Cdor\n(C4D4) E4F4 |]\n") == []


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("Ador", "transposed from A dorian to C by +2 diatonic steps"),
        ("Bb", "transposed from B♭ major to C by +1 diatonic step"),
        ("C#m", "transposed from C♯ minor to C"),
        ("Dmix", "transposed from D mixolydian to C by −1 diatonic step"),
    ],
)
def test_a_prime_in_another_key_is_transposed_and_says_so(key: str, said: str):
    assert prime_changes(f"K:{key}") == [said]
    assert prime_tokens(f"K:{key}")[0].startswith("K:C")


def test_a_prime_of_tokens_or_on_c_changes_nothing():
    assert prime_changes("M:6/8 K:Cdor G, C C 2") == prime_changes("M:6/8 K:Cdor C2D") == prime_changes("") == []
    assert prime_changes("M:6/8 K:Ador A2 B {c}cde")[1:] == ["1 × {…} left out (grace notes)"]
    assert prime_changes(TUNE)[0] == "transposed from G major to C by −4 diatonic steps"
