"""A corpus to look tunes up in: its bodies, bars and n-grams, indexed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise

import numpy as np

from analyses.measures.ngram_index import NgramIndex
from folkrnn.datasets.corpus import Corpus
from folkrnn.notation.bars import bars
from folkrnn.vocabulary import token_type


@dataclass
class Library:
    """The data, indexed once: bodies of tunes, where runs of tokens stand, and the n-grams of each tune."""

    corpus: Corpus
    ngram: int
    _bars: dict[int, dict[int, int]] = field(default_factory=dict, repr=False)

    @cached_property
    def bodies(self) -> list[tuple[str, ...]]:
        return [body(tune.tokens) for tune in self.corpus.tunes]

    @cached_property
    def index(self) -> NgramIndex:
        return NgramIndex.of([self.encode(tune) for tune in self.bodies])

    @cached_property
    def sizes(self) -> np.ndarray:
        """Distinct n-grams of each data tune."""
        return np.array([len(set(self.ngrams(tune))) for tune in self.bodies])

    def encode(self, tokens: Sequence[str]) -> list[int]:
        return self.corpus.vocabulary.encode(tokens)

    def title(self, number: int) -> str:
        """A tune's title, or its number in the data; "" for none (−1)."""
        return (self.corpus.tunes[number].title or f"data tune {number}") if number >= 0 else ""

    def ngrams(self, tune: Sequence[str]) -> list[tuple[str, ...]]:
        """Every n-gram of a tune, by its first token."""
        return [tuple(tune[n : n + self.ngram]) for n in range(len(tune) - self.ngram + 1)]

    def ngrams_of(self, tunes: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
        return [gram for tune in tunes for gram in self.ngrams(tune)]

    @cached_property
    def _found(self) -> dict[tuple[str, ...], np.ndarray]:
        """The data tunes of each run that was looked up; n-grams and bars come again and again."""
        return {}

    def look_up(self, runs: Sequence[tuple[str, ...]]) -> None:
        """Finds the data tunes of all runs together."""
        new = [run for run in dict.fromkeys(runs) if run not in self._found]
        if not new:
            return
        first, stop = self.index.find([self.encode(run) for run in new])
        for run, a, b in zip(new, first, stop, strict=True):
            self._found[run] = self.index.tunes(a, b)

    def counts(self, runs: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
        """Returns in how many data tunes each run stands."""
        self.look_up(runs)
        return {run: len(self._found[run]) for run in runs}

    def occurrences(self, run: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns (data tune, place in its body) of every occurrence of a run."""
        first, stop = self.index.find([self.encode(run)])
        return self.index.positions(int(first[0]), int(stop[0]))

    def bar_at(self, number: int, place: int) -> int | None:
        """Returns the number of the bar of a data tune that begins at a place of its body, if one does."""
        if number not in self._bars:
            tune, begin = self.bodies[number], {}
            for count, (start, _) in zip(bar_counts(tune), bar_stretches(tune), strict=True):
                begin[start] = count
            self._bars[number] = begin
        return self._bars[number].get(place)

    def nearest(self, tune: Sequence[str], own: int | None = None) -> tuple[int, float]:
        """Returns (data tune, Dice similarity over distinct n-grams) of the nearest one; (−1, 0) if none shares any."""
        grams = list(dict.fromkeys(self.ngrams(tune)))
        self.look_up(grams)
        if not grams:
            return -1, 0.0
        shared = np.bincount(np.concatenate([self._found[gram] for gram in grams]), minlength=len(self.bodies))
        similarity = 2 * shared / np.maximum(1, len(grams) + self.sizes)
        if own is not None:
            similarity[own] = 0
        best = int(similarity.argmax())
        return (best, float(similarity[best])) if similarity[best] > 0 else (-1, 0.0)


def body(tokens: Sequence[str]) -> tuple[str, ...]:
    """Returns a tune without the meter and mode tokens that head it."""
    first = 0
    while first < len(tokens) and token_type(tokens[first]) in ("meter", "mode"):
        first += 1
    return tuple(tokens[first:])


def bar_stretches(tune: Sequence[str]) -> list[tuple[int, int]]:
    """Returns (start, stop) of what stands between measure tokens, empty stretches left out."""
    cuts = [-1, *(n for n, token in enumerate(tune) if _is_measure(token)), len(tune)]
    return [(a + 1, b) for a, b in pairwise(cuts) if b > a + 1]


_is_measure = cache(lambda token: token_type(token) == "measure")


def tokens_of_bars(tune: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns the tokens of each bar."""
    return [tuple(tune[start:stop]) for start, stop in bar_stretches(tune)]


def bar_counts(tune: Sequence[str]) -> list[int]:
    """Returns the number of each bar: from 1, or from 0 if the first is a pickup (shorter than the second)."""
    stretches = bar_stretches(tune)
    two = bars(list(tune[: stretches[1][1]])) if len(stretches) > 1 else []
    first = 0 if len(two) == 2 and two[0].duration < two[1].duration else 1
    return list(range(first, first + len(stretches)))


def numbered_bars(tune: Sequence[str]) -> list[tuple[int, tuple[str, ...]]]:
    """Returns (number, tokens) of each bar."""
    return list(zip(bar_counts(tune), tokens_of_bars(tune), strict=True))
