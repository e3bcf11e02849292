"""An index of a corpus that finds any run of tokens at once: a suffix array over all tunes, packed eight tokens a word.

It is built once (a few seconds for four million tokens) and then answers thousands of queries together: where a run of
tokens occurs, and how long the longest run is that begins at each place of a tune and occurs anywhere in the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from folkrnn.errors import UserError

WORD = 8
"""Tokens packed into one 64-bit word, one byte each."""
GAP = 0
"""Stands between tunes and behind the last; token ids are stored one higher."""
HIGHEST = 255
LARGEST_VOCABULARY = HIGHEST - 1


@dataclass(frozen=True)
class NgramIndex:
    """A corpus ready for searching. Positions count tokens in the text of all tunes, GAPs included."""

    starts: np.ndarray
    """Position of the first token of each tune, `[tunes]`, ascending."""
    words: np.ndarray
    """The eight tokens from each position on as one big-endian number, `[M]`: words compare as runs of tokens do."""
    order: np.ndarray
    """The suffix array: all positions, sorted by the text that begins there, `[M]`."""

    @classmethod
    def of(cls, tunes: Sequence[Sequence[int]]) -> NgramIndex:
        """Returns the index of tunes given as token ids. Raises UserError for more than 254 distinct tokens."""
        text, starts = _text(tunes)
        words = _pack(text)
        return cls(starts, words, _suffix_array(words))

    def find(self, patterns: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Returns (first, stop) in `order` of the positions at which each pattern of token ids occurs, `[Q]` each."""
        low, low_at, lengths = _flat(patterns, GAP)
        high, high_at, _ = _flat(patterns, HIGHEST)
        # the second needs a word of filler behind the run even where its last word is full
        return self._insert(low, low_at, -(-lengths // WORD)), self._insert(high, high_at, lengths // WORD + 1)

    def positions(self, first: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (tune, place in the tune) of the occurrences `order[first:stop]`."""
        places = self.order[first:stop]
        tune = np.searchsorted(self.starts, places, side="right") - 1
        return tune, places - self.starts[tune]

    def tunes(self, first: int, stop: int) -> np.ndarray:
        """Returns the distinct tunes in which the occurrences `order[first:stop]` lie, ascending."""
        return np.unique(self.positions(first, stop)[0])

    def longest(
        self, tunes: Sequence[Sequence[int]], without: Sequence[int] | None = None, tries: int = 64
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns for each tune (length, position): the longest run from each of its places that the corpus holds.

        `without` names for each tune the corpus tune that does not count (itself); its neighbours in the suffix array
        are passed over, at most `tries` on either side. The position is −1 where not even one token is there.
        """
        text, starts = _text(tunes)
        words = _pack(text)
        if not len(tunes):
            return []
        sizes = np.array([len(tune) for tune in tunes])
        at = np.concatenate([start + np.arange(size) for start, size in zip(starts, sizes, strict=True)]).astype(int)
        room = np.concatenate([np.arange(size, 0, -1) for size in sizes]).astype(int)
        barred = None if without is None else np.repeat(np.asarray(without), sizes)
        place = self._insert(words, at, -(-room // WORD))
        best, where = np.zeros(len(at), dtype=int), np.full(len(at), -1)
        for side in (-1, 0):
            position = self._neighbour(place + side, 2 * side + 1, barred, tries)
            length = np.minimum(self._common(words, at, position, room), room)
            better = length > best
            best, where = np.where(better, length, best), np.where(better, position, where)
        cuts = np.cumsum(sizes)[:-1]
        return list(zip(np.split(best, cuts), np.split(where, cuts), strict=True))

    def tune_at(self, position: np.ndarray) -> np.ndarray:
        """Returns the tune that holds each position."""
        return np.searchsorted(self.starts, position, side="right") - 1

    def _neighbour(self, place: np.ndarray, step: int, barred: np.ndarray | None, tries: int) -> np.ndarray:
        """The position at each place of `order`, or further on by `step`s while it lies in the tune that is barred."""
        place = place.copy()
        for _ in range(tries):
            if barred is None:
                break
            inside = (place >= 0) & (place < len(self.order))
            wrong = np.zeros(len(place), dtype=bool)
            wrong[inside] = self.tune_at(self.order[place[inside]]) == barred[inside]
            if not wrong.any():
                break
            place[wrong] += step
        inside = (place >= 0) & (place < len(self.order))
        found = np.where(inside, self.order[np.clip(place, 0, len(self.order) - 1)], -1)
        if barred is not None:
            found[(found >= 0) & (self.tune_at(np.maximum(found, 0)) == barred)] = -1
        return found

    def _insert(self, words: np.ndarray, at: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Where in `order` the runs of `depth` words from `at` on belong, before their equals: a binary search."""
        low, high = np.zeros(len(at), dtype=int), np.full(len(at), len(self.order))
        while (open_ := low < high).any():
            middle = (low + high) // 2
            smaller = np.zeros(len(at), dtype=bool)
            smaller[open_] = self._smaller(self.order[middle[open_]], words, at[open_], depth[open_])
            low = np.where(open_ & smaller, middle + 1, low)
            high = np.where(open_ & ~smaller, middle, high)
        return low

    def _smaller(self, position: np.ndarray, words: np.ndarray, at: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Whether the corpus text at each position comes before the run that is looked for."""
        answer = np.zeros(len(at), dtype=bool)
        rows = np.arange(len(at))
        for level in range(int(depth.max(initial=0))):
            mine = _word(self.words, position[rows] + WORD * level)
            theirs = _word(words, at[rows] + WORD * level)
            answer[rows] = mine < theirs
            rows = rows[(mine == theirs) & (depth[rows] > level + 1)]
            if not len(rows):
                break
        return answer

    def _common(self, words: np.ndarray, at: np.ndarray, position: np.ndarray, room: np.ndarray) -> np.ndarray:
        """How many tokens from `at` and from `position` on are the same; GAPs never are."""
        length = np.zeros(len(at), dtype=int)
        rows = np.flatnonzero(position >= 0)
        while len(rows):
            mine = _word(self.words, position[rows] + length[rows])
            theirs = _word(words, at[rows] + length[rows])
            same = _leading(mine ^ theirs)
            length[rows] += same
            rows = rows[(same == WORD) & (length[rows] < room[rows])]
        return length


def _text(tunes: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    """All tunes with a GAP behind each, and where each begins."""
    sizes = np.array([len(tune) for tune in tunes], dtype=int)
    starts = (np.cumsum(sizes + 1) - (sizes + 1)).astype(int)
    text = np.zeros(int((sizes + 1).sum()), dtype=np.uint8)
    for start, tune in zip(starts, tunes, strict=True):
        ids = np.asarray(tune, dtype=int)
        if len(ids) and ids.max() >= LARGEST_VOCABULARY:
            raise UserError(
                f"the index holds vocabularies of up to {LARGEST_VOCABULARY} tokens; a tune has id {ids.max()}"
            )
        text[start : start + len(ids)] = ids + 1
    return text, starts


def _pack(text: np.ndarray) -> np.ndarray:
    padded = np.concatenate([text, np.zeros(WORD, dtype=np.uint8)])
    words = np.zeros(len(text), dtype=np.uint64)
    for place in range(WORD):
        words = (words << np.uint64(8)) | padded[place : place + len(text)].astype(np.uint64)
    return words


def _flat(patterns: Sequence[Sequence[int]], filler: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(words, where each pattern begins, its length); each pattern is followed by a word's width of filler."""
    lengths = np.array([len(pattern) for pattern in patterns], dtype=int)
    at = np.concatenate([[0], np.cumsum(lengths + WORD)[:-1]]).astype(int)
    text = np.full(int((lengths + WORD).sum()), filler, dtype=np.uint8)
    for start, pattern in zip(at, patterns, strict=True):
        text[start : start + len(pattern)] = np.asarray(pattern, dtype=int) + 1
    return _pack(text), at, lengths


def _word(words: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The word at each place; empty ones beyond the end."""
    return np.where(at < len(words), words[np.minimum(at, len(words) - 1)], np.uint64(0))


def _leading(difference: np.ndarray) -> np.ndarray:
    """How many of a word's tokens, from the first on, are zero in `difference`."""
    count = np.zeros(len(difference), dtype=int)
    for place in range(1, WORD + 1):
        count += (difference >> np.uint64(8 * (WORD - place))) == 0
    return count


def _suffix_array(words: np.ndarray) -> np.ndarray:
    """All positions by the text from there on, by doubling: only what is not yet told apart is sorted again."""
    size = len(words)
    order = np.argsort(words, kind="stable")
    fresh = np.concatenate([[True], words[order][1:] != words[order][:-1]])
    rank = np.empty(size + 1, dtype=np.int64)
    rank[order] = np.flatnonzero(fresh)[np.cumsum(fresh) - 1]
    rank[size] = -1  # the end comes before everything
    step = WORD
    while True:
        ends = np.concatenate([fresh[1:], [True]])
        tied = np.flatnonzero(~(fresh & ends))
        if not len(tied):
            return order
        positions = order[tied]
        group = rank[positions]
        behind = rank[np.minimum(positions + step, size)]
        again = np.lexsort((behind, group))
        order[tied] = positions[again]
        group, behind = group[again], behind[again]
        starts = np.concatenate([[True], (group[1:] != group[:-1]) | (behind[1:] != behind[:-1])])
        fresh[tied] = starts
        rank[order[tied]] = tied[np.flatnonzero(starts)[np.cumsum(starts) - 1]]
        step *= 2
