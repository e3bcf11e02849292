"""Length-bucketed batches: tunes of like length together, so that almost every position is a real token.

A plain list of batches per epoch, drawn from (seed, epoch) alone: the same for any number of workers and processes, and
a resumed epoch continues at its batch position. With W processes each takes every W-th row of every batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

IGNORED = -100
"""Target of padded positions; `torch.nn.functional.cross_entropy` skips it."""


@dataclass(frozen=True)
class Share:
    """One process's rows of a batch, and the number of tokens to predict in the whole batch."""

    rows: list[int]
    tokens: int


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


class BucketSampler(Sampler[Share]):
    """Yields this process's share of each batch of an epoch; `set_epoch` (which Lightning calls) chooses the epoch.

    `lengths` are numbers of tokens to predict. Without `shuffle`, batches go from short to long tunes.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        processes: int = 1,
        process: int = 0,
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.shuffle = list(lengths), batch_size, seed, shuffle
        self.processes, self.process, self.epoch = processes, process, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[Share]:
        for batch in self.batches():
            yield Share(batch[self.process :: self.processes], sum(self.lengths[i] for i in batch))

    def batches(self) -> list[list[int]]:
        """Returns the whole batches of the epoch."""
        if self.shuffle:
            return bucketed(self.lengths, self.batch_size, np.random.default_rng([self.seed, self.epoch]))
        order = sorted(range(len(self.lengths)), key=lambda i: self.lengths[i])
        return [order[k : k + self.batch_size] for k in range(0, len(order), self.batch_size)]


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
