"""ABC becomes folk-rnn's tokens: by rule, on real tunes that exist in both forms, on real corpora, on any text."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.notation.abc import AbcTune, read_abc
from folkrnn.notation.barlines import measure_tokens
from folkrnn.notation.events import read
from folkrnn.notation.tokenise import REASONS, Rejection, tokenise
from folkrnn.vocabulary import V2


def tune(body: str, key: str = "C", meter: str = "4/4", unit: Fraction | str = "1/8") -> AbcTune:
    return AbcTune("", meter, Fraction(unit), key, body)


def tokens(body: str, **header: str) -> str:
    """The body's tokens as one line."""
    result = tokenise(tune(body, **header))
    assert not isinstance(result, Rejection), result
    return " ".join(result[2:])


def rejection(body: str, **header: str) -> str:
    result = tokenise(tune(body, **header))
    assert isinstance(result, Rejection), result
    assert result.reason in REASONS
    assert result.detail
    return result.reason


def header(key: str, meter: str) -> list[str]:
    result = tokenise(tune("C", key=key, meter=meter))
    assert not isinstance(result, Rejection), result
    return result[:2]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{ag}A2 {/b}c", "A 2 c"),
        ("(AB) A-A (A(Bc))", "A B A A A B c"),
        ("~A .B Tc ud ve HA LB Mc Od PA SB Jc Rd", "A B c d e A B c d A B c d"),
        ("!trill!A +fermata+B !f!c !D.C.!d !DC!", "A B c d"),
        ('"Am"A "^above"B "Dm7/F"c', "A B c"),
        ("A y B y2 c `` d * e", "A B c d e"),
        ("A\\\nB\nw: la la\nP:B\nc", "A B c"),
        ("A % a remark: abc\nB", "A B"),
        ("<html>\nA\n</html>\n", "A"),
        ("ABc|!\ndef|!", "A B c | d e f |"),
        ("!fed c2A|B3 g3|!g2", "f e d c 2 A | B 3 g 3 | g 2"),
        ("A[r: a remark]B[P:B]c", "A B c"),
        ("('GA) (,Bc) .('de) .(,fg) (.A.B)", "G A B c d e f g A B"),
        ("A-'A A-,A A2-'A2 .-A [C-'E-,][CE] ('(3ABc)", "A A A A A 2 A 2 A [ C E ] [ C E ] (3 A B c"),
        ("(,^F,G,) (,=c-,c) ('A,-'A,)", "^F, G, =c c A, A,"),
        ("A ? B # c ; d @ e * f", "A B c d e f"),
        ("A!D.C. al fine!B!to Coda!", "A B"),
        ("A\u00a0B \u201cAm\u201dc", "A B c"),
        ("z2 A z/", "z 2 A z /2"),
    ],
)
def test_what_no_token_says_is_dropped(body: str, expected: str):
    assert tokens(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("B3x c2 x2|x4", "B 3 z c 2 z 2 | z 4"),
        ("Ax/x//x3/2x>B", "A z /2 z /4 z 3/2 z > B"),
        ("(3xAB [xCE]2 Hx |", "(3 z A B [ z C E ] 2 z |"),
        ("A y B y2 cy/ !fermata!y4 |", "A B c |"),
    ],
)
def test_an_invisible_rest_lasts_and_a_spacer_does_not(body: str, expected: str):
    assert tokens(body) == expected


@pytest.mark.parametrize(
    ("body", "unit", "expected"),
    [
        ("A A2 A/ A/2 A// A3/2 A4", "1/8", "A A 2 A /2 A /2 A /4 A 3/2 A 4"),
        ("A A2 A4 A3 A/", "1/16", "A /2 A A 2 A 3/2 A /4"),
        ("A A2 A/ A3/2 A/4", "1/4", "A 2 A 4 A A 3 A /2"),
        ("A A/8 A/4", "1", "A 8 A A 2"),
        ("A2>B2 A>B A4<B4", "1/16", "A > B A /2> B /2 A 2< B 2"),
        ("A2>B2 A>B A<B A4>B A/<B/", "1/8", "A 2> B 2 A > B A < B A 4> B A /2< B /2"),
        ("A3>B A//>B", "1/8", "A 3 > B A /4 > B"),
        ("A2 [L:1/16]A2 A\nL:1/4\nA", "1/8", "A 2 A A /2 A 2"),
        ("A 2 B /2 c 2> d", "1/8", "A 2 B /2 c 2> d"),
    ],
)
def test_lengths_are_counted_in_eighths(body: str, unit: str, expected: str):
    assert tokens(body, unit=unit) == expected


