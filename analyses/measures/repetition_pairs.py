"""Pairs of steps at which a tune comes again, forwards or backwards, and what passages of its first bar come where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyses.measures.passages import repeats, reversals
from analyses.measures.places import bar_numbers


def pairs_at(tokens: Sequence[str], kind: str, shortest: int) -> np.ndarray:
    """Returns the pairs of tokens that stand at the same place of a `repeated` or `reversed` passage, `[N, 2]`.

    Passages have at least `shortest` tokens; a pair counts once.
    """
    if kind == "repeated":
        found = {(a + i, b + i) for a, b, n in repeats(tokens, shortest) for i in range(n)}
    else:
        found = {(a + i, b + n - 1 - i) for a, b, n in reversals(tokens, shortest) for i in range(n)}
    return np.array(sorted(found), dtype=int).reshape(-1, 2)


def mean_at(distance: np.ndarray, pairs: np.ndarray) -> float:
    """Returns the mean of `distance [T, T]` over the laws that drew the tokens of `pairs` (row t drew token t + 1)."""
    rows = pairs - 1
    rows = rows[(rows >= 0).all(1) & (rows < len(distance)).all(1)]
    return float(distance[rows[:, 0], rows[:, 1]].mean()) if len(rows) else float("nan")


def first_bar_again(tokens: Sequence[str], shortest: int) -> list[str]:
    """Returns the numbers of the bars in which at least `shortest` tokens of bar 1 come again, in their order."""
    numbers = bar_numbers(tokens)
    found = set()
    for a, b, length in repeats(tokens, shortest):
        own = numbers[a : a + length] == 1
        if own.sum() >= shortest:
            found |= set(numbers[b : b + length][own].tolist()) - {0, 1}
    return [str(number) for number in sorted(found)]


def longest_repeats(tokens: Sequence[str], shortest: int, most: int = 2) -> list[str]:
    """Returns the bars that the `most` longest repeated passages touch, both times, longest passage first."""
    numbers, found = bar_numbers(tokens), []
    for a, b, length in repeats(tokens, shortest)[:most]:
        found += [n for start in (a, b) for n in numbers[start : start + length].tolist() if n]
    return [str(number) for number in dict.fromkeys(found)]
