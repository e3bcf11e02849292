"""One recurrent layer, its cell equations, and its three executions: fused, step by step, reconstructed.

Shapes: B tunes, T steps, I inputs, H units, G gates (4 for an LSTM, 3 for a GRU).

The LSTM of folk-rnn (facts sheet section 1.2; Lasagne's convention, which has one bias per gate):

    i = σ(W_xi x + W_hi h + b_i)    f = σ(W_xf x + W_hf h + b_f)    o = σ(W_xo x + W_ho h + b_o)
    g = tanh(W_xg x + W_hg h + b_g)    c ← f⊙c + i⊙g    h ← o⊙tanh(c)

The GRU (torch's, with one bias per gate): r, u = σ(·); n = tanh(W_xn x + b_n + r⊙W_hn h); h ← (1 − u)⊙n + u⊙h.
Lasagne's is the same but for its update gate, which is the complement of ours: its h ← (1 − u)⊙h + u⊙n. The loader of
its weights turns one into the other (`weights/lasagne.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.backends.cudnn.rnn import get_cudnn_mode

from folkrnn.models.hooks import See, State
from folkrnn.models.pointwise import sigmoid, tanh

Cell = Literal["lstm", "gru"]
Recurrent = Callable[[Tensor, Tensor | None], Tensor]
"""W_h h + added for h `[B, H]` and `added [B, G·H]`, None for none."""

NOWHERE: Mapping[str, Tensor] = {}

GATES: dict[str, tuple[str, ...]] = {"lstm": ("i", "f", "g", "o"), "gru": ("r", "u", "n")}
"""Gates in the order in which their rows are stacked in the weight matrices (that of `torch.nn`)."""

ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "lstm": ("i.pre", "f.pre", "g.pre", "o.pre", "i", "f", "g", "o", "c", "tanhc", "h"),
    "gru": ("r.pre", "u.pre", "n.pre", "r", "u", "n", "h"),
}
"""Every activation of a cell that can be read or written, in the order in which a step computes them."""


_PRE = ("i.pre", "f.pre", "g.pre", "o.pre")


class RecurrentLayer(nn.Module):
    """Parameters of one layer: `weight_ih [G·H, I]`, `weight_hh [G·H, H]`, `bias [G·H]`: one bias per gate."""

    def __init__(self, inputs: int, units: int, cell: Cell = "lstm") -> None:
        super().__init__()
        rows = len(GATES[cell]) * units
        self.cell: Cell = cell
        self.inputs, self.units = inputs, units
        self.weight_ih = nn.Parameter(torch.empty(rows, inputs))
        self.weight_hh = nn.Parameter(torch.empty(rows, units))
        self.bias = nn.Parameter(torch.zeros(rows))
        self.register_buffer("_no_second_bias", torch.zeros(rows), persistent=False)

    def fused(self, x: Tensor, state: State) -> Tensor:
        """Returns h of every step `[B, T, H]` for inputs `[B, T, I]`, by torch's fused kernel.

        In single precision, and on a GPU, where cuDNN would round factors to TF32, so only outside training. Under
        autocast to bf16 it computes in bf16.
        """
        inputs = [x, *(part.unsqueeze(0).contiguous() for part in state)]
        weights = [self.weight_ih, self.weight_hh, self.bias, self._no_second_bias]
        with tf32(torch.backends.cudnn.allow_tf32 and self.training):
            if not _autocast_to_bf16(x):
                return self._kernel(inputs, weights)
            with torch.autocast(x.device.type, enabled=False):
                return self._kernel(*([part.bfloat16() for part in parts] for parts in (inputs, weights)))

    def _kernel(self, inputs: Sequence[Tensor], weights: list[Tensor]) -> Tensor:
        x, *first = inputs
        if self.cell == "lstm":
            return torch.lstm(x, first, weights, True, 1, 0.0, self.training, False, True)[0]
        return torch.gru(x, first[0], weights, True, 1, 0.0, self.training, False, True)[0]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What moves a module to another device or type, as in torch's own recurrent layers."""
        super()._apply(fn, recurse)
        self._flatten()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What makes a copy, or a layer that another process sent."""
        super().__setstate__(state)
        self._flatten()

    @torch.no_grad()
    def _flatten(self) -> None:
        """Puts the weights side by side in memory, where cuDNN wants them: else each call of `fused` copies them."""
        weights = [self.weight_ih, self.weight_hh, self.bias, self._no_second_bias]
        if not (weights[0].is_cuda and torch._use_cudnn_rnn_flatten_weight()):
            return
        if not all(torch.backends.cudnn.is_acceptable(weight) for weight in weights):
            return
        mode = get_cudnn_mode(self.cell.upper())
        with torch.cuda.device_of(weights[0]):
            torch._cudnn_rnn_flatten_weight(weights, 4, self.inputs, mode, self.units, 0, 1, True, False)

    def project_input(self, x: Tensor) -> Tensor:
        """Returns W_x x + b, `[…, G·H]`, for inputs `[…, I]`."""
        return nn.functional.linear(x, self.weight_ih, self.bias)

    def reconstruct(self, x: Tensor, h: Tensor, state: State) -> dict[str, Tensor]:
        """Returns every activation `[B, T, H]` given the h `[B, T, H]` that `fused` computed from x.

        All pre-activations follow from one matrix product over all steps, since every h_{t−1} is known; c is then a
        cheap scan.
        """
        before = torch.cat([state[0].unsqueeze(1), h[:, :-1]], dim=1)
        projection, recurrent = self.project_input(x), nn.functional.linear(before, self.weight_hh)
        if self.cell == "gru":
            return _gru_activations(projection, recurrent, h)
        pre = dict(zip(GATES["lstm"], (projection + recurrent).chunk(4, dim=-1), strict=True))
        gates = {name: pre[name].tanh() if name == "g" else sigmoid(pre[name]) for name in pre}
        c = _scan(gates["f"], gates["i"] * gates["g"], state[1])
        return {f"{name}.pre": value for name, value in pre.items()} | gates | {"c": c, "tanhc": c.tanh(), "h": h}


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether cuDNN may round factors to TF32 (10 bits) meanwhile, which torch lets it do unless it is told."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _autocast_to_bf16(x: Tensor) -> bool:
    """Whether autocast asks for bf16 on a GPU.

    There torch's own casts the inputs of cuDNN's layers to fp16, whatever it is asked for.
    """
    return x.is_cuda and torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") == torch.bfloat16


def recur(
    recurrent: Recurrent,
    projection: Tensor,
    state: State,
    into: Mapping[str, Tensor] = NOWHERE,
    see: Callable[[int], See | None] | None = None,
) -> tuple[list[Tensor], State]:
    """Returns h `[B, H]` of every step, and the state after them, for inputs that are known: W_x x + b `[S, B, G·H]`.

    `recurrent(h, added)` is W_h h + added. The activations that `into` names are written to its tensors `[S, B, H]`;
    `see(s)` gives what step s calls with its activations.
    """
    hidden, each = [], {activation: value.unbind() for activation, value in into.items()}
    cell = lstm_cell if len(state) == 2 else gru_cell
    for s, row in enumerate(projection.unbind()):
        rooms = {activation: steps[s] for activation, steps in each.items()}
        state = cell(recurrent, row, state, see and see(s), rooms)
        hidden.append(state[0])
    return hidden, state


def lstm_cell(
    recurrent: Recurrent, projection: Tensor, state: State, see: See | None = None, into: Mapping[str, Tensor] = NOWHERE
) -> State:
    """Returns (h, c) `[B, H]` after a step of an LSTM whose inputs give W_x x + b, `projection [B, 4H]`."""
    return lstm_equations(recurrent(state[0], projection), state[1], see, into)


def lstm_equations(pre: Tensor, c: Tensor, see: See | None = None, into: Mapping[str, Tensor] = NOWHERE) -> State:
    """Returns (h, c) `[B, H]` from pre-activations `[B, 4H]` and the c before.

    `see` reads and replaces activations by name; the activations that `into` names are written to its tensors, and what
    is returned may be among them.
    """
    see = see or _unchanged
    i, f, g, o = (see(f"{name}.pre", part) for name, part in zip("ifgo", pre.chunk(4, dim=-1), strict=True))
    for name, part in zip(_PRE, (i, f, g, o), strict=True):
        if name in into:
            into[name].copy_(part)
    i, f = see("i", sigmoid(i, into.get("i"))), see("f", sigmoid(f, into.get("f")))
    g, o = see("g", tanh(g, into.get("g"))), see("o", sigmoid(o, into.get("o")))
    c = torch.mul(f, c, out=into.get("c"))
    c += i * g
    c = see("c", c)
    tanhc = see("tanhc", tanh(c, into.get("tanhc")))
    return see("h", torch.mul(o, tanhc, out=into.get("h"))), c


def _writing(into: Mapping[str, Tensor]) -> See:
    """Returns what writes the activations that `into` names to its tensors, and leaves the others as they are."""
    return lambda activation, value: into[activation].copy_(value) if activation in into else value


def gru_cell(
    recurrent: Recurrent, projection: Tensor, state: State, see: See | None = None, into: Mapping[str, Tensor] = NOWHERE
) -> State:
    """Returns (h,) `[B, H]` after a step of a GRU whose inputs give W_x x + b, `projection [B, 3H]`."""
    (h,) = state
    see = _writing(into) if into else see or _unchanged
    xr, xu, xn = projection.chunk(3, dim=-1)
    hr, hu, hn = recurrent(h, None).chunk(3, dim=-1)
    r = see("r", sigmoid(see("r.pre", xr + hr)))
    u = see("u", sigmoid(see("u.pre", xu + hu)))
    n = see("n", tanh(see("n.pre", xn + r * hn)))
    return (see("h", (1 - u) * n + u * h),)


def _unchanged(_: str, value: Tensor) -> Tensor:
    return value


def _gru_activations(projection: Tensor, recurrent: Tensor, h: Tensor) -> dict[str, Tensor]:
    xr, xu, xn = projection.chunk(3, dim=-1)
    hr, hu, hn = recurrent.chunk(3, dim=-1)
    pre = {"r.pre": xr + hr, "u.pre": xu + hu}
    r, u = sigmoid(pre["r.pre"]), sigmoid(pre["u.pre"])
    pre["n.pre"] = xn + r * hn
    return pre | {"r": r, "u": u, "n": pre["n.pre"].tanh(), "h": h}


def _scan(keep: Tensor, add: Tensor, c: Tensor) -> Tensor:
    """Returns c_t = keep_t ⊙ c_{t−1} + add_t for every step, `[B, T, H]`."""
    out = torch.empty_like(add)
    for t in range(add.shape[1]):
        c = torch.addcmul(add[:, t], keep[:, t], c)
        out[:, t] = c
    return out
