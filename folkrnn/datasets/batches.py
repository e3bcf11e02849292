"""Length-bucketed batches: tunes of like length together, so that almost every position is a real token.

A plain list of batches per epoch, drawn from (seed, epoch) alone: the same for any number of workers and processes, and
a resumed epoch continues at its batch position. With W processes each takes every W-th row of every batch, in order of
length, and in P parts every P-th of those one part after another: each row stands in one share, and of a batch with
rows of L₁ ≥ L₂ ≥ … tokens no share has more padded positions than another by more than L₁ + ⌊B ÷ WP⌋ (L₁ − L_WP).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from folkrnn.errors import UserError

IGNORED = -100
"""Target of padded positions; `torch.nn.functional.cross_entropy` skips it."""


Batching = Literal["bucketed", "published"]
"""Neighbours in length, each tune once an epoch; or the authors' draw, uniform over lengths."""

Split = Literal["families", "published"]
"""Tune families kept on one side; or the authors' random tunes."""

PUBLISHED_SEED = 42
"""Of the authors' split and of their batches."""


class Size(NamedTuple):
    """Of a whole batch, over all processes."""

    tokens: int
    """To predict."""
    tunes: int


@dataclass(frozen=True)
class Share:
    """One process's rows of a batch, or one part of them, and the size of the whole batch."""

    rows: list[int]
    size: Size
    epoch: int = 0

    @property
    def tokens(self) -> int:
        return self.size.tokens


def bucketed(
    lengths: Sequence[int], batch_size: int, rng: np.random.Generator, jitter: float = 0.03
) -> list[list[int]]:
    """Returns batches of indices covering every tune once, in random order.

    Tunes are sorted by length, each length first multiplied by a random factor within ± `jitter`: a batch holds near
    neighbours, and every epoch groups them anew.
    """
    blurred = np.asarray(lengths) * rng.uniform(1 - jitter, 1 + jitter, len(lengths))
    order = np.argsort(blurred, kind="stable")
    batches = [order[k : k + batch_size].tolist() for k in range(0, len(order), batch_size)]
    return [batches[k] for k in rng.permutation(len(batches))]


