"""What happens at each step of a tune, as labels that the activity of a unit can be compared with.

Row t belongs to the state after token t was read; a transcription of N tokens has N − 1 rows. The first rows, at which
`<s>`, meter and mode are read, are left out: a state that settles at the start would answer to whatever is different
there. What the words of a label mean stands in `VARIABLES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from analyses.measures.places import PlacedBar, is_measure, place_in_bar, placed_bars
from folkrnn.vocabulary import TYPES, token_type

LONGEST = 12
"""Steps or eighths from which on a place in the bar is one category."""

HEADER = ("transcription", "meter", "mode")
"""Types of the tokens before the tune proper."""

REPEATS = {"|": "bar line", "|:": "repeat opens", ":|": "repeat closes", "|1": "first ending", "|2": "second ending"}


@dataclass(frozen=True)
class Variable:
    """A question with a few answers, one of which holds at every step."""

    name: str
    meaning: str
    categories: tuple[str, ...]
    whole_tune: bool = False
    """Whether the answer is the same at all steps of a tune."""


VARIABLES: tuple[Variable, ...] = (
    Variable("token read", "type of the token just read", TYPES),
    Variable("token next", "type of the token that follows", TYPES),
    Variable("measure token", "which measure token was just read, if any", ("none", *REPEATS.values())),
    Variable(
        "steps in bar", "steps since the last measure token", ("before the first", *map(str, range(LONGEST)), "more")
    ),
    Variable("time in bar", "whole eighths of the bar that have passed", (*map(str, range(LONGEST)), "more")),
    Variable("bar of part", "bars begun since the last repeat sign", (*map(str, range(9)), "more")),
    Variable("bar of phrase", "bars begun since the last repeat sign, counted in fours", ("none", "1", "2", "3", "4")),
    Variable("bar of tune", "bars begun since the start, in eights", ("none", "1-8", "9-16", "17-24", "25-32", "more")),
    Variable("part", "repeat signs passed, as the number of the part", ("none", "1", "2", "3", "more")),
    Variable("inside repeat", "whether a repeat was opened and not yet closed", ("no", "yes")),
    Variable("meter", "meter of the tune", ("2/4", "3/4", "4/4", "6/8", "9/8", "12/8", "other"), whole_tune=True),
    Variable("mode", "mode of the tune", ("maj", "min", "dor", "mix", "other"), whole_tune=True),
)


IDENTITY = "token"
"""The variable that says which token was just read, not only of which type."""

WITHIN_IDENTITY = ("token read", "measure token")
"""Variables that follow from it: what they explain, it explains, too."""


def identity(tunes: Sequence[Sequence[str]]) -> Variable:
    """Returns the question which token was just read, answered by the tokens that these tunes hold."""
    there = {token for tokens in tunes for token in tokens[first_row(tokens) : -1]}
    return Variable(IDENTITY, "which token was just read", tuple(sorted(there)))


def identity_labels(tokens: Sequence[str], variable: Variable) -> np.ndarray:
    """Returns the place of the token read at each row from `first_row` on among the variable's answers."""
    place = {token: k for k, token in enumerate(variable.categories)}
    return np.array([place[token] for token in tokens[first_row(tokens) : len(tokens) - 1]], dtype=int)


def first_row(tokens: Sequence[str]) -> int:
    """Returns the row at which the first token of the tune proper has been read, N − 1 (no row) where there is none."""
    proper = (place for place, token in enumerate(tokens[:-1]) if _type_of(token) not in HEADER)
    return next(proper, len(tokens) - 1)


def event_labels(tokens: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the category of every variable at each row from `first_row` on, for a transcription from `<s>` on."""
    rows = slice(first_row(tokens), len(tokens) - 1)
    types = [_type_of(token) for token in tokens]
    measure = [REPEATS.get(token, "bar line") if kind == "measure" else "none" for token, kind in _pairs(tokens, types)]
    steps = place_in_bar(tokens)
    placed = placed_bars(tokens)
    part, bar, tune = _parts_and_bars(len(tokens), placed)
    words = {
        "token read": types[rows],
        "token next": types[1:][rows],
        "measure token": measure[rows],
        "steps in bar": ["before the first" if step < 0 else _capped(step) for step in steps[rows]],
        "time in bar": [_capped(int(time)) for time in _time_in_bar(tokens, placed)[rows]],
        "bar of part": ["more" if number > 8 else str(number) for number in bar[rows]],
        "bar of phrase": [str((number - 1) % 4 + 1) if number else "none" for number in bar[rows]],
        "bar of tune": [_eight(number) for number in tune[rows]],
        "part": ["more" if number > 3 else str(number) if number else "none" for number in part[rows]],
        "inside repeat": _inside_repeat(tokens)[rows],
        "meter": [_header(tokens, "M:", "meter")] * (rows.stop - rows.start),
        "mode": [_header(tokens, "K:C", "mode")] * (rows.stop - rows.start),
    }
    return {
        variable.name: np.array([variable.categories.index(word) for word in words[variable.name]], dtype=int)
        for variable in VARIABLES
    }


_type_of = cache(token_type)


def _pairs(tokens: Sequence[str], types: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(tokens, types, strict=True))


def _capped(number: int) -> str:
    return str(number) if number < LONGEST else "more"


def _eight(number: int) -> str:
    if number == 0:
        return "none"
    first = 8 * ((number - 1) // 8) + 1
    return f"{first}-{first + 7}" if first < 32 else "more"


def _parts_and_bars(n: int, placed: Sequence[PlacedBar]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The part, the bar of the part and the bar of the tune of each token; a bar lasts until the next begins.

    All are 0 before the first bar.
    """
    part, bar, tune = (np.zeros(n, dtype=int) for _ in range(3))
    begun: dict[int, int] = {}
    for place, one in enumerate(placed):
        begun[one.part] = begun.get(one.part, 0) + 1
        stop = placed[place + 1].start if place + 1 < len(placed) else n
        part[one.start : stop], bar[one.start : stop], tune[one.start : stop] = one.part, begun[one.part], place + 1
    return part, bar, tune


def _time_in_bar(tokens: Sequence[str], placed: Sequence[PlacedBar]) -> np.ndarray:
    """Eighths of the bar that have sounded by the end of the token, `[N]`; 0 at a measure token and before any bar."""
    time = np.zeros(len(tokens))
    for one in placed:
        shift = one.start - one.bar.start
        for event in one.bar.events:
            time[event.stop + shift - 1 : one.stop] += float(event.duration)
    time[is_measure(tokens)] = 0
    return time


def _inside_repeat(tokens: Sequence[str]) -> list[str]:
    opened, answers = False, []
    for token in tokens:
        opened = token == "|:" or (opened and token != ":|")
        answers.append("yes" if opened else "no")
    return answers


def _header(tokens: Sequence[str], prefix: str, variable: str) -> str:
    """The rest of the first token with this prefix if it is a category of the variable, else `other`."""
    known = next(v.categories for v in VARIABLES if v.name == variable)
    found = next((token.removeprefix(prefix) for token in tokens if token.startswith(prefix)), "other")
    return found if found in known else "other"
