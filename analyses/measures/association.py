"""How two sets of variables hang together, pair by pair: Pearson's r, and which pairs do so beyond chance.

Shapes: N rows, F variables on one side, Z on the other. NaN rows are left out pair by pair.
"""

from __future__ import annotations

import numpy as np

from analyses.measures import phik

SHUFFLES = 19
"""The largest of 19 shuffled values and the real one is the real one by chance in one case of 20."""


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns Pearson's r of every column of `x [N, F]` with every column of `y [N, Z]`, `[F, Z]`.

    NaN where one of the two is constant on the rows that both have.
    """
    (a, known_a), (b, known_b) = (_centred(values) for values in (x, y))
    n = known_a.T @ known_b
    sum_a, sum_b = a.T @ known_b, known_a.T @ b
    n_or_1 = np.maximum(n, 1)
    together = a.T @ b - sum_a * sum_b / n_or_1
    square_a = (a**2).T @ known_b - sum_a**2 / n_or_1
    square_b = known_a.T @ b**2 - sum_b**2 / n_or_1
    both = square_a * square_b
    varies = (square_a > 1e-12 * (a**2).sum(0)[:, None]) & (square_b > 1e-12 * (b**2).sum(0)) & (n > 1)
    r = np.divide(together, np.sqrt(np.maximum(both, 0)), out=np.full(n.shape, np.nan), where=varies & (both > 0))
    return np.clip(r, -1, 1)


def one_of_each(source: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the index of one row of each source (`source [N]`), drawn at random, ascending."""
    mixed = rng.permutation(len(source))
    return np.sort(mixed[np.unique(source[mixed], return_index=True)[1]])


def beyond_chance(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, shuffles: int = SHUFFLES, bins: int = phik.BINS
) -> tuple[np.ndarray, float]:
    """Returns which pairs depend on each other, bool `[F, Z]`, and the value that φk has to exceed for it.

    φk is taken on equally full bins, where it has no outliers to chance upon, and compared with the largest φk of *any*
    pair in `shuffles` random orders of the rows of y against those of x (Westfall and Young's max-T): with 19 of them
    all pairs together err with a probability of 5 %. Rows must be independent of each other (`one_of_each`).
    """
    a, b = phik.binned(x, bins, quantile=True), phik.binned(y, bins, quantile=True)
    found = phik.from_bins(a, b, bins)
    by_chance = [phik.from_bins(a, rng.permutation(b), bins) for _ in range(shuffles)]
    largest = max((float(np.nanmax(values)) for values in by_chance if np.isfinite(values).any()), default=1.0)
    return np.nan_to_num(found) > largest, largest


def _centred(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values less their column's mean, 0 where they are NaN; and 1.0 where they are not."""
    values = np.asarray(values, float)
    known = np.isfinite(values)
    mean = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known, values - mean, 0.0), known.astype(float)
