"""Ways between two points of a latent space."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from folkrnn.errors import UserError


def slerp(start: Tensor, end: Tensor, share: float) -> Tensor:
    """Returns the point `[…, Z]` at `share` of the arc from `start` to `end`; of the line where they span no plane."""
    cosine = nn.functional.cosine_similarity(start.double(), end.double(), dim=-1).clamp(-1, 1)
    angle = cosine.arccos().unsqueeze(-1)
    flat = angle.sin() < 1e-6
    whole = torch.where(flat, 1.0, angle.sin())
    here = torch.where(flat, 1 - share, ((1 - share) * angle).sin() / whole)
    there = torch.where(flat, share, (share * angle).sin() / whole)
    return (here * start + there * end).to(start.dtype)


def interpolate(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Returns `count` points `[count, Z]` on the arc from `start [Z]` to `end [Z]`, both included."""
    if count < 2:
        raise UserError(f"an interpolation has at least its 2 ends; {count} asked for")
    return torch.stack([slerp(start, end, k / (count - 1)) for k in range(count)])
