"""`weights=…`: each option as a function from the asked-for model to its parameters."""

from __future__ import annotations

from pathlib import Path

import torch

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.refusal import Refusal
from folkrnn.vocabulary import V2, Vocabulary
from folkrnn.weights import folder
from folkrnn.weights.folder import Weights

SHIPPED = Path(__file__).parent


def pretrained(model: str = "folkrnn") -> Weights:
    """Returns the weights shipped for a named model. Raises Refusal where none are."""
    place = SHIPPED / model
    if not (place / folder.PARAMETERS).is_file():
        there = ", ".join(sorted(p.parent.name for p in SHIPPED.glob(f"*/{folder.PARAMETERS}"))) or "none"
        raise Refusal(
            f"no weights ship for model={model} (shipped: {there}); train it with weights=scratch{_published(model)}"
        )
    weights = folder.load(place)
    return Weights(weights.model, weights.vocabulary, f"pretrained/{model}", weights.digest, weights.card)


def _published(model: str) -> str:
    """What to say of a model of which Magenta has published a checkpoint, or could have."""
    from folkrnn.weights.magenta import CONFIGS

    if not model.startswith("musicvae"):
        return ""
    name = next((name for name, (own, _) in CONFIGS.items() if own == model), None)
    return f", or load a checkpoint of Magenta's with weights=magenta weights.path={f'{name}.tar' if name else '…'}"


def scratch(model: FolkRNN, seed: int, vocabulary: Vocabulary = V2) -> Weights:
    """Returns `model` with fresh parameters drawn from `seed`, ready to be trained."""
    model.reset_parameters(torch.Generator().manual_seed(seed))
    return Weights(model, vocabulary, "scratch", folder.digest(model))


def checkpoint(path: str | None) -> Weights:
    """Returns the weights in a weights folder, a `.safetensors` file or a Lightning checkpoint (`.ckpt`)."""
    if path is None:
        raise Refusal("weights=checkpoint needs weights.path=… (a weights folder, .safetensors or .ckpt)")
    place = Path(path).expanduser()
    if not place.exists():
        raise Refusal(f"weights.path={path}: no such file or folder")
    return _lightning(place) if place.suffix in (".ckpt", ".pt", ".pth") else folder.load(place)


def _lightning(file: Path) -> Weights:
    """The model inside a Lightning checkpoint, read as plain tensors (`weights_only`): no code in it can run."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds here, all of which mean the same to the user
        reason = str(error).split("\n")[0] or type(error).__name__
        raise Refusal(f"{file} is not a whole checkpoint of plain tensors: {reason}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise Refusal(f"{file} is not a Lightning checkpoint: it has no state_dict")
    tensors = {name.removeprefix("model."): value.float() for name, value in state.items()}
    model = folder.model_of(tensors, str(file), V2)
    return Weights(model, V2, str(file), folder.digest(model))


def magenta(path: str | None) -> Weights:
    """Returns the MusicVAE in a Magenta checkpoint: a tar, a prefix, a folder or a Magenta.js folder."""
    from folkrnn.weights import magenta as checkpoints

    if path is None:
        raise Refusal("weights=magenta needs weights.path=… (cat-mel_2bar_big.tar, a checkpoint prefix or a folder)")
    found = checkpoints.load(Path(path).expanduser())
    remarks = {
        "Magenta's name of these sizes": found.config,
        "updates": found.step,
        "assumed": found.assumed,
        "variables of no part of the model": ", ".join(found.unexpected),
    }
    card = "\n".join(f"- {name}: {value}" for name, value in remarks.items() if value)
    name = found.config or "Magenta checkpoint"
    return Weights(found.model, None, f"{name}: {Path(path).name}", found.digest, f"# {name}\n\n{card}\n")
