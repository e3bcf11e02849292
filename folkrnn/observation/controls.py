"""`control=…`: what the same analyses are repeated on, so that a number can be told from what anything would give."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from folkrnn.models.placement import on_cpu
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Transcription, Transcriptions
from folkrnn.vocabulary import Vocabulary

HEADER = ("meter", "mode")
"""Token types that stay where they are, at the head of a tune, when it is shuffled."""

Seen = Observation | LatentObservation


@dataclass(frozen=True)
class Untrained:
    """A model of the same shape with fresh parameters, drawn from the seed on the CPU, that reads the same tunes."""

    def __call__(self, observation: Seen, model: Any) -> Seen:
        fresh = copy.deepcopy(model)
        with on_cpu(fresh):
            fresh.reset_parameters(torch.Generator().manual_seed(observation.seed))
        known = {"initial": None} if "initial" in {field.name for field in fields(observation)} else {}
        return replace(observation, model=fresh.eval(), **known, **_forgotten(observation))


@dataclass(frozen=True)
class Shuffled:
    """The same model, reading each tune with its tokens (each melody with its steps) in random order.

    `<s>`, meter, mode and `</s>` stay in their places.
    """

    def __call__(self, observation: Seen, model: Any) -> Seen:
        rng = np.random.default_rng([observation.seed, 1])
        if isinstance(observation, LatentObservation):
            return replace(observation, classes=rng.permuted(observation.classes, axis=1), **_forgotten(observation))
        tunes = Transcriptions.of(shuffled(t, observation.vocabulary, rng) for t in observation.transcriptions)
        return replace(observation, transcriptions=tunes, **_forgotten(observation))


def shuffled(transcription: Transcription, vocabulary: Vocabulary, rng: np.random.Generator) -> Transcription:
    """Returns the transcription with the tokens of its body in random order, as one that was given."""
    ids = transcription.ids.copy()
    start = 1
    while start < len(ids) and vocabulary.types[ids[start]] in HEADER:
        start += 1
    stop = len(ids) - transcription.ended
    ids[start:stop] = rng.permutation(ids[start:stop])
    unknown = np.full(len(ids) - 1, np.nan)
    return replace(transcription, ids=ids, origin=("given",) * (len(ids) - 1), probability=unknown, uniform=unknown)


def _forgotten(observation: Seen) -> dict[str, Any]:
    """The fields in which an observation keeps what it has computed, emptied."""
    return {field.name: {} for field in fields(observation) if field.name.startswith("_")}
