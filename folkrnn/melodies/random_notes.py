"""The random note sequences of "Exploring how a Generative AI interprets music" (facts on MusicVAE, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from folkrnn.errors import UserError
from folkrnn.melodies.grid import FIRST_ON, LOWEST, STEPS_PER_BAR, STEPS_PER_QUARTER

LOWEST_RANDOM, HIGHEST_RANDOM = 30, 100
SHORTEST, LONGEST = 1, 8
"""Seconds that two bars last."""


@dataclass(frozen=True)
class RandomNotes:
    """N sequences: classes, uint8 `[N, T]`, and how many seconds each lasts, `[N]`."""

    classes: np.ndarray
    seconds: np.ndarray

    @property
    def quarters_per_minute(self) -> np.ndarray:
        """The tempo `[N]` at which a sequence lasts its seconds: 480 / D for two bars."""
        return 60.0 * self.classes.shape[1] / STEPS_PER_QUARTER / self.seconds


def draw_random_notes(count: int, rng: np.random.Generator, bars: int = 2) -> RandomNotes:
    """Returns `count` sequences as the paper draws them.

    K note-ons, uniform from 2 to the number of steps (32); one on step 0, the others on distinct steps; pitches uniform
    from 30 to 100; each note lasts to the next, so there is no note-off; D seconds in all, a whole number uniform from
    1 to 8. D changes no class, only what is measured in seconds. Of longer sequences the paper says nothing: here K
    goes up to their number of steps, and D grows with the number of bars. Raises UserError for less than one bar.
    """
    if bars < 1 or count < 0:
        raise UserError(
            f"random_notes: {count} sequences of {bars} bars; there is at least one bar, and no less than none"
        )
    steps = bars * STEPS_PER_BAR
    onsets = rng.integers(2, steps, count, endpoint=True)
    # the K - 1 steps with the smallest of T - 1 random numbers are K - 1 steps drawn without replacement
    ranks = rng.random((count, steps - 1)).argsort(axis=1).argsort(axis=1)
    begins = np.ones((count, steps), bool)
    begins[:, 1:] = ranks < onsets[:, None] - 1
    pitches = rng.integers(LOWEST_RANDOM, HIGHEST_RANDOM, (count, steps), endpoint=True)
    seconds = rng.integers(SHORTEST, LONGEST, count, endpoint=True) * (bars / 2)
    return RandomNotes(np.where(begins, pitches - LOWEST + FIRST_ON, 0).astype(np.uint8), seconds)
