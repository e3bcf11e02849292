"""Draws that are rejected until the token is accepted: the distribution given that it is, by another way than
masking.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.interventions.rng import uniforms_of
from folkrnn.models.rng import draw

REDRAW = 2**20
"""Purpose of the uniforms of rejections, plus how many were used before."""

BLOCK = 64
"""Draws made at once; the first that is accepted counts."""

PATIENCE = 128
"""Draws after which the distribution of accepted tokens is drawn from instead: the same distribution, and an end to
rare ones.
"""

More = Callable[[Tensor, int], Tensor]
"""Maps rows `[R]` and the number of draws made to further uniforms of these rows, `[R, any number]`."""


def side_streams(seed: int, tune: Tensor, step: Tensor) -> More:
    """Returns the side streams of (tune, step), `[B]` each: a rejection takes nothing from the tune's own stream."""
    return lambda rows, used: uniforms_of(tune[rows], step[rows], BLOCK, seed, REDRAW + used)


def redraw(distribution: Tensor, chosen: Tensor, rejected: Tensor, more: More) -> Tensor:
    """Returns `chosen [B]` with every token that `rejected [B, V]` (of bool) names drawn again from `distribution [B,
    V]`.

    Raises UserError where a distribution leaves nothing to accept.
    """
    rejected, found, used = rejected[: len(distribution)].cpu(), chosen.clone(), 0
    rows = rejected.gather(1, chosen.unsqueeze(1)).squeeze(1).nonzero().flatten()
    if len(rows) and not (distribution[rows].masked_fill(rejected[rows], 0.0).sum(1) > 0).all():
        raise UserError("a step gives no probability to any token that is not suppressed; suppress fewer tokens")
    while len(rows) and used < PATIENCE:
        uniform = more(rows, used)
        tokens = _draws(distribution[rows], uniform)
        accepted = ~rejected[rows].gather(1, tokens)
        done, first = accepted.any(1), accepted.int().argmax(1, keepdim=True)
        found[rows[done]] = tokens.gather(1, first).squeeze(1)[done]
        rows, used = rows[~done], used + uniform.shape[1]
    if len(rows):
        found[rows] = draw(distribution[rows].masked_fill(rejected[rows], 0.0), more(rows, used)[:, 0])
    return found


def _draws(distribution: Tensor, uniform: Tensor) -> Tensor:
    """As `draw`, for several uniforms `[R, K]` of each row."""
    cumulative = distribution.cumsum(-1)
    return torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True).clamp_(
        max=distribution.shape[1] - 1
    )
