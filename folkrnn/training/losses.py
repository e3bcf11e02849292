"""What is minimised: nats per token, per tune, or the paper's average of averages.

Each takes logits `[B, T, V]` and targets `[B, T]` of this process's rows and the size of the whole batch; the values of
all processes add up to the loss of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from folkrnn.datasets.batches import IGNORED, Size

LossName = Literal["per_token", "per_tune", "per_tune_2015"]
Loss = Callable[[Tensor, Tensor, Size], Tensor]


def summed_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the sum over real tokens of −ln p(token), in nats; logits `[B, T, V]`, targets `[B, T]`."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


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
    nats = nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
    lengths = (targets != IGNORED).sum(1) + 1
    return (nats.sum(1) / lengths).sum() / size.tunes


LOSSES: dict[str, Loss] = {"per_token": per_token, "per_tune": per_tune, "per_tune_2015": per_tune_2015}
