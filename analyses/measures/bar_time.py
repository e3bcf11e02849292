"""How much time has gone by since the last measure token: does a model that writes none go on counting?

Time is told after each note or rest that has come to its end, in eighths of the tune's meter; rows within a note (a
pitch whose length is still to come) and off the eighths are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analyses.measures import paired
from folkrnn.notation.bars import bars

MOST_BARS = 4
FEWEST = 5
"""Rows that a time must have to be told."""
RESAMPLES = 500


def since_measure(tokens: Sequence[str]) -> tuple[np.ndarray, int]:
    """Returns the eighths since the last measure token after each of `tokens` (markers included), and those of a bar.

    `[T]`; NaN where no note has just ended, and where the time is no whole number of eighths. Raises nothing.
    """
    found, length = np.full(len(tokens), np.nan), 0
    for bar in bars(list(tokens[1:])):
        now, length = 0, length or int(bar.nominal)
        for event in bar.events:
            now += event.duration
            if now.denominator == 1:
                found[event.stop] = int(now)  # `<s>` stands before
    return found, length


def by_time(
    tunes: Sequence[Sequence[str]], probability: Sequence[np.ndarray], rng: np.random.Generator
) -> pd.DataFrame:
    """Returns one row per time in eighths: mean probability over tunes, its interval, and whether a bar is full there.

    `probability` has an entry `[T]` per row of each tune. Tunes of one meter are told together, that of most of them.
    """
    times = [since_measure(tokens) for tokens in tunes]
    lengths = [length for _, length in times if length]
    if not lengths:
        return pd.DataFrame()
    bar = max(set(lengths), key=lengths.count)
    mine = [
        (time, distribution) for (time, length), distribution in zip(times, probability, strict=True) if length == bar
    ]
    sums = np.zeros((len(mine), MOST_BARS * bar + 1, 2))
    for tune, (time, distribution) in enumerate(mine):
        rows = np.flatnonzero(time[: len(distribution)] <= MOST_BARS * bar)
        places = time[rows].astype(int)
        np.add.at(sums[tune], places, np.stack([distribution[rows], np.ones(len(rows))], axis=-1))
    weights = paired.tune_weights(len(mine), RESAMPLES, rng)
    low, high = paired.ends(paired.resampled(sums, weights))
    eighths = np.arange(sums.shape[1])
    table = pd.DataFrame(
        {
            "eighths": eighths,
            "bars": eighths / bar,
            "probability": paired.ratios(sums),
            "low": low,
            "high": high,
            "rows": sums[..., 1].sum(0),
            "full": eighths % bar == 0,
        }
    )
    return table[(table["rows"] >= FEWEST) & (eighths > 0)].reset_index(drop=True)


def at_and_between(table: pd.DataFrame) -> dict[str, float]:
    """Returns the mean probability where a whole number of bars has gone by, from the second bar on, and elsewhere."""
    later = table[table["bars"] > 1] if len(table) else table
    found = {}
    for name, part in (("at_bar_ends", True), ("within_bars", False)):
        rows = later[later["full"] == part] if len(later) else later
        if len(rows):
            found[name] = float((rows["probability"] * rows["rows"]).sum() / rows["rows"].sum())
    return found
