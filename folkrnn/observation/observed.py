"""What an observation is, whatever was observed: the model after all interventions, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np

from folkrnn.interventions.intervention import EffectRecord
from folkrnn.models.model import Model


class ObservedInput(Protocol):
    """What is observed in the place of what the model makes, such as a `Transcription`."""

    @property
    def ids(self) -> np.ndarray:
        """Its tokens by number, `[N]`."""
        ...


class Observed(Protocol):
    """What analyses are given: an `Observation` of tunes, a `LatentObservation` of melodies, or one of your own."""

    @property
    def model(self) -> Model:
        """The model after all interventions."""
        ...

    @property
    def seed(self) -> int:
        """For what an analysis draws itself: bootstrap samples, controls."""
        ...

    @property
    def control(self) -> Observed | None:
        """The same of the model without interventions; None where there are none."""
        ...

    @property
    def effects(self) -> Sequence[EffectRecord]:
        """What each intervention changed."""
        ...


class Comparable(Observed, Protocol):
    """An observation that controls (`control=`) can be made of."""

    def with_model(self, model: Any) -> Self:
        """Returns the same inputs as another model of this family reads them."""
        ...

    def shuffled(self, rng: np.random.Generator) -> Self:
        """Returns the same model reading its inputs with what follows one another in random order."""
        ...
