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

STEPS = 16
"""Steps whose inputs a layer multiplies in one product while a trace is read: enough for it to be fast."""


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
    def read(self, tokens: Tensor, into: Mapping[str, Tensor]) -> None:
        """Writes the sites that `into` names to its tensors `[b, T, units]`: an LSTM's, reading `tokens [B, T]`, b ≤ B.

        A layer's inputs over some steps are known once the layer below has made them, and multiplied in one product.
        """
        state = self.model.initial_state(len(tokens))
        for start in range(0, tokens.shape[1], STEPS):
            window = slice(start, start + STEPS)
            parts = {name: value[:, window].transpose(0, 1) for name, value in into.items()}
            h = self._read(tokens[:, window].t().contiguous(), state, parts)
            if "logits" in into or "probs" in into:
                logits = self._read_out(h.flatten(0, 1)).unflatten(0, h.shape[:2])
                if "logits" in into:
                    _copy(logits, parts["logits"])
                if "probs" in into:
                    _copy(logits.softmax(-1), parts["probs"])

    def _read(self, tokens: Tensor, state: list[State], into: Mapping[str, Tensor]) -> Tensor:
        """Returns the top h `[S, B, H]` of some steps, having read `tokens [S, B]`; `state` becomes that after them."""
        if "x" in into:
            _copy(self.model.one_hot(tokens), into["x"])
        below = tokens
        for k, (layer, names) in enumerate(zip(self._layers, self._names, strict=True)):
            mine = {stream: into[name] for stream, name in names.items() if name in into}
            below, state[k] = layer.read(below, state[k], mine)
        return below


def _copy(stream: Tensor, target: Tensor) -> None:
    """Copies the first rows of `[S, B, units]`, as many as the target `[S, b, units]` has."""
    target.copy_(stream[:, : target.shape[1]])


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
        return lstm_cell(self.both(torch.cat([x, state[0]], dim=1)), state[1], visit)

    def first_step(self, tokens: Tensor, one_hot: Tensor | None, state: State, visit: SiteVisit | None) -> State:
        return self._driven(self._lookup(tokens) if one_hot is None else self.inward(one_hot), state, visit)

    def read(self, below: Tensor, state: State, into: Mapping[str, Tensor]) -> tuple[Tensor, State]:
        """Returns h `[S, B, H]` and the state after reading what is below (see `_drive`).

        Streams are written to the tensors `[S, b, H]` of `into`: as they come, where these have room for all B tunes in
        one piece.
        """
        drive = self._drive(below)
        shape = (*drive.shape[:2], self.layer.units)
        fitting = {stream for stream, value in into.items() if value.shape == shape and value.is_contiguous()}
        written = {stream: torch.empty(shape, device=drive.device) for stream in {"h", *into} - fitting}
        each = {stream: value.unbind() for stream, value in {**into, **written}.items()}
        h, c = state
        for s, driven in enumerate(drive.unbind()):
            h, c = lstm_cell_into(self.recurrent(h, driven), c, {stream: steps[s] for stream, steps in each.items()})
        for stream in written.keys() & into.keys():
            _copy(written[stream], into[stream])
        return (written if "h" in written else into)["h"], (h, c)

    def _drive(self, below: Tensor) -> Tensor:
        """Returns W_x x + b `[S, B, 4H]` for tokens `[S, B]` or the states of the layer below `[S, B, H]`."""
        if below.dim() == 2:
            return self._lookup(below)
        return self.inward(below.flatten(0, 1)).unflatten(0, below.shape[:2])

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
