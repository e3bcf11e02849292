"""Recurrent layers, one above the other, as an engine runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from folkrnn.models.hooks import Hook, State
from folkrnn.models.positions import Tracker
from folkrnn.models.recurrent import ACTIVATIONS, RecurrentLayer


@dataclass(frozen=True)
class Stack:
    """Recurrent layers that read tokens, and the softmax layer above them, as an engine runs them."""

    layers: Sequence[RecurrentLayer]
    weight: Tensor
    """Of the softmax layer, `[V, H]`."""
    bias: Tensor
    initial: Callable[[int], list[State]] | None = None
    """The state before the first token, for so many rows; None where each run says it."""
    prefix: str = ""
    """Of its sites: `dec.` for `dec.l1.h`."""
    hooks: tuple[Hook, ...] = ()
    tracker: Tracker | None = None

    @property
    def tokens(self) -> int:
        return len(self.weight)

    def at_start(self, rows: int) -> list[State]:
        """Returns the state before the first token."""
        assert self.initial is not None, "this run was to say its first state"
        return self.initial(rows)

    @property
    def sites(self) -> list[str]:
        """What hooks are called for, in no order: every site but `probs`."""
        inner = [f"{self.prefix}l{k + 1}.{s}" for k, one in enumerate(self.layers) for s in ACTIVATIONS[one.cell]]
        return [f"{self.prefix}x", *inner, "logits"]

    @property
    def parameters(self) -> list[Tensor]:
        inner = [part for one in self.layers for part in (one.weight_ih, one.weight_hh, one.bias)]
        return [*inner, self.weight, self.bias]

    def one_hot(self, tokens: Tensor) -> Tensor:
        """Returns rows `[…, V]` with one entry of 1; none for the token −1, which is nothing."""
        return (tokens.unsqueeze(-1) == torch.arange(self.tokens, device=tokens.device)).to(self.weight.dtype)
