"""Draws that are rejected until the token is accepted: the law given that it is, by another way than masking."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from folkrnn.models.draws import draw, stream
from folkrnn.refusal import Refusal

SIDE = 2**20
"""Purpose of the side streams, plus the step: far from those that models use."""

PATIENCE = 1000
"""Draws after which the law of accepted tokens is drawn from instead: the same law, and an end to rare ones."""

Side = Callable[[], float]
"""The next uniform of a side stream."""


def side_stream(seed: int, tune: int, step: int) -> Side:
    """Returns the side stream of one step of one tune: a rejection takes nothing from the tune's own stream."""
    made: list[Side] = []

    def next_uniform() -> float:
        if not made:  # most steps reject nothing
            made.append(stream(seed, tune, SIDE + step).random)
        return float(made[0]())

    return next_uniform


def redraw(law: Tensor, chosen: Tensor, rejected: Tensor, sides: Sequence[Side]) -> Tensor:
    """Returns `chosen [B]` with every token that `rejected [B, V]` (of bool) names drawn again from `law [B, V]`.

    `sides` has one stream per row. Raises Refusal where a law leaves nothing to accept.
    """
    rejected = rejected[: len(law)].cpu()
    found = chosen.clone()
    for row in rejected.gather(1, chosen.unsqueeze(1)).squeeze(1).nonzero().flatten().tolist():
        found[row] = _accepted(law[row : row + 1], rejected[row], sides[row])
    return found


def _accepted(law: Tensor, rejected: Tensor, side: Side) -> int:
    allowed = law.masked_fill(rejected, 0.0)
    if not allowed.sum() > 0:
        raise Refusal("a step gives no probability to any token that is not suppressed; suppress fewer tokens")
    for _ in range(PATIENCE):
        token = int(draw(law, torch.tensor([side()])))
        if not rejected[token]:
            return token
    return int(draw(allowed, torch.tensor([side()])))
