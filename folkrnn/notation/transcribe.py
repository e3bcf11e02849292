"""Music code to tokens: the pass over the lexemes that cleans, transposes, counts in eighths and writes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeVar

from folkrnn.notation.barlines import ending_token, measure_tokens, write_measure
from folkrnn.notation.keys import Key, in_c, only_clef, read_key
from folkrnn.notation.lexer import LEXEMES
from folkrnn.notation.meters import length_token, read_length, read_meter, read_unit
from folkrnn.notation.rejection import Unfit
from folkrnn.notation.tuplets import OpenTuplet, joined, read_tuplet
from folkrnn.vocabulary import Vocabulary

_EIGHTH = Fraction(1, 8)
_SPELT_LIKE_NOTES = frozenset(("f", "ff", "fff", "ffff", "DC"))  # dynamics, da capo
_SYMBOL = re.compile(r"[ \t]*([H-Wh-w~])[ \t]*=")
_TYPESET = re.compile(r"%%[ \t]*begin(?:text|ps|svg|js|ml)\b", re.IGNORECASE)
_NOTES = re.compile(r"(?:[_^=]{0,3}[A-Ga-gz][,']*+[\d/]*+[<>]*+)+")

_Read = TypeVar("_Read")


@dataclass
class Transcriber:
    """What has been written so far, and what the fields met on the way say."""

    vocabulary: Vocabulary
    key: Key
    meter: str
    unit: Fraction
    tokens: list[str] = field(default_factory=list)
    voices: set[str] = field(default_factory=set)
    chord: list[tuple[str, Fraction]] | None = None
    """Notes of the chord whose bracket is open, with their lengths in units."""
    tuplet: OpenTuplet | None = None
    """The one whose notes come, where they are written in another way."""
    symbols: frozenset[str] = frozenset()
    """Letters that U: makes ornaments of."""
    pitches: dict[str, str] = field(default_factory=dict)
    """Written pitch to token, as met so far: a tune has few."""
    lengths: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Written length and broken rhythm to tokens, in the present unit."""

    @property
    def begun(self) -> bool:
        """Whether a note has been met: a field before it belongs to the header, after it is a change."""
        return bool(self.pitches)


def transcribe(body: str, state: Transcriber) -> Transcriber:
    """Writes the tokens of `body` to `state` and returns it; a chord left open stays in `state.chord`.

    Raises Unfit, which knows the place, at the first thing that has no token.
    """
    match = None
    try:
        for match in LEXEMES.finditer(joined(body)):
            write = _WRITERS.get(match.lastgroup or "")
            if write is not None:
                write(match, state)
    except Unfit as unfit:
        unfit.at = match.start() if match else None
        raise
    return state


def _note(match: re.Match[str], state: Transcriber) -> None:
    written, length, broken = match.group("pitch", "length", "broken")
    pitch = state.pitches.get(written) or _pitch(match, state)
    if state.chord is not None:
        if broken:
            raise Unfit("chord", f"{match[0][:20]} inside [ ]")
        state.chord.append((pitch, read_length(length)))
        return
    if state.tuplet is not None:
        _note_of_tuplet(pitch, length, broken, state, state.tuplet)
        return
    state.tokens.append(pitch)
    known = state.lengths.get((length, broken))
    state.tokens.extend(_length(length, broken, state) if known is None else known)


def _note_of_tuplet(pitch: str, length: str, broken: str, state: Transcriber, tuplet: OpenTuplet) -> None:
    factor = _next_of_tuplet(state, tuplet)
    state.tokens.append(pitch)
    with _blamed_on(tuplet):
        state.tokens.extend(_length_tokens(read_length(length) * state.unit * 8 * factor, broken, state))


@contextmanager
def _blamed_on(tuplet: OpenTuplet | None) -> Iterator[None]:
    """A length without a token is the fault of the tuplet that it is in, if it is in one."""
    try:
        yield
    except Unfit as unfit:
        if tuplet is None:
            raise
        raise Unfit("tuplet", f"{tuplet.written}: {unfit.detail}") from unfit


