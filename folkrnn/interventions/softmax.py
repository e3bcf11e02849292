"""Changes of the softmax layer V: its rank, its singular components, its scale (paper, Figs. 8 and 9).

V = Σ_j σ_j u_j w_jᵀ, components counted from 1 as in the paper, largest first. What is removed is subtracted, so that
removing nothing leaves V as it is, bit for bit. V is the layer as the interventions before have left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Unpack

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.readout import softmax_of, with_softmax
from folkrnn.interventions.statistics import column_auc, either_way, read_tunes
from folkrnn.interventions.windows import ALWAYS, When, Window, token_ids, window
from folkrnn.models.folkrnn import FolkRNN


@dataclass(frozen=True)
class RemoveComponents(Intervention[FolkRNN]):
    """V without some singular components: those listed, or all beyond the first `rank`."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    components: tuple[int, ...] = ()
    """From 1."""
    by: str = ""
    """Token type whose steps the `count` components tell from others best; empty: those listed."""
    count: int = 1
    rank: int | None = None
    fraction: float | None = None
    """Of the components, the smallest ones, to take; where no rank is given."""
    window: Window = ALWAYS

    def check(self, model: FolkRNN, context: RunContext) -> None:
        full = min(model.softmax_weight.shape)
        beyond = [k for k in self.components if not 1 <= k <= full]
        if beyond:
            raise UserError(f"component {beyond[0]} does not exist; V has singular components 1 to {full}")
        if self.by:
            token_ids(self.by, context.vocabulary)
            if not 1 <= self.count <= full:
                raise UserError(f"count is {self.count}; V has {full} singular components")
        if self.rank is not None and not 0 <= self.rank <= full:
            raise UserError(f"rank is {self.rank}; it must lie between 0 and {full}, the most that V can have")
        if self.fraction is not None and not 0 <= self.fraction <= 1:
            raise UserError(f"fraction is {self.fraction}; it must lie between 0 and 1")
        self.window.check(context.vocabulary, context.max_tokens)

    def resolved(self, model: FolkRNN, context: RunContext) -> RemoveComponents:
        """Returns the same with components that are measured, on the tunes of the unchanged model."""
        if not self.by:
            return self
        best = np.argsort(-separation(model, self.by, context), kind="stable")[: self.count]
        return replace(self, by="", components=tuple(sorted(int(k) + 1 for k in best)))

    def edit(self, model: FolkRNN, context: RunContext) -> tuple[FolkRNN, EffectRecord]:
        weight, _ = softmax_of(model)
        values = torch.linalg.svdvals(weight.double())
        gone = self._gone(values)
        energy = float(values[gone].square().sum() / values.square().sum())
        table = pd.DataFrame(
            {
                "component": np.arange(1, len(values) + 1),
                "singular_value": values.cpu().numpy(),
                "removed": gone.cpu().numpy(),
            }
        )
        metrics = {"components_removed": float(gone.sum()), "rank": float((~gone).sum()), "energy_removed": energy}
        changed = with_softmax(model, self._without, self.window, context) if gone.any() else model
        return changed, EffectRecord("", metrics, {"components": table})

    def _gone(self, values: Tensor) -> Tensor:
        """Which of the components go, `[values]` of bool."""
        full, rank = len(values), self.rank
        if rank is None:
            rank = full - round((self.fraction or 0.0) * full)
        gone = torch.zeros(full, dtype=torch.bool, device=values.device)
        gone[[k - 1 for k in self.components]] = True
        gone[rank:] = True
        return gone

    def _without(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
        gone = self._gone(values)
        return weight - ((left[:, gone] * values[gone]) @ right[gone]).float(), bias


@dataclass(frozen=True)
class ScaleSoftmax(Intervention[FolkRNN]):
    """V times a factor: below 1 flatter distributions, above 1 sharper ones. With `bias` its bias too, as a
    temperature does.
    """

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    factor: float = 0.5
    bias: bool = False
    window: Window = ALWAYS

    def check(self, model: FolkRNN, context: RunContext) -> None:
        if not np.isfinite(self.factor):
            raise UserError(f"factor is {self.factor}; it must be a finite number")
        self.window.check(context.vocabulary, context.max_tokens)

    def edit(self, model: FolkRNN, context: RunContext) -> tuple[FolkRNN, EffectRecord]:
        effect = EffectRecord("", {"factor": self.factor})
        if self.factor == 1:
            return model, effect

        def scaled(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
            return self.factor * weight, self.factor * bias if self.bias else bias

        return with_softmax(model, scaled, self.window, context), effect


def truncate_softmax(
    rank: int | None = 30,
    fraction: float | None = None,
    **when: Unpack[When],
) -> RemoveComponents:
    """Returns V with its first `rank` components, or without this fraction of them."""
    kept = None if fraction is not None else rank
    return RemoveComponents((), "", 1, kept, fraction, window(**when))


def remove_component(
    components: int | Sequence[int] | None = (5,),
    by: str | None = None,
    count: int = 1,
    **when: Unpack[When],
) -> RemoveComponents:
    """Returns V without these components, from 1; or without the `count` that tell steps of a type `by` best."""
    listed = [] if by or components is None else [components] if isinstance(components, int) else list(components)
    return RemoveComponents(tuple(listed), by or "", count, window=window(**when))


def separation(model: FolkRNN, words: str, context: RunContext) -> np.ndarray:
    """Returns how well each right singular vector of V tells the states that make these tokens from others, `[R]`.

    max(AUC, 1 − AUC) of ⟨h, w⟩ over the steps of the unchanged model's tunes.
    """
    right = np.linalg.svd(softmax_of(model)[0].detach().double().cpu().numpy(), full_matrices=False)[2]
    site = f"l{len(model.layers)}.h"
    found = [
        (activations[site], ids[1:]) for ids, activations in read_tunes(model, context.control()[:MEASURED], [site])
    ]
    if not found:
        raise UserError("there are no tunes to measure components on")
    made = np.isin(np.concatenate([ids for _, ids in found]), token_ids(words, context.vocabulary))
    if made.all() or not made.any():
        raise UserError(f"by={words}: the tunes measured on do not have steps with and without these tokens")
    return either_way(column_auc(np.concatenate([h for h, _ in found]) @ right.T, made))


MEASURED = 64
"""Most tunes that components are measured on."""


def scale_softmax(factor: float = 0.5, bias: bool = False, **when: Unpack[When]) -> ScaleSoftmax:
    """Returns V times a factor."""
    return ScaleSoftmax(factor, bias, window(**when))
