"""A corpus as Lightning sees it: training and validation batches of the family split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from folkrnn.datasets.batches import BucketSampler, Share, pad
from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.families import split
from folkrnn.refusal import Refusal

VALIDATION_BATCH = 64


Batch = tuple[Tensor, Tensor, int]
"""Inputs and targets `[B, T]` of this process, and the tokens to predict in the whole batch of all processes."""


class PaddedTunes(Dataset[Batch]):
    """Maps a share of a batch to its padded tensors."""

    def __init__(self, tunes: Sequence[np.ndarray], padding: int) -> None:
        self.tunes, self.padding = tunes, padding

    def __len__(self) -> int:
        return len(self.tunes)

    def __getitem__(self, share: Share) -> Batch:
        return *pad([self.tunes[i] for i in share.rows], self.padding), share.tokens


class TuneBatches(pl.LightningDataModule):
    """Length-bucketed batches; the validation side never shares a tune family with the training side."""

    def __init__(self, corpus: Corpus, batch_size: int, seed: int) -> None:
        super().__init__()
        self.corpus, self.batch_size, self.seed = corpus, batch_size, seed
        self.training, self.validation = split(corpus.tunes)
        if not self.training or not self.validation:
            raise Refusal(
                f"dataset {corpus.name} has {len(corpus)} tunes: too few families for a training and a validation side"
            )

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.training, self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.validation, VALIDATION_BATCH, shuffle=False)

    def _loader(self, indices: Sequence[int], batch_size: int, shuffle: bool) -> DataLoader:
        tunes = [self.corpus.ids[i] for i in indices]
        processes, process = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = BucketSampler([len(ids) - 1 for ids in tunes], batch_size, self.seed, shuffle, processes, process)
        # the sampler yields whole batches, so the loader must not batch again
        return DataLoader(PaddedTunes(tunes, self.corpus.vocabulary.end), sampler=sampler, batch_size=None)
