"""Magenta.js checkpoints: `weights_manifest.json`, binary shards, `config.json`; some quantised to 1 or 2 bytes.

The shards of a group form one run of bytes, in which its weights lie one after the other. A quantised weight is
q · scale + min.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from folkrnn.errors import UserError
from folkrnn.weights.tensor_bundle import MOST_DIMENSIONS, MOST_VARIABLES, WIDEST, Region, StoredArray

MANIFEST, CONFIG = "weights_manifest.json", "config.json"
LARGEST_JSON = 4 * 2**20

DTYPES = {"float32": "<f4", "int32": "<i4"}
QUANTISED = {"uint8": "<u1", "uint16": "<u2"}


def read_manifest(manifest: Path) -> dict[str, StoredArray]:
    """Returns the variables of a Magenta.js checkpoint by name, unread; quantised ones come out in single precision.

    Raises UserError where the manifest is damaged, names a file outside its folder, or claims more than the shards
    hold.
    """
    groups = _json(manifest)
    if not isinstance(groups, list):
        raise UserError(f"{manifest} is no list of groups of weights")
    variables: dict[str, StoredArray] = {}
    for group in groups:
        paths, weights = _lists(group, manifest)
        shards = [_shard(manifest, name) for name in paths]
        for name, variable in _laid_out(weights, shards, manifest):
            if name in variables or len(variables) >= MOST_VARIABLES:
                raise UserError(f"{manifest} names {name} twice, or more than {MOST_VARIABLES} weights")
            variables[name] = variable
    return variables


def read_config(folder: Path) -> tuple[int | None, int | None]:
    """Returns the numbers of steps and of segments that `config.json` states, each None where it does not."""
    file = folder / CONFIG
    if not file.is_file():
        return None, None
    config = _json(file)
    if not isinstance(config, dict) or config.get("type", "MusicVAE") != "MusicVAE":
        raise UserError(f"{file} does not describe a MusicVAE")
    if config.get("chordEncoder"):
        raise UserError(f"{file} describes a model that reads chords as well, which is not built here")
    converter = config.get("dataConverter")
    arguments = converter.get("args") if isinstance(converter, dict) else None
    arguments = arguments if isinstance(arguments, dict) else {}
    steps, segments = (arguments.get(key) for key in ("numSteps", "numSegments"))
    steps, segments = (value if type(value) is int and 0 < value < WIDEST else None for value in (steps, segments))
    return steps, segments


def _json(file: Path) -> Any:
    if not file.is_file():
        raise UserError(f"no {file}")
    if file.stat().st_size > LARGEST_JSON:
        raise UserError(f"{file} is larger than {LARGEST_JSON} bytes")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON: {error}") from None


def _lists(group: Any, manifest: Path) -> tuple[list, list]:
    paths, weights = (group.get("paths"), group.get("weights")) if isinstance(group, dict) else (None, None)
    if not isinstance(paths, list) or not isinstance(weights, list) or not all(isinstance(w, dict) for w in weights):
        raise UserError(f"{manifest}: each group has a list of paths and a list of weights")
    return paths, weights


def _shard(manifest: Path, name: Any) -> Region:
    if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in "/\\\0"):
        raise UserError(f"{manifest} names the shard {name!r}, which does not lie beside it: not opened")
    file = manifest.with_name(name)
    if not file.is_file():
        raise UserError(f"{manifest} names the shard {name!r}, which is missing")
    return Region.of(file)


def _laid_out(weights: Sequence[dict], shards: Sequence[Region], manifest: Path) -> Iterator[tuple[str, StoredArray]]:
    """Names and variables of a group, each at the place where the one before it ends."""
    held, offset = sum(shard.size for shard in shards), 0
    for weight in weights:
        name, shape = _name_and_shape(weight, manifest)
        dtype, scale, low = _numbers(weight, name, manifest)
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if offset + size > held:
            raise UserError(f"{manifest}: {name} ends {offset + size - held} bytes past the end of its shards")

        def read(
            offset: int = offset,
            size: int = size,
            dtype: str = dtype,
            scale: float | None = scale,
            low: float = low,
            shape: tuple[int, ...] = shape,
        ) -> np.ndarray:
            stored = _joined(shards, offset, size).view(dtype).reshape(shape)
            return stored if scale is None else (stored * np.float64(scale) + low).astype(np.float32)

        yield name, StoredArray(shape, dtype if scale is None else "<f4", read)
        offset += size


def _joined(shards: Sequence[Region], offset: int, size: int) -> np.ndarray:
    """Bytes `[size]` from `offset` of the shards one after the other."""
    pieces = []
    for shard in shards:
        low, high = max(0, offset), min(shard.size, offset + size)
        if low < high:
            pieces.append(shard.mapped(low, high - low))
        offset -= shard.size
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint8)


def _name_and_shape(weight: dict, manifest: Path) -> tuple[str, tuple[int, ...]]:
    name, shape = weight.get("name"), weight.get("shape")
    if not isinstance(name, str):
        raise UserError(f"{manifest}: a weight has no name")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise UserError(f"{manifest}: {name} has no shape")
    if not all(type(width) is int and 0 < width < WIDEST for width in shape):
        raise UserError(f"{manifest}: {name} has the shape {shape}, which no weight can have")
    return name, tuple(shape)


def _numbers(weight: dict[str, Any], name: str, manifest: Path) -> tuple[str, float | None, float]:
    """numpy's type of what is stored, and scale and minimum where it is quantised."""
    quantisation = weight.get("quantization")
    kind = quantisation.get("dtype") if isinstance(quantisation, dict) else weight.get("dtype")
    known = DTYPES if quantisation is None else QUANTISED
    if not isinstance(kind, str) or kind not in known:
        raise UserError(f"{manifest}: {name} has the type {kind!r}; read are {', '.join(known)}")
    if quantisation is None:
        return known[kind], None, 0.0
    scale, low = quantisation.get("scale"), quantisation.get("min")
    if not _finite(scale) or not _finite(low):
        raise UserError(f"{manifest}: {name} is quantised without a finite scale and min")
    return known[kind], float(scale), float(low)


def _finite(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and abs(value) < 1e30
