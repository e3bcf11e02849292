"""Length-bucketed batches: tunes of like length together, so that almost every position is a real token.

A plain list of batches per epoch, drawn from (seed, epoch) alone: the same for any number of workers, and a resumed
epoch continues at its batch position.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

IGNORED = -100
"""Target of padded positions; `torch.nn.functional.cross_entropy` skips it."""


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


class BucketSampler(Sampler[list[int]]):
    """Batches of `bucketed` for one epoch at a time; `set_epoch` (which Lightning calls) chooses which."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, shuffle: bool = True) -> None:
        self.lengths, self.batch_size, self.seed, self.shuffle = list(lengths), batch_size, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        if self.shuffle:
            return iter(bucketed(self.lengths, self.batch_size, np.random.default_rng([self.seed, self.epoch])))
        order = sorted(range(len(self.lengths)), key=lambda i: self.lengths[i])
        return iter([order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)])


def pad(tunes: Sequence[np.ndarray], padding: int) -> tuple[Tensor, Tensor]:
    """Returns inputs `[B, T]` and targets `[B, T]` (the token after each input; IGNORED where there is none)."""
    longest = max(len(ids) for ids in tunes) - 1
    inputs = torch.full((len(tunes), longest), padding)
    targets = torch.full((len(tunes), longest), IGNORED)
    for row, ids in enumerate(tunes):
        inputs[row, : len(ids) - 1] = torch.from_numpy(ids[:-1])
        targets[row, : len(ids) - 1] = torch.from_numpy(ids[1:])
    return inputs, targets


def filled_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Returns the share of positions in padded batches that are real tokens."""
    real = sum(lengths[i] for batch in batches for i in batch)
    return real / sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)
