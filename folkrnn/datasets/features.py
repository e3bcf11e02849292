"""jSymbolic features of many melodies: shared among processes, kept between runs, resumed where interrupted."""

from __future__ import annotations

import hashlib

import numpy as np

import folkrnn.melodies
import folkrnn.notation
from folkrnn.files.cache import cache_key, store_arrays, stored_arrays
from folkrnn.melodies import features as jsymbolic
from folkrnn.parallel.pool import in_parallel

CHUNK = 500
"""Melodies per task handed to a worker and per file of the cache."""

WORTH_WORKERS = 3_000
"""Below this many melodies starting workers takes longer than measuring."""


def cached_features(classes: np.ndarray, quarters_per_minute: np.ndarray, workers: int | None = None) -> np.ndarray:
    """Returns `folkrnn.melodies.features.measure` of `classes [N, T]`, float `[N, F]`; NaN where undefined.

    `workers` processes, as many as there are CPUs if None. Every chunk is kept in the cache of parsed corpora as soon
    as it is measured, under a digest of its melodies, of the code and of music21's version: what an interrupted run
    measured is not measured again. Memory beyond the result does not grow with N.
    """
    import music21

    code = cache_key([("music21", music21.__version__)], folkrnn.notation, folkrnn.melodies)
    chunks = [slice(start, start + CHUNK) for start in range(0, len(classes), CHUNK)]
    keys = [f"features-{code}-{_digest(classes[part], quarters_per_minute[part])}" for part in chunks]
    found = np.full((len(classes), len(jsymbolic.features())), np.nan)
    missing = []
    for part, key in zip(chunks, keys, strict=True):
        stored = stored_arrays(key)
        if stored is None:
            missing.append((part, key))
        else:
            found[part] = stored["features"]
    if not missing:
        return found
    if len(missing) * CHUNK < WORTH_WORKERS:
        workers = 1
    tasks = [(classes[part], quarters_per_minute[part]) for part, _ in missing]
    measured = in_parallel(_measure, tasks, "Measuring melodies", workers)
    for (part, key), values in zip(missing, measured, strict=True):
        store_arrays(key, {"features": values})
        found[part] = values
    return found


def _measure(task: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return jsymbolic.measure(*task)


def _digest(classes: np.ndarray, quarters_per_minute: np.ndarray) -> str:
    parts = (np.array(classes.shape), classes, np.asarray(quarters_per_minute, float))
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]
