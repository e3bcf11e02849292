"""Plain values and arrays as Python 2's cPickle wrote them (protocol 2): what folk-rnn's own scripts can load.

Python 3 would write names of its own numpy (`numpy._core`) and unicode text, which those scripts do not know.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from folkrnn.refusal import Refusal

_PROTOCOL, _STOP, _MARK = b"\x80\x02", b".", b"("
_NONE, _TRUE, _FALSE = b"N", b"\x88", b"\x89"
_RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n"


def dumps(value: Any) -> bytes:
    """Returns the pickle of `value`: None, booleans, numbers, Latin-1 text, arrays of numbers, and lists, tuples and
    dicts of those. Raises Refusal for anything else."""
    pieces: list[bytes] = [_PROTOCOL]
    _write(value, pieces)
    return b"".join([*pieces, _STOP])


def _write(value: Any, pieces: list[bytes]) -> None:
    if value is None or isinstance(value, bool):
        pieces.append(_NONE if value is None else _TRUE if value else _FALSE)
    elif isinstance(value, int):
        pieces.append(_integer(value))
    elif isinstance(value, float):
        pieces.append(b"G" + struct.pack(">d", value))
    elif isinstance(value, str):
        pieces.append(_text(value))
    elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        _write_array(value, pieces)
    elif isinstance(value, (list, tuple, dict)):
        _write_container(value, pieces)
    else:
        raise Refusal(f"a {type(value).__name__} cannot be put into a pickle of folk-rnn")


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def _text(value: str) -> bytes:
    try:
        return _string(value.encode("latin-1"))
    except UnicodeEncodeError:
        raise Refusal(f"{value[:40]!r} is not Latin-1, which is all that pickles of Python 2 are read as") from None


def _string(data: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(data)) + data


def _write_container(value: list[Any] | tuple[Any, ...] | dict[Any, Any], pieces: list[bytes]) -> None:
    pieces.append(_MARK if isinstance(value, tuple) else (b"}(" if isinstance(value, dict) else b"]("))
    for item in value.items() if isinstance(value, dict) else value:
        for part in item if isinstance(value, dict) else (item,):
            _write(part, pieces)
    pieces.append(b"t" if isinstance(value, tuple) else b"u" if isinstance(value, dict) else b"e")


def _write_array(value: np.ndarray, pieces: list[bytes]) -> None:
    """The array as numpy 1 pickled it: an empty one, filled by (version, shape, dtype, by columns?, bytes)."""
    array = value.astype(value.dtype.newbyteorder("<"), copy=False)
    pieces += [_RECONSTRUCT, _MARK, _integer(0), b"t", _string(b"b"), b"\x87R"]
    pieces += [_MARK, _integer(1)]
    _write(tuple(map(int, array.shape)), pieces)
    pieces += [b"cnumpy\ndtype\n", _MARK, _string(array.dtype.str[1:].encode()), _integer(0), _integer(1), b"tR"]
    order = b"|" if array.dtype.itemsize == 1 else b"<"
    pieces += [_MARK, _integer(3), _string(order), _NONE * 3, _integer(-1), _integer(-1), _integer(0), b"tb"]
    pieces += [_FALSE, _string(array.tobytes()), b"tb"]
