"""Tunes come out of whatever document they are in, and nothing of the document is music."""

from __future__ import annotations

import pytest

from folkrnn.notation.abc import read_abc, read_setting
from folkrnn.notation.tokenise import Rejection, tokenise

HEAD = "X:1\nT:Case\nM:4/4\nL:1/8\nK:C\n"
TUNE = HEAD + "G4 A4|c8|]\n"
TOKENS = "M:4/4 K:Cmaj G 4 A 4 | c 8 |"
PROSE = "Faded, deaf, a cabbage bed.\n"


def read(text: str) -> list[str]:
    """The tunes of a text as lines of tokens, or the reasons why they have none."""
    found = [tokenise(tune) for tune in read_abc(text)]
    return [result.reason if isinstance(result, Rejection) else " ".join(result) for result in found]


@pytest.mark.parametrize(
    "text",
    [
        f"# Tunes\n\n```abc\n{TUNE}```\n{PROSE}",
        f"```\n{TUNE}```\n{PROSE}",
        f"~~~ abc\n{TUNE}~~~\n{PROSE}",
        f"`````{{.abc}}\n{TUNE}`````\n{PROSE}",
        f"  ````abc\n{TUNE}  ````\n{PROSE}",
        f"```abc\n{TUNE}",
        f"```abc\nT:Case\nM:4/4\nL:1/8\nK:C\nG4 A4|c8|]\n```\n{PROSE}",
        f"<pre>\n{TUNE}</pre>\n{PROSE}",
        f"<html><body>\n<PRE>{TUNE}c8|]</PRE>\n<p>{PROSE}</p></body></html>".replace("c8|]\nc8|]", "c8|]"),
        f'== Tune ==\n<score lang="ABC">\n{TUNE}</score>\n{PROSE}[[Category:Reels]]\n',
        f"<abc>\n{TUNE}</abc>\n{PROSE}",
        f"\\begin{{abc}}\n{TUNE}\\end{{abc}}\n{PROSE}",
        f"#+BEGIN_SRC abc\n{TUNE}#+END_SRC\n{PROSE}",
        f"{TUNE}== Notes ==\n{PROSE}",
        f"{TUNE}[[Category:Bad cafe]]\n",
        f"{TUNE}{{{{Tune|A bad cafe}}}}\n'''{PROSE}'''\n",
        f"{TUNE}----\n{PROSE}",
        f"{TUNE}Played as a reel by Ann | Bob.\n{PROSE}",
        f"{TUNE}\n{PROSE}",
        f"{TUNE}\nPlayed by Ann | Bob in 1920.\n{PROSE}",
        f"{TUNE}%%begintext\n{PROSE}X:2\nK:D\nA bad cafe|\n%%endtext\n",
        TUNE.replace("|c8", "|\n%%begintext\nA bad cafe\n%%endtext\nc8"),
        TUNE.replace("|c8", "|\n%% BeginText obeylines\n%%A bad cafe\n%% EndText\nc8"),
        TUNE.replace("|c8", "|\n%%beginps\nA bad cafe\n%%endps\nc8"),
        TUNE.replace("|c8", "|\n%%beginsvg\n<g>A bad cafe</g>\n%%endsvg\nc8"),
        TUNE.replace("|c8", "|\n%%text A bad cafe\n%%center A bad cafe\nc8"),
        TUNE.replace("K:C", "%%begintext\nK:D\n%%endtext\nK:C"),
        TUNE.replace("|c8", "|\n  w: a bad cafe\nc8"),
        TUNE.replace("|c8", "|<!-- A bad\ncafe -->c8"),
        TUNE.replace("\n", "<br>\n"),
        TUNE.replace("\n", "<br />\r\n"),
        TUNE.replace("\n", "\r"),
        TUNE.replace("\n", "\u2028"),
        "\ufeff" + TUNE,
        f"Text\n\n\ufeff{TUNE}",
        TUNE.replace("G4 A4", "G4\u00a0A4"),
        TUNE.replace("G4 A4", "G4\u2003\u200bA4"),
        f"{TUNE}* a bad cafe\n- a bad cafe\n",
        f"{TUNE}1. a bad cafe\n2. deaf\n",
        f"{TUNE}a bad cafe\n",
        f"{TUNE}A bad egg, a dead bee!\n",
        f"{TUNE}---\na bad cafe\n",
        f"{TUNE}***\na bad cafe\n",
        f"{TUNE}> a bad cafe\n",
        f"{TUNE}## A bad cafe\n",
        f"[abc]\n{TUNE}[/abc]\na bad cafe\n",
        f"{TUNE}\\end{{abc}}\na bad cafe\n",
        HEAD + "G4 A4|c8|\n(bad cafe)\n",
        HEAD + "G4 A4|c8|\n  (a bad egg, a dead bee).\n",
        f"{TUNE}| bad | rows |\n",
        f"{TUNE}| Bad | Cafe |\n|-----|------|\n| a | b |\n| deaf | bee |\n",
        f"{TUNE}\n| Bad | Cafe |\n|:---:|-----:|\n| a | b |\n",
        f"{TUNE}Bad | Cafe\n--- | ---\na | b\n",
        f"{TUNE}|-----+------|\n| bad | cafe |\n|-----+------|\n| a | b |\n",
        f"{TUNE}+-----+------+\n| bad | cafe |\n+=====+======+\n| a | b |\n+-----+------+\n",
        f'{TUNE}{{| class="wikitable"\n! Bad !! Cafe\n|-\n| a || b\n|}}\n',
        f"{TUNE}{{|\n| bad\n| cafe\n|}}\n",
        f"{TUNE}^ Bad ^ Cafe ^\n| a | b |\n",
        f"{TUNE}<table><tr><td>bad</td><td>cafe</td></tr></table>\n",
        f"<table><tr><td>\n{TUNE}</td><td>a bad cafe|</td></tr></table>\n",
        f"{TUNE}<h2>Bad</h2>\n",
        f"<ul><li>\n{TUNE}</li><li>Bad|</li></ul>\n",
    ],
)
def test_what_is_around_a_tune_or_typeset_in_it_is_no_music(text: str):
    assert read(text) == [TOKENS]


