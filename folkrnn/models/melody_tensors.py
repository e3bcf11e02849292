"""Batches of melodies as tensors: classes, one-hot rows, lengths, and which steps count.

Shapes: B melodies, T steps, K segments, D classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.models.musicvae_sizes import Sizes

NOTHING = -1
"""The class before the first step, and of steps past a melody's end: a row of zeros."""


def classes_of(melodies: Tensor, sizes: Sizes) -> Tensor:
    """Returns melodies as classes `[B, T]`, given as these or as one-hot rows `[B, T, D]`, where a zero row is −1.

    Raises UserError for other shapes, numbers beyond the classes, and melodies of more steps than the model takes.
    """
    if melodies.dim() == 3 and melodies.shape[2] == sizes.depth:
        melodies = torch.where(melodies.any(-1), melodies.float().argmax(-1), NOTHING)
    if melodies.dim() != 2 or melodies.is_floating_point() or melodies.dtype == torch.bool:
        raise UserError(
            f"melodies of shape {list(melodies.shape)} and type {melodies.dtype}; they are classes "
            f"[melodies, steps] or one-hot rows [melodies, steps, {sizes.depth}]"
        )
    sizes.steps(melodies.shape[1])
    if melodies.numel() and not NOTHING <= int(melodies.min()) <= int(melodies.max()) < sizes.depth:
        raise UserError(f"melody classes run from 0 to {sizes.depth - 1}, and −1 past the end")
    return melodies.long()


def one_hot(classes: Tensor, depth: int) -> Tensor:
    """Returns rows `[…, D]` (boolean) with one true entry, and none where the class is −1."""
    return classes.unsqueeze(-1) == torch.arange(depth, device=classes.device)


def lengths_of(classes: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Returns the lengths `[B]` of melodies `[B, T]`: those given, checked, or what stands before the closing −1s."""
    steps = classes.shape[1]
    if lengths is None:
        place = torch.arange(1, steps + 1, device=classes.device)
        return ((classes != NOTHING) * place).amax(-1)
    if lengths.shape != (len(classes),) or bool(((lengths < 0) | (lengths > steps)).any()):
        raise UserError(f"lengths must be {len(classes)} numbers from 0 to {steps}, one per melody")
    return lengths.to(classes.device, torch.long)


def valid_steps(lengths: Tensor, steps: int, segments: int = 1) -> Tensor:
    """Returns which of `steps` steps count in the loss, `[B, T]` boolean.

    `lengths` is `[B]`, or `[B, K]` for each segment of its own, which then fill the front of their segments. Of a
    melody in several segments a length `[B]` must be 0 or full, as in Magenta. Raises UserError otherwise.
    """
    if lengths.dim() == 1:
        if segments > 1 and bool(((lengths != 0) & (lengths != steps)).any()):
            raise UserError(
                f"melodies in {segments} segments have 0 or {steps} steps; for others give the length of each "
                f"segment, [melodies, {segments}]"
            )
        lengths = lengths.unsqueeze(1).expand(-1, segments) // segments
    place = torch.arange(steps // segments, device=lengths.device)
    return (place < lengths.unsqueeze(-1)).flatten(1)
