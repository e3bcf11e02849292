"""Drawing one class per row from a distribution, and the random streams that draws come from.

A draw inverts the cumulative distribution in double precision: the first class whose cumulative probability exceeds the
uniform. Each tune or melody has streams of its own, keyed by (seed, number), so that what it draws with is
batch-invariant.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SMALLEST_BATCH = 16
"""Rows that a step is padded to: smaller products round differently on a CPU, and a tune must not depend on others."""


def stream(seed: int, number: int, purpose: int = 0) -> np.random.Generator:
    """Returns the counter-based generator of one tune or melody; another `purpose` gives an independent one."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number, purpose])))


def uniforms(seed: int, first: int, count: int, length: int) -> Tensor:
    """Returns `[count, length]` uniforms in double precision, row n from the stream of number `first + n`."""
    return torch.from_numpy(np.stack([stream(seed, first + n).random(length) for n in range(count)]))


def normals(seed: int, first: int, count: int, length: int, purpose: int) -> Tensor:
    """Returns `[count, length]` standard normals in single precision, row n from the stream of number `first + n`."""
    rows = [stream(seed, first + n, purpose).standard_normal(length, dtype=np.float32) for n in range(count)]
    return torch.from_numpy(np.stack(rows))


def probabilities(logits: Tensor, temperature: float) -> Tensor:
    """Returns softmax(logits / temperature), `[B, V]`, in double precision where the logits are."""
    if logits.device.type == "mps":  # which has no double precision
        logits = logits.cpu()
    return (logits.to(torch.float64) / temperature).softmax(-1)


def draw(distribution: Tensor, uniform: Tensor) -> Tensor:
    """Returns for each row of `distribution [B, V]` the first token whose cumulative probability exceeds its uniform,
    `[B]`.
    """
    cumulative = distribution.cumsum(-1)
    threshold = uniform.to(distribution.device, torch.float64).unsqueeze(1) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp_(max=distribution.shape[1] - 1)
