"""Slips of grammar mended, so that every program reads the tune that its score shows.

A stray bracket is left out, a tuplet that a bar line cuts short says how many notes it has, a length that stands behind
no note goes, and so does broken rhythm without a second note. A repeat that is never closed begins with a plain bar
line, and so does an ending without its other; one that has endings has its beginning. What ABC's programs do not read
is written in another way that sounds the same: thirds of an eighth as parts of a triplet, broken rhythm of any but two
notes of one length as lengths. What a tune without slips consists of stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from folkrnn.notation.events import (
    DANGLING_BROKEN_RHYTHM,
    EMPTY_CHORD,
    LENGTH_WITHOUT_NOTE,
    NESTED_CHORD,
    SIGN_IN_CHORD,
    UNFINISHED_TUPLET,
    UNMATCHED_CLOSE,
    UNMATCHED_OPEN,
    Event,
    Flaw,
    Reading,
    is_compound,
    read,
    split_length,
    tuplet_shape,
)

_SIGNS = ("|:", ":|", "|1", "|2")
_LEFT_OUT = {LENGTH_WITHOUT_NOTE, NESTED_CHORD, SIGN_IN_CHORD, UNMATCHED_CLOSE, UNMATCHED_OPEN}
UNCLOSED_REPEAT = "repeat without end"
UNBEGUN_REPEAT = "repeat without beginning"
LONE_ENDING = "ending without its other"
UNEQUAL_BROKEN_RHYTHM = "broken rhythm of more than two like notes"
THIRD = "third of an eighth"
MENDED = {*_LEFT_OUT, DANGLING_BROKEN_RHYTHM, EMPTY_CHORD, UNFINISHED_TUPLET}
"""The flaws that are mended; bars of a wrong length, and fields and markers inside a tune, stay what they are."""


def mended(tokens: Sequence[str]) -> tuple[list[str], list[Flaw]]:
    """Returns the tokens of a tune without slips of grammar, and the slips; `(3:2:2` says a tuplet that is cut short.

    The events of `events.read` are the same, with the same lengths.
    """
    words = list(tokens)
    reading = read(words)
    slips = [flaw for flaw in reading.flaws if flaw.reason in MENDED]
    for flaw in slips:
        _mend(words, flaw, reading)
    slips += _repeats(words) + _lengths(words, reading)
    return [part for word in words for part in word.split()], sorted(slips, key=lambda flaw: flaw.index)


def _repeats(words: list[str]) -> list[Flaw]:
    """Makes plain bar lines of a `|:` that no `:|` closes before the next, and of `|1` and `|2` that are no pair.

    A part with a first ending that begins behind a `:|` begins with `|:`.
    """
    plain: list[Flaw] = []
    begun: list[Flaw] = []
    opened = first = last = unbegun = -1
    closed = False
    for place in [place for place, word in enumerate(words) if word in _SIGNS]:
        word = words[place]
        if word == ":|":
            begun += [Flaw(unbegun, UNBEGUN_REPEAT)] if first >= 0 and unbegun >= 0 else []
            opened, unbegun, closed, last = -1, -1, True, place
        elif word == "|2":
            if first < 0 or not closed:
                plain.append(Flaw(place, LONE_ENDING, word))
            first = last = -1
        else:
            if first >= 0 and not closed:
                plain.append(Flaw(first, LONE_ENDING, words[first]))
            if word == "|:":
                plain += [Flaw(opened, UNCLOSED_REPEAT)] if opened >= 0 else []
                opened, first, unbegun = place, -1, -1
            else:
                unbegun = last if opened < 0 else -1
                first = place
            closed = False
    plain += [Flaw(first, LONE_ENDING, words[first])] if first >= 0 and not closed else []
    plain += [Flaw(opened, UNCLOSED_REPEAT)] if opened >= 0 else []
    for flaw in plain:
        before = next((word for word in words[: flaw.index][::-1] if word), "")
        words[flaw.index] = "" if before in (*_SIGNS, "|") or before[:2] in ("", "M:", "K:") else "|"
    for flaw in begun:
        words[flaw.index] += " |:"
    return plain + begun


def _lengths(words: list[str], reading: Reading) -> list[Flaw]:
    """Writes in another way what ABC's programs do not read."""
    found = []
    for chain in _chains(words, reading.events):
        plain = all(event.pitches == [event.start] for event in chain)
        alike = len(chain) == 2 and len({(event.length, event.ratio) for event in chain}) == 1
        if plain and not (alike and not _has_thirds(chain[0])):
            found.append(Flaw(chain[0].start + 1, UNEQUAL_BROKEN_RHYTHM))
            for event in chain:
                _set_length(words, event, event.length * event.swing)
    for event in reading.events:
        if _has_thirds(event) and event.swing == 1 and event.pitches == [event.start]:
            found.append(Flaw(event.start, THIRD, str(event.length)))
            _set_length(words, event, event.length)
    return found


