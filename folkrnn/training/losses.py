"""What is minimised: nats per token, per tune, or the paper's average of averages.

Each takes logits `[B, T, V]` and targets `[B, T]` of this process's rows and the size of the whole batch; the values of
all processes add up to the loss of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from folkrnn.datasets.batches import IGNORED, Size

LossName = Literal["per_token", "per_tune", "per_tune_2015"]
Loss = Callable[[Tensor, Tensor, Size], Tensor]


def summed_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the sum over real tokens of −ln p(token), in nats; logits `[B, T, V]`, targets `[B, T]`."""
    found = single(logits).flatten(0, 1)
    return nn.functional.cross_entropy(found, targets.flatten(), ignore_index=IGNORED, reduction="sum")


def single(x: Tensor) -> Tensor:
    """Returns x in single precision if it has less: sums over thousands of tokens need it."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean over real tokens of −ln p(token), in nats per token; logits `[B, T, V]`, targets `[B, T]`."""
    return summed_loss(logits, targets) / (targets != IGNORED).sum()


def per_token(logits: Tensor, targets: Tensor, size: Size) -> Tensor:
    """Nats per token of the batch: every token counts alike."""
    return summed_loss(logits, targets) / size.tokens


def per_tune(logits: Tensor, targets: Tensor, size: Size) -> Tensor:
    """Nats per tune, the mean over the batch of each tune's sum: the authors' code from 2016 on (section 2.4)."""
    return summed_loss(logits, targets) / size.tunes


def per_tune_2015(logits: Tensor, targets: Tensor, size: Size) -> Tensor:
    """The mean over tunes of each tune's sum divided by its length with both markers: the code of October 2015.

    Of a tune of T tokens, T − 1 are predicted (equation 7 of the paper up to (T − 1) / T).
    """
    found = single(logits).transpose(1, 2)
    nats = nn.functional.cross_entropy(found, targets, ignore_index=IGNORED, reduction="none")
    lengths = (targets != IGNORED).sum(1) + 1
    return (nats.sum(1) / lengths).sum() / size.tunes


LOSSES: dict[str, Loss] = {"per_token": per_token, "per_tune": per_tune, "per_tune_2015": per_tune_2015}


class LossSums:
    """Values of the parts of a batch, until they are the values of the whole."""

    def __init__(self) -> None:
        self._found: dict[str, Tensor] = {}

    def add(self, part: int, parts: int, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the means over all parts, of which `values` are the last; before that, nothing."""
        if part == 0:
            self._found = {}
        for name, value in values.items():
            self._found[name] = self._found.get(name, 0) + value.detach() / parts
        return self._found if part == parts - 1 else {}