def test_each_fence_holds_its_own_tunes():
    one, two, three = (TUNE.replace("X:1", f"X:{k}") for k in (1, 2, 3))
    text = f"# A\n\n```abc\n{one}\n{two}```\n{PROSE}\n~~~\n{three}~~~\n{PROSE}"
    assert read(text) == [TOKENS] * 3
    assert [tune.number for tune in read_abc(text)] == [1, 2, 3]


@pytest.mark.parametrize(
    "text",
    [
        TUNE.replace("|c8", "|\nSecond part as a reel\nc8"),
        TUNE.replace("|c8", "|\n== Second part ==\nc8"),
        TUNE.replace("|c8", "|\n\nPlayed by Ann | Bob\n\nc8"),
        TUNE.replace("|c8", "|\n%%begintext\nA bad cafe\nc8"),
        TUNE.replace("|c8", "|\n| a | b |\n|---|---|\n| a | b |\nc8"),
        TUNE.replace("|c8", "|\n{|\n| a\n|}\nc8"),
        TUNE.replace("|c8", "|\n^ a ^ b ^\nc8"),
        TUNE.replace("|c8", "|D.C.|c8"),
    ],
)
def test_text_between_two_lines_of_music_is_counted(text: str):
    assert read(text) in (["prose"], ["sign"])


@pytest.mark.parametrize("line", ["C8 fine|", "c8 Fine |]", "c4 to coda|c4", "c8 fine", "c8|D.C.", "c8|D. S. al fine"])
@pytest.mark.parametrize("before", ["", "Second time slower.\n"])
def test_a_last_line_of_notes_and_words_is_counted_and_not_taken_for_text(before: str, line: str):
    assert read(f"{HEAD}G4 A4|\n{before}{line}\n") == ["prose"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("| G4 A4 |\n| c8 |\n", "| G 4 A 4 | c 8 |"),
        ("|: G4 A4 |\n--\n| c8 :|\n", "|: G 4 A 4 | c 8 :|"),
        (".D.C.E2 D4|", "D C E 2 D 4 |"),
        ("G4-|\n|-A4|", "G 4 | A 4 |"),
    ],
)
def test_music_that_looks_like_a_table_or_a_jump_is_music(body: str, expected: str):
    assert read(HEAD + body) == [f"M:4/4 K:Cmaj {expected}"]


def test_signs_of_html_are_undone():
    assert read(HEAD + "G&gt;A &quot;Am&quot;B&lt;c &nbsp; d4|") == ["M:4/4 K:Cmaj G > A B < c d 4 |"]


JIG = "M:6/8 K:Cmaj C D E | F 3 |"


