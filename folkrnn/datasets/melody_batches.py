"""A corpus of melodies as Lightning sees it: shuffled training batches, transposed at random, and validation batches.

An epoch's batches and transpositions are drawn from (seed, epoch) alone: the same for any number of processes, and a
resumed epoch goes on at its batch. With W processes each takes every W-th row of every batch, in P parts every P-th of
those one part after another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from folkrnn.datasets.batches import Size, places_of
from folkrnn.datasets.melodies import MelodyCorpus
from folkrnn.errors import UserError
from folkrnn.melodies.grid import transposed

VALIDATION_BATCH = 256

MelodyBatch = tuple[Tensor, Tensor, Size]
"""Classes `[B, T]` and lengths `[B]` of this process, and the size of the whole batch: its steps and its melodies."""


@dataclass(frozen=True)
class MelodyShare:
    """One process's rows of a batch, by how many semitones each is moved, and the size of the whole batch."""

    rows: np.ndarray
    semitones: np.ndarray
    size: Size


class MelodySampler(Sampler[MelodyShare]):
    """Yields this process's share of each batch, in `parts` one after another.

    `set_epoch` (which Lightning calls) chooses the epoch. With `shuffle`, a share `moved` of the melodies is moved by
    up to `most` semitones, each by a number of its own, and the first `skip[1]` batches of epoch `skip[0]` are left
    out: a resumed training has seen them.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        most: int = 0,
        moved: float = 1.0,
        processes: int = 1,
        process: int = 0,
        skip: tuple[int, int] = (0, 0),
        parts: int = 1,
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.shuffle = lengths, batch_size, seed, shuffle
        self.most, self.moved, self.parts = most, moved, parts
        self.processes, self.process, self.skip, self.epoch = processes, process, skip, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.parts * math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[MelodyShare]:
        order, semitones = np.arange(len(self.lengths)), np.zeros(len(self.lengths), np.int64)
        first = 0
        if self.shuffle:
            rng = np.random.default_rng([self.seed, self.epoch])
            order = rng.permutation(order)
            semitones = rng.integers(-self.most, self.most, len(order), endpoint=True)
            semitones[rng.random(len(order)) >= self.moved] = 0
            first = self.skip[1] if self.epoch == self.skip[0] else 0
        for begin in range(first * self.batch_size, len(order), self.batch_size):
            rows = order[begin : begin + self.batch_size]
            size = Size(int(self.lengths[rows].sum()), len(rows))
            for part in range(self.parts):
                places = places_of(len(rows), self.processes, self.process, self.parts, part)
                mine = np.arange(places.start, places.stop, places.step)
                yield MelodyShare(rows[mine], semitones[begin + mine], size)


class Melodies(Dataset[MelodyBatch]):
    """Maps a share of a batch to its tensors."""

    def __init__(self, classes: np.ndarray, lengths: np.ndarray) -> None:
        self.classes, self.lengths = classes, lengths

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, share: MelodyShare) -> MelodyBatch:
        if not len(share.rows):  # a process without a share of a small batch: one melody of no steps
            return torch.full((1, self.classes.shape[1]), -1), torch.zeros(1, dtype=torch.long), share.size
        return *tensors(transposed(self.classes[share.rows], share.semitones), self.lengths[share.rows]), share.size


def tensors(classes: np.ndarray, lengths: np.ndarray) -> tuple[Tensor, Tensor]:
    """Returns melodies as the model reads them: classes `[B, T]`, −1 from each one's length on, and lengths `[B]`."""
    past = np.arange(classes.shape[1]) >= lengths[:, None]
    return torch.from_numpy(np.where(past, -1, classes.astype(np.int64))), torch.from_numpy(lengths.astype(np.int64))


class MelodyBatches(pl.LightningDataModule):
    """Batches of the corpus's training melodies and of its validation melodies.

    Of the training melodies a share `moved` is moved by up to `transpose` semitones, anew in each epoch.
    Families stand on one side (`MelodyCorpus.split`). `skip`: (epoch, batches of it that a resumed training has seen).
    Raises UserError where a side would be empty.
    """

    def __init__(
        self,
        corpus: MelodyCorpus,
        batch_size: int,
        seed: int,
        transpose: int = 0,
        moved: float = 1.0,
        skip: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.corpus, self.batch_size, self.seed, self.skip = corpus, batch_size, seed, skip
        self.transpose, self.moved = transpose, moved
        self.training, self.validation = corpus.split
        if not len(self.training) or not len(self.validation):
            raise UserError(
                f"dataset {corpus.name} has {len(corpus)} melodies of too few families for a training and a validation "
                "side"
            )

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.training, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.validation, VALIDATION_BATCH, shuffle=False)

    def _loader(self, indices: Sequence[int] | np.ndarray, batch_size: int, shuffle: bool) -> DataLoader:
        classes, lengths = self.corpus.classes[indices], self.corpus.lengths[indices]
        processes, process = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        parts = self.trainer.accumulate_grad_batches if self.trainer and shuffle else 1
        moves = (self.transpose, self.moved)
        sampler = MelodySampler(lengths, batch_size, self.seed, shuffle, *moves, processes, process, self.skip, parts)
        # the sampler yields whole batches, so the loader must not batch again
        return DataLoader(Melodies(classes, lengths), sampler=sampler, batch_size=None)