@pytest.mark.parametrize(
    ("body", "unit", "expected"),
    [
        ("[CE]2 [C2E2] [CE]", "1/8", "[ C E ] 2 [ C 2 E 2 ] [ C E ]"),
        ("[CE]2 [C2E2] [CE]4", "1/16", "[ C E ] [ C E ] [ C E ] 2"),
        ("[CE] [CE]>[DF]", "1/4", "[ C E ] 2 [ C E ] 2> [ D F ] 2"),
        ("[C2E]2", "1/16", "[ C E /2 ] 2"),
        ("[^FA-]2|[GB]", "1/8", "[ ^F A ] 2 | [ G B ]"),
        ("+CE+ A", "1/8", "[ C E ] A"),
        ("(3[CE][DF][EG]", "1/8", "(3 [ C E ] [ D F ] [ E G ]"),
    ],
)
def test_lengths_of_chords_stay_inside_or_behind_the_brackets(body: str, unit: str, expected: str):
    assert tokens(body, unit=unit) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("A||B|]c[|d.|e", "A | B | c | d | e"),
        ("A::B:||:c:|:d", "A :| |: B :| |: c :| |: d"),
        ("A:| |:B", "A :| |: B"),
        ("A|\n|:B", "A |: B"),
        ("A||:B[|:c", "A |: B |: c"),
        ("A:|\n||B", "A :| B"),
        ("A | | \n|B", "A | B"),
        ("A|1B:|2c||", "A |1 B :| |2 c |"),
        ("A[1B:|[2c", "A |1 B :| |2 c"),
        ("A| [1 B:| [ 2 c", "A |1 B :| |2 c"),
        ("A|\\\n1 B:|2 c", "A |1 B :| |2 c"),
        ("A:|1B", "A :| |1 B"),
        ("A : | B | : c", "A :| B |: c"),
        ("A|:|", "A :|"),
        ("|A|", "| A |"),
        ('AB:"^Segno"[|]|]', "A B :|"),
    ],
)
def test_bars_repeats_and_endings_become_five_tokens(body: str, expected: str):
    assert tokens(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("(3ABc ((3ABc) (3(ABc)", "(3 A B c (3 A B c (3 A B c"),
        ("(3:2:3ABc (3:2ABc (3:2:ABc (3::ABc (3::3ABc (3:ABc", " ".join(["(3 A B c"] * 6)),
        ("(2:3:2AB (4:3:4ABcd (6:2:6ABcdef", "(2 A B (4 A B c d (6 A B c d e f"),
        ("(9abcdefgab(2AB ( 3 ABc", "(9 a b c d e f g a b (2 A B (3 A B c"),
        ("(5:2ABcde (7:2:7ABcdefg", "(5 A B c d e (7 A B c d e f g"),
    ],
)
def test_a_tuplet_that_its_first_number_says_is_one_token(body: str, expected: str):
    assert tokens(body) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("(6:4:6ABcdef g", "(3 A B c (3 d e f g"),
        ("(3:2:6ABcdef", "(3 A B c (3 d e f"),
        ("(3:2:1A(3:2:1B(3:2:1c d", "(3 A B c d"),
        ("(3:2:1A2 (3:2:2[Bd]2z2|(3:2:1A(3:2:1B(3:2:1c", "(3 A 2 [ B d ] 2 z 2 | (3 A B c"),
        ("(3:2:1A(3:2:1B(3:2:1c(3:2:1d(3:2:1e(3:2:1f", "(3 A B c (3 d e f"),
        ("(6:4:2AB(6:4:4cdef", "(3 A B c (3 d e f"),
        ("A[]B[ ]|", "A B |"),
        ("(3:2:6A>BzB[CE]2x", "(3 A > B z (3 B [ C E ] 2 z"),
        ("(6:6ABcdef g", "A B c d e f g"),
        ("(2:1:2A2B2 c2", "A B c 2"),
        ("(4:2:4A>BA/B/ [CE]2", "A /2> B /2 A /4 B /4 [ C E ] 2"),
        ("(2:1:3A2[C2E2][CE]2 d", "A [ C E ] [ C E ] d"),
        ("(3:2:2A3B3 c", "A 2 B 2 c"),
        ("(2:3:1A2 B2", "A 3 B 2"),
        ("(1:2:2AB c", "A 2 B 2 c"),
    ],
)
def test_another_tuplet_is_written_so_that_its_notes_last_as_long(body: str, expected: str):
    assert tokens(body) == expected


TUPLETS = st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 12), st.sampled_from(("4/4", "6/8")))


