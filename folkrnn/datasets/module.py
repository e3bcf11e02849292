"""A corpus as Lightning sees it: training and validation batches of the family split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from folkrnn.datasets.batches import BucketSampler, pad
from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.families import split
from folkrnn.refusal import Refusal

VALIDATION_BATCH = 64


class PaddedTunes(Dataset[tuple[Tensor, Tensor]]):
    """Maps a list of indices to one padded batch (inputs, targets), each `[B, T]`."""

    def __init__(self, tunes: Sequence[np.ndarray], padding: int) -> None:
        self.tunes, self.padding = tunes, padding

    def __len__(self) -> int:
        return len(self.tunes)

    def __getitem__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        return pad([self.tunes[i] for i in indices], self.padding)


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
        sampler = BucketSampler([len(ids) for ids in tunes], batch_size, self.seed, shuffle)
        # the sampler yields whole batches, so the loader must not batch again
        return DataLoader(PaddedTunes(tunes, self.corpus.vocabulary.end), sampler=sampler, batch_size=None)
