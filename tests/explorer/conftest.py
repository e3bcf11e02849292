"""One small run's observation and its page, for all tests of the explorer."""

from __future__ import annotations

import pytest
import torch
from small_network import SEED, network, play

from folkrnn.datasets.melodies import random_notes
from folkrnn.explorer import Page, explore
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling
from folkrnn.vocabulary import V2

PRIME = ("M:4/4", "K:Cdor")


@pytest.fixture(scope="session")
def observation() -> Observation:
    """Twelve tunes of a small network."""
    tunes = play(network(), Sampling(tunes=12, max_tokens=70, prime=PRIME))
    return Observation(network(), V2, tunes, seed=SEED)


@pytest.fixture(scope="session")
def melodies() -> LatentObservation:
    """Five random melodies of two bars and a small MusicVAE that has learned nothing."""
    corpus = random_notes(5, 2, seed=3)
    model = MusicVAE(encoder=[16], decoder=[16], z_size=6, max_seq_len=32).eval()
    model.reset_parameters(torch.Generator().manual_seed(1))
    return LatentObservation(model, corpus.classes, [corpus.title(k) for k in range(5)], corpus)


@pytest.fixture(scope="session")
def page(observation) -> Page:
    return explore(observation, title="A run <of tests>", facts={"weights": "none & nothing"})