@given(TUPLETS, st.lists(st.sampled_from(("A", "A2", "B3", "c/", "z", "x2", "[CE]", "d6")), min_size=12, max_size=12))
def test_no_tuplet_changes_how_long_its_notes_last(sign: tuple[int, int, int, str], notes: list[str]):
    p, q, r, meter = sign
    written = f"({p}:{q or ''}:{r or ''}"
    result = tokenise(tune(written + " ".join(notes), meter=meter))
    if isinstance(result, Rejection):
        assert result.reason == "tuplet"
        return
    lasts = {"A": 1, "A2": 2, "B3": 3, "c/": Fraction(1, 2), "z": 1, "x2": 2, "[CE]": 1, "d6": 6}
    usual = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(p, 3 if meter == "6/8" else 2)
    expected = [lasts[note] * (Fraction(q or usual, p) if k < (r or p) else 1) for k, note in enumerate(notes)]
    assert [event.duration for event in read(result).events] == expected


@pytest.mark.parametrize(
    ("meter", "token"),
    [("C", "4/4"), ("C|", "4/4"), ("2/2", "4/4"), ("4/4", "4/4"), (" 6 / 8 % jig", "6/8"), ("12/8", "12/8")],
)
def test_common_and_cut_time_are_four_four(meter: str, token: str):
    assert header("C", meter) == [f"M:{token}", "K:Cmaj"]


def test_the_mode_stays_and_the_root_becomes_c():
    assert header("Ador", "6/8") == ["M:6/8", "K:Cdor"]
    assert header("F#m", "3/4") == ["M:3/4", "K:Cmin"]
    assert tokens("D2 =c^g=g", key="D") == "C 2 _B ^f =f"
    assert tokens("B,2 D^A", key="Bm") == "C 2 E =B"


@pytest.mark.parametrize(
    ("body", "header", "reason"),
    [
        ("A", {"key": ""}, "no_key"),
        ("A", {"key": "Hm"}, "key"),
        ("A", {"key": "Ephr"}, "mode"),
        ("A", {"key": "D =c"}, "key_accidentals"),
        ("A", {"key": "HP"}, "bagpipes"),
        ("A", {"meter": ""}, "no_meter"),
        ("A", {"meter": "none"}, "no_meter"),
        ("A", {"meter": "3/8"}, "meter"),
        ("A", {"meter": "6/4"}, "meter"),
        ("A", {"unit": "0"}, "unit"),
        ("A[L:x]B", {}, "unit"),
        ("A|[K:D]B", {}, "several_keys"),
        ("A|\nK:Ephr\nB", {}, "several_keys"),
        ("A|\nM:6/8\nB", {}, "several_meters"),
        ("A|[M:5/4]B", {}, "several_meters"),
        ("V:1\nA|\nV:2\nB|", {}, "several_voices"),
        ("AB&cd", {}, "several_voices"),
        ("A|1,2B:|3c", {}, "endings"),
        ("A[1-3B", {}, "endings"),
        ("A:|3c", {}, "endings"),
        ("^^A", {}, "double_accidental"),
        ("_F", {"key": "Gm"}, "double_accidental"),
        ("c''", {}, "pitch"),
        ("^e", {}, "pitch"),
        ("A10", {}, "duration"),
        ("A7/4", {}, "duration"),
        ("A0", {}, "duration"),
        ("A>>B", {}, "broken_rhythm"),
        ("(8abcdefga", {}, "tuplet"),
        ("(3:2:2A2B", {}, "tuplet"),
        ("(3:2:4ABcd", {}, "tuplet"),
        ("(3:2:1A(3:2:1B c", {}, "tuplet"),
        ("(3:2:1A(3:2:2B|c", {}, "tuplet"),
        ("(3:2:1A(3:2:1B(5:4:1c", {}, "tuplet"),
        ("(3:2:1A|(3:2:1B(3:2:1c", {}, "tuplet"),
        ("(5:4BcBAG", {}, "tuplet"),
        ("(5:4:5BcBAG", {"meter": "6/8"}, "tuplet"),
        ("(3:0:3ABc", {}, "tuplet"),
        ("(3:2:6AB(3ABcd", {}, "tuplet"),
        ("(123456789012:2AB", {}, "tuplet"),
        ("[CE", {}, "chord"),
        ("CE]", {}, "chord"),
        ("[]", {}, "no_notes"),
        ("[C[E]]", {}, "chord"),
        ("[C|E]", {}, "chord"),
        ("A|Z2|", {}, "multi_bar_rest"),
        ("A}", {}, "sign"),
        ("F#G", {}, "sign"),
        ("A'-''B", {}, "sign"),
        ("A|X2|", {}, "multi_bar_rest"),
        ("AB|\nPlayed as a reel\ncd|", {}, "prose"),
        ("AB|\nby Ann\ncd|", {}, "prose"),
        ("AB|\nA bad cafe.\ncd|", {}, "prose"),
        ("AB|\n%%begintext\nA bad cafe\n", {}, "prose"),
        ("AB:", {}, "sign"),
        ("|2/3 A", {}, "sign"),
        ("z4|", {}, "no_notes"),
        ("", {}, "no_notes"),
    ],
)
def test_every_rejection_has_its_reason(body: str, header: dict[str, str], reason: str):
    assert rejection(body, **header) == reason


