"""One small run's observation and its page, for all tests of the explorer."""

from __future__ import annotations

import pytest
from small_network import SEED, network, play

from folkrnn.explorer import Page, explore
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
def page(observation) -> Page:
    return explore(observation, title="A run <of tests>", facts={"weights": "none & nothing"})
