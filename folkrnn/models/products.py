"""Matrix products with weights that stay as they are: what a step spends most of its time on.

torch's own products may run on a library that leaves a processor's widest vector units idle (MKL on an AVX-512
processor of another maker: 110 of the 260 GFLOP/s that oneDNN reaches there with weights in its own order). Products
here go through oneDNN, for which a weight is put into that order once ("packed") and used many times. Elsewhere
(another device or precision, a torch without oneDNN, oneDNN switched off) torch's own do the same to 1e-6.

With `precision="bf16"` inputs and weights of a product are rounded to 8 significant bits, and so is each sum once it is
complete; what is added to it (a bias, an input projection) is not. That takes half the time where a processor
multiplies bf16 itself.

For reading only: gradients do not flow through packed weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from folkrnn.errors import UserError

Precision = Literal["fp32", "bf16"]


def can_pack(weight: Tensor) -> bool:
    """Whether products with `weight` go through oneDNN: single precision, a CPU, a torch with oneDNN switched on."""
    onednn = torch.backends.mkldnn
    if not (onednn.is_available() and onednn.enabled and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return weight.device.type == "cpu" and weight.dtype == torch.float32


class Product:
    """x ↦ [W₁ W₂ …] x + b for inputs `[B, I]`, where I is the width of all weights side by side.

    In single precision on a CPU each row of the result is the same whatever the other rows and, from 16 on, their
    number, and whatever the number of threads; in bf16 and on a GPU sums are taken in an order that depends on the
    number of rows. A weight that is written to in place is packed anew at the next product, so that a change is never
    missed.
    """

    def __init__(self, weights: Sequence[Tensor], bias: Tensor | None = None, precision: Precision = "fp32") -> None:
        self.weights, self.bias = [weight.detach() for weight in weights], None if bias is None else bias.detach()
        self.precision: Precision = precision
        self._versions: list[int] = []
        self._packed: Tensor | None = None
        self._whole = self.weights[0]

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Returns `[B, rows]`; `added` takes the place of the bias, a row for each row of x."""
        versions = [weight._version for weight in self.weights]
        if versions != self._versions:
            self._pack()
            self._versions = versions
        if self.precision == "bf16":
            return self._rounded(x) + (added if added is not None else 0 if self.bias is None else self.bias)
        if self._packed is None:
            if added is None:
                return nn.functional.linear(x, self._whole, self.bias)
            return torch.addmm(added, x, self._whole.t())
        x = x.contiguous()
        if added is None:
            return torch.ops.mkldnn._linear_pointwise.default(x, self._packed, self.bias, "none", [], "")
        return torch.ops.mkldnn._linear_pointwise.binary(x, added, self._packed, None, "add")

    def _rounded(self, x: Tensor) -> Tensor:
        x = x.to(torch.bfloat16)
        if self._packed is None:
            return nn.functional.linear(x, self._whole).float()
        return torch.ops.mkldnn._linear_pointwise.default(x.contiguous(), self._packed, None, "none", [], "").float()

    def __getstate__(self) -> dict[str, object]:
        """What another process packs anew: a packed weight cannot be sent."""
        return self.__dict__ | {"_versions": [], "_packed": None, "_whole": None}

    def _pack(self) -> None:
        whole = self.weights[0] if len(self.weights) == 1 else torch.cat(self.weights, dim=1)
        packs = can_pack(whole)
        if self.precision == "bf16":
            whole = whole.to(torch.bfloat16)
        self._whole = self.weights[0] if packs else whole
        self._packed = torch.ops.mkldnn._reorder_linear_weight(whole.contiguous(), None) if packs else None


class UnpackedProduct:
    """The same by torch's own products, through which gradients flow."""

    def __init__(self, weights: Sequence[Tensor], bias: Tensor | None = None) -> None:
        (self.weight,), self.bias = weights, bias

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        if added is None:
            return nn.functional.linear(x, self.weight, self.bias)
        return torch.addmm(added, x, self.weight.t())


def check_precision(precision: str, device: torch.device) -> None:
    """Raises UserError for a precision that there is not, or that the processor does not multiply in."""
    if precision not in get_args(Precision):
        raise UserError(f"sampling.precision is {precision!r}; it may be {' or '.join(get_args(Precision))}")
    if precision == "bf16" and device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        raise UserError("sampling.precision=bf16: this processor does not multiply bf16; leave it at fp32")
