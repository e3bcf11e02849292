"""How much of a melody comes back: exact steps and exact onsets.

A step is exact if its class is the same: nothing new, a note-off, or the same note-on. An onset of the melody is exact
if the same pitch begins at the same step. "Always hold" (no event at any step) already gets most steps, but no onset.
"""

from __future__ import annotations

import numpy as np

from folkrnn.melodies.grid import FIRST_ON


def exact_steps(written: np.ndarray, melodies: np.ndarray) -> np.ndarray:
    """Returns the share of steps of each melody that are exact, `[N]`, for `written` and `melodies` `[N, T]`."""
    return (written == melodies).mean(-1)


def exact_onsets(written: np.ndarray, melodies: np.ndarray) -> np.ndarray:
    """Returns the share of each melody's onsets that are exact, `[N]`; NaN for one without onsets."""
    onsets = melodies >= FIRST_ON
    count = onsets.sum(-1)
    right = (onsets & (written == melodies)).sum(-1)
    return np.where(count > 0, right / np.maximum(count, 1), np.nan)


def always_hold(melodies: np.ndarray) -> float:
    """Returns the share of exact steps of a model that never writes an event."""
    return float(exact_steps(np.zeros_like(melodies), melodies).mean())