def _next_of_tuplet(state: Transcriber, tuplet: OpenTuplet) -> Fraction:
    """Writes what stands before the next note of a tuplet; returns by what its length is multiplied."""
    if token := tuplet.next():
        state.tokens.append(token)
    if not tuplet.left:
        state.tuplet = None
    return tuplet.factor


def _pitch(match: re.Match[str], state: Transcriber) -> str:
    """The token of a written pitch, remembered."""
    written, accidental, letter, octave = match.group("pitch", "accidental", "letter", "octave")
    if len(written) > 8:
        raise Unfit("pitch", written[:20])
    token = "z" if letter in "xz" else in_c(accidental, letter, octave, state.key)
    if token not in state.vocabulary.index:
        raise Unfit("pitch", f"{written} is {token} on C")
    state.pitches[written] = token
    return token


def _length(written: str, broken: str, state: Transcriber) -> tuple[str, ...]:
    """The tokens of a written length and the broken rhythm that stands at it, remembered."""
    tokens = _length_tokens(read_length(written) * state.unit * 8, broken, state)
    state.lengths[written, broken] = tokens
    return tokens


def _length_tokens(eighths: Fraction, broken: str, state: Transcriber) -> tuple[str, ...]:
    if len(broken) > 1:
        raise Unfit("broken_rhythm", broken[:8])
    number = length_token(eighths)
    merged = number + broken
    if not merged:
        return ()
    if merged in state.vocabulary.index:
        return (merged,)
    # "3>" has no token; "3 >" says the same in two, as folk-rnn's own data do here and there.
    parts = tuple(token for token in (number, broken) if token)
    if any(token not in state.vocabulary.index for token in parts):
        raise Unfit("duration", f"a length of {eighths} eighths")
    return parts


def _measure(match: re.Match[str], state: Transcriber) -> None:
    _outside_chord(match, state)
    for token in measure_tokens(match["sign"]):
        write_measure(state.tokens, token)
    if match["number"]:
        write_measure(state.tokens, ending_token(match["number"]))


def _ending(match: re.Match[str], state: Transcriber) -> None:
    _outside_chord(match, state)
    write_measure(state.tokens, ending_token(match["ending_number"]))


def _tuplet(match: re.Match[str], state: Transcriber) -> None:
    _outside_chord(match, state)
    if state.tuplet is not None:
        raise Unfit("tuplet", f"{match[0][:20]} inside {state.tuplet.written}")
    tuplet = read_tuplet(match[0], state.meter, state.vocabulary)
    if isinstance(tuplet, OpenTuplet):
        state.tuplet = tuplet
    else:
        state.tokens.append(tuplet)


def _rhythm(match: re.Match[str], state: Transcriber) -> None:
    _outside_chord(match, state)
    if len(match[0]) > 1:
        raise Unfit("broken_rhythm", match[0][:8])
    state.tokens.append(match[0])


def _factor(match: re.Match[str], state: Transcriber) -> None:
    raise Unfit("sign", f"{match[0][:20]} with no note before it")


def _open(match: re.Match[str], state: Transcriber) -> None:
    _outside_chord(match, state)
    state.chord = []


def _close(match: re.Match[str], state: Transcriber) -> None:
    if state.chord is None:
        raise Unfit("chord", "] without [")
    if not state.chord:  # it sounds nothing
        state.chord = None
        return
    write_chord(state, read_length(match["chord_length"].strip()), match["chord_broken"])


def write_chord(state: Transcriber, outer: Fraction = Fraction(1), broken: str = "", closing: str = "]") -> None:
    """Writes the chord in hand, `outer` the length behind its bracket; `closing` empty leaves it open.

    Lengths stay where they were written, inside or behind the brackets. What the unit makes of them is said inside
    where a length was written inside, else behind.
    """
    notes, tuplet = state.chord or [], state.tuplet
    unit = state.unit / _EIGHTH
    if tuplet is not None:
        unit *= _next_of_tuplet(state, tuplet)
    inside = any(length != 1 for _, length in notes)
    state.tokens.append("[")
    with _blamed_on(tuplet):
        for pitch, length in notes:
            state.tokens.append(pitch)
            state.tokens.extend(_length_tokens(length * unit if inside else length, "", state))
        if closing:
            state.tokens.append(closing)
            state.tokens.extend(_length_tokens(outer if inside else outer * unit, broken, state))
    state.chord = None


