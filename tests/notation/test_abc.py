"""ABC files are cut into tunes with their headers as they stand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.notation.abc import AbcTune, read_abc

TWO_TUNES = """\
% Airs for the flute
% Glasgow, 1778
Z:the transcriber

X:12
T:First Tune
T:Its Other Name
M:C|
L:1/16
N:may be copied freely
%% G A B
K:D % two sharps
A2B2|\\
c4 :|
w: la la

X: 13
T:Second Tune
M:6/8
K:A Minor
abc|
"""


def one(text: str) -> AbcTune:
    (tune,) = read_abc(text)
    return tune


def test_x_starts_a_tune_and_header_strings_stay_raw():
    first, second = read_abc(TWO_TUNES, "airs.abc")
    assert (first.number, first.title, first.meter, first.unit, first.key) == (
        12,
        "First Tune",
        "C|",
        Fraction(1, 16),
        "D",
    )
    assert (second.number, second.title, second.meter, second.unit, second.key) == (
        13,
        "Second Tune",
        "6/8",
        Fraction(1, 8),
        "A Minor",
    )
    assert first.source == second.source == "airs.abc"
    assert "A2B2|\\\nc4 :|" in first.body
    assert second.body.strip() == "abc|"


def test_notes_comments_and_lyrics_are_kept_as_fields():
    first, second = read_abc(TWO_TUNES)
    assert first.fields["T"] == ["First Tune", "Its Other Name"]
    assert first.fields["N"] == ["may be copied freely"]
    assert first.fields["w"] == ["la la"]
    assert first.fields["%"] == ["Airs for the flute", "Glasgow, 1778", "G A B", "two sharps"]
    assert second.fields["Z"] == ["the transcriber"], "the header of the file belongs to every tune"


def test_text_without_x_is_one_tune_if_it_has_a_key():
    assert one("T:Alone\nM:6/8\nK:G\nGAB|").title == "Alone"
    assert list(read_abc("no music here\nat all")) == []
    assert list(read_abc("")) == []


def test_a_tune_without_key_is_there_to_be_counted():
    assert one("X:1\nT:Lost\nM:6/8\nabc|").key == ""


def test_an_x_with_nothing_after_it_is_no_tune():
    assert len(list(read_abc("X:1\nK:D\nA2|\n\nX:2\n"))) == 1


@pytest.mark.parametrize(
    ("meter", "unit"),
    [("2/4", 16), ("3/8", 16), ("3/4", 8), ("C", 8), ("6/8", 8), ("", 8), ("none", 8)],
)
def test_the_unit_without_l_is_a_sixteenth_below_three_quarters(meter: str, unit: int):
    assert one(f"X:1\nM:{meter}\nK:C\nC|").unit == Fraction(1, unit)


def test_an_unreadable_unit_is_zero():
    assert one("X:1\nL:eighth\nK:C\nC|").unit == 0
    assert one("X:1\nL:1/0\nK:C\nC|").unit == 0


def test_line_ends_and_byte_order_mark_do_not_matter():
    expected = one("X:1\nT:T\nM:2/4\nK:C\nCD|\nEF|")
    assert one("X:1\r\nT:T\r\nM:2/4\r\nK:C\r\nCD|\r\nEF|") == expected
    assert one("\ufeffX:1\rT:T\rM:2/4\rK:C\rCD|\rEF|") == expected


def test_a_remark_after_a_blank_line_is_no_music_but_a_second_part_is():
    tune = one("X:1\nM:6/8\nK:G\nGAB cde|\n\ndef gab|\n\nThis jig is old.\nN:copied with leave\n% of the owner\n")
    assert tune.body == "GAB cde|\ndef gab|"
    assert tune.fields["text"] == ["This jig is old."]
    assert tune.fields["N"] == ["copied with leave"]
    assert tune.fields["%"] == ["of the owner"]


def test_a_note_in_the_header_may_go_on_over_line_ends():
    tune = one("X:1\nT:Jig\nN:found in a book\nthat nobody may copy.\nM:6/8\nK:G\nGAB|")
    assert tune.fields["N"] == ["found in a book\nthat nobody may copy."]
    assert (tune.meter, tune.key) == ("6/8", "G")


def test_an_x_after_the_last_bar_starts_a_tune_too():
    assert [tune.number for tune in read_abc("X:1\nK:G\nGAB||X:2\nK:D\nDEF|")] == [1, 2]


def test_quoted_printable_codes_of_mailed_tunes_are_undone():
    tune = one("X:1\nM:2/4\nK:D\nDF(AF) =\nBFAd |=20\nd2=E2 =3DBc |")
    assert tune.body == "DF(AF) BFAd | \nd2=E2 =Bc |"


def test_the_meter_of_the_file_header_holds_where_a_tune_gives_none():
    assert one("M:6/8\n\nX:1\nK:G\nGAB|").meter == "6/8"


@given(st.text(alphabet='XTKLMVw:%|ABC2/ \\\n\r[]"!', max_size=200) | st.text(max_size=200))
def test_reading_never_raises_and_numbers_are_numbers(text: str):
    for tune in read_abc(text, "somewhere"):
        assert tune.number >= 0
        assert tune.unit >= 0
        assert tune.source == "somewhere"
