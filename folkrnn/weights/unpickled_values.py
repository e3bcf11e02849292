"""What a pickle may build beyond containers: arrays, dtypes and numbers of numpy, bytes, Python's plain containers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from folkrnn.refusal import Refusal

MOST_DIMENSIONS = 8

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_KEYS = (str, int, float, bytes, bool, type(None))


@dataclass
class Symbol:
    """A name that a pickle may mention."""

    name: str


@dataclass
class Unfilled:
    """An array or a dtype that was announced and whose content follows."""

    kind: str
    dtype: np.dtype | None = None
    places: list[int] = field(default_factory=list)
    """Under which numbers the pickle remembers it."""


@dataclass
class Budget:
    """How many bytes of data may still be built; at first as many as the file has."""

    source: str
    """What to call the file in messages."""
    left: int

    def spend(self, size: int) -> None:
        """Refuses what would take more memory than the file has bytes."""
        self.left -= size
        if self.left < 0:
            raise Refusal(f"{self.source} claims more data than it holds: not read")


def filled(budget: Budget, unfilled: Unfilled, state: tuple[Any, ...]) -> np.ndarray | np.dtype:
    """Returns the array or dtype that was announced, with the content that `state` gives it."""
    return _array_of(budget, state) if unfilled.kind == "array" else _ordered(unfilled.dtype, state)


def key(value: Any) -> Any:
    # hashing a deeply nested tuple would overflow the interpreter's stack
    if not isinstance(value, _KEYS):
        raise ValueError("a key is neither text nor a number")
    return value


def _array_of(budget: Budget, state: tuple[Any, ...]) -> np.ndarray:
    shape, dtype, by_columns, raw = state[1:] if len(state) == 5 else state
    return _array(budget, raw, dtype, shape, "F" if by_columns else "C")


def _array(budget: Budget, raw: object, dtype: object, shape: object, order: str) -> np.ndarray:
    data = raw.encode("latin-1") if isinstance(raw, str) else raw
    if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, np.dtype) or not _is_shape(shape):
        raise ValueError("an array is not given as bytes, dtype and shape")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise Refusal(f"{budget.source} claims an array of shape {list(shape)} for {len(data)} bytes: not read")
    budget.spend(len(data))
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _call_reconstruct(budget: Budget, arguments: tuple[Any, ...]) -> Unfilled:
    if not isinstance(arguments[0], Symbol) or arguments[0].name != "ndarray":
        raise ValueError("it builds an array of another kind")
    return Unfilled("array")


def _call_dtype(budget: Budget, arguments: tuple[Any, ...]) -> Unfilled:
    name = arguments[0]
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        shown = repr(name[:20]) if isinstance(name, str) else "no number type"
        raise Refusal(f"{budget.source} holds an array of {shown}; numbers are read, nothing else")
    return Unfilled("dtype", np.dtype(name))


def _call_scalar(budget: Budget, arguments: tuple[Any, ...]) -> bool | int | float:
    dtype, raw = arguments
    return _array(budget, raw, dtype, (), "C").item()


def _call_frombuffer(budget: Budget, arguments: tuple[Any, ...]) -> np.ndarray:
    raw, dtype, shape, order = arguments
    return _array(budget, raw, dtype, shape, "F" if order == "F" else "C")


def _call_encode(budget: Budget, arguments: tuple[Any, ...]) -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    text, encoding = arguments
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes are not given as Latin-1")
    budget.spend(len(text))
    return text.encode("latin-1")


def _call_container(budget: Budget, arguments: tuple[Any, ...], kind: Callable[..., Any]) -> Any:
    items = arguments[0] if arguments else ()
    if len(arguments) > 1 or not isinstance(items, (list, tuple, bytes, bytearray)):
        raise ValueError(f"a {kind.__name__} is not given by its items")
    if kind in (bytes, bytearray) and not isinstance(items, (bytes, bytearray, tuple)):
        raise ValueError(f"{kind.__name__} are not given as bytes")
    budget.spend(len(items) * (1 if isinstance(items, (bytes, bytearray)) else 64))
    return kind(map(key, items)) if kind in (set, frozenset) else kind(items)


def _is_shape(shape: object) -> bool:
    return (
        isinstance(shape, tuple)
        and len(shape) <= MOST_DIMENSIONS
        and all(type(size) is int and 0 <= size < 2**40 for size in shape)
    )


def _ordered(dtype: np.dtype | None, state: tuple[Any, ...]) -> np.dtype:
    """The dtype in the byte order that its state names."""
    if dtype is None or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
        raise ValueError("a dtype has no byte order")
    if any(part not in (None, (), {}) for part in state[2:5]):
        raise ValueError("a dtype has parts")
    return dtype if state[1] == "|" else dtype.newbyteorder(state[1])


SYMBOLS = {
    **{(f"{package}.multiarray", "_reconstruct"): "reconstruct" for package in ("numpy.core", "numpy._core")},
    **{(f"{package}.multiarray", "scalar"): "scalar" for package in ("numpy.core", "numpy._core")},
    **{(f"{package}.numeric", "_frombuffer"): "frombuffer" for package in ("numpy.core", "numpy._core")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    **{
        (module, name): name
        for module in ("builtins", "__builtin__")
        for name in ("set", "frozenset", "list", "tuple", "bytes", "bytearray")
    },
}
"""(module, name) → what it stands for here. Everything else is refused."""

CALLS: dict[str, Callable[[Budget, tuple[Any, ...]], Any]] = {
    "reconstruct": _call_reconstruct,
    "dtype": _call_dtype,
    "scalar": _call_scalar,
    "frombuffer": _call_frombuffer,
    "encode": _call_encode,
    **{
        kind.__name__: lambda budget, arguments, kind=kind: _call_container(budget, arguments, kind)
        for kind in (set, frozenset, list, tuple, bytes, bytearray)
    },
}
