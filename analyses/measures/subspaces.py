"""Columns and the subspaces they span: Gramians, inner products, principal angles, and what chance would give.

Between random directions of ℝᴴ the cosine has mean 0 and variance 1/H, so its magnitude is √(2/(πH)) on average; two
random subspaces of dimensions a ≤ b have mean squared cosine b/H over their a principal angles.
"""

from __future__ import annotations

import numpy as np


def unit_columns(W: np.ndarray) -> np.ndarray:
    """Returns `W [H, N]` with each column scaled to length 1; a column of zeros becomes NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return W / np.linalg.norm(W, axis=0)


def cosines(A: np.ndarray, B: np.ndarray | None = None) -> np.ndarray:
    """Returns the cosine of every column of `A [H, N]` with every column of `B [H, M]`, `[N, M]`; B is A by default.

    With one argument this is the Gramian of the unit columns: symmetric, positive semidefinite, 1 on its diagonal.
    """
    return unit_columns(A).T @ unit_columns(A if B is None else B)


def off_diagonal(square: np.ndarray) -> np.ndarray:
    """Returns the entries of a symmetric matrix above its diagonal that are numbers."""
    values = square[np.triu_indices(len(square), 1)]
    return values[np.isfinite(values)]


def chance_cosine(dimensions: int) -> float:
    """Returns the mean magnitude of the cosine of two random directions of that many dimensions, √(2/(πH))."""
    return float(np.sqrt(2 / (np.pi * dimensions)))


def leading(W: np.ndarray, energy: float) -> np.ndarray:
    """Returns an orthonormal basis `[H, d]` of the leading left singular vectors of `W [H, N]`.

    d is the smallest number whose squared singular values hold at least the share `energy` of all; a matrix of zeros
    has no column.
    """
    left, values, _ = np.linalg.svd(W, full_matrices=False)
    total = (values**2).sum()
    if not total:
        return left[:, :0]
    held = np.cumsum(values**2) / total
    return left[:, : int(np.searchsorted(held, min(energy, held[-1]) - 1e-12)) + 1]


def principal_cosines(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Returns the cosines of the principal angles of the spans of orthonormal `A [H, a]`, `B [H, b]`, falling.

    Their number is min(a, b); 1 is a shared direction, 0 a right angle.
    """
    return np.clip(np.linalg.svd(A.T @ B, compute_uv=False), 0.0, 1.0)


def overlap(A: np.ndarray, B: np.ndarray) -> float:
    """Returns the mean squared cosine of the principal angles over what random subspaces of these sizes would have.

    1 is chance, 0 orthogonal, H / max(a, b) one within the other. NaN where one is empty.
    """
    small, large = sorted((A.shape[1], B.shape[1]))
    if not small:
        return float("nan")
    return float(np.linalg.norm(A.T @ B) ** 2 / small * len(A) / large)


def random_subspace(dimensions: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Returns an orthonormal basis `[dimensions, size]` of a random subspace."""
    return np.linalg.qr(rng.normal(size=(dimensions, size)))[0]
