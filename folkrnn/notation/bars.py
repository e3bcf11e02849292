"""Bars of a tune with their exact lengths, the share of full ones, and every defect of a string of tokens.

Lengths are Fractions of an eighth note. Token strings come without `<s>` and `</s>`, meter and mode first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from folkrnn.notation.events import COMMON_TIME, Event, Flaw, Reading, nominal_length, read

TOO_LONG = "bar too long"
TOO_SHORT = "bar too short"
MISSING_METER = "missing meter"
MISSING_MODE = "missing mode"
UNKNOWN_METER = "meter without a number"
NO_NOTES = "no notes"
UNCLOSED_REPEAT = "|: without :|"
EMPTY_REPEAT = "repeat of nothing"
DOUBLE_FIRST_ENDING = "double first ending"
LONE_FIRST_ENDING = "|1 without |2"
LONE_SECOND_ENDING = "|2 without |1"


@dataclass(frozen=True)
class Bar:
    """What stands between two measure tokens and holds at least one note or rest."""

    start: int
    """Index of its first token; `tokens` is what lies from here to `stop`, without the measure tokens around it."""
    stop: int
    tokens: tuple[str, ...]
    events: tuple[Event, ...]
    duration: Fraction
    """Eighths that its notes, rests and chords last."""
    nominal: Fraction
    """Eighths that the meter asks for (4/4 where no meter is given)."""
    meter: str
    """The meter token that holds here, "" where none is given."""
    opening: tuple[str, ...]
    """The measure tokens before it, `()` at the start of a tune that has none there."""
    closing: tuple[str, ...]
    """The measure tokens behind it, `()` at the end of a tune that has none there."""

    @property
    def full(self) -> bool:
        """Whether it lasts exactly as long as the meter says. A pickup or half bar does not."""
        return self.duration == self.nominal


@dataclass(frozen=True)
class FullBars:
    """How many bars last exactly as long as their meter says (facts sheet of folk-rnn, section 4.2)."""

    full: int
    bars: int

    @property
    def share(self) -> float:
        """`full / bars`; nan where there is no bar."""
        return self.full / self.bars if self.bars else float("nan")


def bars(tokens: Sequence[str]) -> list[Bar]:
    """Returns the bars of a tune, in order of writing. Never raises.

    Every measure token divides; two of them with nothing between make no bar. A meter token inside the tune counts from
    the next bar on.
    """
    tokens = list(tokens)
    return bars_of(tokens, read(tokens))


def bars_of(tokens: list[str], reading: Reading) -> list[Bar]:
    """The same from a reading at hand."""
    found: list[Bar] = []
    meter = next((token for token in tokens[: reading.body] if nominal_length(token)), "")
    events = iter(reading.events)
    event = next(events, None)
    for start, stop in _stretches(reading):
        inside = []
        while event is not None and event.start < stop:
            inside.append(event)
            event = next(events, None)
        if not inside:
            continue
        duration = sum((e.duration for e in inside), Fraction(0))
        opening, closing = _signs_before(tokens, reading, start), _signs_after(tokens, reading, stop)
        words = tuple(tokens[start:stop])
        nominal = nominal_length(meter) or COMMON_TIME
        found.append(Bar(start, stop, words, tuple(inside), duration, nominal, meter, opening, closing))
        meter = next((token for token in reversed(words) if nominal_length(token)), meter)
    return found


def share_of_full_bars(tokens_list: Iterable[Sequence[str]]) -> dict[str, FullBars]:
    """Returns the count of full bars under "all" and under each meter token that heads a tune ("" where none does).

    Pickups and half bars count as misses. 88.5 % of the bars of real v2 tunes are full (facts sheet, section 4.2): the
    ceiling of a counting measure.
    """
    full: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for tokens in tokens_list:
        meter = next((token for token in tokens[:2] if nominal_length(token)), "")
        for bar in bars(tokens):
            for key in ("all", meter):
                total[key] += 1
                full[key] += bar.full
    return {key: FullBars(full[key], total[key]) for key in total}


def flaws(tokens: Sequence[str]) -> list[Flaw]:
    """Returns every defect of a string of tokens, by place; an empty list means a well-formed tune. Never raises.

    A pickup, the half bars that a repeat sign or a change of part makes, and the short bar that ends a tune are no
    defects.
    """
    tokens = list(tokens)
    reading = read(tokens)
    found = bars_of(tokens, reading)
    everything = [
        *_header_flaws(tokens, reading),
        *reading.flaws,
        *_length_flaws(found),
        *_repeat_flaws(tokens, reading, {bar.start for bar in found}),
    ]
    if not found:
        everything.append(Flaw(max(len(tokens) - 1, 0), NO_NOTES))
    return sorted(everything, key=lambda flaw: flaw.index)


def _stretches(reading: Reading) -> list[tuple[int, int]]:
    """Start and stop of what lies between measure tokens."""
    signs = [i for i, kind in enumerate(reading.kinds) if kind == "measure" and i >= reading.body]
    starts, stops = [reading.body, *(i + 1 for i in signs)], [*signs, len(reading.kinds)]
    return list(zip(starts, stops, strict=True))


def _signs_before(tokens: list[str], reading: Reading, start: int) -> tuple[str, ...]:
    first = start
    while first > reading.body and reading.kinds[first - 1] == "measure":
        first -= 1
    return tuple(tokens[first:start])


def _signs_after(tokens: list[str], reading: Reading, stop: int) -> tuple[str, ...]:
    last = stop
    while last < len(tokens) and reading.kinds[last] == "measure":
        last += 1
    return tuple(tokens[stop:last])


def _header_flaws(tokens: list[str], reading: Reading) -> list[Flaw]:
    header = dict(zip(reading.kinds[: reading.body], tokens, strict=False))
    missing = [
        Flaw(0, reason) for kind, reason in (("meter", MISSING_METER), ("mode", MISSING_MODE)) if kind not in header
    ]
    if "meter" in header and nominal_length(header["meter"]) is None:
        missing.append(Flaw(tokens.index(header["meter"]), UNKNOWN_METER, header["meter"]))
    return missing


def _length_flaws(found: list[Bar]) -> list[Flaw]:
    wrong = []
    for place, bar in enumerate(found):
        before = found[place - 1] if place else None
        after = found[place + 1] if place + 1 < len(found) else None
        if bar.full or (bar.duration < bar.nominal and _may_be_short(before, bar, after)):
            continue
        reason = TOO_LONG if bar.duration > bar.nominal else TOO_SHORT
        wrong.append(Flaw(bar.start, reason, f"{bar.duration} of {bar.nominal} eighths"))
    return wrong


def _may_be_short(before: Bar | None, bar: Bar, after: Bar | None) -> bool:
    """At the edge of a part a bar may be short; elsewhere only where its neighbour is the rest of it."""
    if before is None or after is None or _is_edge(bar.opening) or _is_edge(bar.closing):
        return True
    return bar.nominal in (before.duration + bar.duration, bar.duration + after.duration)


def _is_edge(signs: tuple[str, ...]) -> bool:
    return any(sign != "|" for sign in signs)


def _repeat_flaws(tokens: list[str], reading: Reading, starts: set[int]) -> list[Flaw]:
    """Walks the measure tokens with the open `|:`, the open `|1`, and whether anything was played since the last."""
    found: list[Flaw] = []
    repeat: int | None = None
    first: int | None = None
    played = False
    for place in range(reading.body, len(tokens)):
        played = played or place in starts
        if reading.kinds[place] != "measure":
            continue
        sign = tokens[place]
        if "1" in sign:
            if first is not None:
                found.append(Flaw(place, DOUBLE_FIRST_ENDING))
            first = place
        elif "2" in sign:
            if first is None:
                found.append(Flaw(place, LONE_SECOND_ENDING))
            first = None
        if sign.startswith(":"):
            if not played:
                found.append(Flaw(place, EMPTY_REPEAT))
            repeat, played = None, False
        if sign.endswith(":") and len(sign) > 1:
            if repeat is not None:
                found.append(Flaw(repeat, UNCLOSED_REPEAT))
            repeat, played = place, False
            if first is not None:
                found.append(Flaw(first, LONE_FIRST_ENDING))
                first = None
    if repeat is not None:
        found.append(Flaw(repeat, UNCLOSED_REPEAT))
    if first is not None:
        found.append(Flaw(first, LONE_FIRST_ENDING))
    return found


def parts(found: Sequence[Bar]) -> list[tuple[bool, Fraction]]:
    """Returns (repeated, length in bars) of each part. A second ending belongs to no part: it replaces the first."""
    result: list[tuple[bool, Fraction]] = []
    length, second = Fraction(0), False
    for bar in found:
        if "|:" in bar.opening:
            if length:
                result.append((False, length))
            length, second = Fraction(0), False
        second = second or "|2" in bar.opening
        if not second:
            length += bar.duration / bar.nominal
        if ":|" in bar.closing or (second and "|2" not in bar.opening and "|" in bar.closing):
            if not second:
                result.append((True, length))
            length, second = Fraction(0), False
    return [*result, (False, length)] if length else result
