"""From tokens to what sounds: notes, rests and chords with exact lengths, and the slips of grammar on the way.

One pass over any list of folk-rnn tokens, however broken; it never raises. Lengths are Fractions of an eighth note.
The rules are those of the ABC standard 2.1: tuplets (section 4.13), broken rhythm (4.4), chords (4.17: a chord lasts
as long as its first note).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from folkrnn.errors import UserError
from folkrnn.vocabulary import token_type

UNMATCHED_CLOSE = "unmatched ]"
UNMATCHED_OPEN = "unmatched ["
NESTED_CHORD = "nested chord"
EMPTY_CHORD = "empty chord"
SIGN_IN_CHORD = "sign inside a chord"
UNFINISHED_TUPLET = "unfinished tuplet"
LENGTH_WITHOUT_NOTE = "duration without note"
DANGLING_BROKEN_RHYTHM = "dangling broken rhythm"
HEADER_IN_BODY = "header token inside the tune"
MARKER_IN_BODY = "start or end marker inside the tune"
UNKNOWN_TOKEN = "unknown token"

_LENGTH = re.compile(r"(?P<numerator>\d*)(?P<slashes>/*)(?P<denominator>\d*)(?P<broken>[<>]*)")
_METER = re.compile(r"\[?M:(?P<beats>\d+)/(?P<unit>\d+)\]?")
_TUPLET = re.compile(r"\((?P<p>\d+)(?::(?P<q>\d*))?(?::(?P<r>\d*))?")
_ONE = Fraction(1)
COMMON_TIME = Fraction(8)
"""Eighths of a 4/4 bar, the meter where none is given."""


@dataclass(frozen=True)
class Flaw:
    """A defect of a tune: the token where it shows, the kind of defect, and what is particular to this one."""

    index: int
    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} (token {self.index}{f': {self.detail}' if self.detail else ''})"


@dataclass
class Event:
    """A note, a rest or a chord. `start` and `stop` enclose its tokens, length and broken rhythm included."""

    start: int
    stop: int
    pitches: list[int]
    """Indices of its pitch tokens: one of a note or a rest, several of a chord."""
    length: Fraction
    """As written, in eighths, before tuplets and broken rhythm."""
    tuplet: int | None = None
    """Index of the token of its tuplet."""
    ratio: Fraction = _ONE
    """How a tuplet stretches it: 2/3 in a triplet."""
    swing: Fraction = _ONE
    """How broken rhythm stretches it: 3/2 before `>`, 1/2 after it."""

    @property
    def duration(self) -> Fraction:
        """Eighths that it lasts."""
        if self.ratio is _ONE and self.swing is _ONE:  # nine notes of ten: spares the arithmetic
            return self.length
        return self.length * self.ratio * self.swing


@dataclass
class Reading:
    """All that one pass finds. `header` tokens come before the first other token; `body` is the index of that one."""

    kinds: list[str]
    """The type of each token, "unknown" included."""
    body: int = 0
    events: list[Event] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)


@lru_cache(maxsize=4096)
def kind_of(token: str) -> str:
    """Returns the token's type (`vocabulary.TYPES`) or "unknown"."""
    try:
        return token_type(token)
    except UserError:
        return "unknown"


@lru_cache(maxsize=4096)
def nominal_length(meter: str) -> Fraction | None:
    """Returns the eighths in a bar of a meter token: M:6/8 -> 6, M:3/2 -> 12; None of one without a number."""
    match = _METER.fullmatch(meter)
    if match is None or not int(match["unit"]) or not int(match["beats"]):
        return None
    return Fraction(8 * int(match["beats"]), int(match["unit"]))


@lru_cache(maxsize=4096)
def is_compound(meter: str) -> bool:
    """Whether the beat of a meter token divides into three: 6/8, 9/8, 12/8 (ABC standard, section 4.13)."""
    return re.fullmatch(r"\[?M:(6|9|12)/8\]?", meter) is not None


