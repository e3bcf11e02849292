"""Weights on disk: a folder of the files that a repository on the Hugging Face hub has.

`model.safetensors` holds the parameters, `vocabulary.json` the tokens of a FolkRNN, `README.md` the card and
`curve.csv` how the training went, where that is known. `config.json` tells others what the model is and is not read.
Sizes and cell follow from the tensors' shapes; the lengths of a MusicVAE stand in the metadata of
`model.safetensors`. Nothing in the folder is executed or instantiated.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.files.whole import write_whole
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.model import Model
from folkrnn.models.recurrent import GATES
from folkrnn.vocabulary import V2, Vocabulary
from folkrnn.weights import curve as curves
from folkrnn.weights.curve import Curve
from folkrnn.weights.initial import Initial
from folkrnn.weights.musicvae_folder import MARK, musicvae_of

PARAMETERS, VOCABULARY, CARD, CONFIG = "model.safetensors", "vocabulary.json", "README.md", "config.json"
OLD_CARD = "card.md"
"""The card's name in folders of before; read where there is no other."""

FILES = (PARAMETERS, VOCABULARY, CARD, CONFIG, curves.FILE)

WRITTEN = "digest"
"""Where the metadata of our own files state the digest of their content: the format has no checksum."""

FRESH = "scratch"
"""The source of parameters that were drawn and never trained."""

LARGEST = 2**31
"""Bytes of the largest weights file that is read."""

LARGEST_TEXT = 2**28
"""Bytes of the largest file of text beside it that is read."""

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Model, covariant=True)


@dataclass(frozen=True)
class Weights(Generic[M]):
    """A model with its parameters, the vocabulary it speaks, and where they came from."""

    model: M
    vocabulary: Vocabulary | None
    """Of a model that reads tokens; others have none."""
    source: str
    digest: str
    """SHA-256 of the parameters in single precision, 16 hexadecimal digits."""
    card: str = ""
    curve: Curve | None = None
    """How their training went, where that is known."""
    blob: str = ""
    """Git's id of the published file they were read from (facts sheet, notes on the sources), where there is one."""
    terms: str = ""
    """The licence of downloaded weights, and whose they are."""

    @property
    def words(self) -> Vocabulary:
        """The vocabulary of a model that reads tokens; raises UserError for one that does not."""
        if self.vocabulary is None:
            raise UserError(f"{self.model.shape} has no tokens; this is for a folk-rnn")
        return self.vocabulary

    @property
    def start(self) -> str | None:
        """The digest that says which parameters a training goes on from; None for fresh ones."""
        return None if self.source == FRESH else self.digest

    @property
    def initial(self) -> Initial | None:
        """How the parameters were drawn before the training, where the card says so."""
        return Initial.read(self.card)


def save(
    folder: Path,
    model: Model,
    vocabulary: Vocabulary | None,
    card: str,
    dtype: torch.dtype = torch.float16,
    curve: Curve | None = None,
) -> None:
    """Writes the files of a weights folder, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().to("cpu", dtype).contiguous() for name, value in model.state_dict().items()}
    about = model.metadata()
    about[WRITTEN] = _written(tensors, about)
    write_whole(folder / PARAMETERS, safetensors.torch.save(tensors, about), durable=True)
    if vocabulary is not None:
        write_whole(folder / VOCABULARY, json.dumps(vocabulary.tokens, ensure_ascii=False, indent=0))
    write_whole(folder / CARD, card)
    write_whole(folder / CONFIG, json.dumps(described(model), ensure_ascii=False, indent=2) + "\n")
    if curve is not None:
        write_whole(folder / curves.FILE, curves.to_csv(curve))


def described(model: Model) -> dict[str, object]:
    """Returns what `config.json` says: the family, the shape and the number of parameters of a model."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "library_name": "folkrnn-lab",
        "model_type": model.family,
        "shape": model.shape,
        "parameters": parameters,
        **model.metadata(),
    }


def load(place: Path) -> Weights:
    """Returns the weights in a folder, or in a `.safetensors` file with its vocabulary beside it.

    Raises UserError where the file is missing, damaged, foreign, or holds values that are not finite.
    """
    file = place / PARAMETERS if place.is_dir() else place
    tensors, about = read_tensors(file), _metadata(file)
    if WRITTEN in about and about[WRITTEN] != (found := _written(tensors, about)):
        raise UserError(f"{file} is damaged: its content has the digest {found}, what was written had {about[WRITTEN]}")
    if MARK in tensors:
        vocabulary, model = None, musicvae_of(tensors, about, str(file))
    else:
        vocabulary = read_vocabulary(file.parent) or assumed(file)
        model = model_of(tensors, str(file), vocabulary)
    check_config(file.parent / CONFIG, model)
    card = _text(file.parent / CARD) or _text(file.parent / OLD_CARD) or ""
    return Weights(model, vocabulary, str(place), digest(model), card, curve=curves.read(file.parent))


