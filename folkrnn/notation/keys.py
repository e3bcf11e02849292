"""Keys of ABC's K: field, and the transposition that gives every tune the root C (facts sheet section 4.4b)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from folkrnn.notation.rejection import Unfit

MODES = {"maj": "maj", "ion": "maj", "min": "min", "aeo": "min", "m": "min", "dor": "dor", "mix": "mix"}
"""What K: may call a mode (first three letters, any case) to the mode of the token."""

STEPS = {"C": 0, "D": -1, "E": -2, "F": -3, "G": -4, "A": 2, "B": 1}
"""Diatonic steps by which a tune on each tonic letter moves to C."""

_UNSUPPORTED = ("phr", "lyd", "loc")
_FIFTHS = "FCGDAEB"
_OF_MODE = {"maj": 0, "mix": -1, "dor": -2, "min": -3}
_ALTERATION = {"": 0, "=": 0, "^": 1, "_": -1, "^^": 2, "__": -2}
_SIGN = {-1: "_", 0: "=", 1: "^"}
_SCALE = "CDEFGAB"

_TONIC = re.compile(r"([A-Ga-g])([#b♯♭]?)[ \t]*(.*)", re.DOTALL)
_MODE_WORD = re.compile(r"\(?([A-Za-z]+)\)?(?![\w=])")
_LONGEST = 200  # characters of a K: field that are read; the expressions below need a bound
_CLEF = re.compile(
    r"(?:clef|middle|transpose|octave|stafflines|staffscale|style|name|nm|score|sound|shift|cue|stem)\s*=\S*"
    r"|(?:treble|bass|tenor|alto|baritone|soprano|mezzosoprano|mezzo|perc|none)\d?(?:[+-]8)?\b",
    re.IGNORECASE,
)
_ACCIDENTALS = re.compile(r"(?:exp\b)|[_^=]+\d*/?\d*[A-Ga-g]", re.IGNORECASE)


@dataclass(frozen=True)
class Key:
    """A tonic and one of the four modes: D major is Key("D", 0, "maj"), B flat minor Key("B", -1, "min")."""

    letter: str
    alteration: int
    mode: str

    @property
    def token(self) -> str:
        """The mode token of the tune once it stands on C."""
        return f"K:C{self.mode}"

    @property
    def steps(self) -> int:
        """Diatonic steps to C."""
        return STEPS[self.letter]

    @property
    def signature(self) -> dict[str, int]:
        """Sharps (+1) and flats (-1) of each letter, as the key signature has them."""
        return _signature(self.letter, self.alteration, self.mode)


def read_key(text: str) -> Key:
    """Returns the key that the content of a K: field names: "D", "F#m", "A Mix", "Edorian", "Bb major clef=bass".

    Raises Unfit (no_key, key, mode, key_accidentals, bagpipes) for what has no mode token.
    """
    name = text.partition("%")[0].strip()[:_LONGEST]
    if name in ("HP", "Hp"):
        raise Unfit("bagpipes", f"K:{name}")
    if not name or name.lower() == "none":
        raise Unfit("no_key", f"K:{name}")
    if only_clef(name):
        raise Unfit("no_key", f"K:{name[:40]}")
    match = _TONIC.fullmatch(name)
    if match is None:
        raise Unfit("key", f"K:{name[:40]}")
    letter, sign, rest = match.groups()
    alteration = {"#": 1, "♯": 1, "b": -1, "♭": -1, "": 0}[sign]
    return Key(letter.upper(), alteration, _mode(rest, name))


def only_clef(text: str) -> bool:
    """Returns whether a K: field names clefs and the like and no tonic: it leaves the key as it is."""
    name = text.strip()[:_LONGEST]
    return bool(name) and name.lower() != "none" and not _CLEF.sub("", name).strip()


def _mode(rest: str, name: str) -> str:
    """The mode in what follows the tonic; clef words are of no consequence."""
    rest = _CLEF.sub("", rest).strip()
    if _ACCIDENTALS.search(rest):
        raise Unfit("key_accidentals", f"K:{name[:40]}")
    if not rest:
        return "maj"
    word = _MODE_WORD.fullmatch(rest.split()[0])
    short = word[1].lower()[:3] if word else ""
    if rest.startswith("(") and short not in (*MODES, *_UNSUPPORTED):
        return "maj"  # a remark, such as "K:G (part A again)"
    if short in _UNSUPPORTED:
        raise Unfit("mode", f"K:{name[:40]}")
    if short not in MODES:
        raise Unfit("key", f"K:{name[:40]}")
    return MODES[short]


@cache
def _signature(letter: str, alteration: int, mode: str) -> dict[str, int]:
    # C major is 0 on the circle of fifths; a count of n sharps raises F, C, G, ... in that order, 7 raise them all.
    fifths = _FIFTHS.index(letter) - 1 + 7 * alteration + _OF_MODE[mode]
    return {name: (fifths - place + 6) // 7 for place, name in enumerate(_FIFTHS)}


def in_c(accidental: str, letter: str, octave: str, key: Key) -> str:
    """Returns the token of a written note once the tune stands on C, in the same mode.

    The letter moves by the key's diatonic steps. An accidental keeps its alteration relative to the key: in D major
    `=c` is a flattened seventh, hence `_B`, and the redundant `=g` becomes `=F`. A plain note stays plain.
    Raises Unfit for a double accidental and for a note outside the four octaves from `C,` to `b'`.
    """
    step = _SCALE.index(letter.upper()) + 7 * letter.islower() + 7 * (octave.count("'") - octave.count(","))
    octaves, degree = divmod(step + key.steps, 7)
    if not -1 <= octaves <= 2:
        raise Unfit("pitch", f"{accidental}{letter}{octave} in {key.letter} lies outside the four octaves")
    name = _SCALE[degree]
    plain = (f"{name},", name, name.lower(), f"{name.lower()}'")[octaves + 1]
    if not accidental:
        return plain
    if accidental not in _ALTERATION:
        raise Unfit("sign", f"{accidental}{letter}")
    relative = _ALTERATION[accidental] - key.signature[letter.upper()]
    alteration = _signature("C", 0, key.mode)[name] + relative
    if abs(alteration) > 1:
        raise Unfit("double_accidental", f"{accidental}{letter}{octave} in {key.letter} {key.mode}")
    return _SIGN[alteration] + plain