def tuplet_shape(token: str, compound: bool) -> tuple[int, int, int]:
    """Returns (p, q, r) of a tuplet token: p notes in the time of q, for the next r notes.

    q follows from p where it is not written: 3 for 2, 4 and 8, 2 for 3 and 6, and for 5, 7 and 9 it is 3 in compound
    meter and 2 elsewhere.
    """
    match = _TUPLET.match(token)
    p = int(match["p"]) if match else 1
    q = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}.get(p, 3 if compound else 2)
    if match and match["q"]:
        q = int(match["q"])
    r = int(match["r"]) if match and match["r"] else p
    return max(p, 1), max(q, 1), max(r, 1)


@lru_cache(maxsize=4096)
def split_length(token: str) -> tuple[Fraction | None, str]:
    """Returns (length or None, broken rhythm signs) of a duration token: "/2>" -> (1/2, ">"), "<" -> (None, "<")."""
    match = _LENGTH.fullmatch(token)
    if match is None:
        return None, ""
    if not match["numerator"] and not match["slashes"]:
        return None, match["broken"]
    halvings = 2 ** len(match["slashes"])
    denominator = int(match["denominator"]) if match["denominator"] else halvings
    return Fraction(int(match["numerator"] or 1), denominator or 1), match["broken"]


def read(tokens: list[str]) -> Reading:
    """Returns the events of a tune, in order, and its slips of grammar. Never raises."""
    kinds = [kind_of(token) for token in tokens]
    reading = Reading(kinds, body=_header_length(kinds))
    reader = _Reader(tokens, reading)
    meters = [token for token, kind in zip(tokens[: reading.body], kinds, strict=False) if kind == "meter"]
    reader.compound = bool(meters) and is_compound(meters[0])
    place = reading.body
    while place < len(tokens):
        place = reader.step(place)
    reader.close_bar()
    reading.flaws.sort(key=lambda flaw: flaw.index)
    return reading


def _header_length(kinds: list[str]) -> int:
    """One meter and one mode at most; the second of a kind is already part of the tune."""
    seen: set[str] = set()
    for place, kind in enumerate(kinds):
        if kind not in ("meter", "mode") or kind in seen:
            return place
        seen.add(kind)
    return len(kinds)


def _matching_brackets(tokens: list[str], kinds: list[str]) -> dict[int, int]:
    """The places of `[` and of the `]` that closes it, where both stand in one bar."""
    pairs: dict[int, int] = {}
    still_open: list[int] = []
    for place, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        if kind in ("measure", "meter", "mode", "transcription"):
            still_open.clear()
        elif token == "[":
            still_open.append(place)
        elif token == "]" and still_open:
            pairs[still_open.pop()] = place
    return pairs


