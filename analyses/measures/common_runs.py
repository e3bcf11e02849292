"""Runs of tokens that two tunes have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Run:
    """A run of tokens that stands in two tunes: how long it is, and where it begins in each."""

    length: int
    first: int
    second: int


def common_runs(first: Sequence[str], second: Sequence[str], shortest: int) -> list[Run]:
    """Returns runs of at least `shortest` tokens that stand in both tunes, the longest first.

    No token of either tune is in two of them: the longest common run is taken, then the longest of what is left, and
    so on (greedy string tiling, Wise 1993); of equally long ones that which begins first.
    """
    if not first or not second:
        return []
    numbers = np.unique([*first, *second], return_inverse=True)[1]
    equal = numbers[: len(first), None] == numbers[None, len(first) :]
    found: list[Run] = []
    while (run := _longest(equal)).length >= max(1, shortest):
        found.append(run)
        equal[run.first : run.first + run.length] = False
        equal[:, run.second : run.second + run.length] = False
    return found


def _longest(equal: np.ndarray) -> Run:
    """The longest diagonal of True in `equal [N, M]`."""
    best, ends = 0, (0, 0)
    length = np.zeros(equal.shape[1] + 1, dtype=int)
    for row, same in enumerate(equal):
        length[1:] = np.where(same, length[:-1] + 1, 0)
        longest = int(length.argmax())
        if length[longest] > best:
            best, ends = int(length[longest]), (row + 1, longest)
    return Run(best, ends[0] - best, ends[1] - best)
