"""Pickles read by a machine that can build numbers, text, containers and numpy arrays, and cannot call anything.

Python's own `pickle` looks names up and calls them. Here the instructions are decoded by `pickletools`, which runs
nothing, and carried out by the functions of this module; a name other than those in SYMBOLS is refused with the name.
Nothing that the file claims is believed before it is checked: what is allocated stays below the size of the file for
arrays and text, and below MOST_STEPS small objects for the rest.
"""

from __future__ import annotations

import io
import math
import pickletools
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from folkrnn.refusal import Refusal

LARGEST = 2**29
"""Bytes of the largest pickle that is read: folk-rnn v2 has 23 million, a GRU of 3 × 800 in double precision 80."""

MOST_STEPS = 4_000_000
"""Instructions that are carried out (below 1 GB whatever they are). v2, whose 35,100 losses may be arrays of their own,
needs about 700,000."""

MOST_DIMENSIONS = 8

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_KEYS = (str, int, float, bytes, bool, type(None))


@dataclass
class _Symbol:
    """A name that a pickle may mention."""

    name: str


class _Mark:
    """Where the items of the next container begin on the stack."""


@dataclass
class _Unfilled:
    """An array or a dtype that was announced and whose content follows."""

    kind: str
    dtype: np.dtype | None = None
    places: list[int] = field(default_factory=list)
    """Under which numbers the pickle remembers it."""


def read_pickle(path: Path) -> Any:
    """Returns what a pickle of any protocol holds, strings of Python 2 decoded as Latin-1.

    Raises Refusal where it names anything but numpy's arrays and dtypes and Python's plain types, is cut short,
    malformed, or larger than LARGEST; nothing in it is executed.
    """
    if not path.is_file():
        raise Refusal(f"no pickle at {path}")
    if path.stat().st_size > LARGEST:
        raise Refusal(f"{path} is larger than {LARGEST // 2**20} MiB; no folk-rnn pickle is")
    return unpickled(path.read_bytes(), str(path))


def unpickled(data: bytes, source: str) -> Any:
    """Returns what the pickle `data` holds; `source` is its name in messages. Raises Refusal as `read_pickle` does."""
    machine = _Machine(source, budget=len(data) + 2**16)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in text are read as they are
            for step, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(data))):
                if step >= MOST_STEPS:
                    raise Refusal(f"{source} takes more than {MOST_STEPS:,} instructions; no folk-rnn pickle does")
                machine.do(opcode.name, argument)
        return machine.result()
    except Refusal:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = str(error).split("\n")[0][:120] or type(error).__name__
        raise Refusal(f"{source} is not a whole pickle: {reason}") from None


