"""Similarities between all pairs of steps of a tune, and their likeness to the pattern of equal tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyses.measures.places import placed_bars


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Returns the rows of `values [T, H]` at unit length, in double precision; a row of zeros stays."""
    values = np.asarray(values, dtype=np.float64)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1.0)


def gramian(values: np.ndarray) -> np.ndarray:
    """Returns the cosines between all rows of `values [T, H]`: `[T, T]`, symmetric, 1 on the diagonal, in [−1, 1]."""
    return cross(values, values)


def cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the cosine of row t of `first` and row u of `second` (both `[T, H]`) at `[t, u]`, in [−1, 1]."""
    return np.clip(unit_rows(first) @ unit_rows(second).T, -1.0, 1.0)


def one_hot(tokens: Sequence[str] | np.ndarray) -> np.ndarray:
    """Returns the Gramian of one-hot vectors: 1 where two of the `[T]` tokens are equal, else 0, `[T, T]`."""
    numbers = np.unique(np.asarray(tokens), return_inverse=True)[1]
    return (numbers[:, None] == numbers[None, :]).astype(float)


def l1(distribution: np.ndarray) -> np.ndarray:
    """Returns the L1 distance between all rows of `distribution [T, V]`: `[T, T]`, in [0, 2], twice the total
    variation.
    """
    from scipy.spatial.distance import cdist

    distribution = np.asarray(distribution, dtype=np.float64)
    return np.clip(cdist(distribution, distribution, "cityblock"), 0.0, 2.0)


def pairs(matrix: np.ndarray) -> np.ndarray:
    """Returns the entries of `[T, T]` above the diagonal, `[T (T − 1) / 2]`."""
    return matrix[np.triu_indices(len(matrix), 1)]


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Returns Pearson's r between `x [N]` and `y [N]`; NaN where there are fewer than three or either is constant."""
    if len(x) < 3:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    spread = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / spread) if spread > 1e-12 else float("nan")


def to_one_hot(gram: np.ndarray, tokens: Sequence[str], lag: int) -> float:
    """Returns Pearson's r over pairs of steps between `gram [T, T]` and the equality of the tokens `lag` steps on.

    Row t has read token t of `tokens [N]`: lag 0 compares with the tokens just read, lag 1 with those that follow. NaN
    where either side is constant.
    """
    first, last = max(0, -lag), min(len(gram), len(tokens) - lag)
    if last - first < 3:
        return float("nan")
    x = pairs(gram[first:last, first:last])
    return correlation(x, pairs(one_hot(tokens[first + lag : last + lag])))


def by_place(gram: np.ndarray, places: np.ndarray, tokens: Sequence[str]) -> tuple[float, float]:
    """Returns the mean of `gram` over pairs at the same place in their bars and over pairs at different places.

    Only pairs that read different tokens count, so that it is not the token that makes them alike; places below 0
    (before the first bar line) do not. NaN where there is no such pair. Measure tokens are all at place 0: in a tune
    whose only one is `|` that place is left out by the rule.
    """
    rows, columns = np.triu_indices(len(gram), 1)
    words = np.unique(np.asarray(tokens[: len(gram)]), return_inverse=True)[1]
    use = (words[rows] != words[columns]) & (places[rows] >= 0) & (places[columns] >= 0)
    rows, columns = rows[use], columns[use]
    same = places[rows] == places[columns]
    values = gram[rows, columns]
    return (
        float(values[same].mean()) if same.any() else float("nan"),
        float(values[~same].mean()) if (~same).any() else float("nan"),
    )


def running(gram: np.ndarray, window: int) -> np.ndarray:
    """Returns the mean of `gram[t, t − window : t]` for each t, `[T]`; NaN for t = 0, fewer steps near the start."""
    return np.array([gram[t, max(0, t - window) : t].mean() if t else np.nan for t in range(len(gram))])


def bar_table(tokens: Sequence[str], distance: np.ndarray) -> pd.DataFrame:
    """Returns one row per bar: its part and role, and the mean L1 distance of its distributions to those of all other
    steps.

    The distributions of a bar are those that drew its tokens (row t drew token t + 1).
    """
    rows = []
    for bar in placed_bars(tokens):
        inside = np.zeros(len(distance), dtype=bool)
        inside[max(0, bar.start - 1) : bar.stop - 1] = True
        rows.append(
            {
                "bar": bar.number,
                "part": bar.part,
                "role": bar.role,
                "mean_l1": mean(distance[np.ix_(inside, ~inside)]),
                "tokens": bar.text,
            }
        )
    return pd.DataFrame(rows, columns=["bar", "part", "role", "mean_l1", "tokens"])


def mean(values: Any) -> float:
    """Returns the mean; NaN of nothing."""
    values = np.asarray(values, dtype=float)
    return float(values.mean()) if values.size else float("nan")
