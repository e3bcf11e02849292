"""The columns of the softmax layer: how alike they are to each other and to the bias."""

from __future__ import annotations

import numpy as np

from folkrnn.models.folkrnn import FolkRNN


def softmax_parameters(model: FolkRNN) -> tuple[np.ndarray, np.ndarray]:
    """Returns W_s `[V, H]` and b_s `[V]` in double precision."""
    weight, bias = (part.detach().cpu().double().numpy() for part in (model.softmax_weight, model.softmax_bias))
    return weight, bias


def column_correlations(W: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlation of every pair of columns of `W [V, H]`, `[H, H]`; NaN for a constant column."""
    with np.errstate(invalid="ignore"):
        return np.atleast_2d(np.corrcoef(W, rowvar=False))


def correlation_with(W: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Returns the correlation of each column of `W [V, H]` with `vector [V]`, `[H]`; NaN where either is constant."""
    columns, other = W - W.mean(0), vector - vector.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        return other @ columns / (np.linalg.norm(columns, axis=0) * np.linalg.norm(other))


def shuffled_columns(W: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns W with the entries of each column in a random order of their own."""
    return rng.permuted(W, axis=0)


def upper(R: np.ndarray) -> np.ndarray:
    """Returns the entries of a symmetric matrix above its diagonal, one per pair."""
    return R[np.triu_indices(len(R), 1)]


def closest_pairs(R: np.ndarray) -> list[tuple[int, int, float]]:
    """Returns every pair of columns with its correlation, the largest magnitude first; pairs without one are last."""
    first, second = np.triu_indices(len(R), 1)
    order = np.argsort(-np.abs(R[first, second]), kind="stable")
    return [(int(first[n]), int(second[n]), float(R[first[n], second[n]])) for n in order]
