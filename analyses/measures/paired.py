"""Comparisons of ratios over tunes that belong together: tune n here and tune n there were drawn with the same numbers.

Intervals are 95 % bootstrap intervals. The same tunes are resampled on both sides, so what is common to a tune and its
counterpart does not widen the interval of their difference. Where a condition was drawn several times (random units of
the same number), the draws are resampled too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ENDS = (0.025, 0.975)


def ratios(sums: np.ndarray) -> np.ndarray:
    """Returns Σ above / Σ below over tunes, `[Q]`, of sums `[N, Q, 2]`; NaN where there is nothing below."""
    return _divided(sums.sum(0))


def tune_weights(tunes: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Returns how often each tune comes in each bootstrap sample, `[resamples, tunes]`."""
    return rng.multinomial(tunes, np.full(tunes, 1 / tunes), size=resamples).astype(float)


def resampled(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the ratios of every bootstrap sample, `[R, Q]`, of sums `[N, Q, 2]` and weights `[R, N]`."""
    N, Q, _ = sums.shape
    return _divided((weights @ sums.reshape(N, Q * 2)).reshape(-1, Q, 2))


def resampled_draws(draws: Sequence[np.ndarray], weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the mean ratio over draws of a condition, `[R, Q]`: draws and tunes are both resampled."""
    each = np.stack([resampled(sums, weights) for sums in draws])
    picks = rng.multinomial(len(draws), np.full(len(draws), 1 / len(draws)), size=len(weights)) / len(draws)
    return np.einsum("rk,krq->rq", picks, each)


def ends(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 2.5 and 97.5 % quantiles over the first axis; NaN where a column has no number."""
    known = np.isfinite(samples).any(0)
    low, high = np.full(samples.shape[1:], np.nan), np.full(samples.shape[1:], np.nan)
    if known.any():
        low[known], high[known] = np.nanquantile(samples[:, known], ENDS, axis=0)
    return low, high


def kept(value: np.ndarray, control: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Returns how much of the control is left, 1 − |value − control| / |floor − control|, between 0 and 1.

    1 is the control itself, 0 as far from it as the floor, on either side; NaN where the floor is the control.
    """
    gap = np.abs(floor - control)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(gap > 0, np.clip(1 - np.abs(value - control) / gap, 0.0, 1.0), np.nan)


def _divided(both: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both[..., 1] > 0, both[..., 0] / both[..., 1], np.nan)