class _Machine:
    """Stack and memory of the pickle's instructions."""

    def __init__(self, source: str, budget: int) -> None:
        self.source, self.budget = source, budget
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.done = False

    def do(self, name: str, argument: Any) -> None:
        """Carries out one instruction."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self.stack.append(argument)
        elif name in _PUTS:
            self._remember(len(self.memory) if argument is None else int(argument))
        elif name in _GETS:
            self.stack.append(self.memory[int(argument)])
        elif name in _MAKERS:
            self.stack.append(_MAKERS[name]())
        elif name in _TUPLES:
            self._tuple(_TUPLES[name])
        elif (act := getattr(self, f"_{name.lower()}", None)) is not None and name in _ACTS:
            act(argument)
        elif name not in ("PROTO", "FRAME"):
            raise Refusal(f"{self.source} asks for {name}, which could run code: not done, the file is not read")

    def result(self) -> Any:
        """Returns the one object that is left."""
        if not self.done or len(self.stack) != 1:
            raise ValueError("it ends before its object is whole")
        return _plain(self.stack[0])

    def _remember(self, number: int) -> None:
        value = self.stack[-1]
        if isinstance(value, _Unfilled):
            value.places.append(number)
        self.memory[number] = value

    def _spend(self, size: int) -> None:
        """Refuses what would take more memory than the file has bytes."""
        self.budget -= size
        if self.budget < 0:
            raise Refusal(f"{self.source} claims more data than it holds: not read")

    def _since_mark(self) -> list[Any]:
        place = next((k for k in reversed(range(len(self.stack))) if self.stack[k] is _MARK), None)
        if place is None:
            raise ValueError("a container has no beginning")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _tuple(self, size: int | None) -> None:
        if size is None:
            self.stack.append(tuple(self._since_mark()))
            return
        if len(self.stack) < size:
            raise ValueError("a tuple lacks items")
        items = tuple(self.stack[-size:])
        del self.stack[-size:]
        self.stack.append(items)

    def _stop(self, _: Any) -> None:
        self.done = True

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _dict(self, _: Any) -> None:
        self.stack.append(_pairs(self._since_mark()))

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        _top(self.stack, list).append(item)

    def _appends(self, _: Any) -> None:
        items = self._since_mark()
        _top(self.stack, list).extend(items)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _top(self.stack, dict).update(_pairs([key, value]))

    def _setitems(self, _: Any) -> None:
        items = self._since_mark()
        _top(self.stack, dict).update(_pairs(items))

    def _additems(self, _: Any) -> None:
        items = self._since_mark()
        _top(self.stack, set).update(map(_key, items))

    def _frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(map(_key, self._since_mark())))

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self._symbol(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._symbol(module, name))

    def _symbol(self, module: object, name: object) -> _Symbol:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no text")
        known = SYMBOLS.get((module, name))
        if known is None:
            shown = f"{module}.{name}".encode("unicode_escape").decode()[:100]
            raise Refusal(
                f"{self.source} names {shown}: a folk-rnn pickle holds numpy arrays and plain values only; "
                "the file is not read and nothing in it was run"
            )
        return _Symbol(known)

    def _reduce(self, _: Any) -> None:
        arguments, symbol = self.stack.pop(), self.stack.pop()
        if not isinstance(symbol, _Symbol) or not isinstance(arguments, tuple):
            raise ValueError("it calls what is no name")
        self.stack.append(_CALLS[symbol.name](self, arguments))

    def _build(self, _: Any) -> None:
        """Fills the array or dtype below the state on the stack, wherever it is remembered."""
        state, unfilled = self.stack.pop(), self.stack.pop()
        if not isinstance(unfilled, _Unfilled) or not isinstance(state, tuple):
            raise ValueError("it fills what is neither an array nor a dtype")
        value = self._array_of(state) if unfilled.kind == "array" else _ordered(unfilled.dtype, state)
        self.stack.append(value)
        self.memory.update(dict.fromkeys(unfilled.places, value))

    def _array_of(self, state: tuple[Any, ...]) -> np.ndarray:
        shape, dtype, by_columns, raw = state[1:] if len(state) == 5 else state
        return self._array(raw, dtype, shape, "F" if by_columns else "C")

    def _array(self, raw: object, dtype: object, shape: object, order: str) -> np.ndarray:
        data = raw.encode("latin-1") if isinstance(raw, str) else raw
        if not isinstance(data, (bytes, bytearray)) or not isinstance(dtype, np.dtype) or not _is_shape(shape):
            raise ValueError("an array is not given as bytes, dtype and shape")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise Refusal(f"{self.source} claims an array of shape {list(shape)} for {len(data)} bytes: not read")
        self._spend(len(data))
        return np.frombuffer(data, dtype).reshape(shape, order=order)

    def _call_reconstruct(self, arguments: tuple[Any, ...]) -> _Unfilled:
        if not isinstance(arguments[0], _Symbol) or arguments[0].name != "ndarray":
            raise ValueError("it builds an array of another kind")
        return _Unfilled("array")

    def _call_dtype(self, arguments: tuple[Any, ...]) -> _Unfilled:
        name = arguments[0]
        if not isinstance(name, str) or not _DTYPE.fullmatch(name):
            shown = repr(name[:20]) if isinstance(name, str) else "no number type"
            raise Refusal(f"{self.source} holds an array of {shown}; numbers are read, nothing else")
        return _Unfilled("dtype", np.dtype(name))

    def _call_scalar(self, arguments: tuple[Any, ...]) -> bool | int | float:
        dtype, raw = arguments
        return self._array(raw, dtype, (), "C").item()

    def _call_frombuffer(self, arguments: tuple[Any, ...]) -> np.ndarray:
        raw, dtype, shape, order = arguments
        return self._array(raw, dtype, shape, "F" if order == "F" else "C")

    def _call_encode(self, arguments: tuple[Any, ...]) -> bytes:
        """How Python 3 writes bytes in the protocols of Python 2."""
        text, encoding = arguments
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError("bytes are not given as Latin-1")
        self._spend(len(text))
        return text.encode("latin-1")

    def _call_container(self, arguments: tuple[Any, ...], kind: Callable[..., Any]) -> Any:
        items = arguments[0] if arguments else ()
        if len(arguments) > 1 or not isinstance(items, (list, tuple, bytes, bytearray)):
            raise ValueError(f"a {kind.__name__} is not given by its items")
        if kind in (bytes, bytearray) and not isinstance(items, (bytes, bytearray, tuple)):
            raise ValueError(f"{kind.__name__} are not given as bytes")
        self._spend(len(items) * (1 if isinstance(items, (bytes, bytearray)) else 64))
        return kind(map(_key, items)) if kind in (set, frozenset) else kind(items)


_MARK = _Mark()

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

_CALLS: dict[str, Callable[[_Machine, tuple[Any, ...]], Any]] = {
    "reconstruct": _Machine._call_reconstruct,
    "dtype": _Machine._call_dtype,
    "scalar": _Machine._call_scalar,
    "frombuffer": _Machine._call_frombuffer,
    "encode": _Machine._call_encode,
    **{
        kind.__name__: lambda machine, arguments, kind=kind: machine._call_container(arguments, kind)
        for kind in (set, frozenset, list, tuple, bytes, bytearray)
    },
}

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES",
    "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_MAKERS: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE": None, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ACTS = (
    "STOP", "MARK", "POP", "POP_MARK", "DUP", "LIST", "DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS",
    "FROZENSET", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
)  # fmt: skip


def _top(stack: Sequence[Any], kind: type) -> Any:
    if not stack or type(stack[-1]) is not kind:
        raise ValueError(f"it adds to what is no {kind.__name__}")
    return stack[-1]


def _key(value: Any) -> Any:
    # hashing a deeply nested tuple would overflow the interpreter's stack
    if not isinstance(value, _KEYS):
        raise ValueError("a key is neither text nor a number")
    return value


def _pairs(items: Sequence[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key lacks its value")
    return {_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


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


def _plain(value: Any) -> Any:
    if isinstance(value, (_Unfilled, _Symbol, _Mark)):
        raise ValueError("its object was never filled")
    return value
