"""Training as one call: Lightning's loop, best and last checkpoints, a progress bar; resumed to the bit."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from torch import distributed

from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.dataset import Dataset
from folkrnn.datasets.melodies import MelodyCorpus
from folkrnn.datasets.melody_batches import MelodyBatches
from folkrnn.datasets.module import TuneBatches
from folkrnn.errors import UserError
from folkrnn.melodies.grid import CLASSES
from folkrnn.models.model import Model
from folkrnn.training.arithmetic import arithmetic
from folkrnn.training.autoencoder import AutoencoderRecipe, AutoencoderTraining
from folkrnn.training.checkpointing import Checkpointing, stopping
from folkrnn.training.checkpoints import BEST, LAST, WholeCheckpoints, best_state, to_resume, training_identity
from folkrnn.training.language_model import LanguageModelTraining, TrainingRecipe
from folkrnn.training.limits import advice
from folkrnn.training.lock import alone_in
from folkrnn.training.memory import BoundedMemory, memory_kept
from folkrnn.training.preemption import signal_number
from folkrnn.training.processes import arrange, variables_kept
from folkrnn.training.throughput import ProgressBar, Throughput

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")


@dataclass(frozen=True)
class TrainerSettings:
    """Where and how long to train; the keys `trainer.*` of the command line."""

    max_epochs: int = 14
    accelerator: str = "auto"
    devices: int | str | list[int] = 1
    strategy: str = "auto"
    nodes: int | str = "auto"
    """Auto: those on which torchrun or srun started this command, else one."""
    precision: str = "32-true"
    """Of the computation, one of PRECISIONS; parameters are single, with 64-true double."""
    tf32: bool = True
    """Whether recurrent kernels of a GPU may round factors to TF32 (10 bits) while they train; elsewhere none do."""
    deterministic: bool = False
    """Whether a GPU is to add up in the same order each time, so that a training can be repeated to the bit; slower."""
    accumulate: int = 1
    """Parts in which each batch goes through the model, one after another; the result is that of the whole batch."""
    resume: bool = False
    progress: bool = True
    save_every: float | None = 5.0
    """Minutes between checkpoints within an epoch; None: only after epochs."""
    save_every_updates: int | None = None
    """Updates between checkpoints within an epoch."""
    keep_every: int | None = None
    """Epochs between checkpoints that stay, `epoch-0010.ckpt` after ten; None: only the last and the best one stay."""
    patience: int | None = None
    """Validations without improvement after which training ends; None: it goes on to `max_epochs`."""
    preempt_signal: str | None = "SIGUSR1"
    """After it a SLURM job saves its training and goes back into the queue; None: no signal does that."""

    def __post_init__(self) -> None:
        for name in ("max_epochs", "accumulate"):
            if getattr(self, name) < 1:
                raise UserError(f"trainer.{name} is {getattr(self, name)}; it must be at least 1")
        if self.precision not in PRECISIONS:
            raise UserError(f"trainer.precision={self.precision}: must be one of {', '.join(PRECISIONS)}")
        on_cpu = self.accelerator == "cpu" or (self.accelerator == "auto" and not torch.cuda.is_available())
        if self.precision == "16-mixed" and on_cpu:
            raise UserError("trainer.precision=16-mixed needs a GPU; on a CPU bf16-mixed saves memory")
        if self.precision == "64-true" and self.accelerator == "mps":
            raise UserError("trainer.precision=64-true: the GPU of a Mac has no double precision; add trainer=cpu")
        signal_number(self.preempt_signal)
        arrange(self.devices, self.nodes, self.strategy)
        for name in ("save_every", "save_every_updates", "keep_every", "patience"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"trainer.{name} is {value}; it must be above 0, or null")


@dataclass(frozen=True)
class Fitted:
    """A trained model and how well it does on the validation side."""

    model: Model
    validation_loss: float
    """That of the best checkpoint, whose parameters the model has: nats per token, of a MusicVAE per melody.

    NaN where that checkpoint was damaged and the model has those of the last one."""
    updates: int
    checkpoint: Path


@dataclass(frozen=True)
class Loop:
    """What a family brings to the loop that all are trained by."""

    module: Callable[[Any, Any, int], pl.LightningModule]
    """Makes it from the model, which must be its `model`, the recipe and the seed; it logs `validation/loss`."""
    batches: Callable[[Any, Any, int, tuple[int, int], int], pl.LightningDataModule]
    """Makes them from corpus, recipe, seed, what a resumed training has seen (epoch, batches of it) and all epochs."""
    guess: Callable[[Any], float]
    """What of the corpus costs who knows nothing, in the unit of `validation/loss`."""
    tokens: Callable[[Any], Sequence[str] | None]
    """The tokens that the model reads, by number; None: it reads none."""


def _tunes(corpus: Corpus, recipe: TrainingRecipe, seed: int, skip: tuple[int, int], epochs: int) -> TuneBatches:
    return TuneBatches(corpus, recipe.batch_size, seed, recipe.batching, recipe.split, skip, recipe.curriculum, epochs)


def _melodies(
    corpus: MelodyCorpus, recipe: AutoencoderRecipe, seed: int, skip: tuple[int, int], _: int
) -> MelodyBatches:
    return MelodyBatches(corpus, recipe.batch_size, seed, recipe.transpose, recipe.moved, skip)


TUNES = Loop(
    LanguageModelTraining,
    _tunes,
    lambda corpus: math.log(len(corpus.vocabulary)),
    lambda corpus: corpus.vocabulary.tokens,
)
MELODIES = Loop(
    AutoencoderTraining, _melodies, lambda corpus: corpus.classes.shape[1] * math.log(CLASSES), lambda _: None
)

DIVERGED = 10.0
"""Times what guessing costs: a training whose best loss is above that has learned nothing, it ran away."""


def fit(
    model: Model,
    corpus: Dataset,
    recipe: TrainingRecipe | AutoencoderRecipe,
    settings: TrainerSettings,
    seed: int,
    folder: Path,
    logger: Logger | None = None,
    callbacks: Sequence[Callback] = (),
    loop: Loop = TUNES,
    start: str | None = None,
) -> Fitted:
    """Returns `model` trained on the corpus by the family's `loop`, with the parameters of its best validation epoch.

    `start` is the digest of the parameters that the training goes on from; without one they are fresh, and the recipe
    draws anew those that it wants otherwise.

    Checkpoints are `folder/best.ckpt` and `folder/last.ckpt`. With `settings.resume` training goes on from the last,
    from within an epoch too, and arrives (on a CPU, with as many threads) at the very parameters of a training that was
    never cut off. Raises UserError for a checkpoint of another configuration, where another training is at work in the
    folder, and where the loss is no longer a number or far above that of guessing. SIGTERM and Ctrl-C finish the update
    and write the last checkpoint first; then SystemExit(143) or KeyboardInterrupt is raised, unless an earlier handler
    raises something else. `settings.preempt_signal` does the same and puts a SLURM job back into the queue; then
    Requeued is raised. Of several processes it is enough that one gets the signal.
    """
    last = folder / LAST
    if settings.resume and not last.is_file():
        raise UserError(f"trainer.resume=true, but {folder} holds no checkpoint of this configuration to resume")
    if last.is_file() and not settings.resume:
        raise UserError(
            f"{folder} holds an unfinished training of this very configuration; go on with trainer.resume=true"
        )
    check_trainer_precision(recipe, settings)
    placed = arrange(settings.devices, settings.nodes, settings.strategy)
    _hush_lightning()
    pl.seed_everything(seed, verbose=False)
    cast("Any", recipe).prepare(model)  # the recipe of the model's family
    if start is None:
        cast("Any", recipe).draw_initial(model, seed)
    mine = training_identity(model, corpus, recipe, seed, settings.max_epochs, settings.precision, settings.accumulate)
    if start is not None:
        mine["start"] = start
    saved, progress = to_resume(folder, mine) if settings.resume else (None, None)
    epoch, batch = progress["position"] if progress else (0, 0)
    batches = loop.batches(corpus, recipe, seed, (epoch, batch), settings.max_epochs)
    preempt, first = signal_number(settings.preempt_signal), placed.rank == 0
    with (
        alone_in(folder, first),
        variables_kept(),
        memory_kept(),
        arithmetic(settings.tf32, settings.deterministic),
        stopping(preempt, first) as stop,
    ):
        keep = Checkpointing(
            folder,
            mine,
            stop,
            settings.save_every,
            settings.save_every_updates,
            settings.patience,
            progress,
            settings.keep_every,
            loop.tokens(corpus),
        )
        trainer = pl.Trainer(
            max_epochs=settings.max_epochs,
            accelerator=settings.accelerator,
            devices=placed.devices,
            strategy=settings.strategy,
            num_nodes=placed.nodes,
            precision=cast("Any", settings.precision),
            accumulate_grad_batches=settings.accumulate,
            logger=logger or False,
            callbacks=[
                *([ProgressBar()] if settings.progress else []),
                Throughput(),
                BoundedMemory(),
                *callbacks,
                keep,
            ],
            plugins=[WholeCheckpoints(), placed.environment],
            enable_checkpointing=False,
            enable_progress_bar=settings.progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=min(10, len(batches.train_dataloader())),
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        training = loop.module(model.train(), recipe, seed)
        with _overflow_refused(trainer):
            trainer.fit(training, batches, ckpt_path=saved, weights_only=True)
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()  # what follows is for one process
    if DIVERGED * loop.guess(corpus) < keep.best < math.inf:
        raise UserError(
            f"the training has diverged: the best validation loss is {keep.best:.3g} nats, where guessing costs "
            f"{loop.guess(corpus):.3g}. {advice(recipe)}"
        )
    checkpoint, state = best_state(folder)
    training.load_state_dict(state)
    loss = keep.best if checkpoint.name == BEST else math.nan
    return Fitted(model.eval(), loss, trainer.global_step, checkpoint)


@contextmanager
def _overflow_refused(trainer: pl.Trainer) -> Iterator[None]:
    """Raises UserError where an optimiser's step is too large for a number; a loss that is none is refused before
    it.
    """
    try:
        yield
    except (RuntimeError, OverflowError) as error:
        if "overflow" not in str(error):
            raise
        raise UserError(
            f"update {trainer.global_step} (epoch {trainer.current_epoch}) is too large for the numbers of the "
            f"parameters; nothing of it was kept. {advice(trainer.lightning_module.recipe)}"
        ) from error


def check_trainer_precision(recipe: TrainingRecipe | AutoencoderRecipe, settings: TrainerSettings) -> None:
    """Refuses a precision in which a recipe cannot be followed."""
    if settings.precision == "16-mixed" and recipe.gate_clip is not None:
        raise UserError(
            "trainer.precision=16-mixed scales gradients, and recipe.gate_clip clips them as they are; take "
            "trainer.precision=bf16-mixed or recipe.gate_clip=null"
        )


def _hush_lightning() -> None:
    """Keeps Lightning's advertisements and remarks about itself out of the terminal; its warnings about us stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    remarks = (
        ".*LeafSpec.*",
        ".*exists and is not empty.*",
        ".*does not have many workers.*",
        ".*`srun` command is available.*",  # who started the processes is known by then
        ".*your dataloader is not resumable.*",  # the sampler is: it is told where to go on
    )
    for remark in remarks:
        warnings.filterwarnings("ignore", remark, module="(pytorch_lightning|lightning_fabric)")
