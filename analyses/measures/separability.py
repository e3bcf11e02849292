"""How well does a plane tell two kinds of steps apart? Scores, the area under the ROC curve, and its interval.

The score of a step is the logarithm of the ratio of two Gaussian densities, one fitted to each kind of step; it is
fitted on some tunes and judged on others. The area under the ROC curve (AUC) is the probability that a step of the
first kind scores above one of the second, ties counting half: 0.5 is chance, 1 complete separation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Steps:
    """Projections of h onto right vectors for the steps of many tunes, `[N, R]`, with each step's tune."""

    projections: np.ndarray
    positive: np.ndarray
    """Whether the next token is of the type looked for, `[N]`."""
    tune: np.ndarray
    train: np.ndarray
    """Whether the step is used for fitting (else for judging), `[N]`."""


@dataclass(frozen=True)
class Plane:
    """Two components (from 1), the AUC of measure steps against others in their plane, and its 95 % interval."""

    components: tuple[int, int]
    auc: float
    low: float = float("nan")
    high: float = float("nan")


def plane_auc(steps: Steps, plane: Sequence[int], resamples: int, rng: np.random.Generator) -> Plane:
    """Returns the AUC of a plane on the steps not used for fitting; NaN for a component that there is not."""
    pair = (int(plane[0]), int(plane[1]))
    if max(pair) > steps.projections.shape[1]:
        return Plane(pair, float("nan"))
    scores, positive = held_out_scores(steps, pair)
    _, group = np.unique(steps.tune[~steps.train], return_inverse=True)
    return Plane(pair, auc(scores, positive), *auc_interval(scores, positive, group, resamples, rng))


def best_plane(steps: Steps) -> tuple[int, int]:
    """Returns the components (from 1) that separate the fitting half best: the best alone, then its best partner."""
    x, positive = steps.projections[steps.train], steps.positive[steps.train]
    count = x.shape[1]

    def worth(*columns: int) -> float:
        value = auc(gaussian_scores(x[:, columns], positive, x[:, columns]), positive)
        return value if np.isfinite(value) else 0.0

    first = max(range(count), key=worth)
    second = max((j for j in range(count) if j != first), key=lambda j: worth(first, j))
    low, high = sorted((first + 1, second + 1))
    return low, high


def held_out_scores(steps: Steps, plane: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns scores and kinds of the steps not used for fitting, in the plane of two components (from 1)."""
    x = steps.projections[:, [j - 1 for j in plane]]
    scores = gaussian_scores(x[steps.train], steps.positive[steps.train], x[~steps.train])
    return scores, steps.positive[~steps.train]


def gaussian_scores(train: np.ndarray, positive: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns the log density ratio of each row of `test [M, D]`, `[M]`, fitted on `train [N, D]`.

    `positive [N]` marks the first kind. NaN where either kind has fewer than D + 1 steps to fit a Gaussian to.
    """
    if min(positive.sum(), (~positive).sum()) <= train.shape[1]:
        return np.full(len(test), np.nan)
    return _log_density(train[positive], test) - _log_density(train[~positive], test)


def _log_density(sample: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns the log density `[M]` of the Gaussian fitted to `sample [N, D]`, up to the constant of its dimension."""
    covariance = np.atleast_2d(np.cov(sample, rowvar=False))
    # a floor far below any spread of interest, so that a direction without spread does not divide by zero
    covariance = covariance + (1e-6 * np.trace(covariance) / len(covariance) + 1e-12) * np.eye(len(covariance))
    away = points - sample.mean(0)
    distance = np.einsum("nd,de,ne->n", away, np.linalg.inv(covariance), away)
    return -0.5 * (distance + np.linalg.slogdet(covariance)[1])


def auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Returns the area under the ROC curve of `scores [N]` for the steps marked in `positive [N]`.

    `weights [N]` count a step several times. NaN where one kind is missing or a score is not a number.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    if not np.isfinite(scores).all():
        return float("nan")
    levels, place = np.unique(scores, return_inverse=True)
    up = np.bincount(place, weights * positive, len(levels))
    down = np.bincount(place, weights * ~positive, len(levels))
    if not (up.sum() and down.sum()):
        return float("nan")
    return float((up * (np.cumsum(down) - 0.5 * down)).sum() / (up.sum() * down.sum()))


def auc_interval(
    scores: np.ndarray, positive: np.ndarray, group: np.ndarray, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Returns the 2.5 and 97.5 % quantiles of the AUC over bootstrap samples of whole groups (tunes).

    `group [N]` counts from 0. NaN where there are fewer than two groups, or no AUC.
    """
    groups = int(group.max(initial=-1)) + 1
    if groups < 2 or not np.isfinite(auc(scores, positive)):
        return float("nan"), float("nan")
    values = [auc(scores, positive, _times(groups, rng)[group]) for _ in range(resamples)]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _times(groups: int, rng: np.random.Generator) -> np.ndarray:
    """Returns how often each group is drawn in one bootstrap sample, `[groups]`."""
    return np.bincount(rng.integers(0, groups, groups), minlength=groups).astype(float)


def random_rotation(size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns an orthogonal matrix `[size, size]`, evenly drawn."""
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return q * np.sign(np.diag(r))
