"""Changes of the softmax layer V: its rank, its singular components, its scale (paper, Figs. 8 and 9).

V = Σ_j σ_j u_j w_jᵀ, components counted from 1 as in the paper, largest first. What is removed is subtracted, so that
removing nothing leaves V as it is, bit for bit. Within a window the change is an edit of logits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn.interventions.edited import OUT, Moment, Playable, base_of, with_base, with_edits
from folkrnn.interventions.intervention import Account, Setting
from folkrnn.interventions.where import ALWAYS, Window, window
from folkrnn.interventions.writes import Write
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.products import Product
from folkrnn.refusal import Refusal


@dataclass(frozen=True)
class RemoveComponents:
    """V without some singular components: those listed, or all beyond the first `rank`."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    components: tuple[int, ...] = ()
    """From 1."""
    rank: int | None = None
    fraction: float | None = None
    """Of the components, the smallest ones, to take; where no rank is given."""
    window: Window = ALWAYS

    def check(self, model: FolkRNN, setting: Setting) -> None:
        full = min(model.softmax_weight.shape)
        beyond = [k for k in self.components if not 1 <= k <= full]
        if beyond:
            raise Refusal(f"component {beyond[0]} does not exist; V has singular components 1 to {full}")
        if self.rank is not None and not 0 <= self.rank <= full:
            raise Refusal(f"rank is {self.rank}; it must lie between 0 and {full}, the most that V can have")
        if self.fraction is not None and not 0 <= self.fraction <= 1:
            raise Refusal(f"fraction is {self.fraction}; it must lie between 0 and 1")
        self.window.check(setting.vocabulary, setting.max_tokens)

    def settled(self, model: FolkRNN, setting: Setting) -> RemoveComponents:
        return self

    def matched(self, seed: int) -> None:
        return None

    def fixes(self, model: Any) -> frozenset[tuple[str, int | str]]:
        return frozenset()

    def edit(self, model: Playable, setting: Setting) -> tuple[Playable, Account]:
        weight = base_of(model).softmax_weight.detach()
        left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
        gone = torch.zeros(len(values), dtype=torch.bool, device=weight.device)
        gone[[k - 1 for k in self.components]] = True
        if (rank := self._rank(len(values))) is not None:
            gone[rank:] = True
        removed = (left[:, gone] * values[gone]) @ right[gone]
        energy = float(values[gone].square().sum() / values.square().sum())
        table = pd.DataFrame(
            {
                "component": np.arange(1, len(values) + 1),
                "singular_value": values.cpu().numpy(),
                "removed": gone.cpu().numpy(),
            }
        )
        metrics = {"components_removed": float(gone.sum()), "rank": float((~gone).sum()), "energy_removed": energy}
        changed = _with_softmax(model, -removed.float(), None, self.window, setting) if gone.any() else model
        return changed, Account("", metrics, {"components": table})

    def _rank(self, full: int) -> int | None:
        return full - round(self.fraction * full) if self.rank is None and self.fraction is not None else self.rank


@dataclass(frozen=True)
class ScaleSoftmax:
    """V times a factor: below 1 flatter laws, above 1 sharper ones. With `bias` its bias too, as a temperature does."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    factor: float = 0.5
    bias: bool = False
    window: Window = ALWAYS

    def check(self, model: FolkRNN, setting: Setting) -> None:
        if not np.isfinite(self.factor):
            raise Refusal(f"factor is {self.factor}; it must be a finite number")
        self.window.check(setting.vocabulary, setting.max_tokens)

    def settled(self, model: FolkRNN, setting: Setting) -> ScaleSoftmax:
        return self

    def matched(self, seed: int) -> None:
        return None

    def fixes(self, model: Any) -> frozenset[tuple[str, int | str]]:
        return frozenset()

    def edit(self, model: Playable, setting: Setting) -> tuple[Playable, Account]:
        base = base_of(model)
        account = Account("", {"factor": self.factor})
        if self.factor == 1:
            return model, account
        weight, bias = (self.factor - 1) * base.softmax_weight.detach(), (self.factor - 1) * base.softmax_bias.detach()
        return _with_softmax(model, weight, bias if self.bias else None, self.window, setting), account


def truncate_softmax(
    rank: int | None = 30,
    fraction: float | None = None,
    steps: Any = None,
    bars: Any = None,
    parts: Any = None,
    after: Any = None,
) -> RemoveComponents:
    """Returns V with its first `rank` components, or without this fraction of them."""
    kept = None if fraction is not None else rank
    return RemoveComponents((), kept, fraction, window(steps, bars, parts, after))


def remove_component(
    components: int | Sequence[int] = (5,), steps: Any = None, bars: Any = None, parts: Any = None, after: Any = None
) -> RemoveComponents:
    """Returns V without these components, from 1."""
    listed = [components] if isinstance(components, int) else list(components)
    return RemoveComponents(tuple(listed), window=window(steps, bars, parts, after))


def scale_softmax(
    factor: float = 0.5, bias: bool = False, steps: Any = None, bars: Any = None, parts: Any = None, after: Any = None
) -> ScaleSoftmax:
    """Returns V times a factor."""
    return ScaleSoftmax(factor, bias, window(steps, bars, parts, after))


@torch.no_grad()
def _with_softmax(model: Playable, weight: Tensor, bias: Tensor | None, when: Window, setting: Setting) -> Playable:
    """Returns the model with `weight [V, H]` and `bias [V]` added to its softmax layer, within a window."""
    base = base_of(model)
    if when.always:
        changed = copy.deepcopy(base)
        changed.softmax_weight += weight
        if bias is not None:
            changed.softmax_bias += bias
        return with_base(model, changed)
    top, product = f"l{len(base.layers)}.h", Product([weight], bias)

    def make(logits: Tensor, moment: Moment) -> Tensor:
        return logits + product(moment.seen.get(OUT, moment.seen[top]))  # what the softmax layer was given

    write = Write("", "logits", make, when.rows(setting.vocabulary, base.device), looks_at=frozenset({top}))
    return with_edits(model, setting.vocabulary, [write])
