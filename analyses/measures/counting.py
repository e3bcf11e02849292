"""Counting along a tune: the share of full bars by number of the bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from folkrnn.notation.bars import Bar, bars
from folkrnn.vocabulary import END, START

FEWEST = 10
"""Tunes that must have a bar of some number for its share to be told, or all of them where there are fewer."""

_Z = 1.959963984540054


def by_bar(tunes: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Returns one row per bar number, from 1: share of tunes whose bar of this number is full, Wilson interval, tunes.

    Tunes are tokens with or without markers; numbers that fewer than FEWEST tunes reach are left out.
    """
    full = [[bar.full for bar in bars(_body(tokens))] for tokens in tunes]
    rows = []
    for number in range(1, max(map(len, full), default=0) + 1):
        here = [tune[number - 1] for tune in full if len(tune) >= number]
        if len(here) >= min(FEWEST, len(tunes)):
            share = float(np.mean(here))
            low, high = wilson(share, len(here))
            rows.append({"bar": number, "full": share, "low": low, "high": high, "tunes": len(here)})
    return pd.DataFrame(rows, columns=["bar", "full", "low", "high", "tunes"])


def late_counts(tunes: Sequence[Sequence[str]], late: int) -> np.ndarray:
    """Returns per tune the full bars, and all bars, with a number above `late`, `[N, 2]`."""
    return _counts([bars(_body(tokens))[late:] for tokens in tunes])


def since_counts(tunes: Sequence[Sequence[str]], token: int) -> np.ndarray:
    """Returns per tune the full bars, and all, that begin at `token` (of a tune without `<s>`) or later, `[N, 2]`.

    The first such bar of a tune is left out: what was done before may have cut into it.
    """
    return _counts([[b for b in bars(_body(tokens)) if b.start >= token][1:] for tokens in tunes])


def _counts(tunes: Sequence[Sequence[Bar]]) -> np.ndarray:
    return np.array([(sum(bar.full for bar in tune), len(tune)) for tune in tunes], dtype=float).reshape(-1, 2)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Returns the ends of the 95 % Wilson interval of a share of n."""
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low, high = (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)
    return float(max(0.0, low)), float(min(1.0, high))


def _body(tokens: Sequence[str]) -> list[str]:
    return [token for token in tokens if token not in (START, END)]
