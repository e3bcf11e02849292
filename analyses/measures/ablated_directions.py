"""What an edit took from the softmax layer: the directions of W before − W after, and what they say in tokens.

A cut of units takes away columns, a truncation or the removal of a component singular vectors. The difference
D = U Σ Wᵀ is what the layer can no longer do: along its right vectors a hidden state used to displace the distribution
along the left ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analyses.measures.strongest import strongest
from folkrnn.interventions.readout import softmax_of
from folkrnn.vocabulary import Vocabulary

NAMED = 6
"""Tokens that a direction is named by at each end."""

_SAME = 0.999
"""Cosine from which a direction is a component's."""


@dataclass(frozen=True)
class AblatedDirections:
    """The singular directions of what was taken away, and how much of the layer's energy (Σ w²) they held."""

    left: np.ndarray
    """`[V, r]`; each with its entry of largest magnitude above 0."""
    values: np.ndarray
    """Singular values, falling, `[r]`."""
    whole: np.ndarray
    """Singular values of the layer before."""
    energy_share: float
    energy_by_type: dict[str, float]
    """By type of token: the share of the energy of its rows."""
    remaining_rank: int
    components: tuple[int | None, ...]
    """Which singular component of the layer each direction is, from 1; None where it is none."""

    @property
    def rank(self) -> int:
        return len(self.values)

    def table(self, vocabulary: Vocabulary) -> pd.DataFrame:
        """Returns one row per direction: singular value, share of what was taken, tokens raised and lowered."""
        rows = []
        found = zip(self.values, self.left.T, self.components, strict=True)
        for j, (value, vector, component) in enumerate(found, 1):
            raised, lowered = strongest(vector, vocabulary, NAMED)
            share = float(value**2 / (self.values**2).sum())
            rows.append(
                {"direction": j, "component": component, "singular_value": float(value), "share": share}
                | {"raises": " ".join(raised), "lowers": " ".join(lowered)}
            )
        return pd.DataFrame(rows)


def subspace(before: Any, after: Any, vocabulary: Vocabulary) -> AblatedDirections | None:
    """Returns what the softmax layer of the model `after` lacks of that of `before`; None where nothing.

    What is taken away for a while counts as taken away.
    """
    W, rest = (softmax_of(model)[0].cpu().double().numpy() for model in (before, after))
    return ablated_directions(W, rest, vocabulary)


def ablated_directions(W: np.ndarray, rest: np.ndarray, vocabulary: Vocabulary) -> AblatedDirections | None:
    """The same from the matrices `[V, H]`."""
    D = W - rest
    if not np.any(D):
        return None
    left, values, _ = np.linalg.svd(D, full_matrices=False)
    basis, whole, _ = np.linalg.svd(W, full_matrices=False)
    least = whole[0] * max(W.shape) * np.finfo(np.float32).eps  # parameters are kept in single precision
    rank = max(1, int((values > least).sum()))
    same = (np.abs(left[:, :rank].T @ basis) > _SAME) & np.isclose(values[:rank, None], whole, rtol=1 - _SAME)
    sign = np.sign(left[np.abs(left).argmax(0), np.arange(left.shape[1])])
    rows = {name: list(vocabulary.of_type(name)) for name in Counter(vocabulary.types)}
    return AblatedDirections(
        left=(left * sign)[:, :rank],
        values=values[:rank],
        whole=whole,
        energy_share=float((D**2).sum() / (W**2).sum()),
        energy_by_type={
            name: float((D[ids] ** 2).sum() / (W[ids] ** 2).sum()) for name, ids in rows.items() if np.any(W[ids])
        },
        remaining_rank=int((np.linalg.svd(rest, compute_uv=False) > least).sum()),
        components=tuple(int(row.argmax()) + 1 if row.any() else None for row in same),
    )
