"""Music code to tokens: the pass over the lexemes that cleans, transposes, counts in eighths and writes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from folkrnn.notation.barlines import ending_token, measure_tokens, write_measure
from folkrnn.notation.keys import Key, in_c, read_key
from folkrnn.notation.lexer import LEXEMES
from folkrnn.notation.meters import length_token, read_length, read_meter, read_unit
from folkrnn.notation.rejection import Unfit
from folkrnn.vocabulary import Vocabulary

_DYNAMICS = frozenset(("f", "ff", "fff", "ffff"))
_NOTES = re.compile(r"(?:[_^=]{0,3}[A-Ga-gz][,']*[\d/]*)+[<>]*")


@dataclass
class Transcription:
    """What has been written so far, and what the fields met on the way say."""

    vocabulary: Vocabulary
    key: Key | None
    meter: str
    unit: Fraction
    tokens: list[str] = field(default_factory=list)
    voices: set[str] = field(default_factory=set)
    chord: list[tuple[str, Fraction]] | None = None
    pitches: dict[str, str] = field(default_factory=dict)
    lengths: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    @property
    def begun(self) -> bool:
        """Whether a note has been written: fields before it are header, after it changes."""
        return bool(self.pitches)


def transcribe(body: str, state: Transcription) -> Transcription:
    """Writes the tokens of `body` to `state` and returns it.

    Raises Unfit at the first thing that has no token. A chord left open stays in `state.chord`.
    """
    write = {
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
        "other": _other,
    }
    for match in LEXEMES.finditer(body):
        kind = match.lastgroup
        if kind == "note":
            _note(match, state)
        elif kind in write:
            write[kind](match, state)
    return state


def _note(match: re.Match[str], state: Transcription) -> None:
    written = match["pitch"]
    pitch = state.pitches.get(written) or _pitch(match, state)
    if state.chord is not None:
        if match["broken"]:
            raise Unfit("chord", match[0])
        state.chord.append((pitch, read_length(match["length"])))
        return
    state.tokens.append(pitch)
    length = match["length"], match["broken"]
    if length != ("", ""):
        known = state.lengths.get(length)
        state.tokens.extend(_length(*length, state) if known is None else known)
    elif state.unit != Fraction(1, 8):
        state.tokens.extend(_length("", "", state))


def _pitch(match: re.Match[str], state: Transcription) -> str:
    """The token of a written pitch, remembered."""
    written, letter = match["pitch"], match["letter"]
    if len(written) > 8:
        raise Unfit("pitch", written[:20])
    if letter == "z":
        token = "z"
    elif state.key is None:
        raise Unfit("no_key", "a note before any K:")
    else:
        token = in_c(match["accidental"], letter, match["octave"], state.key)
    if token not in state.vocabulary.index:
        raise Unfit("pitch", f"{written}, on C {token}")
    state.pitches[written] = token
    return token


def _length(written: str, broken: str, state: Transcription) -> tuple[str, ...]:
    """The tokens of a written length and the broken rhythm that stands at it, remembered."""
    tokens = _length_tokens(read_length(written) * state.unit * 8, broken, written, state)
    if len(written) < 8:
        state.lengths[written, broken] = tokens
    return tokens


def _length_tokens(eighths: Fraction, broken: str, written: str, state: Transcription) -> tuple[str, ...]:
    if len(broken) > 1:
        raise Unfit("broken_rhythm", f"{written}{broken[:8]}")
    number = length_token(eighths)
    if number + broken in state.vocabulary.index:
        return (number + broken,)
    missing = [token for token in (number, broken) if token and token not in state.vocabulary.index]
    if missing:
        raise Unfit("duration", f"{eighths} eighths, written {written or '1'} of {state.unit}")
    # "3>" has no token; "3 >" says the same in two, as folk-rnn's own data do here and there.
    return tuple(token for token in (number, broken) if token)


def _measure(match: re.Match[str], state: Transcription) -> None:
    _outside_chord(match, state)
    for token in measure_tokens(match["sign"]):
        write_measure(state.tokens, token)
    if match["number"]:
        write_measure(state.tokens, ending_token(match["number"]))


def _ending(match: re.Match[str], state: Transcription) -> None:
    _outside_chord(match, state)
    write_measure(state.tokens, ending_token(match["ending_number"]))


def _tuplet(match: re.Match[str], state: Transcription) -> None:
    _outside_chord(match, state)
    token = f"({match['tuplet_number'][:4]}"
    if token not in state.vocabulary.index:
        raise Unfit("tuplet", match[0][:20])
    state.tokens.append(token)


def _rhythm(match: re.Match[str], state: Transcription) -> None:
    _outside_chord(match, state)
    if len(match[0]) > 1:
        raise Unfit("broken_rhythm", match[0][:8])
    state.tokens.append(match[0])


def _factor(match: re.Match[str], state: Transcription) -> None:
    raise Unfit("sign", f"{match[0][:20]} with no note before it")


def _open(match: re.Match[str], state: Transcription) -> None:
    _outside_chord(match, state)
    state.chord = []


def _close(match: re.Match[str], state: Transcription) -> None:
    if not state.chord:
        raise Unfit("chord", "[]" if state.chord is not None else "] without [")
    outer = read_length(match["chord_length"].strip())
    write_chord(state, outer, match["chord_broken"])


def write_chord(state: Transcription, outer: Fraction, broken: str, closing: str = "]") -> None:
    """Writes the notes of the chord in hand. Lengths stay where they were written, inside or after the brackets; a unit
    other than an eighth goes to the place where a length is written, or after the brackets where there is none."""
    inside = any(length != 1 for _, length in state.chord or ())
    unit = state.unit * 8
    state.tokens.append("[")
    for pitch, length in state.chord or ():
        state.tokens.append(pitch)
        state.tokens.extend(_length_tokens(length * unit if inside else length, "", str(length), state))
    if closing:
        state.tokens.append(closing)
        state.tokens.extend(_length_tokens(outer if inside else outer * unit, broken, str(outer), state))
    state.chord = None


def _line(match: re.Match[str], state: Transcription) -> None:
    _field(match["line_name"], match["line_value"], state)


def _inline(match: re.Match[str], state: Transcription) -> None:
    _field(match["inline_name"], match["inline_value"], state)


def _field(name: str, value: str, state: Transcription) -> None:
    """A field among the music: a change of key or meter after the first note is more than the tokens can say."""
    if name == "L":
        state.unit = read_unit(value)
        state.lengths.clear()
    elif name == "K":
        key = read_key(value)
        if state.begun and key != state.key:
            raise Unfit("several_keys", f"K:{value.strip()[:40]}")
        state.key = key
    elif name == "M":
        meter = read_meter(value)
        if state.begun and meter != state.meter:
            raise Unfit("several_meters", f"M:{value.strip()[:20]}")
        state.meter = meter
    elif name == "V":
        state.voices.add(value.split()[0] if value.strip() else "")
        if len(state.voices) > 1:
            raise Unfit("several_voices", " and ".join(sorted(state.voices))[:40])


def _decoration(match: re.Match[str], state: Transcription) -> None:
    """`!trill!` is dropped; where `!` is an old line break, what stands between two of them is music."""
    name = match["decoration_name"]
    if name in _DYNAMICS or not _NOTES.fullmatch(name):
        return
    transcribe(name, state)


def _plus(match: re.Match[str], state: Transcription) -> None:
    """`+trill+` is dropped; `+CEG+` is how the first ABC wrote a chord."""
    name = match["plus_name"]
    if name in _DYNAMICS or not _NOTES.fullmatch(name):
        return
    transcribe(f"[{name}]", state)


def _rests(match: re.Match[str], state: Transcription) -> None:
    raise Unfit("multi_bar_rest", match[0][:20])


def _overlay(match: re.Match[str], state: Transcription) -> None:
    raise Unfit("several_voices", "&")


def _other(match: re.Match[str], state: Transcription) -> None:
    raise Unfit("sign", repr(match[0]))


def _outside_chord(match: re.Match[str], state: Transcription) -> None:
    if state.chord is not None:
        raise Unfit("chord", f"{match[0][:20]} inside [ ]")
