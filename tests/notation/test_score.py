"""ABC text that reads back, and scores of anything."""

from __future__ import annotations

import gzip
import random
import re
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.notation.abc import read_abc
from folkrnn.notation.bars import flaws
from folkrnn.notation.engraver import engrave_encodings
from folkrnn.notation.events import Reading, read
from folkrnn.notation.mei import to_mei
from folkrnn.notation.mended import MENDED, mended
from folkrnn.notation.notes import notes
from folkrnn.notation.score import engrave, to_abc
from folkrnn.notation.symbols import beam_spans, lay_out, note_values, staff_place
from folkrnn.notation.tokenise import tokenise
from folkrnn.vocabulary import V2

TUNE = """M:4/4 K:Cdor B, A, |: G, B, E F (3 G E c B > A | [ C E ] 2 =B f ^F F f 2 |1 C 8 :| |2 C 5 _D 3 |
C 2 z 2 D 4 | C 8 |""".split()
soup = st.lists(st.sampled_from(V2.tokens), max_size=120)
SVG = "{http://www.w3.org/2000/svg}"


def real_tunes(test_data: Path, step: int) -> list[list[str]]:
    with gzip.open(test_data / "folkrnn_v2" / "data_v2_subset.txt.gz", "rt") as file:
        return [tune.split() for tune in file.read().strip().split("\n\n")[::step]]


def random_tunes(count: int) -> list[list[str]]:
    draw = random.Random(11)
    return [draw.choices(V2.tokens, k=draw.choice((0, 1, 5, 40, 150))) for _ in range(count)]


def is_self_contained(svg: str) -> bool:
    """One SVG element, and no address in it but the names of XML vocabularies."""
    root = ElementTree.fromstring(svg)
    addresses = re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', svg)
    return root.tag == f"{SVG}svg" and all((a or b).startswith("#") for a, b in addresses) and "@import" not in svg


# ABC


def test_abc_is_spaced_as_musicians_write_it():
    assert to_abc(TUNE, title="The Test", number=7) == (
        "X:7\nT:The Test\nM:4/4\nL:1/8\nK:Cdor\n"
        "B,A, |: G,B,EF (3GEc B>A | [CE]2=Bf ^FFf2 |1 C8 :|2 C5 _D3 ||\n"
        "C2z2 D4 | C8 |]\n"
    )


def test_beams_follow_the_meter():
    assert to_abc("M:6/8 K:Cmaj C D E F G A | C 3 z D /2".split()).endswith("CDE FGA | C3 zD/2\n")
    assert to_abc("M:6/8 K:Cmaj C | D E F G A B".split()).endswith("\nC | DEF GAB\n")
    assert to_abc("M:3/4 K:Cmaj C D E F G A |".split()).endswith("CD EF GA |]\n")
    assert to_abc("M:4/4 K:Cmaj C D E /2 F /2 G A B c 2 |".split()).endswith("CD E/2F/2G ABc2 |]\n")


def test_a_tune_without_title_or_header_is_abc_all_the_same():
    assert to_abc(["C", "D"]) == "X:1\nM:none\nL:1/8\nK:none\nCD\n"
    assert to_abc([]) == "X:1\nM:none\nL:1/8\nK:none\n"
    assert to_abc(["M:4/4", "K:Cmaj", "C"], title="two\nlines").startswith("X:1\nT:two lines\nM:4/4\n")


def test_what_abc_cannot_say_becomes_a_field_or_an_annotation():
    text = to_abc("M:4/4 K:Cmaj C </s> D M:6/8 E F 2".split())
    assert text.endswith('\nC "^</s>" D [M:6/8] EF2\n')


@pytest.mark.parametrize(
    ("slip", "written", "told"),
    [
        ("C ] D", "CD", "unmatched ] (token 3)"),
        ("C [ D | E", "CD | E", "unmatched [ (token 3)"),
        ("C [ ] 2 D", "CD", "empty chord (token 3), duration without note (token 5: 2)"),
        ("[ C [ E ] G ] D", "[CEG]D", "nested chord (token 4)"),
        ("[ C > E ] D", "[CE]D", "sign inside a chord (token 4: >)"),
        ("C 2 3 D", "C2D", "duration without note (token 4: 3)"),
        ("C 2> | D", "C2 | D", "dangling broken rhythm (token 3: >)"),
        ("C > > | D", "C | D", "dangling broken rhythm (token 3: >>)"),
        ("> C D", "CD", "dangling broken rhythm (token 2: >)"),
        ("(3 C D | E", "(3:2:2CD | E", "unfinished tuplet (token 2: 1 more of (3)"),
        ("C (3 | E", "C | E", "unfinished tuplet (token 3: 3 more of (3)"),
        ("|: C :| |: D |", "|: C :| D |]", "repeat without end (token 5)"),
        ("C :| |2 D |", "C :| D |]", "ending without its other (token 4: |2)"),
        ("|: C |1 D | E :|", "|: C |1 D | E :|", ""),
        ("C |1 D |", "C | D |]", "ending without its other (token 3: |1)"),
        ("C /3 D", "(3:2:1C/2 D", "third of an eighth (token 2: 1/3)"),
        ("C 2> D E", "C3 D/2E", "broken rhythm of more than two like notes (token 3)"),
        ("C > D > E F", "C3/2D3/4 E/2F", "broken rhythm of more than two like notes (token 3)"),
        ("C > (3 D E F", "C3/2 (3D/2EF", "broken rhythm of more than two like notes (token 3)"),
        ("|: C |: D :|", "C |: D :|", "repeat without end (token 2)"),
        ("C :| D |1 E :| |2 F |", "C :| |: D |1 E :|2 F |]", "repeat without beginning (token 3)"),
    ],
)
def test_a_slip_of_grammar_is_mended_and_told(slip: str, written: str, told: str):
    header, _, body = to_abc(f"M:4/4 K:Cmaj {slip}".split()).partition("K:Cmaj\n")
    assert header == (f"X:1\nN:mended: {told}" if told else "X:1") + "\nM:4/4\nL:1/8\n"
    assert " ".join(body.split()) == written


