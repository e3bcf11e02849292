"""Which notes of a bar hang on one beam: the groups that a musician's eye counts in."""

from __future__ import annotations

from fractions import Fraction

from folkrnn.notation.bars import Bar
from folkrnn.notation.events import Event, is_compound

_HALF_BARS = {"M:4/4": Fraction(4), "M:2/2": Fraction(4), "M:3/2": Fraction(4)}
_BEAT, _COMPOUND_BEAT = Fraction(2), Fraction(3)


def beam_groups(bar: Bar) -> list[list[Event]]:
    """Returns the events of a bar in the groups that beams and spaces show.

    A group is three eighths in compound meter, half a bar in 4/4 (a beat where it holds shorter notes), else a quarter.
    A pickup is counted from its end. A tuplet is not divided.
    """
    unit = _unit(bar.meter)
    position = bar.nominal - bar.duration if _is_pickup(bar) else Fraction(0)
    groups: list[list[Event]] = []
    last = None
    for event in bar.events:
        inside_tuplet = groups and event.tuplet is not None and event.tuplet == groups[-1][-1].tuplet
        place = position // unit
        if place != last and not inside_tuplet:
            groups.append([])
        last = place
        groups[-1].append(event)
        position += event.duration
    if unit in (_BEAT, _COMPOUND_BEAT):
        return groups
    return [part for group in groups for part in _halves(group)]


def _unit(meter: str) -> Fraction:
    if is_compound(meter) or meter.strip("[]") == "M:3/8":
        return _COMPOUND_BEAT
    return _HALF_BARS.get(meter.strip("[]"), _BEAT if meter else Fraction(4))


def _is_pickup(bar: Bar) -> bool:
    return bar.duration < bar.nominal and (not bar.opening or bar.opening[-1] != "|")


def _halves(group: list[Event]) -> list[list[Event]]:
    """Half a bar with notes shorter than an eighth reads better beat by beat."""
    if all(event.tuplet is not None or event.duration >= 1 for event in group):
        return [group]
    halves: list[list[Event]] = [[], []]
    position = Fraction(0)
    for event in group:
        late = position >= _BEAT and not (
            halves[0] and event.tuplet is not None and event.tuplet == halves[0][-1].tuplet
        )
        halves[late or bool(halves[1])].append(event)
        position += event.duration
    return [half for half in halves if half]
