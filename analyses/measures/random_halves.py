"""Melodies half of which is random: their own rhythm with random pitches, their own pitches on random rhythms."""

from __future__ import annotations

import numpy as np

from folkrnn.melodies.grid import FIRST_ON
from folkrnn.melodies.random_notes import draw_random_notes


def with_random_pitches(real: np.ndarray, random: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns `real [N, T]` with the pitch of every onset drawn from all onsets of `random`."""
    onsets, pitches = real >= FIRST_ON, random[random >= FIRST_ON]
    found = real.copy()
    found[onsets] = rng.choice(pitches, int(onsets.sum()))
    return found


def with_random_rhythms(real: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the pitches of each of `real [N, T]`, in order and from the start again, on random onsets."""
    rhythms = draw_random_notes(len(real), rng, real.shape[1] // 16).classes >= FIRST_ON
    found = np.zeros_like(real)
    for row, (melody, onsets) in enumerate(zip(real, rhythms, strict=True)):
        pitches = melody[melody >= FIRST_ON]
        if len(pitches):
            found[row, onsets] = np.resize(pitches, int(onsets.sum()))
    return found
