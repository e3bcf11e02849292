"""A GPU where there is none: tensors that say they are on `cuda`, compute on the CPU, and refuse to meet its tensors.

Mixed devices, random generators of another device and reads by numpy fail there as on a GPU. Times, roundings and
kernels of a GPU (cuDNN, graphs) are not pretended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten

COPIES = {aten._to_copy.default, aten.copy_.default, aten.copy.default}
"""Which may read from one device and write to another."""

INDEXED = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}
"""Whose indices may lie on the CPU, though not the other way round."""


class OnGpu(Tensor):
    """A tensor of the pretended device; `held` has its numbers.

    Python is told that it is on `cuda`; torch's own C++ that it is on `meta`, which needs no driver.
    """

    held: Tensor
    place: torch.device

    @staticmethod
    def __new__(cls, held: Tensor, device: torch.device) -> OnGpu:
        return torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="meta",
            requires_grad=held.requires_grad,
        )

    def __init__(self, held: Tensor, device: torch.device) -> None:
        self.held, self.place = held.detach(), device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.held}, {self.device})"

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def tolist(self) -> Any:
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {self.device} device type tensor to numpy")

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = OnGpu(self.held.clone(), self.device).requires_grad_(self.requires_grad)
        memo[id(self)] = torch.nn.Parameter(copied) if isinstance(self, torch.nn.Parameter) else copied
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        there = next(x for x in tree_flatten((args, kwargs))[0] if isinstance(x, OnGpu))
        return _computed(func, args, kwargs or {}, there.device)


class _Factories(TorchDispatchMode):
    """Makes on the pretended device what is asked for there."""

    def __init__(self, place: torch.device) -> None:
        super().__init__()
        self.place = place

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {}, self.place)


@contextmanager
def pretended_device(index: int = 0) -> Iterator[torch.device]:
    """Yields `cuda:0` or another, which exists within this context."""
    place, before = torch.device("cuda", index), torch.cuda._lazy_init
    torch.cuda._lazy_init = lambda: None
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor(…, device="cuda")` makes it on the CPU and moves it
    try:
        with _Factories(place):
            yield place
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.cuda._lazy_init = before


def _computed(func: Any, args: Any, kwargs: dict[str, Any], here: torch.device) -> Any:
    flat, _ = tree_flatten((args, kwargs))
    tensors = [x for x in flat if isinstance(x, Tensor)]
    there = [x for x in tensors if isinstance(x, OnGpu)]
    asked = _asked(kwargs.get("device"), here)
    if not there and (asked is None or asked.type == "cpu"):
        return func(*args, **kwargs)
    _check(func, args, tensors, flat)
    target = asked or (args[0].device if func in COPIES else there[0].device)
    plain = {name: value for name, value in kwargs.items() if name not in ("device", "pin_memory")}
    if asked is not None:
        plain["device"] = torch.device("cpu")
    found = func(*tree_map(_held, args), **tree_map(_held, plain))
    if target.type == "cpu":
        return found
    if torch.Tag.inplace_view in func.tags:  # the shape of the tensor itself changes too
        with no_dispatch():
            func(*args, **kwargs)
    held = {id(x.held): x for x in there}
    # an operation in place returns the tensor that it was given
    return tree_map(lambda x: _seen(x, held, target), found)


def _check(func: Any, args: Any, tensors: list[Tensor], flat: list[Any]) -> None:
    """Raises RuntimeError where a GPU would."""
    for generator in (x for x in flat if isinstance(x, torch.Generator)):
        if generator.device.type != "cuda":
            raise RuntimeError(f"{func}: Expected a 'cuda' device type for generator but found 'cpu'")
    if func in COPIES:
        return
    if func in INDEXED and isinstance(args[0], OnGpu):
        tensors = [x for x in [args[0], *args[2:3]] if isinstance(x, Tensor)]
    devices = {x.device for x in tensors if x.dim() > 0 or isinstance(x, OnGpu)}
    if len(devices) > 1:
        raise RuntimeError(f"{func}: Expected all tensors to be on the same device, but found {devices}")


def _asked(device: Any, here: torch.device) -> torch.device | None:
    """Where a result is to be; torch's own C++ asks for `meta` where it wants the device of an `OnGpu`."""
    if device is None:
        return None
    place = torch.device(device)
    return here if place.type == "meta" or (place.type == "cuda" and place.index is None) else place


def _held(x: Any) -> Any:
    return x.held if isinstance(x, OnGpu) else x


def _seen(x: Any, held: dict[int, OnGpu], target: torch.device) -> Any:
    if not isinstance(x, Tensor) or isinstance(x, OnGpu):
        return x
    return held[id(x)] if id(x) in held else OnGpu(x, target)
