"""What `mlflow.pyfunc` plays: a folk-rnn writes tunes; a MusicVAE encodes melodies and decodes latents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from mlflow.models import ModelSignature
from mlflow.types.schema import Array, ColSpec, DataType, Schema

from folkrnn.errors import UserError
from folkrnn.melodies.grid import CLASSES, STEPS_PER_BAR
from folkrnn.melodies.twinkle import twinkle
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.notation.score import to_abc
from folkrnn.notation.tokenise import prime_tokens
from folkrnn.sampling import Sampling, generate

if TYPE_CHECKING:
    from folkrnn.weights.folder import Weights


class TunePlayer:
    """Writes tunes."""

    example: ClassVar[dict[str, Any]] = {
        "prime": "M:6/8 K:Cdor", "tunes": 2, "temperature": 1.0, "seed": 1, "max_tokens": 1000,
    }  # fmt: skip
    """A row of input: what to play. The columns other than `prime` may be left out."""

    def __init__(self, weights: Weights[FolkRNN]) -> None:
        self.weights = weights

    @property
    def signature(self) -> ModelSignature:
        types = {"prime": "string", "tunes": "long", "temperature": "double", "seed": "long", "max_tokens": "long"}
        outputs = {"row": "long", "tune": "long", "abc": "string", "tokens": "string", "ended": "boolean"}
        inputs = Schema([ColSpec(kind, name, required=name == "prime") for name, kind in types.items()])
        return ModelSignature(inputs, Schema([ColSpec(kind, name) for name, kind in outputs.items()]))

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Returns one row per tune: `row` of the input, `tune`, `abc`, `tokens` (separated by spaces), `ended`.

        Raises UserError for columns, primes and settings that cannot be played.
        """
        found = []
        for number, row in enumerate(_rows(model_input, self.example)):
            asked = self.example | {"prime": ""} | row
            found += [{"row": number, "tune": k, **tune} for k, tune in enumerate(self._tunes(asked))]
        return pd.DataFrame(found, columns=["row", "tune", "abc", "tokens", "ended"])

    def _tunes(self, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        model, vocabulary = self.weights.model, self.weights.words
        prime = prime_tokens(asked["prime"], vocabulary) if asked["prime"] else []
        sampling = Sampling(
            int(asked["tunes"]), float(asked["temperature"]), tuple(prime), max_tokens=int(asked["max_tokens"])
        )
        for k, tune in enumerate(generate(model, vocabulary, sampling, int(asked["seed"])), 1):
            tokens = tune.tokens(vocabulary)
            yield {"abc": to_abc(tokens, f"No. {k}", k), "tokens": " ".join(tokens), "ended": tune.ended}


class MelodyPlayer:
    """Encodes melodies and writes melodies from latents."""

    def __init__(self, weights: Weights[MusicVAE]) -> None:
        self.model = weights.model
        melody = twinkle(self.model.sizes.max_seq_len // STEPS_PER_BAR)
        self.example: dict[str, Any] = {"melody": melody.tolist(), "latents": None, "temperature": 0.0, "seed": 1}

    @property
    def signature(self) -> ModelSignature:
        numbers, classes = Array(DataType.double), Array(DataType.long)
        types = {"melody": classes, "latents": numbers, "temperature": DataType.double, "seed": DataType.long}
        outputs = {"row": DataType.long, "latents": numbers, "melody": classes}
        return ModelSignature(
            Schema([ColSpec(kind, name, required=False) for name, kind in types.items()]),
            Schema([ColSpec(kind, name) for name, kind in outputs.items()]),
        )

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Returns per row of the input `row`, `latents` (Z numbers) and `melody` (T classes), written from them.

        The latents are those given, or the μ of the `melody` given (T classes), or with neither a draw from N(0, I) by
        `seed`. Each step is the likeliest class, or with a `temperature` above 0 drawn by `seed`. Raises UserError for
        columns, melodies and latents that do not fit the model.
        """
        found = []
        for number, row in enumerate(_rows(model_input, self.example)):
            seed, temperature = int(row.get("seed", 1)), float(row.get("temperature", 0.0))
            z = self._latents(row, seed)
            melody = self.model.generate(z, temperature=temperature or None, seed=seed)[0]
            found.append({"row": number, "latents": z[0].double().cpu().tolist(), "melody": melody.tolist()})
        return pd.DataFrame(found, columns=["row", "latents", "melody"])

    def _latents(self, row: Mapping[str, Any], seed: int) -> torch.Tensor:
        if "melody" in row and "latents" in row:
            raise UserError("a row has a melody or latents, not both")
        steps, count = self.model.sizes.max_seq_len, self.model.sizes.z_size
        if "latents" in row:
            latents = np.asarray(row["latents"], np.float32)
            if latents.shape != (count,) or not np.isfinite(latents).all():
                raise UserError(f"latents must be {count} numbers; these are of shape {latents.shape}")
            return torch.from_numpy(latents)[None].to(self.model.device)
        if "melody" not in row:
            return self.model.prior(1, seed)
        melody = np.asarray(row["melody"])
        if melody.shape != (steps,) or not np.isin(melody, np.arange(CLASSES)).all():
            raise UserError(
                f"a melody must be {steps} classes from 0 to {CLASSES - 1}; this is of shape {melody.shape}"
            )
        with torch.no_grad():
            return self.model.encode(torch.from_numpy(melody.astype(np.int64))[None].to(self.model.device))[0]


Player = TunePlayer | MelodyPlayer


def player(weights: Weights) -> Player:
    """Returns what plays these weights."""
    return MelodyPlayer(weights) if weights.vocabulary is None else TunePlayer(weights)


def _rows(model_input: pd.DataFrame, columns: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields what each row gives; what is empty is not given."""
    rows = pd.DataFrame(model_input)
    if unknown := [str(name) for name in rows.columns if name not in columns]:
        raise UserError(f"no such column: {', '.join(unknown)}; there are {', '.join(columns)}")
    for row in rows.to_dict("records"):
        yield {str(name): value for name, value in row.items() if not _empty(value)}


def _empty(value: Any) -> bool:
    return value is None or (np.ndim(value) == 0 and bool(pd.isna(value)))
