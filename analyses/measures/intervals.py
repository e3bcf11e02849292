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


def ratio_interval(
    total: np.ndarray, weight: np.ndarray, resamples: int, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Returns (Σ total / Σ weight, 2.5 %, 97.5 %) over bootstrap samples of the entries of both, `[N]`.

    NaN where all weights are 0; the ends are NaN with a single entry.
    """
    total, weight = np.asarray(total, dtype=float), np.asarray(weight, dtype=float)
    if not weight.sum():
        return float("nan"), float("nan"), float("nan")
    value = float(total.sum() / weight.sum())
    if len(total) == 1:
        return value, float("nan"), float("nan")
    picks = rng.integers(0, len(total), (resamples, len(total)))
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(total[picks].sum(1) / weight[picks].sum(1), [0.025, 0.975])
    return value, float(low), float(high)


def ratio_intervals(totals: np.ndarray, weights: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns Σ totals / Σ weights of each of Q columns with its 2.5 and 97.5 % bootstrap quantiles, `[Q, 3]`.

    `totals` and `weights` are `[N, Q]`, one row per tune. NaN where a column's weights are all 0.
    """
    count = len(totals)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (drawn @ totals) / (drawn @ weights)
        found = totals.sum(0) / weights.sum(0)
    rows = [
        (value, *(interval(column) if count > 1 else (np.nan, np.nan)))
        for value, column in zip(found, values.T, strict=True)
    ]
    return np.array(rows, dtype=float).reshape(-1, 3)


def with_interval(name: str, interval: tuple[float, float, float]) -> dict[str, float]:
    """Returns (value, low, high) as metrics: `name`, and `name_low` and `name_high` where there is an interval."""
    value, low, high = (float(part) for part in interval)
    return {name: value} | ({f"{name}_low": low, f"{name}_high": high} if np.isfinite([low, high]).all() else {})
