"""Pickles read by Python's own reader in a process of its own, which can build plain values and call nothing of value.

`_pickle_child.py` is that process: a list of allowed names, none of which leads to code other than its own, limits of
memory and time, and JSON and bytes as its only answer.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from folkrnn.errors import UserError
from folkrnn.weights._pickle_child import SECONDS

LARGEST = 2**29
"""Bytes of the largest pickle that is read: folk-rnn v2 has 23 million, a GRU of 3 × 800 in double precision 80."""

_CHILD = Path(__file__).with_name("_pickle_child.py")


def read_pickle(path: Path) -> Any:
    """Returns what a pickle of any protocol holds, strings of Python 2 decoded as Latin-1, numpy's numbers as Python's.

    Raises UserError where it names anything but numpy's arrays and dtypes and Python's plain types, is cut short,
    malformed, larger than LARGEST, or takes more memory or time than such a file does; nothing in it is executed.
    """
    if not path.is_file():
        raise UserError(f"no pickle at {path}")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is larger than {LARGEST // 2**20} MiB; no folk-rnn pickle is")
    command = [sys.executable, "-I", "-S", str(_CHILD), str(path.stat().st_size)]
    try:
        with path.open("rb") as file:
            done = subprocess.run(command, stdin=file, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"{path} takes longer than {SECONDS} s to read; no folk-rnn pickle does") from None
    if done.returncode:
        raise UserError(f"{path} is not read: it ended the process that read it (status {done.returncode})")
    line, _, raw = done.stdout.partition(b"\n")
    answer = json.loads(line, object_hook=functools.partial(_value, raw))
    if "refusal" in answer:
        raise UserError(f"{path} {answer['refusal']}")
    return answer["value"]


def _value(raw: bytes, entry: dict[str, Any]) -> Any:
    """What an object of the child's JSON stands for; bytes are given by where they begin and end in `raw`."""
    match entry:
        case {"tuple": items}:
            return tuple(items)
        case {"dict": pairs}:
            return dict(pairs)
        case {"bytes": [begin, end]}:
            return raw[begin:end]
        case {"array": [[begin, end], dtype, shape, order, scalar]}:
            array = np.frombuffer(raw[begin:end], dtype).reshape(shape, order=order)
            return array.item() if scalar else array
    return entry
