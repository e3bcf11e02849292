"""Local regression (Cleveland 1979) of one variable on another that may be discrete, with a bootstrap band.

statsmodels does the fitting: locally linear, tricube weights over the nearest `span` of all points. Its rounds of
weights against outliers are off by default: they are made for heavier tails than latents have, and can silence all
points at one value of a discrete variable. Two things it leaves to the caller. Where more points than the span share
one value, its neighbourhood has no width and it returns one of the data themselves; the span is then widened until the
neighbourhood reaches the next value (`widened`). And of points with equal x an arbitrary part may fall into a
neighbourhood; here they stand in order of y.
"""

from __future__ import annotations

import numpy as np
from statsmodels.nonparametric.smoothers_lowess import lowess

SPAN = 2 / 3
"""The default of statsmodels and of R's lowess; the source paper does not state its own."""

ROUNDS = 0
"""Rounds of weights against outliers."""

POINTS = 100
"""At most so many x at which a curve is given."""


def places(x: np.ndarray) -> np.ndarray:
    """Returns where a curve over `x [N]` is given, ascending: its values, or POINTS places if they are more."""
    distinct = np.unique(x)
    return distinct if len(distinct) <= POINTS else np.linspace(distinct[0], distinct[-1], POINTS)


def widened(x: np.ndarray, span: float = SPAN) -> float:
    """Returns the least span from `span` on within which no value of `x [N]` fills a neighbourhood alone."""
    commonest = np.unique(x, return_counts=True)[1].max()
    return float(min(1.0, max(span, (commonest + 1.5) / len(x))))


def curve(x: np.ndarray, y: np.ndarray, at: np.ndarray, span: float = SPAN, rounds: int = ROUNDS) -> np.ndarray:
    """Returns the LOESS of `y [N]` on `x [N]` at `at [P]`, NaN beyond the range of x and if that is one value.

    Between fits no farther apart than a hundredth of the range of x the curve is straight.
    """
    # among equal x the order decides who is a neighbour; by y it depends on the points alone, not on their order
    order = np.lexsort((y, x))
    return _sorted_curve(x[order], y[order], at, span, rounds)


def band(
    x: np.ndarray,
    y: np.ndarray,
    at: np.ndarray,
    source: np.ndarray,
    rng: np.random.Generator,
    resamples: int,
    span: float = SPAN,
    rounds: int = ROUNDS,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends of the pointwise bootstrap interval of `curve`, `[P]` each.

    Sources (`source [N]`: tunes or files) are drawn with replacement, each with all its points: points of one source
    are not independent. At each place it is the interval of those resamples that reach so far.
    """
    order = np.lexsort((y, x))
    x, y = x[order], y[order]
    sources, group = np.unique(source[order], return_inverse=True)
    found = np.full((resamples, len(at)), np.nan)
    for k in range(resamples):
        times = np.bincount(rng.integers(0, len(sources), len(sources)), minlength=len(sources))[group]
        found[k] = _sorted_curve(np.repeat(x, times), np.repeat(y, times), at, span, rounds)
    reached = np.isfinite(found).any(0)
    ends = np.full((2, len(at)), np.nan)
    if reached.any():
        ends[:, reached] = np.nanquantile(found[:, reached], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]


def explained(y: np.ndarray, fitted: np.ndarray) -> float:
    """Returns 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; NaN where y is constant."""
    total = float(((y - y.mean()) ** 2).sum()) if len(y) else 0.0
    return 1 - float(((y - fitted) ** 2).sum()) / total if total > 0 else float("nan")


def _sorted_curve(x: np.ndarray, y: np.ndarray, at: np.ndarray, span: float, rounds: int) -> np.ndarray:
    if len(x) == 0 or x[0] == x[-1]:
        return np.full(len(at), np.nan)
    options = {"frac": widened(x, span), "delta": 0.01 * (x[-1] - x[0]), "is_sorted": True}
    fit = lowess(y, x, it=0, **options)
    # where most residuals are rounding errors, weights by residual would silence points at random (R stops there too)
    if rounds and np.median(np.abs(y - fit[:, 1])) > 1e-7 * np.ptp(y):
        fit = lowess(y, x, it=rounds, **options)
    distinct, first = np.unique(fit[:, 0], return_index=True)
    return np.interp(at, distinct, fit[first, 1], left=np.nan, right=np.nan)
