"""How much memory a training holds after each epoch, and whether that grows.

    python benchmarks/training_memory.py [--model folkrnn|folkrnn_small] [--recipe modern|published] [--epochs 10]
                                         [--updates 60]

Trains on the fiddle tunes, `--updates` updates an epoch, and prints resident memory after every epoch, the largest that
the process ever had, and the time an update took. The bars: after ten epochs at most 1.1 times what was resident after
the first, and 1.5 GB (folkrnn_small) or 4 GB (folkrnn) in all.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from folkrnn.datasets.irish import irish
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training import fit as training
from folkrnn.training.language_model import ModernRecipe
from folkrnn.training.memory import resident_bytes
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import scratch

SIZES = {"folkrnn": 512, "folkrnn_small": 128}


class Epochs(Callback):
    """Ends each epoch after so many updates and prints what is resident then."""

    def __init__(self, updates: int) -> None:
        self.updates, self.first = updates, 0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.since = time.perf_counter()

    def on_train_batch_start(self, _: pl.Trainer, __: pl.LightningModule, ___: Any, index: int) -> int | None:
        return -1 if index >= self.updates else None

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        now, seconds = resident_bytes(), time.perf_counter() - self.since
        self.first = self.first or now
        print(
            f"epoch {trainer.current_epoch + 1}: {now / 2**20:.0f} MiB, {now / self.first:.2f} of the first, "
            f"{seconds / self.updates:.3f} s an update",
            flush=True,
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", choices=SIZES, default="folkrnn_small")
    parser.add_argument("--recipe", choices=("modern", "published"), default="published")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--updates", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    recipe = ModernRecipe() if asked.recipe == "modern" else PublishedRecipe(split="families")
    settings = training.TrainerSettings(max_epochs=asked.epochs, accelerator="cpu", progress=False, save_every=None)
    model = scratch(FolkRNN(units=SIZES[asked.model]), seed=1).model
    with tempfile.TemporaryDirectory() as folder:
        training.fit(model, irish(), recipe, settings, 1, Path(folder), callbacks=[Epochs(asked.updates)])
    print(f"largest: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


if __name__ == "__main__":
    main()