def _has_thirds(event: Event) -> bool:
    return event.length.denominator % 3 == 0 and event.tuplet is None


def _chains(words: list[str], events: Sequence[Event]) -> list[list[Event]]:
    """The events that broken rhythm joins, each with the next."""
    chains: list[list[Event]] = []
    joined = False
    for event in events:
        if joined:
            chains[-1].append(event)
        joins = bool(_signs(words, event))
        if joins and not joined:
            chains.append([event])
        joined = joins
    return chains


def _signs(words: list[str], event: Event) -> str:
    """The signs of broken rhythm behind an event."""
    return "".join(sign for word in words[event.start + 1 : event.stop] for sign in word if sign in "<>")


def _set_length(words: list[str], event: Event, length: Fraction) -> None:
    """Writes the length behind a note, that with thirds as part of a triplet."""
    for place in range(event.start + 1, event.stop):
        words[place] = ""
    triplet = _has_thirds(event)
    length *= Fraction(3, 2) if triplet else 1
    text = "" if length == 1 else str(length).removeprefix("1") if length.numerator == 1 else str(length)
    words[event.start] = f"{'(3:2:1 ' if triplet else ''}{words[event.start]} {text}"


def _mend(words: list[str], flaw: Flaw, reading: Reading) -> None:
    place = flaw.index
    if flaw.reason in _LEFT_OUT:
        if flaw.reason == NESTED_CHORD:
            _close_inside(words, place)
        words[place] = ""
    elif flaw.reason == EMPTY_CHORD:
        while words[place] != "]":
            words[place] = ""
            place += 1
        words[place] = ""
    elif flaw.reason == UNFINISHED_TUPLET:
        words[place] = _tuplet(words, place, int(flaw.detail.split()[0]), reading)
    else:
        _without_signs(words, place, reading)


def _close_inside(words: list[str], place: int) -> None:
    """Leaves out the `]` of a chord inside a chord."""
    close = next((i for i in range(place, len(words)) if words[i] == "]"), None)
    if close is not None:
        words[close] = ""


def _tuplet(words: list[str], place: int, missing: int, reading: Reading) -> str:
    """The sign of a tuplet of as many notes as there are; "" for none."""
    meters = [word for word, kind in zip(words[:place], reading.kinds, strict=False) if kind == "meter"]
    p, q, r = tuplet_shape(words[place], bool(meters) and is_compound(meters[-1]))
    return f"({p}:{q}:{r - missing}" if r > missing else ""


def _without_signs(words: list[str], place: int, reading: Reading) -> None:
    """Takes the broken rhythm off the length that begins at `place`, or leaves out signs that stand alone."""
    stop = next((event.stop for event in reading.events if event.start < place < event.stop), place + 1)
    for i in range(place, stop):
        words[i] = words[i].rstrip("<>") if split_length(words[i])[0] is not None else ""
