"""Checkpoints that are whole or not there, and what they need so that a training goes on as if never interrupted."""

from __future__ import annotations

import io
import logging
import math
import random
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from folkrnn.datasets.dataset import Dataset
from folkrnn.errors import UserError
from folkrnn.files.whole import write_whole
from folkrnn.models.model import Model
from folkrnn.weights.lightning import read_checkpoint

log = logging.getLogger(__name__)

BEST, LAST = "best.ckpt", "last.ckpt"

OURS = "folkrnn"
"""Key of a checkpoint under which stands what Lightning does not keep."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the old file, down to the disk, then renames: at any moment there is one whole checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_checkpoint(Path(path), buffer.getbuffer())


def write_checkpoint(path: Path, content: bytes | memoryview) -> None:
    """Puts `content` in the place of the file. Raises UserError, the old file intact, where there is no room for it."""
    try:
        write_whole(path, content, durable=True)
    except OSError as error:
        raise UserError(
            f"cannot write the checkpoint {path} ({len(content) / 2**20:.0f} MiB: {error.strerror}); an earlier one is "
            "intact: make room, then go on with trainer.resume=true"
        ) from error


def generators() -> dict[str, Any]:
    """Returns the state of every global generator of random numbers, as tensors and plain numbers."""
    name, keys, place, has_gauss, gauss = cast("tuple[str, np.ndarray, int, int, float]", np.random.get_state())
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, keys.tolist(), int(place), int(has_gauss), float(gauss)],
        "python": [random.getstate()[0], list(random.getstate()[1]), random.getstate()[2]],
    }


def restore(states: Mapping[str, Any]) -> None:
    """Puts every global generator into the state that `generators` returned."""
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    name, keys, place, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), place, has_gauss, gauss))
    version, inner, following = states["python"]
    random.setstate((version, tuple(inner), following))


def training_identity(
    model: Model,
    corpus: Dataset,
    recipe: Any,
    seed: int,
    max_epochs: int,
    precision: str,
    accumulate: int = 1,
) -> dict[str, str]:
    """Returns what a training is of: only a checkpoint of the very same can be gone on from."""
    return {
        "model": model.trained_as,
        "recipe": f"{type(recipe).__name__}({', '.join(f'{k}={v}' for k, v in asdict(recipe).items())})",
        "data": f"{corpus.name} ({corpus.digest})",
        "seed": str(seed),
        "trainer.max_epochs": str(max_epochs),
        "trainer.precision": precision,
        "trainer.accumulate": str(accumulate),  # Lightning counts parts
    }


def to_resume(folder: Path, mine: Mapping[str, str]) -> tuple[Path, dict[str, Any]]:
    """Returns the checkpoint that a training goes on from, and what it says of that beyond what Lightning reads.

    It is the last one; the best, of an earlier epoch's end, where the last was damaged. Raises UserError where both
    were, and for one of another training than `mine`.
    """
    path = folder / LAST
    try:
        content = read_checkpoint(path)
    except UserError as refusal:
        if not (folder / BEST).is_file():
            raise
        path = folder / BEST
        try:
            content = read_checkpoint(path)
        except UserError as too:
            raise UserError(f"{refusal}, and so is {BEST}: begin anew, with {folder} moved away") from too
        log.warning("%s; the training goes on from %s", refusal, BEST)
    progress = _progress(content, path, mine)
    return path, progress if path.name == BEST else _with_best(folder, progress)


def _progress(content: Any, path: Path, mine: Mapping[str, str]) -> dict[str, Any]:
    progress = content.get(OURS) if isinstance(content, dict) else None
    if not isinstance(progress, dict):
        raise UserError(f"{path} lacks what going on exactly needs; move it away and train anew")
    theirs = {"trainer.accumulate": "1"} | progress["identity"]  # written before there were parts
    other = [f"{key} was {theirs.get(key)} and is {value}" for key, value in mine.items() if theirs.get(key) != value]
    if other:
        raise UserError(f"{path} is of another configuration and cannot be gone on from: {'; '.join(other)}")
    return progress


def _with_best(folder: Path, progress: dict[str, Any]) -> dict[str, Any]:
    """The progress of a training; where its best checkpoint was damaged, the next epoch is the best so far."""
    if progress["best"] == math.inf:
        return progress
    try:
        read_checkpoint(folder / BEST)
    except UserError as refusal:
        log.warning("%s; the best epoch from here on takes its place", refusal)
        return progress | {"best": math.inf, "since_best": 0}
    return progress


def best_state(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Returns the best checkpoint of a training that is over and its parameters; where it was damaged, the last one.

    Raises UserError where both were.
    """
    try:
        return folder / BEST, read_checkpoint(folder / BEST)["state_dict"]
    except UserError as refusal:
        state = read_checkpoint(folder / LAST)["state_dict"]
        log.warning("%s; the model has the parameters of %s, the last ones, in their place", refusal, LAST)
        return folder / LAST, state
