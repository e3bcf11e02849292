"""Activations as the page keeps them: 8 bits a value, one bit for whether a unit is on, and where it is strongest.

A unit is *on* where it is more than one standard deviation from its mean on the side of its longer tail (the sign of
its skewness). This is free of scale and sign, as the sign of an LSTM's unit is arbitrary; mean, deviation and skewness
are those over all tunes that are searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

LEVELS = 255
DEVIATIONS = 1.0
STRONGEST = 10
"""Places at which a unit is strongest that are kept."""
APART = 8
"""Steps that two of these in one tune are apart at least: the same peak is not named twice."""

UNIT_RANGE = {**dict.fromkeys("iforu", (0.0, 1.0)), **dict.fromkeys("hgn", (-1.0, 1.0))}
"""Between which values the activations of a layer lie; a cell state has no bounds."""


def bounds(site: str, values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Returns between which values an activation is kept: those that bound it, or ± its largest magnitude in
    `values`.
    """
    known = UNIT_RANGE.get(site.split(".")[-1])
    if known is not None:
        return known
    largest = max((float(np.abs(part).max(initial=0.0)) for part in values), default=0.0) or 1.0
    return -largest, largest


def to_bytes(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns values as the nearest of 256 levels from `low` to `high`, uint8 of the same shape."""
    return np.clip(np.rint((values - low) * (LEVELS / (high - low))), 0, LEVELS).astype(np.uint8)


def from_bytes(levels: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns the values that 8-bit levels stand for; they are off by (high − low) / 510 at most."""
    return low + levels.astype(np.float32) * ((high - low) / LEVELS)


@dataclass
class Moments:
    """Mean, deviation and skewness of each unit, summed up tune by tune: memory does not grow with the tunes."""

    sums: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Σx, Σx², Σx³, `[3, U]`."""
    rows: int = 0

    def add(self, values: np.ndarray) -> None:
        """Adds rows `[T, U]`."""
        values = values.astype(np.float64)
        squares = values * values
        part = np.stack([values.sum(0), squares.sum(0), np.einsum("tu,tu->u", squares, values)])
        self.sums = self.sums + part if self.rows else part
        self.rows += len(values)

    @property
    def mean(self) -> np.ndarray:
        return self.sums[0] / self.rows

    @property
    def deviation(self) -> np.ndarray:
        return np.sqrt(np.maximum(self.sums[1] / self.rows - self.mean**2, 0.0))

    @property
    def side(self) -> np.ndarray:
        """1 where the longer tail is above the mean, −1 where it is below, `[U]`."""
        first, second, third = self.sums / self.rows
        return np.where(third - 3 * first * second + 2 * first**3 < 0, -1, 1).astype(np.int8)

    @property
    def edge(self) -> np.ndarray:
        """The last level, on its side, at which each unit is still off: on are the levels beyond it, uint8 `[U]`.

        Levels are those of hidden states. A unit that never changes is never on.
        """
        threshold = self.mean + self.side * DEVIATIONS * self.deviation
        low, high = UNIT_RANGE["h"]
        level = (threshold - low) * (LEVELS / (high - low))
        edge = np.where(self.side > 0, np.floor(level), np.ceil(level))
        constant = np.where(self.side > 0, LEVELS, 0)
        return np.clip(np.where(self.deviation > 1e-6, edge, constant), 0, LEVELS).astype(np.uint8)


def is_on(levels: np.ndarray, moments: Moments) -> np.ndarray:
    """Returns where units are on, bool like the levels of hidden states `[T, U]`."""
    return np.where(moments.side > 0, levels > moments.edge, levels < moments.edge)


def strongest_places(
    tunes: Mapping[int, np.ndarray], side: np.ndarray, count: int = STRONGEST
) -> tuple[np.ndarray, ...]:
    """Returns tune, row and value of the places where each unit of `tunes` `[T, U]` is farthest out on its side.

    Each is `[U, count]`, the strongest first; −1 and NaN where there are not so many places APART from each other.
    """
    units = len(side)
    found = (np.full((units, count), -1, np.int16), np.full((units, count), -1, np.int16))
    value = np.full((units, count), np.nan, np.float32)
    peaks = [(k, *_peaks(values, side)) for k, values in sorted(tunes.items())]
    if not peaks:
        return (*found, value)
    rows = np.concatenate([where for _, where, _ in peaks])
    heights = np.concatenate([height for _, _, height in peaks])
    names = np.concatenate([np.full(len(where), k, np.int16) for k, where, _ in peaks])
    order = np.argsort(-heights, axis=0, kind="stable")[:count]
    kept = order.shape[0]
    units_of = np.arange(units)
    best = heights[order, units_of]
    there = np.isfinite(best)
    found[0][:, :kept] = np.where(there, names[order], -1).T
    found[1][:, :kept] = np.where(there, rows[order, units_of], -1).T
    value[:, :kept] = np.where(there, best * side, np.nan).T
    return (*found, value)


def _peaks(values: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and height of the largest value of each stretch of APART steps, `[stretches, U]`.

    Of two in neighbouring stretches that are less than APART steps apart the smaller is dropped (−∞).
    """
    out = values * side
    stretches = -(-len(out) // APART)
    padded = np.full((stretches * APART, out.shape[1]), -np.inf, np.float32)
    padded[: len(out)] = out
    blocks = padded.reshape(stretches, APART, -1)
    rows = blocks.argmax(1) + APART * np.arange(stretches)[:, None]
    heights = blocks.max(1)
    close = np.diff(rows, axis=0) < APART
    smaller_first = heights[:-1] < heights[1:]
    heights[:-1][close & smaller_first] = -np.inf
    heights[1:][close & ~smaller_first] = -np.inf
    return rows, heights