@pytest.mark.parametrize(
    "text",
    [
        "X:1\nT:Case\nL:1/8\nK:G\nM:6/8\nGAB|c3|",
        "X:1\nK:G\nL:1/8\nM:6/8\nT:Case\nGAB|c3|",
        "X:1\nT:Case\nK:G\n[M:6/8][L:1/8]GAB|c3|",
        "X:1\nT:Case\nK:G\n[M:6/8] [L:1/8]\nGAB|c3|",
        "X:1\nT:Case\n[M:6/8][L:1/8]\nK:G\nGAB|c3|",
        "X:1\nT:Case\n[M:6/8][L:1/8][K:G]GAB|c3|",
        "X:1\nT:Case\nM:6/8\nL:1/8\n[K:G] GAB|c3|",
        "X:1\nT:Case\n[K:G]\nM:6/8\nL:1/8\nGAB|c3|",
        "X:1\nT:Case\nM:4/4\nL:1/8\nK:D\nM:6/8\nK:G\n|GAB|c3|".replace("|GAB", "GAB"),
        "X:1\nT:Case\nK:none\nM:none\nL:1/8\n[M:6/8][K:G]GAB|c3|",
        "X:1\nT:Case\nK:treble\nM:6/8\nL:1/8\n[K:G]GAB|c3|",
        '[M:6/8][L:1/8][K:G]"G"!f!{a}GAB|c3|',
        "X:1\r\n\r\nT:Case\r\nM:6/8\r\nL:1/8\r\nQ:120\r\nK:G\r\nP:A\r\nGAB|c3|\r\n",
    ],
)
def test_fields_before_the_first_note_are_the_header_in_any_order(text: str):
    assert read(text) == [JIG]


def test_a_title_may_stand_behind_the_key():
    (tune,) = read_abc("X:1\nK:G\nT:Case\nM:6/8\nGAB|")
    assert tune.title == "Case"


def test_the_unit_follows_the_meter_wherever_that_stands():
    assert read("X:1\nK:C\nM:2/4\nC4|") == ["M:2/4 K:Cmaj C 2 |"]
    assert read("X:1\nK:C\nM:2/4\nL:1/8\nC4|") == ["M:2/4 K:Cmaj C 4 |"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("X:1\nM:6/8\nL:1/8\nGAB|c3|\nK:G\nGAB|", "no_key"),
        ("X:1\nL:1/8\nK:G\nGAB|\nM:6/8\nc3|", "no_meter"),
        ("X:1\nM:6/8\nL:1/8\nK:G\nz6|\nM:4/4\nc3|", "several_meters"),
        ("X:1\nM:6/8\nL:1/8\nK:G\n[GB]6|[K:D]c3|", "several_keys"),
    ],
)
def test_a_field_behind_the_first_note_is_no_header(text: str, reason: str):
    assert read(text) == [reason]


@pytest.mark.parametrize("body", ["|: c c d e | c 2 d 2 :|", "|:ccde|c2d2:|"])
def test_what_folk_rnns_scripts_write_counts_in_eighths(body: str):
    assert read(f"X:0\nM:2/4\nK:Cmaj\n{body}\n\nX:1\nM:4/4\nK:Cdor\n{body}\n\n") == [
        "M:2/4 K:Cmaj |: c c d e | c 2 d 2 :|",
        "M:4/4 K:Cdor |: c c d e | c 2 d 2 :|",
    ]


@pytest.mark.parametrize("extra", ["T:Case\n", "R:polka\n", "% mine\n"])
def test_a_tune_of_somebody_counts_in_sixteenths_in_two_four(extra: str):
    assert read(f"X:0\n{extra}M:2/4\nK:Cmaj\n|:ccde|c2d2:|\n") == ["M:2/4 K:Cmaj |: c /2 c /2 d /2 e /2 | c d :|"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GAB|c3|", JIG),
        ("X: 1\r\nT: Case\r\nR: jig\r\nM: 6/8\r\nL: 1/8\r\nGAB|c3|\r\n", JIG),
        ("M:9/8\nL:1/16\nK:D\nD2E2F2|", "M:9/8 K:Cmaj C D E |"),
        ("[M:9/8][K:D]DEF|", "M:9/8 K:Cmaj C D E |"),
        ("T:Case\n\nGAB|\n\nc3|", JIG),
        ("M:2/4\nG2|", "M:2/4 K:Cmaj C 2 |"),
    ],
)
def test_a_setting_has_the_header_that_stands_in_it_or_the_one_beside_it(text: str, expected: str):
    assert " ".join(tokenise(read_setting(text, "Case", "6/8", "Gmajor", "dump", 1))) == expected
