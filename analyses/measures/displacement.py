"""What moving one value before the softmax does to a probability (part 2 of the blog; paper, equations 10 to 14).

Add δ to the value of token n before the softmax and leave the others: p_n becomes α p_n with

    α = 1 / (p_n + e^{−δ} (1 − p_n))        δ = ln[(1 − p_n) / (1/α − p_n)],   0 ≤ α ≤ 1/p_n,

and every other probability is multiplied by (1 − α p_n) / (1 − p_n). Temperature acts before: p and δ are those of the
values already divided by it. The last hidden state moves all tokens at once, so for a column of the softmax matrix
"all else equal" is an approximation; `displaced` is exact for any displacement.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from folkrnn.errors import UserError


def factor(delta: ArrayLike, probability: ArrayLike) -> np.ndarray:
    """Returns α, by which a token of this probability gets likelier when its value before the softmax rises by δ.

    Equation 13. Arrays are broadcast; δ = −∞ gives 0 and δ = ∞ gives 1/p. Raises UserError for p outside (0, 1).
    """
    p, delta = _probability(probability), np.asarray(delta, float)
    with np.errstate(over="ignore"):
        return 1 / (p + np.exp(-delta) * (1 - p))


def displacement(alpha: ArrayLike, probability: ArrayLike) -> np.ndarray:
    """Returns δ, which multiplies the probability of a token by α (equation 14); α = 0 gives −∞ and α = 1/p gives ∞.

    Arrays are broadcast. Raises UserError for p outside (0, 1) and for α outside [0, 1/p]: no probability exceeds 1.
    """
    p, alpha = _probability(probability), np.asarray(alpha, float)
    if np.any(alpha < 0) or np.any(alpha * p > 1 + 1e-12):
        raise UserError(f"alpha is {alpha}; for a probability of {p} it must lie between 0 and {1 / p}")
    with np.errstate(divide="ignore"):
        return np.log(alpha) + np.log1p(-p) - np.log(np.maximum(0.0, 1 - alpha * p))


def displaced(distribution: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """Returns the distribution `[…, V]` after adding δ `[V]` before the softmax: p′_n = p_n e^{δ_n} / Σ_m p_m
    e^{δ_m}.
    """
    raised = distribution * np.exp(delta - np.max(delta))
    return raised / raised.sum(-1, keepdims=True)


def _probability(value: ArrayLike) -> np.ndarray:
    p = np.asarray(value, float)
    if np.any(p <= 0) or np.any(p >= 1):
        raise UserError(f"the probability is {p}; it must lie strictly between 0 and 1")
    return p
