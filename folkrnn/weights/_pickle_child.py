"""The process in which a pickle is read: `python -I -S _pickle_child.py BYTES` with the pickle on standard input.

It can build numbers, text, containers and descriptions of numpy's arrays. `find_class` answers the names of ALLOWED
with functions of this file, none of them numpy's own, and refuses all others; memory and seconds are limited by the
system. Standard output gets a line of JSON, {"refusal": …} or {"value": …}, and after it the bytes of the arrays,
one after the other.
"""

from __future__ import annotations

import io
import json
import math
import mmap
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any, TypeGuard

SECONDS = 120
MOST_VALUES = 2_000_000
"""Values in what was read, one that is used twice counted twice; v2 has about 75,000 beside its arrays."""
MOST_DIMENSIONS = 8
BASE, PER_BYTE = 2**29, 6
"""Bytes of memory that the process may have, and how many more for each byte of the pickle."""
NO_LIMIT = (
    "is not read: this system does not limit the memory of a process, which a pickle could exhaust; on Linux (or in a "
    "container) `python -m folkrnn.weights export FILE.pkl FOLDER` writes weights that every system reads"
)

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_KEYS = (str, int, float, bool, type(None))


class Unacceptable(Exception):
    """Why a pickle is not read, in words that follow its name."""


class _Dtype:
    """A number type of numpy, as `numpy.dtype` names it."""

    def __init__(self, name: object = None, *_: object) -> None:
        if not isinstance(name, str) or not _DTYPE.fullmatch(name):
            shown = repr(name[:20]) if isinstance(name, str) else "no number type"
            raise Unacceptable(f"holds an array of {shown}; numbers are read, nothing else")
        self.kind, self.order = name.lstrip("<>|="), name[0] if name[0] in "<>" else "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "=", "|") or any(part not in (None, (), {}) for part in state[2:5]):
            raise ValueError("a dtype has parts, or no byte order")
        self.order = ">" if state[1] == ">" else "<"


class _Array:
    """An array: its bytes, dtype and shape, which fit each other."""

    def __init__(self, raw: object = b"", dtype: object = None, shape: object = (), by_columns: object = False) -> None:
        self.raw, self.dtype, self.shape, self.by_columns = raw, dtype, shape, bool(by_columns)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, dtype, by_columns, raw = state[1:] if len(state) == 5 else state
        self.__init__(raw, dtype, shape, by_columns)  # type: ignore[misc]

    def content(self) -> bytes:
        """Returns its bytes. Raises Unacceptable or ValueError where it is none that was filled."""
        raw = self.raw.encode("latin-1") if isinstance(self.raw, str) else self.raw
        if not isinstance(raw, (bytes, bytearray)) or type(self.dtype) is not _Dtype or not _is_shape(self.shape):
            raise ValueError("an array is not given as bytes, dtype and shape")
        if math.prod(self.shape) * int(self.dtype.kind[1:]) != len(raw):
            raise Unacceptable(f"claims an array of shape {list(self.shape)} for {len(raw)} bytes: not read")
        return bytes(raw)


class _Scalar(_Array):
    """A number of numpy."""


def _is_shape(shape: object) -> TypeGuard[tuple[int, ...]]:
    if type(shape) is not tuple or len(shape) > MOST_DIMENSIONS:
        return False
    return all(type(size) is int and 0 <= size < 2**40 for size in shape)


def _ndarray(*_: object) -> None:
    raise ValueError("an array is not given as bytes, dtype and shape")


def _reconstruct(kind: object, *_: object) -> _Array:
    if kind is not _ndarray:
        raise ValueError("an array of another kind")
    return _Array()


def _frombuffer(raw: object, dtype: object, shape: object, order: object) -> _Array:
    return _Array(raw, dtype, shape, order == "F")


def _dtype(name: object, *_: object) -> _Dtype:
    return _Dtype(name)


def _scalar(dtype: object, raw: object) -> _Scalar:
    return _Scalar(raw, dtype)


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes are not given as Latin-1")
    return str.encode(text, "latin-1")


