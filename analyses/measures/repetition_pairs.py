"""Where a tune comes again, forwards or backwards: pairs of steps, passages with their bars, those of its first bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

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
    """Returns the mean of `distance [T, T]` over the distributions that drew the tokens of `pairs` (row t drew token
    t + 1).
    """
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


def passage_table(tokens: Sequence[str], shortest_repeat: int, shortest_reversal: int, most: int) -> pd.DataFrame:
    """Returns the `most` longest repeated and as many reversed passages with the bars they touch, longest first."""
    numbers, rows = bar_numbers(tokens), []
    found = {
        "repeated": repeats(tokens, shortest_repeat)[:most],
        "reversed": reversals(tokens, shortest_reversal)[:most],
    }
    for kind, places in found.items():
        for first, second, length in places:
            rows.append(
                {
                    "kind": kind,
                    "tokens": length,
                    "bars": _bars(numbers, first, length),
                    "again_in_bars": _bars(numbers, second, length),
                    "first": first,
                    "second": second,
                    "passage": " ".join(tokens[first : first + length]),
                }
            )
    columns = ["kind", "tokens", "bars", "again_in_bars", "first", "second", "passage"]
    return pd.DataFrame(rows, columns=columns)


def _bars(numbers: np.ndarray, first: int, length: int) -> str:
    """ "5–6": the bars that a passage touches; empty where it touches none."""
    touched = [int(n) for n in numbers[first : first + length] if n]
    if not touched:
        return ""
    return str(touched[0]) if touched[0] == touched[-1] else f"{touched[0]}–{touched[-1]}"