class _Reader:
    """The state between two tokens: the open tuplet and the broken rhythm that waits for its second note."""

    def __init__(self, tokens: list[str], reading: Reading) -> None:
        self.tokens, self.kinds, self.reading = tokens, reading.kinds, reading
        self.compound = False
        self.chords = _matching_brackets(tokens, reading.kinds)
        self.waiting: tuple[int, Event, str] | None = None  # a broken rhythm after its first note
        self.tuplet: tuple[int, Fraction, int] | None = None  # its token, its ratio, notes still to come

    def flaw(self, index: int, reason: str, detail: str = "") -> None:
        self.reading.flaws.append(Flaw(index, reason, detail))

    def step(self, place: int) -> int:
        """Reads what begins at `place`; returns where the next thing begins."""
        token, kind = self.tokens[place], self.kinds[place]
        if kind == "pitch":
            return self.note(place)
        if token == "[":
            return self.chord(place)
        if token == "]":
            self.flaw(place, UNMATCHED_CLOSE)
        elif kind == "duration":
            self.stray_duration(place)
        elif kind == "grouping":
            self.open_tuplet(place)
        elif kind == "measure":
            self.close_bar()
        elif kind == "meter":
            self.flaw(place, HEADER_IN_BODY, token)
            self.compound = is_compound(token)
        elif kind == "mode":
            self.flaw(place, HEADER_IN_BODY, token)
        elif kind == "transcription":
            self.flaw(place, MARKER_IN_BODY, token)
        else:
            self.flaw(place, UNKNOWN_TOKEN, token)
        return place + 1

    def note(self, place: int) -> int:
        return self.add(Event(place, place + 1, [place], _ONE))

    def chord(self, place: int) -> int:
        """A bracket that is never closed in its bar is passed over: its notes then follow one another."""
        if place not in self.chords:
            self.flaw(place, UNMATCHED_OPEN)
            return place + 1
        close = self.chords[place]
        for i in range(place + 1, close):
            self.check_inside_chord(i)
        members = [i for i in range(place + 1, close) if self.kinds[i] == "pitch"]
        if not members:
            self.flaw(place, EMPTY_CHORD)
            return close + 1
        length = split_length(self.tokens[members[0] + 1])[0] if self.kinds[members[0] + 1] == "duration" else None
        return self.add(Event(place, close + 1, members, length or _ONE))

    def check_inside_chord(self, place: int) -> None:
        token, kind = self.tokens[place], self.kinds[place]
        if token == "[":
            self.flaw(place, NESTED_CHORD)
        elif kind == "duration" and split_length(token)[0] is not None and not split_length(token)[1]:
            if self.kinds[place - 1] != "pitch":
                self.flaw(place, LENGTH_WITHOUT_NOTE, token)
        elif kind != "pitch" and token != "]":
            self.flaw(place, UNKNOWN_TOKEN if kind == "unknown" else SIGN_IN_CHORD, token)

    def add(self, event: Event) -> int:
        """Takes the length and broken rhythm behind the event, the tuplet around it and the rhythm before it."""
        broken, sign_at = "", event.stop
        if self.kind_at(event.stop) == "duration":
            length, broken = split_length(self.tokens[event.stop])
            if length is not None:
                event.length = length if event.length is _ONE else event.length * length
            event.stop += 1
            broken = self.more_signs(event, broken)
        self.join_tuplet(event)
        self.resolve_broken_rhythm(event)
        self.reading.events.append(event)
        if broken:
            self.waiting = (sign_at, event, broken)
        return event.stop

    def more_signs(self, event: Event, broken: str) -> str:
        """`2 >` is `2>`, and `> >` the double dot of the standard; signs in both directions are left to be flaws."""
        while self.kind_at(event.stop) == "duration":
            length, signs = split_length(self.tokens[event.stop])
            if length is not None or len(set(broken + signs)) > 1:
                break
            broken += signs
            event.stop += 1
        return broken

    def kind_at(self, place: int) -> str:
        return self.kinds[place] if place < len(self.kinds) else ""

    def stray_duration(self, place: int) -> None:
        length, _ = split_length(self.tokens[place])
        self.flaw(place, LENGTH_WITHOUT_NOTE if length is not None else DANGLING_BROKEN_RHYTHM, self.tokens[place])

    def open_tuplet(self, place: int) -> None:
        self.close_tuplet()
        p, q, r = tuplet_shape(self.tokens[place], self.compound)
        self.tuplet = (place, Fraction(q, p), r)

    def join_tuplet(self, event: Event) -> None:
        if self.tuplet is None:
            return
        token, ratio, missing = self.tuplet
        event.tuplet, event.ratio = token, ratio
        self.tuplet = (token, ratio, missing - 1) if missing > 1 else None

    def close_tuplet(self) -> None:
        if self.tuplet is not None:
            token, _, missing = self.tuplet
            self.flaw(token, UNFINISHED_TUPLET, f"{missing} more of {self.tokens[token]}")
            self.tuplet = None

    def resolve_broken_rhythm(self, event: Event) -> None:
        if self.waiting is None:
            return
        _, first, signs = self.waiting
        short = Fraction(1, 2 ** len(signs))
        longer, shorter = (first, event) if signs[0] == ">" else (event, first)
        longer.swing *= 2 - short
        shorter.swing *= short
        self.waiting = None

    def close_bar(self) -> None:
        self.close_tuplet()
        if self.waiting is not None:
            self.flaw(self.waiting[0], DANGLING_BROKEN_RHYTHM, self.waiting[2])
            self.waiting = None
