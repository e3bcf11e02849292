"""`weights=…`: each option as a function from the asked-for model to its parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from folkrnn.errors import UserError
from folkrnn.files import places
from folkrnn.models.model import Model
from folkrnn.vocabulary import V2, Vocabulary
from folkrnn.weights import downloads, folder, lasagne, lightning
from folkrnn.weights.folder import Weights

M = TypeVar("M", bound=Model)

SHIPPED = Path(__file__).parent


def pretrained(model: str = "folkrnn") -> Weights:
    """Returns the weights shipped for a named model. Raises UserError where none are."""
    place = SHIPPED / model
    if not (place / folder.PARAMETERS).is_file():
        there = ", ".join(sorted(p.parent.name for p in SHIPPED.glob(f"*/{folder.PARAMETERS}"))) or "none"
        raise UserError(
            f"no weights ship for model={model} (shipped: {there}); train it with weights=scratch{_published(model)}"
        )
    weights = folder.load(place)
    return replace(weights, source=f"pretrained/{model}")


def _published(model: str) -> str:
    """What to say of a model of which Magenta has published a checkpoint, or could have."""
    from folkrnn.weights.magenta import CONFIGS

    if not model.startswith("musicvae"):
        return ""
    name = next((name for name, (own, _) in CONFIGS.items() if own == model), None)
    return f", or load a checkpoint of Magenta's with weights=magenta weights.path={f'{name}.tar' if name else '…'}"


def scratch(model: M, seed: int, vocabulary: Vocabulary = V2) -> Weights[M]:
    """Returns `model` with fresh parameters drawn from `seed`, ready to be trained."""
    model.reset_parameters(torch.Generator().manual_seed(seed))
    return Weights(model, vocabulary if model.reads_tokens else None, folder.FRESH, folder.digest(model))


def finetune(model: str, path: str | None) -> Weights:
    """Returns the weights that a training goes on from: those at `path`, of `checkpoint`'s kinds, or those shipped."""
    return pretrained(model) if path is None else checkpoint(path)


def checkpoint(path: str | None) -> Weights:
    """Returns the weights in a weights folder, a run's folder, a `.safetensors` file or a Lightning checkpoint."""
    place = _existing(path, "checkpoint", "a weights folder, the folder of a run, .safetensors or .ckpt")
    inside = [place / name for name in ("weights", "checkpoints/best.ckpt", "best.ckpt")]
    if place.is_dir() and not (place / folder.PARAMETERS).is_file():
        place = next((other for other in inside if other.exists()), place)
    if place.suffix in (".pkl", ".pickle"):
        raise UserError(f"weights.path={path} looks like a pickle of folk-rnn: read it with weights=pickle")
    return lightning.load(place) if place.suffix in (".ckpt", ".pt", ".pth") else folder.load(place)


def pickle(path: str | None) -> Weights:
    """Returns the weights in a pickle of folk-rnn (`metadata/*.pkl`) or of its web app; nothing in it is executed."""
    return lasagne.load(_existing(path, "pickle", "a .pkl of folk-rnn's training script"))


def magenta(path: str | None) -> Weights:
    """Returns the MusicVAE in a Magenta checkpoint: a tar, a prefix, a folder or a Magenta.js folder."""
    if path is None:
        raise UserError("weights=magenta needs weights.path=… (cat-mel_2bar_big.tar, a checkpoint prefix or a folder)")
    return downloads.of_magenta(places.place(path, "weights.path"))


def _existing(path: str | None, option: str, kinds: str) -> Path:
    if path is None:
        raise UserError(f"weights={option} needs weights.path=… ({kinds})")
    return places.existing("weights.path", path, kinds)