@given(soup)
def test_a_mended_tune_has_no_slips_and_the_same_events(tokens: list[str]):
    words, slips = mended(tokens)
    before, after = read(tokens), read(words)
    assert not {flaw.reason for flaw in after.flaws} & MENDED
    assert bool(slips) == (words != tokens)
    assert heard_in(tokens, before) == heard_in(words, after)


def heard_in(tokens: list[str], reading: Reading) -> list[tuple[list[str], Fraction]]:
    """The pitches and the length of each event."""
    return [([tokens[i] for i in event.pitches], event.duration) for event in reading.events]


@given(soup)
def test_any_string_of_tokens_is_written_as_abc(tokens: list[str]):
    text = to_abc(tokens, title="soup")
    body = re.sub(r"\nN:[^\n]*", "", text).split("\n", 5)[5]
    pitches = [token for token in tokens if V2.types[V2.index[token]] == "pitch"]
    assert re.findall(r"[_=^]?[A-Ga-gz][,']*", re.sub(r"\[[MK]:[^]]*]|\"[^\"]*\"", "", body)) == pitches


def test_real_tunes_read_back_as_the_same_tokens(test_data: Path):
    """A few write `2 >` where folk-rnn's own tokeniser makes one token of it; in ABC the two look the same."""
    same = 0
    tunes = [tune for tune in real_tunes(test_data, 11) if not flaws(tune) and not mended(tune)[1]]
    for tokens in tunes:
        (tune,) = read_abc(to_abc(tokens, title="A tune"))
        same += tokenise(tune) == re.sub(r"(\d) ([<>])", r"\1\2", " ".join(tokens)).split()
    assert (same, len(tunes)) == (len(tunes), len(tunes))
    assert len(tunes) > 500


def test_written_with_double_bars_endings_sound_right_to_abc2midi(test_data: Path):
    """abc2midi plays a second ending to the next double bar; it wants each `:|` to have its `|:`."""
    symusic = pytest.importorskip("symusic")
    compared = 0
    for tokens in real_tunes(test_data, 7):
        text = to_abc(tokens)
        parts = text.count(":|2")
        if flaws(tokens) or not parts or any(tokens.count(sign) != parts for sign in ("|:", "|1", ":|")):
            continue
        score = symusic.Score.from_abc(text)
        heard = sorted((note.pitch, 2 * note.start / score.tpq) for note in score.tracks[0].notes)
        expected = sorted((note.pitch, float(note.onset)) for note in notes(tokens))
        compared += 1
        assert [pitch for pitch, _ in heard] == [pitch for pitch, _ in expected], text
        assert [onset for _, onset in heard] == pytest.approx([onset for _, onset in expected], abs=0.1)
    assert compared > 20


# What is drawn


def test_lengths_become_note_values():
    assert note_values(Fraction(5)) == [(4, 0), (1, 0)]
    assert note_values(Fraction(9)) == [(8, 0), (1, 0)]
    assert note_values(Fraction(7)) == [(4, 2)]
    assert note_values(Fraction(3, 2)) == [(1, 1)]
    assert note_values(Fraction(16)) == [(16, 0)]


@given(st.integers(1, 2048))
def test_note_values_add_up(length: int):
    values = note_values(Fraction(length, 128))
    assert sum(plain * (2 - Fraction(1, 2**dots)) for plain, dots in values) == Fraction(length, 128)
    assert [plain for plain, _ in values] == sorted((plain for plain, _ in values), reverse=True)


def drawn_accidentals(text: str) -> list[tuple[str, int]]:
    heads = [head for bar in lay_out(text.split()).bars for s in bar.symbols for head in s.heads]
    return [(f"{head.letter}{head.octave}", head.alteration) for head in heads if head.accidental_drawn]


