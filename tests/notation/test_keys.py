"""Keys are read in every spelling, and transposition to C keeps the mode and each accidental's alteration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.notation.keys import Key, in_c, read_key
from folkrnn.notation.rejection import Unfit

SEMITONES = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
SCALES = {
    "maj": (0, 2, 4, 5, 7, 9, 11),
    "min": (0, 2, 3, 5, 7, 8, 10),
    "dor": (0, 2, 3, 5, 7, 9, 10),
    "mix": (0, 2, 4, 5, 7, 9, 10),
}
LETTERS = st.sampled_from("CDEFGAB")
KEYS = st.builds(Key, LETTERS, st.sampled_from((-1, 0, 1)), st.sampled_from(sorted(SCALES)))


def reason(name: str) -> str:
    with pytest.raises(Unfit) as unfit:
        read_key(name)
    return unfit.value.reason


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("D", ("D", 0, "maj")),
        ("Dmaj", ("D", 0, "maj")),
        ("D Major", ("D", 0, "maj")),
        ("dmajor", ("D", 0, "maj")),
        ("G ionian", ("G", 0, "maj")),
        ("Ador", ("A", 0, "dor")),
        ("ADor", ("A", 0, "dor")),
        ("A dorian % a remark", ("A", 0, "dor")),
        ("A mix", ("A", 0, "mix")),
        ("AMixolydian", ("A", 0, "mix")),
        ("Em", ("E", 0, "min")),
        ("Emin", ("E", 0, "min")),
        ("E Minor", ("E", 0, "min")),
        ("B aeolian", ("B", 0, "min")),
        ("F#m", ("F", 1, "min")),
        ("Bb", ("B", -1, "maj")),
        ("Bbm", ("B", -1, "min")),
        ("Eb dor", ("E", -1, "dor")),
        ("Gm clef=treble octave=-1", ("G", 0, "min")),
        ("D bass", ("D", 0, "maj")),
        ("C transpose=2 middle=B", ("C", 0, "maj")),
        ("G (part A again)", ("G", 0, "maj")),
        ("D(mix)", ("D", 0, "mix")),
    ],
)
def test_a_key_is_read_in_any_spelling(name: str, key: tuple[str, int, str]):
    assert read_key(name) == Key(*key)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Aphr", "mode"),
        ("D Lydian", "mode"),
        ("B locrian", "mode"),
        ("HP", "bagpipes"),
        ("Hp", "bagpipes"),
        ("", "no_key"),
        ("none", "no_key"),
        ("clef=bass", "no_key"),
        ("D exp ^f ^c", "key_accidentals"),
        ("D ^g", "key_accidentals"),
        ("Dmix=c", "key_accidentals"),
        ("H", "key"),
        ("Es", "key"),
        ("Bn", "key"),
        ("D flat", "key"),
        ("Aeolian", "key"),
    ],
)
def test_other_keys_are_rejected_with_their_reason(name: str, why: str):
    assert reason(name) == why


@pytest.mark.parametrize(
    ("key", "moved"),
    [("C", "C"), ("D", "C"), ("E", "C"), ("F", "C"), ("G", "C"), ("A", "c"), ("B", "c")],
)
def test_the_tonic_goes_down_to_c_and_from_a_and_b_up(key: str, moved: str):
    assert in_c("", key, "", read_key(key)) == moved


@pytest.mark.parametrize(
    ("key", "written", "token"),
    [
        ("D", "=c", "_B"),
        ("D", "^g", "^F"),
        ("D", "=g", "=F"),
        ("D", "^c", "=B"),
        ("Bm", "^A", "=B"),
        ("Gm", "^f", "=B"),
        ("Ador", "^g", "=b"),
        ("Cmix", "=b", "=b"),
        ("F", "=b", "^f"),
        ("C", "_b", "_b"),
    ],
)
def test_an_accidental_keeps_its_alteration_relative_to_the_key(key: str, written: str, token: str):
    moved = in_c(written[0], written[1], written[2:], read_key(key))
    assert moved.lower().rstrip(",'") == token.lower()


@pytest.mark.parametrize(("key", "written"), [("C", "^^F"), ("Gm", "_F"), ("Am", "_G"), ("D", "_c")])
def test_a_double_accidental_is_rejected_written_or_resulting(key: str, written: str):
    with pytest.raises(Unfit) as unfit:
        in_c(written[:-1], written[-1], "", read_key(key))
    assert unfit.value.reason == "double_accidental"


def test_notes_outside_the_four_octaves_are_rejected():
    assert in_c("", "C", ",", read_key("C")) == "C,"
    assert in_c("", "b", "'", read_key("C")) == "b'"
    for letter, octave, key in (("C", ",", "D"), ("b", "'", "A"), ("c", "''", "C")):
        with pytest.raises(Unfit) as unfit:
            in_c("", letter, octave, read_key(key))
        assert unfit.value.reason == "pitch"


@given(KEYS)
def test_the_signature_makes_the_scale_of_the_mode(key: Key):
    tonic = SEMITONES[key.letter] + key.alteration
    start = "CDEFGAB".index(key.letter)
    degrees = [("CDEFGAB" * 2)[start + i] for i in range(7)]
    sounding = tuple((SEMITONES[name] + key.signature[name] - tonic) % 12 for name in degrees)
    assert sounding == SCALES[key.mode]


@given(KEYS, st.sampled_from(("", "_", "=", "^")), LETTERS, st.booleans())
def test_transposition_keeps_mode_degree_and_distance_from_the_tonic(key: Key, accidental: str, letter: str, low: bool):
    """A note and its token lie equally far above their tonics, in semitones: nothing else is transposition."""
    sharps = {"_": -1, "=": 0, "^": 1}
    letter = letter if low else letter.lower()
    try:
        token = in_c(accidental, letter, "", key)
    except Unfit as unfit:
        assert unfit.reason == "double_accidental"
        return
    home = Key("C", 0, key.mode)
    assert key.token == home.token
    bare = token.lstrip("_=^")
    written = sharps[accidental] if accidental else key.signature[letter.upper()]
    moved = sharps[token[0]] if accidental else home.signature[bare[0].upper()]
    above_tonic = SEMITONES[letter.upper()] + written - SEMITONES[key.letter] - key.alteration
    above_c = SEMITONES[bare[0].upper()] + moved
    assert (above_tonic - above_c) % 12 == 0
    assert bool(accidental) == (token != bare), "a plain note stays plain, a marked one stays marked"
    steps = ("CDEFGAB".index(bare[0].upper()) - "CDEFGAB".index(letter.upper())) % 7
    assert steps == key.steps % 7


@given(st.text(alphabet="ABCDEFGHabcdefgmixdorphlyn#b♯♭^_=0123456789 /%().-clefnonexp", max_size=30))
def test_reading_a_key_gives_a_key_or_a_reason(name: str):
    try:
        key = read_key(name)
    except Unfit:
        return
    assert key.token in ("K:Cmaj", "K:Cmin", "K:Cdor", "K:Cmix")
