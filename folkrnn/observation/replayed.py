"""`sampling.replay=…`: the tunes that are replayed: published ones, files of tokens, tunes held out of the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.families import split
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.vocabulary import Vocabulary

HELD_OUT = "held_out"
"""The tunes on the validation side of the family split of the data, in an order drawn from the seed."""

_ORDER = 8
"""Keeps that order apart from other uses of the seed."""


def named(replay: str | Sequence[str]) -> list[str]:
    """Returns the names in `sampling.replay`, which is one of them or a list."""
    return [replay] if isinstance(replay, str) else list(replay)


def check(replay: str | Sequence[str], vocabulary: Vocabulary) -> None:
    """Raises UserError for a name that is no tune, as far as that can be said without the data."""
    for name in named(replay):
        if name != HELD_OUT:
            ids_of(name, vocabulary)


def tunes_of(
    replay: str | Sequence[str], count: int, longest: int, vocabulary: Vocabulary, data: Corpus, seed: int
) -> list[list[int]]:
    """Returns the token ids, without markers, of the tunes that `count` replays go through in turn, at most `count`.

    With `held_out` among the names as many different tunes of at most `longest` tokens fill up what the others leave.
    Raises UserError where the data do not hold out as many.
    """
    names = named(replay)
    tunes = [ids_of(name, vocabulary) for name in names if name != HELD_OUT][:count]
    if HELD_OUT not in names:
        return tunes
    _, held = split(data.tunes)
    there = [
        ids
        for ids in (data.ids[k] for k in np.random.default_rng([seed, _ORDER]).permutation(held))
        if len(ids) <= longest
    ]
    wanted = count - len(tunes)
    if len(there) < wanted:
        raise UserError(
            f"sampling.tunes={count} asks for {wanted} held-out tunes, but {data.name} holds out {len(there)} of at "
            f"most {longest} tokens; lower sampling.tunes"
        )
    return tunes + [ids[1:-1].tolist() for ids in there[:wanted]]
