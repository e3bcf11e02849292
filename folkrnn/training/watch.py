"""What is filed while training runs: after each validation, the activation summary as curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.families import split
from folkrnn.observation.summary import Summary, summarise

WATCHED = 64
"""Validation tunes whose activations are summarised."""


class Watch(Callback):
    """Calls `file(summary, step)` after each validation with the activations on the first validation tunes."""

    def __init__(self, file: Callable[[Summary, int], None], corpus: Corpus, sites: Sequence[str]) -> None:
        self.file, self.sites = file, list(sites)
        self.tunes = [corpus.ids[i] for i in split(corpus.tunes)[1][:WATCHED]]

    def on_validation_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.file(summarise(module.model, self.tunes, self.sites), trainer.global_step)
