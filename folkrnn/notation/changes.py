"""What becomes of a tune of somebody's on its way into tokens, in words: nothing that is heard changes unsaid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from folkrnn.notation.abc import AbcTune
from folkrnn.notation.keys import Key, read_key
from folkrnn.notation.lexer import LEXEMES, fields_before_notes
from folkrnn.notation.meters import read_meter

_MODES = {"maj": "major", "min": "minor", "dor": "dorian", "mix": "mixolydian"}
_SIGNS = {-1: "♭", 0: "", 1: "♯"}
_SPELT = ("C", "4/4")
"""Two spellings of one meter."""

_LEFT_OUT = {
    "grace": ("grace notes", "{…}"),
    "tie": ("ties: both notes are struck", "-"),
    "decoration": ("ornaments", "!…!"),
    "ornament": ("ornaments", "~"),
    "chord symbol": ("chord symbols and annotations", '"…"'),
    "words": ("lines of words", "w:"),
}


def changes(tune: AbcTune) -> list[str]:
    """Returns what `tokenise` changes in a tune that it can read: "transposed from G major by −4 diatonic steps".

    Breaks of lines, slurs and spaces between notes are no change, nor is the unit in which lengths are counted.
    """
    inside = fields_before_notes(tune.body)
    key, meter = read_key(inside.get("K", tune.key)), inside.get("M", tune.meter)
    return [*_of_header(key, meter), *_of_music(tune.body)]


def changes_in_fragment(text: str, header: Mapping[str, str]) -> list[str]:
    """Returns the same of the beginning of a tune, whose fields are `header`, where it has them."""
    key = read_key(header["K"]) if "K" in header else Key("C", 0, "maj")
    return [*_of_header(key, header.get("M", "")), *_of_music(text)]


def _of_header(key: Key, meter: str) -> list[str]:
    found = []
    if (key.letter, key.alteration) != ("C", 0):
        name = f"{key.letter}{_SIGNS[key.alteration]} {_MODES[key.mode]}"
        steps = f" by {key.steps:+d} diatonic step{'s' * (abs(key.steps) != 1)}" if key.steps else ""
        found.append(f"transposed from {name} to C{steps}".replace("-", "−"))
    written = meter.partition("%")[0].strip()
    if (
        written
        and (token := read_meter(meter).removeprefix("M:")) != written.replace(" ", "")
        and not (written.upper() == _SPELT[0] and token == _SPELT[1])
    ):
        found.append(f"meter {written} read as {token}")
    return found


def _of_music(body: str) -> list[str]:
    counts: Counter[str] = Counter()
    for match in LEXEMES.finditer(body):
        if kind := _kind(match.lastgroup or "", match[0]):
            counts[kind] += 1
    return [f"{count} × {_LEFT_OUT[kind][1]} left out ({_LEFT_OUT[kind][0]})" for kind, count in counts.items()]


def _kind(group: str, text: str) -> str:
    """Under which name in _LEFT_OUT a lexeme is left out; "" where nothing of the music is lost."""
    if group == "dropped":
        return "tie" if text[0] == "-" else "ornament" if text in ("~", ".") else ""
    if group == "quoted":
        return "chord symbol"
    if group == "line":
        return "words" if text.lstrip()[:1] in "wW" else ""
    return group if group in _LEFT_OUT else ""
