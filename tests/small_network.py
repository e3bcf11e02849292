"""A small untrained network with sharp distributions, and what an intervention makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch

from folkrnn.interventions import composition
from folkrnn.interventions.intervention import RunContext
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.sampling import Sampling, Transcription, generate
from folkrnn.vocabulary import V2

SAMPLING = Sampling(tunes=18, max_tokens=24, prime=("M:4/4", "K:Cmaj"))
SEED = 3


def network(cell: str = "lstm", seed: int = 0, units: int = 32, start: float = 0.3) -> FolkRNN:
    """Three layers that do not forget what they read, and distributions with a few likely tokens.

    `start` is the size of the initial state.
    """
    model = FolkRNN(units=units, cell=cell, initial_state="learned").eval()
    generator = torch.Generator().manual_seed(seed)
    model.reset_parameters(generator)
    with torch.no_grad():
        model.initial.normal_(std=start, generator=generator) if start else model.initial.zero_()
        model.softmax_weight *= 6
    return model


def play(model: object, sampling: Sampling = SAMPLING, **settings: object) -> list[Transcription]:
    return generate(model, V2, sampling, SEED, **settings)


def ids(tunes: Sequence[Transcription]) -> list[list[int]]:
    return [tune.ids.tolist() for tune in tunes]


def context(model: FolkRNN, temperature: float = 1.0) -> RunContext:
    return RunContext(V2, SEED, temperature, SAMPLING.max_tokens, lambda: [tune.ids for tune in play(model)])


def applied(model: FolkRNN, *interventions: object, temperature: float = 1.0) -> SimpleNamespace:
    """The model after the interventions, checked and resolved as a study does, and the effects without steps."""
    named = {f"i{k}": intervention for k, intervention in enumerate(interventions)}
    here = context(model, temperature)
    composition.check(named, model, here)
    changed, effects = composition.apply(composition.resolve(named, model, here), model, here)
    return SimpleNamespace(model=changed, effects=effects)
