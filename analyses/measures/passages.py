"""Passages of a tune that come again, forwards or backwards: the diagonals of the one-hot Gramian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Passage = tuple[int, int, int]
"""(start of the first, start of the second, length in tokens)."""


def repeats(tokens: Sequence[str], shortest: int) -> list[Passage]:
    """Returns the maximal repeats of at least `shortest` tokens, longest first.

    `tokens[a : a + n] == tokens[b : b + n]` with a < b, and neither end can be moved outwards. The two may overlap.
    """
    words = _numbers(tokens)
    found = []
    for shift in range(1, len(words)):
        equal = words[:-shift] == words[shift:]
        found += [(start, start + shift, length) for start, length in _runs(equal, shortest)]
    return sorted(found, key=lambda passage: (-passage[2], passage[:2]))


def reversals(tokens: Sequence[str], shortest: int) -> list[Passage]:
    """Returns the maximal passages of at least `shortest` tokens that come again backwards, longest first.

    `tokens[a : a + n] == reversed(tokens[b : b + n])` with a + n ≤ b: the two do not overlap, so that a palindrome
    counts as its two halves.
    """
    words = _numbers(tokens)
    found = []
    for total in range(1, 2 * len(words) - 2):  # i + j is the same along a backward diagonal
        low = max(0, total - len(words) + 1)
        left = np.arange(low, (total + 1) // 2)
        equal = words[left] == words[total - left]
        found += [(low + start, total - (low + start) - length + 1, length) for start, length in _runs(equal, shortest)]
    return sorted(found, key=lambda passage: (-passage[2], passage[:2]))


def _numbers(tokens: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(tokens, dtype=object).astype(str), return_inverse=True)[1]


def _runs(equal: np.ndarray, shortest: int) -> list[tuple[int, int]]:
    """(start, length) of the runs of True that are long enough."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], equal.astype(np.int8), [0]])))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    return [(int(s), int(n)) for s, n in zip(starts, lengths, strict=True) if n >= shortest]
