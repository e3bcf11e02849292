"""What an intervention is: a value that makes a changed model from a model and leaves the original as it was."""

# pyright: reportUnknownVariableType=false, reportMissingTypeStubs=false
# `field(default_factory=dict)` says nothing of what is in it; the annotation does

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

import numpy as np

from folkrnn.interventions.windows import Window
from folkrnn.models.model import Model
from folkrnn.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd


M = TypeVar("M", bound=Model)


def _none() -> list[np.ndarray]:
    return []


@dataclass(frozen=True)
class RunContext:
    """What an intervention may need to know of the run that it is part of."""

    vocabulary: Vocabulary | None
    """None for a MusicVAE."""
    seed: int = 1
    temperature: float = 1.0
    max_tokens: int = 1000
    control: Callable[[], Sequence[np.ndarray]] = _none
    """Token ids, from `<s>` on, of the tunes that the unchanged model wrote or reads: what selectors measure on."""
    latents: Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]] | None = None
    """Of a MusicVAE: the observed melodies' classes `[N, T]`, and the unchanged model's μ and σ of them, `[N, Z]`."""

    @property
    def words(self) -> Vocabulary:
        """The vocabulary of a model that reads tokens."""
        assert self.vocabulary is not None
        return self.vocabulary

    @property
    def melodies(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What `latents` returns, of a model that encodes melodies."""
        assert self.latents is not None
        return self.latents()


@dataclass
class EffectRecord:
    """What an intervention changed. Metrics are filed as `intervention/<name>/<quantity>`."""

    name: str
    metrics: dict[str, float] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    """By name: `units` (which were chosen and why), `steps` (one row per tune and step at which something changed)."""
    watched: tuple[str, ...] = ()
    """See `Intervention.watched`."""

    @property
    def table(self) -> pd.DataFrame | None:
        """The table that tells most: `steps` where there is one, else `units`."""
        return self.tables.get("steps", self.tables.get("units"))


class Intervention(Protocol[M]):
    """One entry of `intervention=`, which changes models of the class M; a list of them is applied in order.

    What stands here is said of one that chooses no units and shares what it changes with others.
    """

    families: ClassVar[tuple[str, ...]]
    """The model families it knows how to change."""
    window: Window
    """When it acts."""

    @property
    def watched(self) -> tuple[str, ...]:
        """The tokens and token types that it makes likelier or rarer, which `analysis=effect` follows."""
        return ()

    def check(self, model: M, context: RunContext) -> None:
        """Raises UserError where it does not fit the model or the vocabulary, before anything slow (no control yet)."""

    def resolved(self, model: M, context: RunContext) -> Intervention[M]:
        """Returns the same with what its selectors choose written out, measured on the unchanged model's tunes."""
        return self

    def matched(self, seed: int) -> Intervention[M] | None:
        """Returns it (resolved) on as many random units instead; None where it does not choose units."""
        return None

    def fixes(self, model: M, context: RunContext) -> frozenset[tuple[str, int]]:
        """Returns the (site, unit) pairs that it alone determines; two may not share one."""
        return frozenset()

    def edit(self, model: M, context: RunContext) -> tuple[M, EffectRecord]:
        """Returns a changed copy, and what is known of the change at once; the original is never modified."""
        ...
