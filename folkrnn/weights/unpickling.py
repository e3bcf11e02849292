"""Pickles read by a machine that can build numbers, text, containers and numpy arrays, and cannot call anything.

Python's own `pickle` looks names up and calls them. Here the instructions are decoded by `pickletools`, which runs
nothing, and carried out by the functions of this module; a name other than those in SYMBOLS is refused with the name.
Nothing that the file claims is believed before it is checked: what is allocated stays below the size of the file for
arrays and text, and below MOST_STEPS small objects for the rest.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from folkrnn.refusal import Refusal
from folkrnn.weights.unpickled_values import CALLS, SYMBOLS, Budget, Symbol, Unfilled, filled, key

LARGEST = 2**29
"""Bytes of the largest pickle that is read: folk-rnn v2 has 23 million, a GRU of 3 × 800 in double precision 80."""

MOST_STEPS = 4_000_000
"""Instructions that are carried out (below 1 GB whatever they are). v2, whose 35,100 losses may be arrays of their own,
needs about 700,000."""


class _Mark:
    """Where the items of the next container begin on the stack."""


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
        self.source, self.budget = source, Budget(source, budget)
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
        if isinstance(value, Unfilled):
            value.places.append(number)
        self.memory[number] = value

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
        _top(self.stack, set).update(map(key, items))

    def _frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(map(key, self._since_mark())))

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self._symbol(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._symbol(module, name))

    def _symbol(self, module: object, name: object) -> Symbol:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no text")
        known = SYMBOLS.get((module, name))
        if known is None:
            shown = f"{module}.{name}".encode("unicode_escape").decode()[:100]
            raise Refusal(
                f"{self.source} names {shown}: a folk-rnn pickle holds numpy arrays and plain values only; "
                "the file is not read and nothing in it was run"
            )
        return Symbol(known)

    def _reduce(self, _: Any) -> None:
        arguments, symbol = self.stack.pop(), self.stack.pop()
        if not isinstance(symbol, Symbol) or not isinstance(arguments, tuple):
            raise ValueError("it calls what is no name")
        self.stack.append(CALLS[symbol.name](self.budget, arguments))

    def _build(self, _: Any) -> None:
        """Fills the array or dtype below the state on the stack, wherever it is remembered."""
        state, unfilled = self.stack.pop(), self.stack.pop()
        if not isinstance(unfilled, Unfilled) or not isinstance(state, tuple):
            raise ValueError("it fills what is neither an array nor a dtype")
        value = filled(self.budget, unfilled, state)
        self.stack.append(value)
        self.memory.update(dict.fromkeys(unfilled.places, value))


_MARK = _Mark()

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


def _pairs(items: Sequence[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key lacks its value")
    return {key(name): value for name, value in zip(items[::2], items[1::2], strict=True)}


def _plain(value: Any) -> Any:
    if isinstance(value, (Unfilled, Symbol, _Mark)):
        raise ValueError("its object was never filled")
    return value
