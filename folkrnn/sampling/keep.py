"""The tunes of a control, kept on disk: the jobs of a sweep differ in their interventions and share what comes before.

An entry is named by everything that determines it: weights, vocabulary, settings of sampling, seed, replayed tune, kind
of device, versions of torch and numpy, and the source of the models and of the sampling. It is written whole or not at
all.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import folkrnn.models
import folkrnn.sampling
from folkrnn.datasets.parsing import cache_folder, cache_key, store_arrays, stored_arrays
from folkrnn.sampling.transcription import Sampling, Transcription

MOST = 64
"""Entries kept; the ones not used for longest go first."""

_ORIGINS = ("given", "drawn", "replayed")


def kept(
    weights: str,
    vocabulary: str,
    sampling: Sampling,
    seed: int,
    replay: Sequence[int] | None,
    device: torch.device | str,
    generate: Callable[[], list[Transcription]],
) -> list[Transcription]:
    """Returns what `generate` returned the last time for the same of everything else, or calls it and keeps that.

    `weights` and `vocabulary` are digests, `replay` the ids of the replayed tune. Where the cache cannot be written,
    nothing is kept.
    """
    key = key_of(weights, vocabulary, sampling, seed, replay, device)
    arrays = stored_arrays(key)
    if arrays is not None:
        _used_now(cache_folder() / f"{key}.npz")
        return _unpacked(arrays)
    made = generate()
    store_arrays(key, _packed(made))
    _forget()
    return made


def key_of(
    weights: str,
    vocabulary: str,
    sampling: Sampling,
    seed: int,
    replay: Sequence[int] | None,
    device: torch.device | str,
) -> str:
    """Returns the name of an entry. The number of tunes in progress at once (`live`) has no say in what comes out."""
    settings: dict[str, Any] = asdict(sampling)
    del settings["live"]
    about = {
        "weights": weights,
        "vocabulary": vocabulary,
        "sampling": settings,
        "seed": seed,
        "replay": None if replay is None else [int(i) for i in replay],
        "device": torch.device(device).type,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    return "control-" + cache_key([("about", json.dumps(about, sort_keys=True))], folkrnn.models, folkrnn.sampling)


def _packed(tunes: Sequence[Transcription]) -> dict[str, np.ndarray]:
    return {
        "lengths": np.array([len(t.ids) for t in tunes]),
        "ids": np.concatenate([t.ids for t in tunes]),
        "origin": np.concatenate([[_ORIGINS.index(how) for how in t.origin] for t in tunes]).astype(np.int8),
        "probability": np.concatenate([t.probability for t in tunes]),
        "uniform": np.concatenate([t.uniform for t in tunes]),
        "ended": np.array([t.ended for t in tunes]),
        "titles": np.array([t.title for t in tunes]),
    }


def _unpacked(arrays: dict[str, np.ndarray]) -> list[Transcription]:
    lengths = arrays["lengths"]
    ids = np.split(arrays["ids"], np.cumsum(lengths)[:-1])
    origin, probability, uniform = (
        np.split(arrays[name], np.cumsum(lengths - 1)[:-1]) for name in ("origin", "probability", "uniform")
    )
    return [
        Transcription(
            ids[k],
            tuple(_ORIGINS[how] for how in origin[k]),
            probability[k],
            uniform[k],
            bool(arrays["ended"][k]),
            str(arrays["titles"][k]),
        )
        for k in range(len(lengths))
    ]


def _used_now(entry: Path) -> None:
    """Notes the time, by which entries are forgotten; a cache that cannot be written forgets none."""
    with contextlib.suppress(OSError):  # nor is an entry made here that another process has just removed
        os.utime(entry)


def _forget() -> None:
    """Removes the entries not used for longest beyond MOST."""
    entries = []
    for path in cache_folder().glob("control-*.npz"):
        try:
            entries.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # another process was faster
            continue
    for _, path in sorted(entries)[:-MOST]:
        with contextlib.suppress(OSError):
            path.unlink()
