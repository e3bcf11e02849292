"""Random numbers of a training that belong to a place in it: which update, which row of the whole batch.

The same numbers come up however the rows are shared among processes or parts, and after a resumption, with nothing to
remember. On a CPU each row has a stream of its own from a counter-based generator (Philox; Salmon et al. 2011), whose
counter says update and row. On a GPU, where drawing per row would be slow, dropout hashes the place of each value
instead: other numbers, with the same property.

Shapes: B rows of this process, T steps, H units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

LATENTS, VALIDATION, DROPOUT = 1, 2, 16
"""Purposes of streams; that of dropout after layer k (from 0) is DROPOUT + k."""

_LEVELS = 1 << 16
_WORD = 0xFFFFFFFF

Drop = Callable[[int, Tensor], Tensor]
"""Takes the number of a layer (from 0) and its output `[B, T, H]`; returns it with some values dropped."""


def stream(seed: int, purpose: int, update: int, row: int) -> np.random.Philox:
    """Returns the stream of one row of the batch of an update."""
    return np.random.Philox(key=[seed, purpose], counter=[0, 0, update, row])


def latents(seed: int, purpose: int, update: int, rows: Sequence[int], size: int, steps: int) -> tuple[Tensor, Tensor]:
    """Returns ε `[B, size]`, standard normal, and uniforms `[B, steps, 3]`; fewer steps give the first ones of more."""
    normal, uniform = np.empty((len(rows), size), np.float32), np.empty((len(rows), steps, 3), np.float32)
    for k, row in enumerate(rows):
        generator = np.random.Generator(stream(seed, purpose, update, row))
        generator.standard_normal(out=normal[k], dtype=np.float32)
        generator.random(out=uniform[k], dtype=np.float32)
    return torch.from_numpy(normal), torch.from_numpy(uniform)


def undropped(_: int, x: Tensor) -> Tensor:
    """No dropout."""
    return x


def dropout(seed: int, update: int, rows: Sequence[int], share: float) -> Drop:
    """Returns what drops a `share` of a layer's values, the others made larger so that means stay.

    The share is a multiple of 2⁻¹⁶.
    """
    threshold = round(share * _LEVELS)
    if threshold == 0:
        return undropped
    scale = _LEVELS / (_LEVELS - threshold)

    def drop(layer: int, x: Tensor) -> Tensor:
        draw = _drawn if x.device.type == "cpu" else _hashed
        keep = draw(seed, DROPOUT + layer, update, rows, x.shape[1:], threshold, x.device)
        return torch.where(keep, x * scale, 0)  # a byte a value is kept for the way back

    return drop


def _drawn(
    seed: int, purpose: int, update: int, rows: Sequence[int], shape: Sequence[int], threshold: int, _: torch.device
) -> Tensor:
    """Whether numbers below 2¹⁶ reach the threshold, `[B, *shape]`, each row from its stream."""
    each = int(np.prod(shape))
    words = np.empty((len(rows), -(-each // 4)), np.uint64)
    for k, row in enumerate(rows):
        words[k] = stream(seed, purpose, update, row).random_raw(words.shape[1])
    return torch.from_numpy((words.view(np.uint16)[:, :each] >= threshold).reshape(len(rows), *shape))


def _hashed(
    seed: int,
    purpose: int,
    update: int,
    rows: Sequence[int],
    shape: Sequence[int],
    threshold: int,
    device: torch.device,
) -> Tensor:
    """The same by hashing (seed, purpose, update, row, place) on `device`."""
    base = torch.tensor(list(rows), dtype=torch.int64, device=device)
    for word in (purpose, update, seed, seed >> 32):
        base = _mixed((base * 0x9E3779B1 + (word & _WORD)) & _WORD)
    places = torch.arange(int(np.prod(shape)), dtype=torch.int64, device=device)
    numbers = _mixed(_mixed(base.unsqueeze(1) ^ places)) & (_LEVELS - 1)
    return (numbers >= threshold).view(len(rows), *shape)


def _mixed(x: Tensor) -> Tensor:
    """A bijection of 32-bit words in which each bit of x changes every bit of the result with probability about ½."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> shift)) * factor) & _WORD
    return x ^ (x >> 16)
