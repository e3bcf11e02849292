"""Where what was computed or downloaded is kept between runs.

An entry that was computed ends with a digest of what stands before it: one that was damaged, on the disk or by an
interrupted run, is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from folkrnn.files.places import home, results_home
from folkrnn.files.whole import write_whole

log = logging.getLogger(__name__)

_told: set[Path] = set()


def cache_folder() -> Path:
    """Returns `$XDG_CACHE_HOME/folkrnn`, or `~/.cache/folkrnn`.

    For a user without a home folder it is `.cache/folkrnn` where results are kept.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else (home() or results_home()) / ".cache") / "folkrnn"


_DIGEST = 16
"""Bytes at the end of an entry."""


def keep(path: Path, data: bytes) -> None:
    """Keeps an entry, for `kept`; where the cache cannot be written, nothing is kept."""
    write_atomically(path, data + _digest(data))


def kept(path: Path) -> bytes | None:
    """Returns what `keep` was given, None where there is no such entry or it was damaged, which is said."""
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        log.warning("%s in the cache cannot be read (%s): made anew", path, error.strerror or error)
        return None
    data, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hmac.compare_digest(digest, _digest(data)):
        return data
    log.warning("%s in the cache is damaged, or of an earlier version: made anew", path)
    with contextlib.suppress(OSError):  # the new one takes its place
        path.unlink()
    return None


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


def write_atomically(path: Path, data: bytes) -> None:
    """Writes all of a file of the cache or nothing; where it cannot be written, which only costs time, says so once."""
    try:
        write_whole(path, data)
    except OSError as error:
        if path.parent not in _told:
            _told.add(path.parent)
            log.warning(
                "nothing is kept in the cache %s (%s), so that later runs take as long as this one; another folder: "
                "XDG_CACHE_HOME",
                path.parent,
                error.strerror or error,
            )


def cached_arrays(key: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the arrays that `compute` returned the last time for the same `key`, or calls it and keeps the result."""
    arrays = stored_arrays(key)
    if arrays is None:
        arrays = compute()
        store_arrays(key, arrays)
    return arrays


def stored_arrays(key: str) -> dict[str, np.ndarray] | None:
    """Returns the arrays kept for `key`, None where there are none."""
    data = kept(cache_folder() / f"{key}.npz")
    if data is None:
        return None
    with np.load(io.BytesIO(data), allow_pickle=False) as entry:
        return dict(entry)


def store_arrays(key: str, arrays: dict[str, np.ndarray]) -> None:
    """Keeps arrays for `key`; where the cache cannot be written, nothing is kept."""
    data = io.BytesIO()
    np.savez(data, **cast("dict[str, Any]", arrays))
    keep(cache_folder() / f"{key}.npz", data.getvalue())


def cached_json(key: str, compute: Callable[[], Any]) -> Any:
    """Returns what `compute` returned the last time for the same `key`, as JSON, or calls it and keeps that."""
    path = cache_folder() / f"{key}.json"
    data = kept(path)
    if data is None:
        data = json.dumps(compute()).encode()
        keep(path, data)
    return json.loads(data)


def cache_key(texts: Iterable[tuple[str, str]], *packages: ModuleType) -> str:
    """Returns a digest of named texts and of the source of the packages that make the entry: none changes unnoticed."""
    hasher = hashlib.sha256()
    for name, text in texts:
        hasher.update(f"{name}\0{text}\0".encode("utf-8", "surrogatepass"))
    folders = [Path(package.__file__ or "").parent for package in packages]
    for source in (source for folder in folders for source in sorted(folder.glob("*.py"))):
        hasher.update(source.read_bytes())
    return hasher.hexdigest()[:16]
