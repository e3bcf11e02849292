"""LSTM layers whose gate pre-activations have their gradients clipped at every step, as Lasagne's `grad_clipping` does.

During back-propagation through time the gradient with respect to the stacked pre-activations of a step is clipped
element by element before it goes on to the weights, the biases, the layer below and the step before (facts sheet,
section 2.3). Fused kernels cannot do that, so both directions are loops over steps here; matrix products over all steps
are still single ones. Without a limit the gradients are those of the fused kernels.

Shapes: B tunes, T steps, H units; gates are stacked i, f, g, o.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.products import Product
from folkrnn.models.recurrent import RecurrentLayer, recur
from folkrnn.training.noise import Drop, undropped


@dataclass
class ClipRecord:
    """What the latest backward passes clipped: read it for curves, then start anew."""

    clipped: Tensor | int = 0
    total: int = 0
    largest: Tensor | float = 0.0
    """Largest magnitude after clipping."""

    @property
    def share(self) -> float:
        return float(self.clipped) / max(1, self.total)


class ClippedLSTM(torch.autograd.Function):
    """h `[T, B, H]` of a layer from its projection W_x x + b `[T, B, 4H]`, `weight_hh [4H, H]`, h₀ and c₀ `[B, H]`."""

    @staticmethod
    def forward(
        ctx: Any, projection: Tensor, weight_hh: Tensor, h0: Tensor, c0: Tensor, limit: float | None, record: ClipRecord
    ) -> Tensor:
        T, B, rows = projection.shape
        H = rows // 4
        gates = torch.empty_like(projection)
        hs, cs = projection.new_empty(T + 1, B, H), projection.new_empty(T + 1, B, H)
        hs[0], cs[0] = h0, c0
        into = dict(zip("ifgo", gates.chunk(4, dim=-1), strict=True))
        recur(Product([weight_hh]), projection, (h0, c0), into | {"c": cs[1:], "h": hs[1:]})
        ctx.save_for_backward(weight_hh, gates, hs, cs)
        ctx.limit, ctx.record = limit, record
        return hs[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor | None, ...]:
        weight_hh, gates, hs, cs = ctx.saved_tensors
        T, B, rows = gates.shape
        dh_next, dc = torch.zeros_like(hs[0]), torch.zeros_like(hs[0])
        back = Product([weight_hh.t()])
        for t in reversed(range(T)):
            i, f, g, o = gates[t].chunk(4, dim=-1)
            tanhc = cs[t + 1].tanh()
            dh = grad_h[t] + dh_next
            dc = dc + dh * o * (1 - tanhc * tanhc)
            found = dc * g * i * (1 - i), dc * cs[t] * f * (1 - f), dc * i * (1 - g * g), dh * tanhc * o * (1 - o)
            dc = dc * f
            # in the place of the gates, of which there is no more need: long batches are large
            for gate, gradient in zip((i, f, g, o), found, strict=True):
                gate.copy_(gradient)
            if ctx.limit is not None:
                gates[t].clamp_(-ctx.limit, ctx.limit)
            dh_next = back(gates[t])
        pre, H = gates, rows // 4
        _take_down(ctx.record, pre, ctx.limit)
        weight = pre.reshape(T * B, -1).t() @ hs[:-1].reshape(T * B, H)
        return pre, weight, dh_next, dc, None, None


def _take_down(record: ClipRecord, gradients: Tensor, limit: float | None) -> None:
    low, high = gradients.aminmax()
    largest = torch.maximum(-low, high)
    record.largest = torch.maximum(largest, torch.as_tensor(record.largest, device=largest.device))
    record.total += gradients.numel()
    if limit is not None:
        record.clipped = record.clipped + (gradients >= limit).sum() + (gradients <= -limit).sum()


def clipped_logits(
    model: FolkRNN, tokens: Tensor, limit: float | None, record: ClipRecord, drop: Drop = undropped
) -> Tensor:
    """Returns what `model(tokens)` does, logits `[B, T, V]`; on the way back gate gradients are clipped to ± `limit`.

    `drop` is the dropout after every layer. Raises UserError for a GRU. Always in the parameters' own precision.
    """
    if model.cell != "lstm":
        raise UserError("recipe.gate_clip clips the gates of an LSTM; for a GRU set recipe.gate_clip=null")
    with torch.autocast(tokens.device.type, enabled=False):
        x: Tensor | None = None
        for number, (layer, (h0, c0)) in enumerate(zip(model.layers, model.initial_state(len(tokens)), strict=True)):
            projection = _one_hot_projection(layer, tokens) if x is None else layer.project_input(x)
            h = ClippedLSTM.apply(projection, layer.weight_hh, h0, c0, limit, record)
            x = drop(number, h.transpose(0, 1)).transpose(0, 1)
        assert x is not None, "a model has a layer"
        return model.read_out(x.transpose(0, 1))


def _one_hot_projection(layer: RecurrentLayer, tokens: Tensor) -> Tensor:
    """W_x x + b `[T, B, 4H]` of one-hot inputs, as a row lookup."""
    return nn.functional.embedding(tokens.t(), layer.weight_ih.t()) + layer.bias
