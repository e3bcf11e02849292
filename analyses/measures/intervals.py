"""Bootstrap intervals over tunes."""

from __future__ import annotations

import numpy as np


def mean_interval(values: np.ndarray, resamples: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Returns (mean, 2.5 %, 97.5 %) of the mean over bootstrap samples of `values [N]`; NaN entries are left out.

    All three are NaN where nothing is left, and the ends are NaN with a single value, which says nothing of a spread.
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    if len(known) == 1:
        return float(known[0]), float("nan"), float("nan")
    means = known[rng.integers(0, len(known), (resamples, len(known)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(known.mean()), float(low), float(high)


def cluster_weights(groups: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns how often each of N rows is drawn in bootstrap samples of whole groups, `[resamples, N]`.

    `groups [N]` says to which group (the tune that a melody comes from) a row belongs: rows of one group are not
    independent, so they are drawn together.
    """
    place = np.unique(groups, return_inverse=True)[1]
    count = int(place.max(initial=-1)) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return drawn[:, place].astype(np.float32)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 2.5 and 97.5 % quantiles of bootstrap `values`; NaN where none is a number."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
