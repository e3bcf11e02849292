"""Training tunes that change from epoch to epoch: first tunes made of copied bars, at the end the tunes as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from folkrnn.datasets.repetition import ExchangedBars
from folkrnn.errors import UserError, did_you_mean
from folkrnn.vocabulary import Vocabulary


@dataclass(frozen=True)
class Curriculum:
    """What the training tunes of an epoch are made of.

    For the first `copying` of all epochs every bar is exchanged for one of another tune, and every second group of
    `lag` bars copies the one before (`lags`, drawn anew for each tune and epoch). Then the share of such tunes falls to
    nothing, evenly, until the last `natural` of the epochs; the others are tunes with the bars of others in the place
    of their own, their repetitions kept, with probability `substituted`, else as they are.
    """

    copying: float = 0.5
    natural: float = 0.15
    lags: tuple[int, ...] = (1, 2, 4)
    substituted: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "lags", tuple(self.lags))  # a list, as it comes from a configuration
        if min(self.copying, self.natural) < 0 or self.copying + self.natural > 1:
            raise UserError(
                f"recipe.curriculum: copying={self.copying} and natural={self.natural} are shares of all epochs and "
                "must not exceed 1 together"
            )
        if not 0 <= self.substituted <= 1:
            raise UserError(f"recipe.curriculum.substituted={self.substituted}: must be a share from 0 to 1")
        if not self.lags or min(self.lags) < 1:
            raise UserError(f"recipe.curriculum.lags={list(self.lags)}: must be numbers of bars from 1 up")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Curriculum:
        """Returns the curriculum of settings as a configuration has them. Raises UserError for a key that it lacks."""
        known = [one.name for one in fields(cls)]
        if unknown := next((key for key in settings if key not in known), None):
            raise UserError(
                f"recipe.curriculum.{unknown}: no such key{did_you_mean(unknown, known)}; it has {', '.join(known)}"
            )
        return cls(**settings)

    def copied_share(self, epoch: int, epochs: int) -> float:
        """Returns the share of tunes made of copied bars in an epoch (from 0) out of `epochs`."""
        first, last = self.copying * epochs, (1 - self.natural) * epochs
        if epoch < first:
            return 1.0
        return max(0.0, (last - epoch) / (last - first)) if last > first else 0.0


class Tunes:
    """The training tunes of every epoch as ids from `<s>` to `</s>`, int64; each epoch is drawn from (seed, epoch)."""

    def __init__(
        self,
        tunes: Sequence[Sequence[str]],
        vocabulary: Vocabulary,
        curriculum: Curriculum | None = None,
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        self.vocabulary, self.curriculum, self.epochs, self.seed = vocabulary, curriculum, epochs, seed
        self.unchanged = [self._ids(tokens) for tokens in tunes]
        self._exchanged = ExchangedBars(tunes) if curriculum else None
        self._latest: tuple[int, list[np.ndarray]] = (-1, [])

    def at(self, epoch: int) -> list[np.ndarray]:
        """Returns the tunes of an epoch, in an order that does not change."""
        if self.curriculum is None or self._exchanged is None:
            return self.unchanged
        if self._latest[0] != epoch:
            self._latest = (epoch, self._draw(epoch, self.curriculum, self._exchanged))
        return self._latest[1]

    def lengths(self, epoch: int) -> list[int]:
        """Returns how many tokens each tune of an epoch has to predict."""
        return [len(ids) - 1 for ids in self.at(epoch)]

    def _draw(self, epoch: int, curriculum: Curriculum, exchanged: ExchangedBars) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch, 1])  # the 1 sets it apart from the draw of batches
        copied = curriculum.copied_share(epoch, self.epochs)
        natural = epoch >= (1 - curriculum.natural) * self.epochs
        drawn = list(self.unchanged)
        for index in range(len(drawn)):
            copies, substitutes = rng.random(2)
            if copies < copied:
                lag = curriculum.lags[int(rng.integers(len(curriculum.lags)))]
                drawn[index] = self._ids(exchanged.copying(index, lag, rng))
            elif not natural and substitutes < curriculum.substituted:
                drawn[index] = self._ids(exchanged.substituted(index, rng))
        return drawn

    def _ids(self, tokens: Sequence[str]) -> np.ndarray:
        return np.array([self.vocabulary.start, *self.vocabulary.encode(tokens), self.vocabulary.end])
