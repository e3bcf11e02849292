"""The page's data as text: numbers in a JSON manifest, arrays as bytes behind it, compressed, in base64.

A page holds several packs (`core`, which the first picture needs, and `states`), each one `<script>` element. A pack is
gzip of: the length of the manifest (uint32, little endian), the manifest, zeros up to a multiple of 8, and the arrays,
each on a multiple of 8 and named with type, shape and place in the manifest's `arrays`.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TYPES = {"uint8": "u8", "int8": "i8", "uint16": "u16", "int16": "i16", "float32": "f32"}
"""The types that arrays may have, and what the page's script calls them."""
_NUMPY = {short: np.dtype(name).newbyteorder("<") for name, short in TYPES.items()}
_PACK = re.compile(
    r'<script type="application/octet-stream" id="pack-(?P<name>\w+)">(?P<text>[A-Za-z0-9+/=]*)</script>'
)


@dataclass
class Pack:
    """Plain values and arrays."""

    manifest: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def to_text(pack: Pack) -> str:
    """Returns the pack as base64. Raises TypeError for an array of a type that the page cannot read."""
    places: dict[str, Any] = {}
    parts: list[bytes] = []
    at = 0
    for name, array in pack.arrays.items():
        if array.dtype.name not in TYPES:
            raise TypeError(f"array {name} of the explorer's page is {array.dtype}; it may be {', '.join(TYPES)}")
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        places[name] = [TYPES[array.dtype.name], list(array.shape), at]
        parts.append(data + b"\0" * (-len(data) % 8))
        at += len(parts[-1])
    text = json.dumps(_plain(pack.manifest) | {"arrays": places}, ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-(4 + len(text)) % 8)
    whole = len(text).to_bytes(4, "little") + text + b"".join(parts)
    return base64.b64encode(gzip.compress(whole, 6, mtime=0)).decode()


def from_text(text: str) -> Pack:
    """Returns the pack that `to_text` wrote."""
    whole = gzip.decompress(base64.b64decode(text))
    start = 4 + int.from_bytes(whole[:4], "little")
    manifest = json.loads(whole[4:start])
    arrays = {}
    for name, (kind, shape, at) in manifest.pop("arrays").items():
        count = int(np.prod(shape, dtype=int))
        arrays[name] = np.frombuffer(whole, _NUMPY[kind], count, start + at).reshape(shape)
    return Pack(manifest, arrays)


def packs(html: str) -> dict[str, Pack]:
    """Returns the packs of a page by name: what a reader of the page sees, for whoever wants to compute with it."""
    return {found["name"]: from_text(found["text"]) for found in _PACK.finditer(html)}


def _plain(value: Any) -> Any:
    """Numbers of numpy as numbers, NaN as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
