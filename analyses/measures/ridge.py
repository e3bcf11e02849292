"""Linear maps between activations, judged on tunes that they were not fitted to.

Sums of products are kept by fold of tunes, so memory grows with neither the tunes nor their length; the map for a fold
is fitted to the sums of all others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve


@dataclass
class Products:
    """Σ x xᵀ, Σ x yᵀ, Σ y yᵀ's diagonal by fold, where x has a constant 1 appended."""

    xx: np.ndarray
    """`[F, D + 1, D + 1]`"""
    xy: np.ndarray
    """`[F, D + 1, U]`"""
    yy: np.ndarray
    """`[F, U]`"""
    rows: np.ndarray
    """`[F]`"""

    @classmethod
    def empty(cls, folds: int, inputs: int, outputs: int) -> Products:
        """Returns sums of nothing."""
        shapes = (folds, inputs + 1, inputs + 1), (folds, inputs + 1, outputs), (folds, outputs), (folds,)
        return cls(*(np.zeros(shape) for shape in shapes))

    def add(self, fold: int, x: np.ndarray, y: np.ndarray) -> None:
        """Adds rows `x [n, D]` and `y [n, U]` of one tune."""
        x = np.concatenate([x, np.ones((len(x), 1), x.dtype)], axis=1)
        self.xx[fold] += x.T @ x
        self.xy[fold] += x.T @ y
        self.yy[fold] += np.square(y, dtype=float).sum(0)
        self.rows[fold] += len(y)

    def fit(self, left_out: int, ridge: float) -> np.ndarray:
        """Returns the weights `[D + 1, U]` fitted to all folds but one.

        `ridge` is in units of the mean variance of the inputs; the constant is not shrunk.
        """
        xx, xy = self.xx.sum(0) - self.xx[left_out], self.xy.sum(0) - self.xy[left_out]
        inputs = len(xx) - 1
        rows, mean = xx[-1, -1], xx[-1, :-1] / xx[-1, -1]
        variance = (np.trace(xx[:-1, :-1]) / rows - mean @ mean) / inputs
        penalty = np.full(len(xx), max(ridge * variance, 1e-9) * rows)
        penalty[-1] = 0.0
        return cho_solve(cho_factor(xx + np.diag(penalty)), xy)

    def unexplained(self, fold: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns (Σ (y − ŷ)², Σ (y − ȳ)²) of the rows of a fold, each `[U]`; ȳ is the mean of that fold."""
        residual = self.yy[fold] - 2 * (weights * self.xy[fold]).sum(0) + (weights * (self.xx[fold] @ weights)).sum(0)
        mean = self.xy[fold][-1] / self.rows[fold]
        return np.maximum(residual, 0), np.maximum(self.yy[fold] - self.rows[fold] * mean**2, 0)


def cross_validated(products: Products, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns R² over all held-out rows by unit `[U]`, and over all units by fold `[F]`.

    R² is 1 − Σ(y − ŷ)² / Σ(y − ȳ)²: below 0 where the map is worse than the mean, NaN for a unit that never moves.
    """
    folds = [products.unexplained(fold, products.fit(fold, ridge)) for fold in range(len(products.rows))]
    left, total = (np.stack(parts) for parts in zip(*folds, strict=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        by_unit = np.where(total.sum(0) > 1e-9 * products.rows.sum(), 1 - left.sum(0) / total.sum(0), np.nan)
        by_fold = np.where(total.sum(1) > 0, 1 - left.sum(1) / total.sum(1), np.nan)
    return by_unit, by_fold