def test_letters_that_u_defines_are_ornaments():
    assert rejection("inA|") == "prose"
    assert tokens("U:n=!trill!\nU: i = !turn!\ninA|") == "A |"
    defined = AbcTune("", "4/4", Fraction(1, 8), "C", "inA|", {"U": ["n=!trill!", "i=!turn!"]})
    assert tokenise(defined) == ["M:4/4", "K:Cmaj", "A", "|"]


def test_a_rejection_says_why_in_words_and_where():
    found = tokenise(tune("ABc|\nG2 d|1,2 efg|"))
    assert str(found) == (
        "an ending other than the first or the second, or a list of endings: 1,2, line 2 of the music, "
        "at 'G2 d|1,2 efg|'"
    )
    assert str(tokenise(tune("A", meter="3/8"))).endswith(": M:3/8")


def test_a_field_that_repeats_the_header_changes_nothing():
    assert tokens("A|[K:bass]B|\nK:clef=treble\nc") == "A | B | c"
    assert tokens("A|\nK:C major\nB|[M:C]c|\nM:4/4\nd", meter="C") == "A | B | c | d"
    assert tokens("\nK:D\nd", key="C") == "c", "before the first note it is the header"


def again(words: list[str]) -> list[str] | Rejection:
    """The tokens of a tune of tokens that is read as ABC on C with L:1/8."""
    return tokenise(tune(" ".join(words[2:]), key=words[1][2:], meter=words[0][2:]))


SIGNS = "ABCDEFGabcdefgzxyZ0123456789/|:[](){}<>^_=,'~.-\"!+%\\&*` \nKLMVwX"


@given(st.text(alphabet=SIGNS, max_size=150) | st.text(max_size=80), st.sampled_from(("C", "D", "Gm", "F#dor", "?")))
def test_any_text_is_tokens_or_rejected(body: str, key: str):
    result = tokenise(tune(body, key=key))
    if isinstance(result, Rejection):
        assert result.reason in REASONS
        assert len(result.detail) < 100
        return
    assert all(token in V2.index for token in result)
    assert again(result) == result, "what it returns says the same when read again"


@given(st.text(max_size=30), st.text(max_size=30), st.text(alphabet=SIGNS, max_size=30), st.fractions(max_value=4))
def test_any_header_is_tokens_or_rejected(meter: str, key: str, body: str, unit: Fraction):
    result = tokenise(AbcTune("", meter, unit, key, body))
    assert isinstance(result, Rejection) or all(token in V2.index for token in result)


@given(st.text(alphabet="|:[]", min_size=1, max_size=8))
def test_any_bar_sign_is_measure_tokens(sign: str):
    if set(sign) & set("|:"):
        assert set(measure_tokens(sign)) <= {"|", "|:", ":|", ":"}


@given(st.sampled_from("CDEFGAB"), st.sampled_from(("maj", "min", "dor", "mix")), st.data())
def test_a_transposed_tune_has_the_tokens_of_the_tune_on_c(letter: str, mode: str, data: st.DataObject):
    """Plain notes by scale degree: the same degrees in any key are the same tokens, up to the octave."""
    degrees = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=12))
    scale = "CDEFGAB"
    start = scale.index(letter)
    there = tokens(" ".join(scale[(start + d) % 7] for d in degrees), key=letter + mode)
    here = tokens(" ".join(scale[d] for d in degrees), key="C" + mode)
    assert there.upper().replace(",", "") == here


LONG = [
    *(
        "A",
        "A2B ",
        "[A:",
        "[",
        "{a",
        '"a',
        "!a",
        "+a",
        "<html",
        "((((3",
        "^^",
        "A,",
        "  ",
        "|",
        "| ",
        "|\\ ",
        "[1",
        "9",
    ),
    *("A/", "%", "\\", "=", "x2", "[CE]", "A>", "|[", " [ ", "!A!", "\nA:", "\nK:D", "\n\n", "\n ", "X:", "=2"),
    *(
        "<p",
        "<!--",
        "<!---->",
        "%%begintext\n",
        "```\n",
        "```a",
        "&gt;",
        "[M:6/8]",
        "\n==",
        "\n|th",
        "(3:2:1A",
        "</pre>",
    ),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", LONG)
def test_a_long_line_takes_time_in_proportion(piece: str):
    """A quadratic step would take hours on 400,000 characters."""
    text = piece * (400_000 // len(piece))
    tokenise(tune(text))
    tokenise(tune("A", key=text))
    tokenise(tune("A", meter=text))
    for found in read_abc("X:1\nK:D\nA " + text):
        tokenise(found)
