"""The tunes of a control, kept on disk: the jobs of a sweep differ in their interventions and share what comes before.

An entry is named by everything that determines it: weights, vocabulary, settings of sampling, seed, replayed tune,
device, versions of torch and numpy, and the source of the models and of the sampling. It is written whole or not at
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
import folkrnn.notation
import folkrnn.sampling
from folkrnn.files.cache import cache_folder, cache_key, store_arrays, stored_arrays
from folkrnn.sampling.transcription import Sampling, Transcription
from folkrnn.sampling.transcriptions import Transcriptions, packed

MOST = 64
"""Entries kept; the ones not used for longest go first."""


def kept_tunes(
    weights: str,
    vocabulary: str,
    sampling: Sampling,
    seed: int,
    replay: Sequence[Sequence[int]] | None,
    device: torch.device | str,
    generate: Callable[[], Sequence[Transcription]],
    processes: int = 1,
) -> Sequence[Transcription]:
    """Returns what `generate` returned the last time for the same of everything else, or calls it and keeps that.

    `weights` and `vocabulary` are digests, `replay` the ids of the replayed tunes; so many `processes` write the tunes.
    Where the cache cannot be written, nothing is kept.
    """
    key = key_of(weights, vocabulary, sampling, seed, replay, device, processes)
    arrays = stored_arrays(key)
    if arrays is not None:
        _used_now(cache_folder() / f"{key}.npz")
        return Transcriptions(arrays)
    made = generate()
    store_arrays(key, made.arrays if isinstance(made, Transcriptions) else packed(made))
    _forget()
    return made


def key_of(
    weights: str,
    vocabulary: str,
    sampling: Sampling,
    seed: int,
    replay: Sequence[Sequence[int]] | None,
    device: torch.device | str,
    processes: int = 1,
) -> str:
    """Returns the name of an entry.

    On a CPU in single precision it does not matter how many tunes are in progress at once, nor in how many processes;
    elsewhere the last bits of probabilities, and now and then a token, depend on both.
    """
    settings: dict[str, Any] = asdict(sampling)
    if torch.device(device).type == "cpu" and sampling.precision == "fp32":
        del settings["batch_size"], settings["captured"]
    else:
        settings["processes"] = processes
    about = {
        "weights": weights,
        "vocabulary": vocabulary,
        "sampling": settings,
        "seed": seed,
        "replay": None if replay is None else [[int(i) for i in tune] for tune in replay],
        "device": _make(torch.device(device)),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    return "control-" + cache_key(
        [("about", json.dumps(about, sort_keys=True))], folkrnn.notation, folkrnn.models, folkrnn.sampling
    )


def _make(device: torch.device) -> str:
    """What computes: the kind of device, of a GPU also its model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


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
