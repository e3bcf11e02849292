"""Sigmoid and tanh of many numbers: the same for each wherever it stands.

torch computes the last few numbers of a thread's share by another way than the rest, to 1e-7, and the shares change
with the number of threads and of rows; its tanh is also ten times slower than numpy's here. So on a CPU, where no
gradient is wanted, numpy computes them, on one thread: handing shares of a step to others costs more than it saves.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def by_numpy(*tensors: Tensor) -> bool:
    """Whether numpy computes with these: single precision on a CPU, and no gradient is wanted."""
    return all(x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad for x in tensors)


def tanh(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Returns tanh x to 1e-7; written to `out` if that is given."""
    if not by_numpy(x):
        return torch.tanh(x, out=out)
    result = torch.empty(x.shape) if out is None else out
    np.tanh(x.numpy(), out=result.numpy())
    return result


def sigmoid(x: Tensor, out: Tensor | None = None) -> Tensor:
    """Returns 1 / (1 + e^−x) to 1e-7; written to `out` if that is given."""
    if not by_numpy(x):
        return torch.sigmoid(x, out=out)
    result = torch.empty(x.shape) if out is None else out
    _sigmoid(x.numpy(), result.numpy())
    return result


def allocate(*shape: int, device: torch.device) -> Tensor:
    """Returns an empty tensor in single precision for activations of every step.

    On a CPU numpy asks for it in large pages where the system grants them: the first touch of small ones can take
    longer than what is computed.
    """
    if device.type != "cpu":
        return torch.empty(*shape, device=device)
    return torch.from_numpy(np.empty(shape, np.float32))


def _sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    """σ(x) = (1 + tanh(x / 2)) / 2: halving is exact, and numpy's tanh takes half the time of its exponential."""
    half = np.float32(0.5)
    np.multiply(x, half, out=out)
    np.tanh(out, out=out)
    out *= half
    out += half
