"""Weights on disk: a folder with `model.safetensors` (the parameters and nothing else), `vocabulary.json`, `card.md`.

Sizes and cell follow from the tensors' shapes. Nothing in the folder is executed or instantiated.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.recurrent import GATES
from folkrnn.refusal import Refusal
from folkrnn.vocabulary import V2, Vocabulary

PARAMETERS, VOCABULARY, CARD = "model.safetensors", "vocabulary.json", "card.md"

LARGEST = 2**31
"""Bytes of the largest weights file that is read."""


@dataclass(frozen=True)
class Weights:
    """A model with its parameters, the vocabulary it speaks, and where they came from."""

    model: FolkRNN | MusicVAE
    vocabulary: Vocabulary | None
    """Of a FolkRNN; a MusicVAE has none."""
    source: str
    digest: str
    """SHA-256 of the parameters in single precision, 16 hexadecimal digits."""
    card: str = ""


def save(folder: Path, model: FolkRNN, vocabulary: Vocabulary, card: str, dtype: torch.dtype = torch.float16) -> None:
    """Writes the three files of a weights folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in model.state_dict().items()}
    _write(folder / PARAMETERS, safetensors.torch.save(tensors))
    _write(folder / VOCABULARY, json.dumps(vocabulary.tokens, ensure_ascii=False, indent=0).encode())
    _write(folder / CARD, card.encode())


def load(place: Path) -> Weights:
    """Returns the weights in a folder, or in a `.safetensors` file with its vocabulary beside it.

    Raises Refusal where the file is missing, cut short, foreign, or holds values that are not finite.
    """
    file = place / PARAMETERS if place.is_dir() else place
    tensors = read_tensors(file)
    vocabulary = _read_vocabulary(file.parent / VOCABULARY)
    card = file.parent / CARD
    model = model_of(tensors, str(file), vocabulary)
    return Weights(model, vocabulary, str(place), digest(model), card.read_text() if card.is_file() else "")


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file in single precision."""
    if not file.is_file():
        raise Refusal(f"no weights at {file}; a weights folder holds {PARAMETERS}, {VOCABULARY} and {CARD}")
    if file.stat().st_size > LARGEST:
        raise Refusal(f"{file} is larger than {LARGEST // 2**30} GiB; no FolkRNN is")
    try:
        tensors = safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise Refusal(f"{file} is not a whole safetensors file: {error}") from None
    return {name: value.float() for name, value in tensors.items()}


def model_of(tensors: Mapping[str, Tensor], source: str, vocabulary: Vocabulary) -> FolkRNN:
    """Returns a FolkRNN of the sizes that `tensors` have, holding them. Raises Refusal for anything else."""
    try:
        size, units = tensors["softmax_weight"].shape
        layers = sum(name.endswith(".weight_hh") for name in tensors)
        rows = tensors["layers.0.weight_hh"].shape[0]
    except (KeyError, ValueError):
        known = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise Refusal(f"{source} does not hold a FolkRNN (it holds {known}, …)") from None
    cell = next((name for name, gates in GATES.items() if len(gates) * units == rows), None)
    if cell is None:
        raise Refusal(
            f"{source}: {rows} recurrent rows for {units} units fit neither an LSTM (4 each) nor a GRU (3 each)"
        )
    if size != len(vocabulary):
        raise Refusal(f"{source} has {size} outputs but its vocabulary has {len(vocabulary)} tokens")
    model = FolkRNN(size, units, layers, cell=cell, initial_state="learned" if "initial" in tensors else "zero")
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if wrong := sorted(set(expected.items()) ^ set(found.items())):
        raise Refusal(
            f"{source} is not a FolkRNN of {layers} × {units}: {wrong[0][0]} has another shape, lacks or is extra"
        )
    broken = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise Refusal(f"{source}: {broken[0]} holds values that are not finite")
    model.load_state_dict(dict(tensors))
    return model.eval()


def digest(model: FolkRNN) -> str:
    """Returns SHA-256 over names and single-precision values of all parameters, 16 hexadecimal digits."""
    hasher = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        hasher.update(name.encode() + value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]


def _read_vocabulary(file: Path) -> Vocabulary:
    if not file.is_file():
        return V2
    try:
        tokens = json.loads(file.read_text())
    except ValueError as error:
        raise Refusal(f"{file} is not JSON: {error}") from None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise Refusal(f"{file} must be a list of tokens in index order")
    return Vocabulary(tuple(tokens))


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(path.suffix + ".part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
