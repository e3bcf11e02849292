"""Repeats and endings: in which order bars are played, and which bars stand under the bracket of which ending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from folkrnn.notation.bars import Bar, bars_of
from folkrnn.notation.events import Reading, read

_BARS_A_LINE = 4


@dataclass
class Repeats:
    """The form of a tune as its measure tokens tell it. Bars are numbered from 0."""

    order: list[int] = field(default_factory=list)
    """Bars as they are played; none comes more than twice."""
    endings: list[str] = field(default_factory=list)
    """For each bar as written the number of the ending that it belongs to, or ""."""


def repeats(tokens: Sequence[str]) -> Repeats:
    """Returns the order of playing and the endings of any string of tokens. Never raises.

    Broken forms are played as a musician would: `:|` without `|:` goes back to the end of the last part, a second
    ending is as long as the first one, `|2` after `|1` repeats even where `:|` is missing, a lone `|2` repeats nothing.
    """
    tokens = list(tokens)
    reading = read(tokens)
    return repeats_of(tokens, reading, bars_of(tokens, reading))


def repeats_of(tokens: list[str], reading: Reading, found: list[Bar]) -> Repeats:
    """The same from bars at hand."""
    walk = _Walk()
    previous = reading.body
    for number, bar in enumerate(found):
        walk.pass_signs(tokens, reading, previous, bar.start)
        walk.bar(number)
        previous = bar.stop
    walk.pass_signs(tokens, reading, previous, len(tokens))
    return walk.form


def line_starts(found: list[Bar], form: Repeats) -> set[int]:
    """Returns the numbers of the bars that begin a line: each new part, and inside it lines of about four bars.

    The lines of a part are as long as one another: ten bars are five and five. Short bars do not count, and an ending
    stays on the line of the bars before it.
    """
    counted = [bar.duration * 2 > bar.nominal for bar in found]
    starts: set[int] = set()
    for start, stop in _parts(found, form, counted):
        bars_here = sum(counted[i] and form.endings[i] != "2" for i in range(start, stop))
        a_line = -(-bars_here // max(round(bars_here / _BARS_A_LINE), 1))
        on_line = 0
        for number in range(start, stop):
            if number == start or (on_line >= a_line and not form.endings[number]):
                starts.add(number)
                on_line = 0
            on_line += counted[number]
    return starts


def _parts(found: list[Bar], form: Repeats, counted: list[bool]) -> list[tuple[int, int]]:
    """Start and stop of what repeat signs and second endings set apart; a lone pickup belongs to what follows it."""
    edges = [0]
    for number in range(1, len(found)):
        signs, ending, before = found[number].opening, form.endings[number], form.endings[number - 1]
        is_edge = (before == "2" or ":|" in signs or "|:" in signs) and not ending
        if is_edge and any(counted[edges[-1] : number]):
            edges.append(number)
    return list(pairwise([*edges, len(found)])) if found else []


@dataclass
class _Walk:
    """Where a player stands between two bars."""

    form: Repeats = field(default_factory=Repeats)
    common: list[int] = field(default_factory=list)
    """The bars since the part began, up to its first ending."""
    state: str = ""
    """`first` while in the first ending, `between` after its `:|`, `second` in the second."""
    length: int = 0
    """Bars of the first ending; in the second, what is left of as many."""
    bracket: str = ""
    """The number over the bars that come."""

    def pass_signs(self, tokens: list[str], reading: Reading, start: int, stop: int) -> None:
        for place in range(start, stop):
            if reading.kinds[place] == "measure":
                self.sign(tokens[place])

    def sign(self, sign: str) -> None:
        if sign.startswith(":"):
            self.close()
        if sign.endswith(":") and sign != ":":
            self.common, self.state, self.bracket = [], "", ""
        elif sign[-1].isdigit():
            self.enter(sign[-1])

    def close(self) -> None:
        self.bracket = ""
        if self.state in ("", "first"):
            self.form.order += self.common
        if self.state == "first":
            self.state = "between"
        else:
            self.common, self.state = [], ""

    def enter(self, ending: str) -> None:
        self.bracket = ending
        if self.state == "first" and self.length:
            self.form.order += self.common
            self.state = "second"
        elif self.state == "between":
            self.state = "second"
        elif ending == "1":
            self.common = [] if self.state == "second" else self.common
            self.state, self.length = "first", 0

    def bar(self, number: int) -> None:
        if self.state == "between" or (self.state == "second" and self.length <= 0):
            self.common, self.state, self.bracket = [], "", ""
        self.form.order.append(number)
        self.form.endings.append(self.bracket)
        if self.state == "first":
            self.length += 1
        elif self.state == "second":
            self.length -= 1
        else:
            self.common.append(number)
            self.bracket = ""  # a lone |2 spans one bar
