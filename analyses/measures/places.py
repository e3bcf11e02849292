"""Where in a tune a token stands: its bar, its place in the bar, its part.

`tokens` are those of a whole transcription from `<s>` on; bars count from 1, tokens from 0. Melodies on a grid have no
measure tokens: in `MelodyLabels` the step with which a bar begins takes their part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np

from folkrnn.melodies.grid import STEPS_PER_BAR
from folkrnn.melodies.labels import MelodyLabels, type_of
from folkrnn.notation.bars import Bar, bars
from folkrnn.vocabulary import END, START


def is_type(tokens: Sequence[str], name: str) -> np.ndarray:
    """Returns which tokens are of one of the seven types, `[N]` of bool."""
    if name == "measure" and isinstance(tokens, MelodyLabels):
        return tokens.place_in_bar == 0
    return np.array([_type_of(token) == name for token in tokens], dtype=bool)


def is_measure(tokens: Sequence[str]) -> np.ndarray:
    """Returns which tokens are measure tokens, `[N]` of bool."""
    return is_type(tokens, "measure")


_type_of = cache(type_of)


def bar_period(tokens: Sequence[str]) -> float:
    """Returns the most frequent distance between successive measure tokens, in steps; NaN with fewer than two.

    Of equally frequent ones the longest; distances of one (`:|` and `|:`) do not count.
    """
    if isinstance(tokens, MelodyLabels):
        return float(STEPS_PER_BAR) if (tokens.place_in_bar == 0).sum() > 1 else float("nan")
    gaps = Counter(int(gap) for gap in np.diff(np.flatnonzero(is_measure(tokens))) if gap > 1)
    return float(max(gaps, key=lambda gap: (gaps[gap], gap))) if gaps else float("nan")


def place_in_bar(tokens: Sequence[str]) -> np.ndarray:
    """Returns for each token how many steps ago the last measure token stood (0: it is one), `[N]`.

    −1 before the first measure token.
    """
    if isinstance(tokens, MelodyLabels):
        return tokens.place_in_bar
    last, places = None, []
    for index, bar_line in enumerate(is_measure(tokens)):
        last = index if bar_line else last
        places.append(-1 if last is None else index - last)
    return np.array(places, dtype=int)


@dataclass(frozen=True)
class PlacedBar:
    """A bar and where it stands in its part."""

    number: int
    """From 1."""
    start: int
    """Index of its first token, `<s>` included."""
    stop: int
    bar: Bar
    part: int
    """From 1; a repeat sign ends one."""
    role: str
    """`first`, `penultimate` or `after the middle` bar of its part (full bars counted), `pickup`, or empty."""

    @property
    def text(self) -> str:
        return " ".join(self.bar.tokens)


def placed_bars(tokens: Sequence[str]) -> list[PlacedBar]:
    """Returns the bars of a whole transcription with their numbers, parts and roles."""
    if isinstance(tokens, MelodyLabels):
        return _bars_of_the_grid(tokens)
    offset = int(bool(tokens) and tokens[0] == START)
    found = bars([token for token in tokens if token not in (START, END)])
    parts: list[list[tuple[int, Bar]]] = []
    for number, bar in enumerate(found, 1):
        begins = "|:" in bar.opening or not parts or any(":|" in sign for sign in bar.opening)
        if begins:
            parts.append([])
        parts[-1].append((number, bar))
    placed = []
    for part, members in enumerate(parts, 1):
        roles = _roles([bar for _, bar in members])
        for (number, bar), role in zip(members, roles, strict=True):
            placed.append(PlacedBar(number, bar.start + offset, bar.stop + offset, bar, part, role))
    return placed


def _bars_of_the_grid(labels: MelodyLabels) -> list[PlacedBar]:
    edges = [*np.flatnonzero(labels.place_in_bar == 0).tolist(), len(labels)]
    whole = Fraction(STEPS_PER_BAR, 2)
    found = [Bar(a, b, tuple(labels[a:b]), (), whole, whole, "", (), ()) for a, b in pairwise(edges)]
    roles = _roles(found)
    return [
        PlacedBar(n, bar.start, bar.stop, bar, 1, role)
        for n, (bar, role) in enumerate(zip(found, roles, strict=True), 1)
    ]


def _roles(part: list[Bar]) -> list[str]:
    pickup = len(part) > 1 and part[0].duration < part[0].nominal
    count = len(part) - pickup
    names = [""] * count
    if count >= 4:
        names[0], names[-2], names[count // 2] = "first", "penultimate", "after the middle"
    return ["pickup"] * pickup + names


def bar_numbers(tokens: Sequence[str]) -> np.ndarray:
    """Returns the bar of each token, `[N]`; 0 for what stands in none (header, measure tokens, markers)."""
    numbers = np.zeros(len(tokens), dtype=int)
    for bar in placed_bars(tokens):
        numbers[bar.start : bar.stop] = bar.number
    return numbers
