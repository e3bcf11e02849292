"""Cutting units: what they say is no longer read (parts 6 and 7 of the blog).

Three cuts, named apart. `output`: what reads the unit from above, the softmax layer or the next layer's gates, gets
zeros. `recurrence`: what reads it in its own layer does. `both` is the same as holding its h at zero, before `<s>` too.
Cut always, it is zeroed columns of matrices: a changed copy of the model that costs nothing per token. Within a window
it is an edit of what the columns add at its rows.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.interventions.choice import parted, selector
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.readout import with_softmax
from folkrnn.interventions.selectors import Chosen, Selector, Units, known_units
from folkrnn.interventions.windows import ALWAYS, Rows, Window, window
from folkrnn.interventions.writes import Edit, Write, with_hooks
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import Step, hooked, unhooked
from folkrnn.models.products import Product
from folkrnn.models.recurrent import GATES

Where = Literal["output", "recurrence", "both"]


@dataclass(frozen=True)
class Cut(Intervention[FolkRNN]):
    """Units that a selector chooses, cut where `where` says, within a window."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    select: Selector
    where: Where = "output"
    window: Window = ALWAYS

    def __post_init__(self) -> None:
        if self.where not in get_args(Where):
            raise UserError(f"where={self.where}: units can be cut at {', '.join(get_args(Where))}")

    def check(self, model: FolkRNN, context: RunContext) -> None:
        self.select.check(model, context)
        self.window.check(context.vocabulary, context.max_tokens)

    def resolved(self, model: FolkRNN, context: RunContext) -> Cut:
        return replace(self, select=self.select.choose(unhooked(model), context))

    def matched(self, seed: int) -> Cut | None:
        return replace(self, select=self.select.like(seed)) if isinstance(self.select, Chosen) else None

    def fixes(self, model: FolkRNN, context: RunContext) -> frozenset[tuple[str, int]]:
        known = known_units(self.select, model)
        return frozenset((f"l{layer}.h", int(unit)) for layer, units in known.items() for unit in units)

    def edit(self, model: FolkRNN, context: RunContext) -> tuple[FolkRNN, EffectRecord]:
        base = unhooked(model)
        chosen = self.select.choose(base, context)
        effect = EffectRecord("cut", self._metrics(base, chosen), {"units": chosen.listing()})
        top = chosen.units.get(len(base.layers), np.array([], int))
        if len(top) and self.where != "recurrence":
            model = with_softmax(model, partial(_without_columns, torch.from_numpy(top)), self.window, context)
        if self.window.always:
            changed = without(unhooked(model), chosen.units, self.where)
            return hooked(changed, model.hooks, model.tracker), effect
        edits = self._edits(base, chosen.units, self.window.rows(context.vocabulary, base.device))
        return (with_hooks(model, context.vocabulary, edits) if edits else model), effect

    def _metrics(self, model: FolkRNN, chosen: Chosen) -> dict[str, float]:
        layers = len(chosen.units)
        metrics = {"units": float(chosen.count), "fraction": chosen.count / (model.units * layers) if layers else 0.0}
        top = chosen.units.get(len(model.layers))
        if top is not None and self.where != "recurrence":
            weight = model.softmax_weight.detach()
            metrics["softmax_energy"] = float(weight[:, torch.from_numpy(top)].square().sum() / weight.square().sum())
        return metrics

    def _edits(self, model: FolkRNN, units: Units, rows: Rows) -> list[Edit]:
        found: list[Edit] = []
        for layer, some in units.items():
            index = torch.from_numpy(np.asarray(some)).to(model.device)
            if not len(index):
                continue
            if self.where != "output":
                found += _without_product(model, layer, "", index, rows)
            if self.where != "recurrence" and layer < len(model.layers):
                found += _without_product(model, layer + 1, f"l{layer}.h", index, rows)
        return found


def cut(where: Where = "output", **settings: Any) -> Cut:
    """Returns the cut that settings describe: which units (see `choice.selector`), and when (`where.window`)."""
    choice, when = parted(settings)
    return Cut(selector(**choice), where, window(**when))


@torch.no_grad()
def without(model: FolkRNN, units: Units, where: Where) -> FolkRNN:
    """Returns a copy of the model in which no recurrent layer reads the units where they are cut."""
    changed = copy.deepcopy(model)
    for layer, some in units.items():
        columns = torch.from_numpy(np.asarray(some)).to(model.device)
        if where != "recurrence" and layer < len(model.layers):
            changed.layers[layer].weight_ih[:, columns] = 0
        if where != "output":
            changed.layers[layer - 1].weight_hh[:, columns] = 0
    return changed


def _without_columns(units: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    return weight.index_fill(1, units.to(weight.device), 0.0), bias


def _without_product(model: FolkRNN, layer: int, source: str, units: Tensor, rows: Rows) -> list[Edit]:
    """Edits that take off from the gates of `layer` what some units add: h of `source`, or of the step before."""
    whole = model.layers[layer - 1].weight_ih if source else model.layers[layer - 1].weight_hh
    gates = GATES[model.cell]
    found: list[Edit] = []
    for name, weight in zip(gates, whole.detach().chunk(len(gates)), strict=True):
        columns = Product([weight[:, units].contiguous()])  # batch-invariant
        gated = f"l{layer}.r" if name == "n" and not source else ""

        def make(part: Tensor, step: Step, columns: Product = columns, gated: str = gated) -> Tensor:
            h = step.seen[source] if source else step.before[layer - 1][0]
            added = columns(h[:, units])
            return part - (step.seen[gated] * added if gated else added)

        looks_at = frozenset(filter(None, (source, gated)))
        found.append(Write("", f"l{layer}.{name}.pre", make, rows, looks_at=looks_at))
    return found
