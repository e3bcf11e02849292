"""Many comparisons at once: the chance of even one false find among all of them is held down (Holm 1979)."""

from __future__ import annotations

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Returns the p-values `[N]` corrected for their number; NaN, which is no comparison, stays and does not count."""
    found = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(np.asarray(p)[known], kind="stable")]
    raised = np.asarray(p)[order] * np.arange(len(order), 0, -1)
    found[order] = np.minimum(1.0, np.maximum.accumulate(raised)) if len(order) else []
    return found


def two_sided(samples: np.ndarray) -> np.ndarray:
    """Returns the two-sided p-value of each column of bootstrap samples `[R, Q]` of a difference, against none.

    Twice the share of samples on the rarer side of 0, the ends counted in; NaN for a column without any number.
    """
    count = np.isfinite(samples).sum(0)
    with np.errstate(invalid="ignore"):
        below, above = ((1 + part.sum(0)) / (1 + count) for part in (samples <= 0, samples >= 0))
    return np.where(count > 0, np.minimum(1.0, 2 * np.minimum(below, above)), np.nan)
