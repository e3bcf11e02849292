"""What training added to the parameters: W − d W₀, where the initial parameters W₀ are known.

Weight decay shrinks what is never updated, so W₀ is still in W at some share d of its size. d minimises Σ |W − d W₀|
over the entries of a matrix: where most of a matrix was not moved it is the share of those entries exactly, and what
moved the others does not shift it. A matrix is one gate's input or recurrent matrix, or that of the softmax layer.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analyses.measures.tables import rows_of
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.recurrent import GATES
from folkrnn.observation.observation import Observation

T = TypeVar("T")


@dataclass(frozen=True)
class Learned:
    """A model that holds what was learned alone, and one row per matrix: how much of it is initial."""

    model: FolkRNN
    table: pd.DataFrame

    def metrics(self) -> dict[str, float]:
        """Returns the initial share of each matrix, and of all parameters of matrices together."""
        whole = float(np.average(self.table["initial_share"], weights=self.table["energy"]))
        each = {f"{row.matrix}/initial_share": row.initial_share for row in rows_of(self.table)}
        return {"initial_share": whole} | each


def learned_part(observation: Observation) -> Learned | None:
    """Returns what was learned of the observed model; None where its initial parameters are not known."""
    if observation.initial is None:
        return None
    return subtracted(observation.model, observation.initial.model_like(observation.model))


@torch.no_grad()
def subtracted(model: FolkRNN, initial: FolkRNN) -> Learned:
    """Returns the model less the share of the initial one that is in each of its matrices."""
    rest = copy.deepcopy(model).cpu()
    rows = []
    for (name, part), first in zip(matrices(rest), (part for _, part in matrices(initial)), strict=True):
        W, W0 = part.double().numpy(), first.double().numpy()
        share = scale(W, W0)
        added, energy = W - share * W0, float((W**2).sum())
        rows.append(
            {
                "matrix": name,
                "d": share,
                "initial_share": max(0.0, 1 - float((added**2).sum()) / energy) if energy else 0.0,
                "cosine": cosine(W, W0),
                "energy": energy,
            }
        )
        part.copy_(torch.from_numpy(added))
    return Learned(rest, pd.DataFrame(rows))


def matrices(model: FolkRNN) -> list[tuple[str, Tensor]]:
    """Returns the input and recurrent matrix of every gate (`l1.xi`, `l1.hi`, …) and that of the softmax layer."""
    found = []
    for k, layer in enumerate(model.layers, 1):
        for kind, weight in (("x", layer.weight_ih), ("h", layer.weight_hh)):
            gates = GATES[model.cell]
            found += [(f"l{k}.{kind}{g}", block) for g, block in zip(gates, weight.chunk(len(gates)), strict=True)]
    return [*found, ("softmax", model.softmax_weight)]


def scale(W: np.ndarray, W0: np.ndarray) -> float:
    """Returns the d that minimises Σ |W − d W₀|: the median of W / W₀, weighted by |W₀|."""
    known = W0 != 0
    ratio, weight = W[known] / W0[known], np.abs(W0[known])
    order = np.argsort(ratio)
    reached = np.cumsum(weight[order])
    return float(ratio[order][np.searchsorted(reached, reached[-1] / 2)]) if len(order) else 0.0


def cosine(W: np.ndarray, W0: np.ndarray) -> float:
    """Returns the cosine between two matrices as vectors; 0 where one is 0."""
    size = np.linalg.norm(W) * np.linalg.norm(W0)
    return float((W * W0).sum() / size) if size else 0.0


CAPTION = (
    "the learned part: of each matrix what training added to its initial values (W − d W₀, d fitted; {share:.0%} of "
    "the energy of all matrices is initial)"
)


def prefixed(named: Mapping[str, T], joint: str = "/") -> dict[str, T]:
    """Returns the same under the names that what is said of the learned part has."""
    return {f"learned{joint}{name}": value for name, value in named.items()}
