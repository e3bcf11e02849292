"""What is heard of a melody on the grid, as numbers that can be compared: what came back, rhythm, pitch.

Every quantity of a set of melodies is a ratio of two sums over them, so that an interval comes from resampling
melodies. An onset comes back if the same pitch begins at the same step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from folkrnn.melodies.grid import FIRST_ON, LOWEST, STEPS_PER_BAR, to_notes

Sums = dict[str, tuple[np.ndarray, np.ndarray]]
"""Per quantity: what each melody adds to the sum above and to the sum below, `[N]`."""

WORDS = {
    "exact_onsets": "onsets of the melody that come back",
    "kept_onsets": "onsets of the control that are written",
    "onsets": "onsets in a bar",
    "silence": "steps without a note",
    "as_bar_before": "steps as a bar before",
    "pitch": "mean MIDI pitch",
    "range": "range (semitones)",
    "step_size": "step size (semitones)",
    "stepwise": "steps of one or two semitones",
}
"""Name of each quantity, and what it is, as an axis says it."""


def melody_sums(written: np.ndarray, melodies: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Returns both sums of every melody, `[N, Q, 2]`, quantities in the order of WORDS.

    `written`, the observed `melodies` and what the `control` wrote of them are classes `[N, T]`.
    """
    found = _back(written, melodies, control) | _rhythm(written) | _pitch(written)
    return np.stack([np.stack(found[name], axis=-1) for name in WORDS], axis=1).astype(float)


def _back(written: np.ndarray, melodies: np.ndarray, control: np.ndarray) -> Sums:
    return {
        name: (((wanted >= FIRST_ON) & (wanted == written)).sum(1), (wanted >= FIRST_ON).sum(1))
        for name, wanted in (("exact_onsets", melodies), ("kept_onsets", control))
    }


def _rhythm(written: np.ndarray) -> Sums:
    N, T = written.shape
    sounding = np.stack([_sounding(melody) for melody in written])
    later, before = written[:, STEPS_PER_BAR:], written[:, :-STEPS_PER_BAR]
    return {
        "onsets": ((written >= FIRST_ON).sum(1), np.full(N, T / STEPS_PER_BAR)),
        "silence": ((~sounding).sum(1), np.full(N, T)),
        "as_bar_before": ((later == before).sum(1), np.full(N, later.shape[1])),
    }


def _pitch(written: np.ndarray) -> Sums:
    pitches = [melody[melody >= FIRST_ON].astype(int) - FIRST_ON + LOWEST for melody in written]
    steps = [np.abs(np.diff(some)) for some in pitches]

    def over(some: list[np.ndarray], above: Callable[[np.ndarray], float]) -> tuple[np.ndarray, np.ndarray]:
        return np.array([above(one) if len(one) else 0.0 for one in some]), np.array([len(one) for one in some])

    return {
        "pitch": over(pitches, np.sum),
        "range": (over(pitches, np.ptp)[0], np.array([len(some) > 0 for some in pitches])),
        "step_size": over(steps, np.sum),
        "stepwise": over(steps, lambda some: np.isin(some, (1, 2)).sum()),
    }


def _sounding(melody: np.ndarray) -> np.ndarray:
    """At which steps a note sounds, `[T]` of bool."""
    found = np.zeros(len(melody), bool)
    for note in to_notes(melody):
        found[note.start : note.end] = True
    return found
