"""Sigmoid, tanh and the LSTM's equations over many numbers: the same for each wherever it stands.

torch computes the last few numbers of a thread's share by another way than the rest, to 1e-7, and the shares change
with the number of threads and of rows; its tanh is also ten times slower than numpy's here. So on a CPU, where no
gradient is wanted, numpy computes them, on one thread: handing shares of a step to others costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def lstm(pre: Tensor, c: Tensor, into: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Returns (h, c) `[B, H]` from pre-activations `[B, 4H]` and the c before, for tensors that `by_numpy` admits.

    The streams that `into` names are written to its tensors `[B, H]`; what is returned may be among them.
    """
    values = {f"{name}.pre": part for name, part in zip("ifgo", pre.chunk(4, dim=-1), strict=True)}
    for name in values.keys() & into.keys():
        into[name].copy_(values[name])
    i, f, o = (sigmoid(values[f"{name}.pre"], into.get(name)) for name in "ifo")
    g = tanh(values["g.pre"], into.get("g"))
    after = torch.mul(f, c, out=into.get("c"))
    after += i * g
    return torch.mul(o, tanh(after, into.get("tanhc")), out=into.get("h")), after


def roomy(*shape: int, device: torch.device) -> Tensor:
    """Returns an empty tensor in single precision for streams of every step.

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
