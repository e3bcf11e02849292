"""Changes of the softmax layer, one after the other: for all of a tune, or at the rows of a window.

Always, and with none for a while before it, a change makes a copy of the model that costs nothing per token. Within a
window it is an edit of logits: at each row the layer is the one that the changes which are in force there make, in
order, and its logits are computed as the changed model would. Such edits come before all others of logits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

from folkrnn.interventions.intervention import RunContext
from folkrnn.interventions.windows import Rows, Window
from folkrnn.interventions.writes import Edit, with_hooks
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import OUT, Step, hooked, unhooked
from folkrnn.models.positions import Position
from folkrnn.models.products import Product

Layer = tuple[Tensor, Tensor]
"""Weight `[V, H]` and bias `[V]`."""

Change = Callable[[Tensor, Tensor], Layer]
"""Returns another softmax layer, and leaves the one that it is given as it is."""


class ReadOut(Edit):
    """The softmax layer after `change`, at the rows of a window, behind the earlier such edits."""

    of_parameters = True

    def __init__(self, base: FolkRNN, change: Change, rows: Rows, earlier: Sequence[ReadOut]) -> None:
        self.top = base.top
        self.sites = frozenset({"logits", self.top})
        self.change, self.rows, self.earlier = change, rows, tuple(earlier)
        self._layer = _layer_of(base)
        self._products: dict[int, Product] = {}

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        if site != "logits":
            return value
        inside = self.rows(step.position)
        if inside is not None and not inside.any():
            return value
        h = step.seen.get(OUT, step.seen[self.top])  # what the softmax layer is given
        # bit k: whether the earlier change k is in force
        force = torch.zeros_like(step.position.step)
        for k, edit in enumerate(self.earlier):
            force += _whole(edit.rows, step.position) * 2**k
        there = force if inside is None else force[inside]
        for code in there.unique().tolist() if self.earlier else [0]:
            mine = force == code if inside is None else (force == code) & inside
            value = torch.where(mine.unsqueeze(1), self._product(code)(h), value)
        return value

    def _product(self, code: int) -> Product:
        if code not in self._products:
            changes = [edit.change for k, edit in enumerate(self.earlier) if code >> k & 1]
            weight, bias = _changed(self._layer, [*changes, self.change])
            self._products[code] = Product([weight], bias)
        return self._products[code]


@torch.no_grad()
def with_softmax(model: FolkRNN, change: Change, when: Window, context: RunContext) -> FolkRNN:
    """Returns the model with its softmax layer changed behind the changes that it has, within a window."""
    base, earlier = unhooked(model), _edits_of(model)
    if not when.always or earlier:
        rows = when.rows(context.vocabulary, base.device)
        return with_hooks(model, context.vocabulary, [ReadOut(base, change, rows, earlier)])
    changed = copy.deepcopy(base)
    weight, bias = change(*_layer_of(base))
    changed.softmax_weight.copy_(weight)
    changed.softmax_bias.copy_(bias)
    return hooked(changed, model.hooks, model.tracker)


def softmax_of(model: FolkRNN) -> Layer:
    """Returns the softmax layer where all changes of it are in force."""
    return _changed(_layer_of(unhooked(model)), [edit.change for edit in _edits_of(model)])


def _changed(layer: Layer, changes: Sequence[Change]) -> Layer:
    return reduce(lambda made, change: change(*made), changes, layer)


def _layer_of(model: FolkRNN) -> Layer:
    return model.softmax_weight.detach(), model.softmax_bias.detach()


def _edits_of(model: FolkRNN) -> list[ReadOut]:
    return [hook for hook in model.hooks if isinstance(hook, ReadOut)]


def _whole(rows: Rows, position: Position) -> Tensor:
    inside = rows(position)
    return torch.ones_like(position.step) if inside is None else inside.long()