def published_split(lengths: Sequence[int], batch_size: int = 64) -> tuple[list[int], list[int]]:
    """Returns indices of the authors' training and validation tunes, each side's longest first (facts, section 2.5).

    Tunes are sorted by length, longest first; a whole number of batches, nearest to 5 % of the tunes but at least one,
    is drawn at random. Settings of one tune may so come to stand on both sides. Raises UserError where no tune is left.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    number = batch_size * max(1, round(0.05 * len(order) / batch_size))
    if number >= len(order):
        raise UserError(
            f"recipe.split=published holds out {number} tunes, but there are {len(order)}; use recipe.split=families"
        )
    held = np.zeros(len(order), bool)
    held[np.random.RandomState(PUBLISHED_SEED).choice(len(order), number, replace=False)] = True
    return order[~held].tolist(), order[held].tolist()


def published_epochs(lengths: Sequence[int], batch_size: int) -> Iterator[list[list[int]]]:
    """Yields the authors' batches, epoch after epoch, from one stream of random numbers (facts sheet, section 2.5).

    A length is drawn uniformly from those that still have tunes, however many, and fills a batch; one that cannot is
    struck out and a neighbour in the list of lengths fills up. What is left over at the end of an epoch is dropped.
    Lengths stand in ascending order: that of the keys of a Python 2 dictionary of such numbers (below its table size).
    """
    rng = np.random.RandomState(PUBLISHED_SEED)
    by_length = {length: [] for length in sorted(set(lengths))}
    for index, length in enumerate(lengths):
        by_length[length].append(index)
    while True:
        for tunes in by_length.values():
            rng.shuffle(tunes)
        yield list(_published_batches({length: list(tunes) for length, tunes in by_length.items()}, batch_size, rng))


def _published_batches(left: dict[int, list[int]], batch_size: int, rng: np.random.RandomState) -> Iterator[list[int]]:
    lengths = list(left)
    batch: list[int] = []
    place = int(rng.choice(len(lengths)))
    while lengths:
        tunes, missing = left[lengths[place]], batch_size - len(batch)
        batch += tunes[:missing]
        del tunes[:missing]
        if len(batch) == batch_size:
            yield batch
            batch, place = [], int(rng.choice(len(lengths)))
            continue
        del lengths[place]
        if 0 < place < len(lengths) - 1:
            place += int(rng.choice([-1, 0]))
        else:  # either end of the list has one neighbour only
            place = 0 if place == 0 else len(lengths) - 1


class BucketSampler(Sampler[Share]):
    """Yields this process's share of each batch of an epoch, in `parts` one after another.

    `set_epoch` (which Lightning calls) chooses the epoch. `lengths` are numbers of tokens to predict, or what returns
    them for an epoch. Without `shuffle`, batches go from short to long tunes. The first `skip[1]` batches of epoch
    `skip[0]` are left out: a resumed training has seen them.
    """

    def __init__(
        self,
        lengths: Sequence[int] | Callable[[int], Sequence[int]],
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        processes: int = 1,
        process: int = 0,
        batching: Batching = "bucketed",
        skip: tuple[int, int] = (0, 0),
        parts: int = 1,
    ) -> None:
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self._lengths = lengths if callable(lengths) else lambda _, same=list(lengths): same
        self.processes, self.process, self.epoch = processes, process, 0
        self.batching, self.skip, self.parts = batching, skip, parts
        if self._published and len(self.lengths) < batch_size:
            raise UserError(
                f"recipe.batching=published drops incomplete batches, and {len(self.lengths)} tunes fill none of "
                f"{batch_size}; use recipe.batching=bucketed or a smaller recipe.batch_size"
            )

    @property
    def lengths(self) -> Sequence[int]:
        """Those of the epoch."""
        return self._lengths(self.epoch)

    @property
    def _published(self) -> bool:
        return self.shuffle and self.batching == "published"

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        whole = len(self.lengths) // self.batch_size
        return self.parts * (whole if self._published else math.ceil(len(self.lengths) / self.batch_size))

    def __iter__(self) -> Iterator[Share]:
        first = self.skip[1] if self.epoch == self.skip[0] else 0
        lengths = self.lengths
        for batch in self.batches()[first:]:
            size = Size(sum(lengths[i] for i in batch), len(batch))
            for part in range(self.parts):
                places = places_of(len(batch), self.processes, self.process, self.parts, part)
                yield Share([batch[place] for place in places], size, self.epoch)

    def batches(self) -> list[list[int]]:
        """Returns the whole batches of the epoch, in every other one the longest tune first, in the others last.

        So that over an epoch no process has longer tunes than another.
        """
        signs, lengths = cycle((1, -1)), self.lengths
        pairs = zip(signs, self._batches(), strict=False)
        return [sorted(batch, key=lambda i, sign=sign: sign * lengths[i]) for sign, batch in pairs]

    def _batches(self) -> list[list[int]]:
        if self._published:  # the stream runs on across epochs: go there from the start, which takes milliseconds
            return next(islice(published_epochs(self.lengths, self.batch_size), self.epoch, None))
        if self.shuffle:
            return bucketed(self.lengths, self.batch_size, np.random.default_rng([self.seed, self.epoch]))
        order = sorted(range(len(self.lengths)), key=lambda i: self.lengths[i])
        return [order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)]


def places_of(tunes: int, processes: int = 1, process: int = 0, parts: int = 1, part: int = 0) -> range:
    """Returns where the rows of one share stand in a whole batch of that many tunes."""
    return range(process + processes * part, tunes, processes * parts)


def pad(tunes: Sequence[np.ndarray], padding: int) -> tuple[Tensor, Tensor]:
    """Returns inputs `[B, T]` and targets `[B, T]` (the token after each input; IGNORED where there is none).

    No tune at all (a process without a share of a small batch) is one row with nothing to predict.
    """
    longest = max((len(ids) - 1 for ids in tunes), default=1)
    inputs = torch.full((max(1, len(tunes)), longest), padding)
    targets = torch.full(inputs.shape, IGNORED)
    for row, ids in enumerate(tunes):
        inputs[row, : len(ids) - 1] = torch.from_numpy(ids[:-1])
        targets[row, : len(ids) - 1] = torch.from_numpy(ids[1:])
    return inputs, targets


def filled_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Returns the share of positions in padded batches that are real tokens."""
    real = sum(lengths[i] for batch in batches for i in batch)
    return real / sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
