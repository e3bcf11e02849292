"""MusicVAE's encoder: a stack of bidirectional LSTM layers, then one linear map to μ and one to σ.

Shapes: B melodies, T steps, D classes, H units, Z latents. Facts sheet section 2. Layer n + 1 reads the outputs of both
directions of layer n at every step. The code is the last h of each direction of the *top* layer: the forward one at the
last valid step, the backward one at the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from folkrnn.models.engine import NO_HOOKS, over, reconstructed
from folkrnn.models.hooks import Hooks, Step
from folkrnn.models.recurrent import ACTIVATIONS, RecurrentLayer
from folkrnn.models.traces import Trace

Steps = Callable[[str], Sequence[Step]]
"""Returns the steps of a direction in the order of reading, as hooks see them."""

DIRECTIONS = ("fw", "bw")


class BidirectionalLayer(nn.Module):
    """Two LSTM layers of `units` each over the same inputs, one from the first step on, one from the last step back."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.fw = RecurrentLayer(inputs, units)
        self.bw = RecurrentLayer(inputs, units)

    @property
    def units(self) -> int:
        return self.fw.units


class Encoder(nn.Module):
    """`depth` classes in, (μ, σ) of `z_size` latents out; `units` per direction for each layer."""

    def __init__(self, depth: int, units: Sequence[int], z_size: int) -> None:
        super().__init__()
        widths = [depth, *(2 * width for width in units)]
        layers = (BidirectionalLayer(inputs, width) for inputs, width in zip(widths, units, strict=False))
        self.layers = cast("Sequence[BidirectionalLayer]", nn.ModuleList(layers))
        self.mu = nn.Linear(widths[-1], z_size)
        self.sigma = nn.Linear(widths[-1], z_size)

    @property
    def sites(self) -> dict[str, int]:
        """Every activation of every layer and direction, and its number of units."""
        return {
            f"enc.{direction}.l{k + 1}.{activation}": layer.units
            for direction in DIRECTIONS
            for k, layer in enumerate(self.layers)
            for activation in ACTIVATIONS["lstm"]
        }

    def forward(
        self, x: Tensor, lengths: Tensor, hooks: Hooks = NO_HOOKS, steps: Steps | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns μ and σ `[B, Z]` of melodies `x [B, T, D]`, of which the first `lengths [B]` steps count.

        σ is a standard deviation. A layer that hooks look at runs step by step, `enc.bw` from the last to the first.
        """
        code = self.code(x, lengths, hooks, steps)
        return self.mu(code), softplus(self.sigma(code))

    def code(self, x: Tensor, lengths: Tensor, hooks: Hooks = NO_HOOKS, steps: Steps | None = None) -> Tensor:
        """Returns the last h of both directions of the top layer side by side, `[B, 2H]`; zeros for length 0."""
        turned = reversal(lengths, x.shape[1])
        for k, layer in enumerate(self.layers):
            forwards, backwards = (
                over(
                    part, inputs, _zero_state(part, x), f"enc.{direction}.l{k + 1}.", hooks, steps and steps(direction)
                )
                for direction, part, inputs in (("fw", layer.fw, x), ("bw", layer.bw, turn(x, turned)))
            )
            if k < len(self.layers) - 1:
                x = torch.cat([forwards, turn(backwards, turned)], dim=-1)
        return torch.cat([last(forwards, lengths), last(backwards, lengths)], dim=-1)

    def trace(
        self, x: Tensor, lengths: Tensor, names: set[str], edits: Hooks = NO_HOOKS, steps: Steps | None = None
    ) -> dict[str, Tensor]:
        """Returns the sites in `names`, `[B, T, H]` each. Row t of a backward site is its state after reading step t.

        Rows at or past a melody's length are zero. Where no hook edits a layer, what the fused kernels computed says
        the rest.
        """
        turned = reversal(lengths, x.shape[1])
        valid = (torch.arange(x.shape[1], device=x.device) < lengths.unsqueeze(1)).unsqueeze(-1)
        if edits.within("enc."):
            trace = Trace({name: self.sites[name] for name in names}, len(x), x.shape[1], x.device)
            self.code(x, lengths, edits.and_then(trace), steps)
            found = trace.activations
        else:
            found = self._reconstructed(x, turned, names)
        return {
            name: (turn(value, turned) if name.startswith("enc.bw.") else value) * valid
            for name, value in found.items()
        }

    def _reconstructed(self, x: Tensor, turned: Tensor | None, names: set[str]) -> dict[str, Tensor]:
        """The sites in `names`, in the order of reading."""
        activations: dict[str, Tensor] = {}
        for k, layer in enumerate(self.layers):
            hidden = []
            for direction, part, inputs in (("fw", layer.fw, x), ("bw", layer.bw, turn(x, turned))):
                state, prefix = _zero_state(part, inputs), f"enc.{direction}.l{k + 1}."
                h = part.fused(inputs, state)
                activations |= reconstructed(part, inputs, h, state, prefix, names)
                hidden.append(h if direction == "fw" else turn(h, turned))
            x = torch.cat(hidden, dim=-1)
        return activations


def softplus(x: Tensor) -> Tensor:
    """Returns log(1 + e^x), by numpy on a CPU where no gradient is wanted: each value is the same wherever it stands.

    torch computes the last few of a thread's share by another way, to 1e-7, and shares change with the threads.
    """
    if x.requires_grad or x.device.type != "cpu" or x.dtype != torch.float32:
        return nn.functional.softplus(x)
    values = x.numpy()
    return torch.from_numpy(np.maximum(values, 0) + np.log1p(np.exp(-np.abs(values))))


def reversal(lengths: Tensor, steps: int) -> Tensor | None:
    """Returns for each place the place it holds in the melody read backwards, `[B, T]`; None where all are full.

    The first `length` steps change places, those past it stay: applied twice it gives back what was.
    """
    if bool((lengths == steps).all()):
        return None
    place = torch.arange(steps, device=lengths.device).expand(len(lengths), -1)
    ends = lengths.unsqueeze(1)
    return torch.where(place < ends, ends - 1 - place, place)


def turn(x: Tensor, turned: Tensor | None) -> Tensor:
    """Returns `x [B, T, H]` with each melody's valid steps in reverse order, by what `reversal` returned."""
    if turned is None:
        return x.flip(1)
    return x.gather(1, turned.unsqueeze(-1).expand_as(x))


def last(h: Tensor, lengths: Tensor) -> Tensor:
    """Returns h at each melody's last valid step, `[B, H]`: zeros, the initial state, where there is none."""
    rows = torch.arange(len(h), device=h.device)
    return h[rows, (lengths - 1).clamp(min=0)] * (lengths > 0).unsqueeze(1)


def _zero_state(layer: RecurrentLayer, x: Tensor) -> tuple[Tensor, Tensor]:
    zero = x.new_zeros(len(x), layer.units)
    return zero, zero
