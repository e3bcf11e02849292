"""`control=…`: what the same analyses are repeated on, so that a number can be told from what anything would give."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from folkrnn.models.model import Model
from folkrnn.models.placement import on_cpu
from folkrnn.observation.observed import Comparable

C = TypeVar("C", bound=Comparable)


@dataclass(frozen=True)
class Untrained:
    """A model of the same shape with fresh parameters, drawn from the seed on the CPU, that reads the same tunes."""

    def __call__(self, observation: C, model: Model) -> C:
        fresh = copy.deepcopy(model)
        with on_cpu(fresh):
            fresh.reset_parameters(torch.Generator().manual_seed(observation.seed))
        return observation.with_model(fresh.eval())


@dataclass(frozen=True)
class Shuffled:
    """The same model, reading each tune with its tokens (each melody with its steps) in random order.

    `<s>`, meter, mode and `</s>` stay in their places.
    """

    def __call__(self, observation: C, model: Model) -> C:
        return observation.shuffled(np.random.default_rng([observation.seed, 1]))