def test_accidentals_are_drawn_where_a_reader_needs_them():
    assert drawn_accidentals("M:4/4 K:Cmaj ^F F | F") == [("F4", 1)]
    assert drawn_accidentals("M:4/4 K:Cmaj ^F f f") == [("F4", 1), ("F5", 1)]
    assert drawn_accidentals("M:4/4 K:Cdor B E | =E _E _E | e") == [("E4", 0), ("E4", -1), ("E4", -1)]
    assert drawn_accidentals("M:4/4 K:Cdor E K:Cmaj E") == [("E4", 0)]


def test_pitches_have_their_place():
    assert staff_place("^c'") == ("C", 6)
    assert staff_place("B,") == ("B", 3)


def test_a_pickup_is_bar_0_and_a_part_begins_a_line():
    bars = lay_out(TUNE).bars
    assert [bar.number for bar in bars] == list(range(7))
    assert [bar.number for bar in bars if bar.new_line] == [5]
    assert [bar.ending for bar in bars] == ["", "", "", "1", "2", "", ""]
    assert [bar.right for bar in bars] == ["single", "single", "single", "repeat", "double", "single", "end"]


def test_beams_join_notes_of_a_beat_and_stop_at_rests_and_tuplets():
    (bar,) = lay_out("M:4/4 K:Cmaj C D z E (3 F G A B c |".split()).bars
    assert beam_spans(bar.groups) == [(0, 2), (4, 7), (7, 9)]


def test_an_endless_bar_comes_in_pieces_between_which_lines_can_break():
    bars = lay_out(["M:4/4", "K:Cmaj", *["C"] * 100]).bars
    assert [len(bar.symbols) for bar in bars] == [8] * 12 + [4]
    assert {bar.right for bar in bars} == {"none"}


def test_music21_reads_the_notes_of_our_mei(test_data: Path):
    """An independent reader of MEI hears pitch, onset and length; it skips endings, so these brackets are taken off."""
    mei = pytest.importorskip("music21.mei")
    for tokens in [TUNE, *real_tunes(test_data, 300)]:
        text = re.sub(r"</?ending[^>]*>", "", to_mei(tokens))
        heard = mei.MeiToM21Converter(text).run().stripTies().flatten()
        pitches = sorted((p.midi, 2 * n.offset, 2 * n.quarterLength) for n in heard.notes for p in n.pitches)
        expected = sorted((n.pitch, n.onset, n.duration) for n in notes(tokens, unfold=False))
        assert [pitch for pitch, _, _ in pitches] == [pitch for pitch, _, _ in expected]
        assert [float(x) for _, *times in pitches for x in times] == pytest.approx(
            [float(x) for _, *times in expected for x in times]
        )


# Engraving


def test_verovio_engraves_a_tune_with_its_key_and_every_note():
    (score,) = engrave([TUNE])
    assert (score.note, score.refusal, score.html) == ("", "", score.svg)
    assert is_self_contained(score.svg)
    assert len(score.svg) < 60_000
    ids = {element.get("id") for element in ElementTree.fromstring(score.svg).iter()}
    assert {f"n1-t{note.index}" for note in notes(TUNE)} <= ids
    flats = re.search(r'class="keySig">(.*?)</g></g>', score.svg)
    assert flats is not None
    assert flats[1].count("E260") == 2  # the flat of SMuFL, twice: C dorian


def test_the_same_tune_gives_the_same_picture():
    assert engrave([TUNE]) == engrave([TUNE])


def test_no_tune_no_score():
    assert engrave([]) == []


def test_flaws_are_told_under_the_score():
    (score,) = engrave(["M:4/4 K:Cmaj C 8 | ] C 9 | C 8 |".split()])
    assert score.svg
    assert score.note == "unmatched ] (token 5), bar too long (token 5: 9 of 8 eighths)"


def test_sixty_random_strings_are_engraved():
    tunes = random_tunes(60)
    scores = engrave(tunes)
    assert len(scores) == 60
    assert all(is_self_contained(score.svg) for score in scores)
    assert all(score.note for score in scores)


def test_what_kills_verovio_costs_no_other_tune():
    """verovio 6.4 dies of a tune without a body and of a stray bracket in ABC."""
    good = to_mei(TUNE)
    answers = engrave_encodings([good, "X:1\nL:1/8\nK:C\n]C]|\n", good])
    assert [bool(answer.svg) for answer in answers] == [True, False, True]
    assert "verovio" in answers[1].refusal


def test_where_verovio_is_too_slow_the_tune_is_shown_as_abc_with_the_reason():
    scores = engrave([TUNE, ["]", "<s>"]], seconds=0)
    assert [score.svg for score in scores] == ["", ""]
    assert scores[0].refusal == "not engraved (verovio gave no answer in 0 s)"
    assert scores[0].html == f"<p>{scores[0].refusal}</p><pre>{to_abc(TUNE).replace('>', '&gt;')}</pre>"
    assert "<s>" not in scores[1].html