def _line(match: re.Match[str], state: Transcriber) -> None:
    _field(match["line_name"], match["line_value"], state)


def _inline(match: re.Match[str], state: Transcriber) -> None:
    _field(match["inline_name"], match["inline_value"], state)


def _field(name: str, value: str, state: Transcriber) -> None:
    """A field among the music: a change of key or meter after the first note is more than the tokens can say."""
    if name in "KLM" and not state.begun:
        return  # read before, as a part of the header
    if name == "L":
        state.unit = read_unit(value)
        state.lengths.clear()
    elif name == "K" and not only_clef(value):
        state.key = _same(read_key, value, state.key, "several_keys")
    elif name == "M":
        state.meter = _same(read_meter, value, state.meter, "several_meters")
    elif name == "U":
        state.symbols |= user_symbols([value])
    elif name == "V":
        state.voices.add(value.split()[0] if value.strip() else "")
        if len(state.voices) > 1:
            raise Unfit("several_voices", " and ".join(sorted(state.voices))[:40])


def user_symbols(definitions: Iterable[str]) -> frozenset[str]:
    """Returns the letters that fields U: make ornaments of: "n = !trill!" -> n (standard 2.1, section 4.16)."""
    return frozenset(match[1] for value in definitions if (match := _SYMBOL.match(value)))


def _same(read: Callable[[str], _Read], value: str, before: _Read, reason: str) -> _Read:
    """`before`, if that is what a field after the first note says again."""
    try:
        now = read(value)
    except Unfit as unfit:
        raise Unfit(reason, unfit.detail) from unfit
    if now != before:
        raise Unfit(reason, value.strip()[:40])
    return before


def _decoration(match: re.Match[str], state: Transcriber) -> None:
    """`!trill!` is dropped; where `!` is an old line break, what stands between two of them is music."""
    name = match["decoration_name"]
    if name not in _SPELT_LIKE_NOTES and _NOTES.fullmatch(name):
        transcribe(name, state)


def _plus(match: re.Match[str], state: Transcriber) -> None:
    """`+trill+` is dropped; `+CEG+` is how the first ABC wrote a chord."""
    name = match["plus_name"]
    if name not in _SPELT_LIKE_NOTES and _NOTES.fullmatch(name):
        transcribe(f"[{name}]", state)


def _rests(match: re.Match[str], state: Transcriber) -> None:
    raise Unfit("multi_bar_rest", match[0][:20])


def _overlay(match: re.Match[str], state: Transcriber) -> None:
    raise Unfit("several_voices", "&")


def _comment(match: re.Match[str], state: Transcriber) -> None:
    """A comment; but where a block of text begins that never ends, what follows is text."""
    if _TYPESET.match(match[0]):
        raise Unfit("prose", f"{match[0].split()[0][:20]} without its end")


def _word(match: re.Match[str], state: Transcriber) -> None:
    """A word, unless U: says that its letters are ornaments."""
    if not any(letter in state.symbols for letter in match[0]):
        raise Unfit("prose", repr(match[0]))


def _other(match: re.Match[str], state: Transcriber) -> None:
    raise Unfit("sign", repr(match[0]))


def _outside_chord(match: re.Match[str], state: Transcriber) -> None:
    if state.chord is not None:
        raise Unfit("chord", f"{match[0][:20]} inside [ ]")


_WRITERS: dict[str, Callable[[re.Match[str], Transcriber], None]] = {
    "note": _note,
    "measure": _measure,
    "ending": _ending,
    "tuplet": _tuplet,
    "rhythm": _rhythm,
    "factor": _factor,
    "open": _open,
    "close": _close,
    "line": _line,
    "inline": _inline,
    "decoration": _decoration,
    "plus": _plus,
    "rests": _rests,
    "overlay": _overlay,
    "comment": _comment,
    "jump": _word,
    "rule": _word,
    "word": _word,
    "other": _other,
}
