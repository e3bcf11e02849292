"""Training as one call: Lightning's loop, best and last checkpoints, a progress bar."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import Logger

from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.module import TuneBatches
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.refusal import Refusal
from folkrnn.training.language_model import LanguageModelTraining, TrainingRecipe


@dataclass(frozen=True)
class TrainerSettings:
    """Where and how long to train; the keys `trainer.*` of the command line."""

    max_epochs: int = 14
    accelerator: str = "auto"
    devices: int | str = 1
    strategy: str = "auto"
    num_nodes: int = 1
    precision: str = "32-true"
    resume: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.max_epochs < 1:
            raise Refusal(f"trainer.max_epochs is {self.max_epochs}; it must be at least 1")


@dataclass(frozen=True)
class Fitted:
    """A trained model and how well it predicts the validation tunes."""

    model: FolkRNN
    validation_loss: float
    """Nats per token of the best checkpoint, whose parameters the model has."""
    updates: int
    checkpoint: Path


def fit(
    model: FolkRNN,
    corpus: Corpus,
    recipe: TrainingRecipe,
    settings: TrainerSettings,
    seed: int,
    folder: Path,
    logger: Logger | None = None,
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Returns `model` trained on the corpus, with the parameters of its best validation epoch.

    Checkpoints are `folder/best.ckpt` and `folder/last.ckpt`. With `settings.resume` training goes on from the last.
    Raises KeyboardInterrupt on Ctrl-C, after the last checkpoint has been written.
    """
    last = folder / "last.ckpt"
    if settings.resume and not last.is_file():
        raise Refusal(f"trainer.resume=true, but {folder} holds no checkpoint of this configuration to resume")
    if last.is_file() and not settings.resume:
        raise Refusal(
            f"{folder} holds an unfinished training of this very configuration; go on with trainer.resume=true"
        )
    _hush_lightning()
    pl.seed_everything(seed, verbose=False)
    recipe.prepare(model, seed)
    batches = TuneBatches(corpus, recipe.batch_size, seed, recipe.batching, recipe.split)
    keep = ModelCheckpoint(
        folder, "best", "validation/loss", save_last=True, save_top_k=1, enable_version_counter=False, verbose=False
    )
    trainer = pl.Trainer(
        max_epochs=settings.max_epochs,
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        num_nodes=settings.num_nodes,
        precision=settings.precision,
        logger=logger or False,
        callbacks=[keep, SaveOnInterrupt(last), *callbacks],
        enable_progress_bar=settings.progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, len(batches.train_dataloader())),
        use_distributed_sampler=False,
        default_root_dir=folder,
    )
    training = LanguageModelTraining(model, recipe)
    trainer.fit(training, batches, ckpt_path=last if settings.resume else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    best = torch.load(keep.best_model_path, map_location="cpu", weights_only=True)
    training.load_state_dict(best["state_dict"])
    loss = keep.best_model_score
    assert loss is not None, "a finished training has validated at least once"
    return Fitted(model.eval(), float(loss), trainer.global_step, Path(keep.best_model_path))


def _hush_lightning() -> None:
    """Keeps Lightning's advertisements and remarks about itself out of the terminal; its warnings about us stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for remark in (".*LeafSpec.*", ".*exists and is not empty.*", ".*does not have many workers.*"):
        warnings.filterwarnings("ignore", remark, module="pytorch_lightning")


class SaveOnInterrupt(Callback):
    """Writes the last checkpoint when Ctrl-C (or an error) ends the training early."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(self, trainer: pl.Trainer, _: pl.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            trainer.save_checkpoint(self.path)
