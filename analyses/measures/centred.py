"""Gramians without what all steps have in common, and what they are where steps are out of phase.

The cosine between two steps is large wherever an activation has a mean: gates lie between 0 and 1. Centred, the mean of
each unit over the tune is taken off first. CKA (centred kernel alignment, Kornblith et al. 2019) is the cosine between
two centred Gramians, 1 where the pairs of steps relate alike in both activations. Its null, and that of any likeness of
two Gramians, shifts one of them in time, the end coming round to the beginning: each keeps all its own structure, and
only what they have at the same steps is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analyses.measures import similarity

SHIFTS = 20
"""Most circular shifts behind a null."""


def centred(values: np.ndarray) -> np.ndarray:
    """Returns `values [T, H]` less the mean of each unit."""
    values = np.asarray(values, dtype=np.float64)
    return values - values.mean(0)


def shifts(steps: int) -> np.ndarray:
    """Returns the shifts of a null, evenly spread over the tune, none shorter than 1 step."""
    return np.unique(np.linspace(1, steps - 1, min(SHIFTS, max(1, steps - 1))).round().astype(int))


def cka(one: np.ndarray, other: np.ndarray) -> float:
    """Returns CKA with linear kernels of two activations `[T, H]`, between 0 and 1; NaN where one is constant."""
    return float(_aligned(_kernel(one), _kernel(other), [0])[0])


def cka_of_shifts(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the same with the second activation shifted in time by each of `shifts`."""
    return _aligned(_kernel(one), _kernel(other), shifts(len(one)))


def likeness_of_shifts(gram: np.ndarray, tokens: Sequence[str]) -> np.ndarray:
    """Returns Pearson's r over pairs of steps between a Gramian `[T, T]` and that of equal tokens, shifted in time."""
    if len(gram) < 3:
        return np.full(1, np.nan)
    off = ~np.eye(len(gram), dtype=bool)
    both = [np.where(off, part - part[off].mean(), 0) for part in (gram, similarity.one_hot(tokens[: len(gram)]))]
    size = np.linalg.norm(both[0]) * np.linalg.norm(both[1])  # of the pairs of different steps, which a shift permutes
    if size <= 1e-12:
        return np.full(len(shifts(len(gram))), np.nan)
    return np.array([(both[0] * _rolled(both[1], s)).sum() / size for s in shifts(len(gram))])


def _kernel(values: np.ndarray) -> np.ndarray:
    """The Gramian of the centred rows, at unit length."""
    rows = centred(values)
    gram = rows @ rows.T
    size = np.linalg.norm(gram)
    return gram / size if size > 0 else np.full_like(gram, np.nan)


def _aligned(one: np.ndarray, other: np.ndarray, steps: np.ndarray | list[int]) -> np.ndarray:
    return np.array([(one * _rolled(other, s)).sum() for s in steps])


def _rolled(gram: np.ndarray, steps: int) -> np.ndarray:
    return np.roll(gram, (steps, steps), (0, 1))