def _empty_bytes() -> bytes:
    return b""


ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    **{(module, "bytes"): _empty_bytes for module in ("builtins", "__builtin__")},
}
"""(module, name) → what stands for it: functions only, since an instruction of pickles makes objects of any class."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        found = ALLOWED.get((module, name))
        if found is None:
            shown = f"{module}.{name}".encode("unicode_escape").decode()[:100]
            raise Unacceptable(
                f"names {shown}: a folk-rnn pickle holds numpy arrays and plain values only; the file is not read and "
                "nothing in it was run"
            )
        return found


def read(data: bytes) -> tuple[Any, list[bytes]]:
    """Returns what a pickle holds as JSON can say it, and the bytes of its arrays and byte strings.

    Raises Unacceptable, naming what is wrong; the strings of Python 2 are decoded as Latin-1.
    """
    try:
        value = _Unpickler(io.BytesIO(data), fix_imports=False, encoding="latin-1").load()
        encoder = _Encoder(MOST_VALUES, len(data) + 2**16)
        return encoder.encoded(value), encoder.blobs
    except Unacceptable:
        raise
    except MemoryError:
        raise Unacceptable("claims more data than it holds: not read") from None
    except Exception as error:  # whatever a damaged pickle makes Python's reader raise
        reason = (str(error).split("\n")[0] or type(error).__name__)[:120]
        raise Unacceptable(f"is not a whole pickle: {reason}") from None


class _Encoder:
    """Values as JSON: containers other than lists, bytes and arrays as objects of one entry each.

    What is used twice is written twice, and so may not grow beyond `most_values` and `most_bytes`.
    """

    def __init__(self, most_values: int, most_bytes: int) -> None:
        self.values, self.bytes, self.most_values, self.end = 0, most_bytes, most_values, 0
        self.blobs: list[bytes] = []

    def encoded(self, value: Any) -> Any:
        self.values += 1
        if self.values > self.most_values:
            raise Unacceptable(f"holds more than {self.most_values:,} values; no folk-rnn pickle does")
        kind = type(value)
        if kind is list:
            return [self.encoded(item) for item in value]
        if kind is tuple:
            return {"tuple": [self.encoded(item) for item in value]}
        if kind is dict:
            if not all(type(key) in _KEYS for key in value):
                raise ValueError("a key is neither text nor a number")
            return {"dict": [[self.encoded(key), self.encoded(item)] for key, item in value.items()]}
        if kind in (_Array, _Scalar):
            place, dtype = self._blob(value.content()), value.dtype.order + value.dtype.kind
            return {"array": [place, dtype, value.shape, "F" if value.by_columns else "C", kind is _Scalar]}
        if kind in (bytes, bytearray):
            return {"bytes": self._blob(bytes(value))}
        if kind not in _KEYS:
            raise ValueError(f"it holds a {kind.__name__.strip('_').lower()}")
        if kind is str:
            self._spend(len(value))
        return value

    def _blob(self, data: bytes) -> tuple[int, int]:
        """Keeps bytes; returns where they begin and end among all that are kept."""
        self._spend(len(data))
        self.blobs.append(data)
        self.end += len(data)
        return self.end - len(data), self.end

    def _spend(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise Unacceptable("claims more data than it holds: not read")


def limit(data: int) -> None:
    """Limits this process for `data` bytes of pickle. Raises Unacceptable where the system has no such limit."""
    most = BASE + PER_BYTE * data
    try:
        import resource

        for kind, value in ((resource.RLIMIT_AS, most), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
            resource.setrlimit(kind, (value, value))
        mmap.mmap(-1, most).close()  # some systems take the limit and do not keep it
    except (ImportError, ValueError) as error:
        raise Unacceptable(NO_LIMIT) from error
    except OSError:
        return
    raise Unacceptable(NO_LIMIT)


def main() -> None:
    """Reads the pickle on standard input and answers on standard output."""
    blobs: list[bytes] = []
    try:
        limit(int(sys.argv[1]))
        value, blobs = read(sys.stdin.buffer.read())
        line = json.dumps({"value": value})
    except (Unacceptable, MemoryError, ValueError, RecursionError) as error:
        blobs, line = [], json.dumps({"refusal": str(error) or "takes more memory than its size explains: not read"})
    sys.stdout.buffer.write(line.encode() + b"\n")
    sys.stdout.buffer.writelines(blobs)


if __name__ == "__main__":
    main()
