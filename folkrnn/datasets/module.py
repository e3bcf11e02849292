"""A corpus as Lightning sees it: training and validation batches of the family split."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from folkrnn.datasets.batches import Batching, BucketSampler, Share, Size, Split, pad, published_split
from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.curriculum import Curriculum, Tunes
from folkrnn.datasets.families import split
from folkrnn.errors import UserError

VALIDATION_BATCH = 64


Batch = tuple[Tensor, Tensor, Size]
"""Inputs and targets `[B, T]` of this process, and the size of the whole batch of all processes."""


class PaddedTunes(Dataset[Batch]):
    """Maps a share of a batch to its padded tensors."""

    def __init__(self, tunes: Tunes) -> None:
        self.tunes = tunes

    def __len__(self) -> int:
        return len(self.tunes.unchanged)

    def __getitem__(self, share: Share) -> Batch:
        tunes = self.tunes.at(share.epoch)
        return *pad([tunes[i] for i in share.rows], self.tunes.vocabulary.end), share.size


def sides(corpus: Corpus, kind: Split = "families", batch_size: int = 64) -> tuple[list[int], list[int]]:
    """Returns indices of training and validation tunes. Raises UserError where a side would be empty."""
    if kind == "published":
        return published_split([len(ids) for ids in corpus.ids], batch_size)
    training, validation = split(corpus.tunes)
    if not training or not validation:
        raise UserError(
            f"dataset {corpus.name} has {len(corpus)} tunes: too few families for a training and a validation side"
        )
    return training, validation


class TuneBatches(pl.LightningDataModule):
    """Length-bucketed batches; with the default split the validation side shares no tune family with the training side.

    `skip`: (epoch, batches of it that a resumed training has seen). `curriculum` changes the training tunes over
    `epochs`, never those of the validation side.
    """

    def __init__(
        self,
        corpus: Corpus,
        batch_size: int,
        seed: int,
        batching: Batching = "bucketed",
        split: Split = "families",
        skip: tuple[int, int] = (0, 0),
        curriculum: Curriculum | None = None,
        epochs: int = 1,
    ) -> None:
        super().__init__()
        if curriculum is not None and batching == "published":
            raise UserError("recipe.curriculum changes lengths from epoch to epoch; it needs recipe.batching=bucketed")
        self.corpus, self.batch_size, self.seed = corpus, batch_size, seed
        self.batching: Batching = batching
        self.skip = skip
        self.training, self.validation = sides(corpus, split, batch_size)
        self._training = Tunes(self._tokens(self.training), corpus.vocabulary, curriculum, epochs, seed)

    def train_dataloader(self) -> DataLoader:
        return self._loader(self._training, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        held_out = Tunes(self._tokens(self.validation), self.corpus.vocabulary)
        return self._loader(held_out, VALIDATION_BATCH, shuffle=False)

    def _tokens(self, indices: Sequence[int]) -> list[tuple[str, ...]]:
        return [self.corpus.tunes[i].tokens for i in indices]

    def _loader(self, tunes: Tunes, batch_size: int, shuffle: bool) -> DataLoader:
        processes, process = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        skip = self.skip if shuffle else (0, 0)
        parts = self.trainer.accumulate_grad_batches if self.trainer and shuffle else 1
        sampler = BucketSampler(
            tunes.lengths, batch_size, self.seed, shuffle, processes, process, self.batching, skip, parts
        )
        # the sampler yields whole batches, so the loader must not batch again
        return DataLoader(PaddedTunes(tunes), sampler=sampler, batch_size=None)