def check_config(file: Path, model: Model) -> None:
    """Raises UserError for a `config.json` that is damaged or of other parameters; it may say more."""
    text = _text(file)
    if text is None:
        return
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    if not isinstance(said, dict):
        raise UserError(f"{file} must hold the keys and values of a model")
    for key, is_so in described(model).items():
        if said.get(key, is_so) != is_so:
            raise UserError(f"{file} says {key}: {said[key]}, but {PARAMETERS} beside it holds {is_so}")


def assumed(file: Path) -> Vocabulary:
    """Returns v2's vocabulary for weights that name none, and says so."""
    log.warning("%s names no vocabulary (no %s beside it): taken to be the 137 tokens of folk-rnn v2", file, VOCABULARY)
    return V2


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Returns the tensors of a safetensors file in single precision."""
    if not file.is_file():
        raise UserError(f"no weights at {file}; a weights folder holds {PARAMETERS}, {VOCABULARY} and {CARD}")
    if file.stat().st_size > LARGEST:
        raise UserError(f"{file} is larger than {LARGEST // 2**30} GiB; no FolkRNN is")
    try:
        tensors = safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{file} is not a whole safetensors file: {str(error).splitlines()[0]}") from None
    return {name: value.float() for name, value in tensors.items()}


def _metadata(file: Path) -> dict[str, str]:
    with safetensors.safe_open(file, "pt") as content:
        return content.metadata() or {}


def model_of(tensors: Mapping[str, Tensor], source: str, vocabulary: Vocabulary) -> FolkRNN:
    """Returns a FolkRNN of the sizes that `tensors` have, holding them. Raises UserError for anything else."""
    try:
        size, units = tensors["softmax_weight"].shape
        layers = sum(name.endswith(".weight_hh") for name in tensors)
        rows = tensors["layers.0.weight_hh"].shape[0]
    except (KeyError, ValueError):
        known = ", ".join(sorted(tensors)[:3]) or "nothing"
        raise UserError(f"{source} does not hold a FolkRNN (it holds {known}, …)") from None
    cell = next((name for name, gates in GATES.items() if len(gates) * units == rows), None)
    if cell is None:
        raise UserError(
            f"{source}: {rows} recurrent rows for {units} units fit neither an LSTM (4 each) nor a GRU (3 each)"
        )
    if size != len(vocabulary):
        raise UserError(
            f"{source} has {size} outputs but its vocabulary has {len(vocabulary)} tokens; put the right tokens, "
            f"in index order, into {VOCABULARY} beside it"
        )
    sizes: dict[str, Any] = {"cell": cell, "initial_state": "learned" if "initial" in tensors else "zero"}
    with torch.device("meta"):  # takes no memory, whatever sizes the file claims
        expected = {n: tuple(v.shape) for n, v in FolkRNN(size, units, layers, **sizes).state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    if wrong := sorted(set(expected.items()) ^ set(found.items())):
        raise UserError(
            f"{source} is not a FolkRNN of {layers} × {units}: {wrong[0][0]} has another shape, lacks or is extra"
        )
    broken = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise UserError(f"{source}: {broken[0]} holds values that are not finite")
    model = FolkRNN(size, units, layers, **sizes)
    model.load_state_dict(dict(tensors))
    return model.eval()


def digest(model: Model) -> str:
    """Returns SHA-256 over names and single-precision values of all parameters, 16 hexadecimal digits."""
    return _digest(model.state_dict())


def _written(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    rest = json.dumps({name: value for name, value in about.items() if name != WRITTEN}, sort_keys=True)
    return hashlib.sha256((_digest(tensors) + rest).encode()).hexdigest()[:16]


def _digest(tensors: Mapping[str, Tensor]) -> str:
    hasher = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        hasher.update(name.encode() + value.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return hasher.hexdigest()[:16]


def read_vocabulary(place: Path) -> Vocabulary | None:
    """Returns the vocabulary in a weights folder, None where it has none."""
    file = place / VOCABULARY
    text = _text(file)
    if text is None:
        return None
    try:
        tokens = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON: {error}") from None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise UserError(f"{file} must be a list of tokens in index order")
    return Vocabulary(tuple(tokens))


def _text(file: Path) -> str | None:
    if not file.is_file():
        return None
    if file.stat().st_size > LARGEST_TEXT:
        raise UserError(f"{file} is larger than {LARGEST_TEXT // 2**20} MiB: not read")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text") from None
