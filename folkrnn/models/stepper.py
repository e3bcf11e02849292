"""Many steps of one model whose parameters stay as they are: generation, reading, tracing.

Shapes: B tunes, V tokens, H units, G gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from folkrnn.models.products import Precision, Product
from folkrnn.models.recurrent import STREAMS, State, gru_cell, lstm_cell, lstm_cell_into
from folkrnn.models.visits import SiteVisit, of_layer, wants

if TYPE_CHECKING:
    from folkrnn.models.folkrnn import FolkRNN
    from folkrnn.models.recurrent import RecurrentLayer


class Stepper:
    """A model's `step`, to 1e-6 and without gradients, several times as fast: for a loop over steps.

    The weights of input and recurrence are one matrix each above layer 1, packed for the processor at the first step; a
    one-hot product is a row lookup. A parameter that is written to in place counts from the next step on. `precision`
    is that of the layers' products; states and the softmax layer stay in single precision.
    """

    def __init__(self, model: FolkRNN, precision: Precision = "fp32") -> None:
        self.model = model
        self._layers = [_Layer(layer, k == 0, precision) for k, layer in enumerate(model.layers)]
        self._names = [{s: f"l{k + 1}.{s}" for s in STREAMS[model.cell]} for k in range(len(model.layers))]
        self._read_out = Product([model.softmax_weight], model.softmax_bias)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: list[State], visit: SiteVisit | None = None) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, V]` and the state after reading `tokens [B]`; `visit` as in `FolkRNN.step`."""
        after: list[State] = []
        for layer, before, names in zip(self._layers, state, self._names, strict=True):
            visited = of_layer(visit, names)
            if after:
                after.append(layer.step(after[-1][0], before, visited))
                continue
            one_hot = visit("x", self.model.one_hot(tokens)) if wants(visit, "x") else None
            after.append(layer.first_step(tokens, one_hot, before, visited))
        logits = self._read_out(after[-1][0])
        return (visit("logits", logits) if wants(visit, "logits") else logits), after

    @torch.no_grad()
    def step_into(self, tokens: Tensor, state: list[State], into: Mapping[str, Tensor]) -> tuple[Tensor, list[State]]:
        """As `step` of an LSTM; the sites of layers that `into` names are written to its tensors `[B, H]` at once.

        The state returned may share memory with them.
        """
        after: list[State] = []
        for layer, before, names in zip(self._layers, state, self._names, strict=True):
            mine = {stream: into[name] for stream, name in names.items() if name in into}
            pre = layer.pre(after[-1][0], before[0]) if after else layer.first_pre(tokens, before[0])
            after.append(lstm_cell_into(pre, before[1], mine))
        return self._read_out(after[-1][0]), after


class _Layer:
    """The products of one layer. A GRU's candidate takes its two apart, so they are not made one."""

    def __init__(self, layer: RecurrentLayer, first: bool, precision: Precision) -> None:
        self.layer = layer
        self.inward = Product([layer.weight_ih], layer.bias, precision)
        self.recurrent = Product([layer.weight_hh], None, precision)
        both = layer.cell == "lstm" and not first
        self.both = Product([layer.weight_ih, layer.weight_hh], layer.bias, precision) if both else None
        self._versions: tuple[int, int] | None = None

    def step(self, x: Tensor, state: State, visit: SiteVisit | None) -> State:
        if self.both is None:
            return self._driven(self.inward(x), state, visit)
        return lstm_cell(self.pre(x, state[0]), state[1], visit)

    def first_step(self, tokens: Tensor, one_hot: Tensor | None, state: State, visit: SiteVisit | None) -> State:
        return self._driven(self._lookup(tokens) if one_hot is None else self.inward(one_hot), state, visit)

    def pre(self, x: Tensor, h: Tensor) -> Tensor:
        return self.both(torch.cat([x, h], dim=1))

    def first_pre(self, tokens: Tensor, h: Tensor) -> Tensor:
        return self.recurrent(h, self._lookup(tokens))

    def _driven(self, drive: Tensor, state: State, visit: SiteVisit | None) -> State:
        if self.layer.cell == "lstm":
            return lstm_cell(self.recurrent(state[0], drive), state[1], visit)
        return gru_cell(drive, self.recurrent(state[0]), state[0], visit)

    def _lookup(self, tokens: Tensor) -> Tensor:
        versions = (self.layer.weight_ih._version, self.layer.bias._version)
        if versions != self._versions:
            self._table = (self.layer.weight_ih.t() + self.layer.bias).contiguous()
            self._versions = versions
        return nn.functional.embedding(tokens, self._table)
