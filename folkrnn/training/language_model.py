"""Training a FolkRNN: the recipe, and the LightningModule that follows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from folkrnn.datasets.batches import IGNORED, Batching, Split, places_of
from folkrnn.datasets.curriculum import Curriculum
from folkrnn.datasets.module import Batch
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import INPUT_STD, FolkRNN
from folkrnn.training.gate_clipping import ClipRecord
from folkrnn.training.limits import check_recipe
from folkrnn.training.losses import LOSSES, LossName, LossSums, summed_loss, token_loss
from folkrnn.training.noise import Drop, dropout

__all__ = ["LanguageModelTraining", "ModernRecipe", "TrainingRecipe", "learning_rate_at", "summed_loss", "token_loss"]


class TrainingRecipe(Protocol):
    """What a recipe decides; `recipe=` names one."""

    @property
    def batch_size(self) -> int: ...
    @property
    def loss(self) -> LossName: ...
    @property
    def batching(self) -> Batching: ...
    @property
    def split(self) -> Split: ...
    @property
    def curriculum(self) -> Curriculum | None: ...
    @property
    def gate_clip(self) -> float | None:
        """What the gradients of gates are clipped at, step by step; None: they are not."""
        ...

    def draw_initial(self, model: FolkRNN, seed: int) -> None:
        """Draws anew those parameters of an untrained model that the recipe wants otherwise."""

    def prepare(self, model: FolkRNN) -> None:
        """Sets what the recipe wants otherwise in any model that it is to train. Raises UserError where it cannot."""

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...

    def rate(self, update: int, total: int, per_epoch: int) -> float:
        """Returns the learning rate of an update (from 0) out of `total`."""
        ...

    def logits(self, model: FolkRNN, inputs: Tensor, drop: Drop, processes: int, record: ClipRecord) -> Tensor:
        """Returns logits `[B, T, V]`; `drop` is the dropout after each layer."""
        ...

    def clip(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Returns the norm of all gradients, having clipped them if the recipe does."""
        ...


@dataclass(frozen=True)
class ModernRecipe:
    """`recipe=modern`: AdamW with warm-up and cosine decay, gradients clipped by norm, loss per token."""

    learning_rate: float = 2e-3
    final_share: float = 0.02
    """Learning rate at the end, as a share of `learning_rate`."""
    warmup_updates: int = 50
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    batch_size: int = 32
    dropout: float | None = 0.25
    """Replaces the model's dropout; null keeps it."""
    input_std: float = 0.5
    """Standard deviation of the initial weights of the one-hot input; what a token never moves stays that large."""
    curriculum: Curriculum | Mapping[str, Any] | None = None
    """What the training tunes are made of, epoch by epoch, or the fields of that; None: the tunes as they are."""

    loss: ClassVar[LossName] = "per_token"
    batching: ClassVar[Batching] = "bucketed"
    split: ClassVar[Split] = "families"
    gate_clip: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_recipe(
            self, above_zero="learning_rate clip_norm input_std", from_zero="weight_decay", share="final_share",
            below_one="dropout", count="batch_size", whole="warmup_updates",
        )  # fmt: skip

    def draw_initial(self, model: FolkRNN, seed: int) -> None:
        with torch.no_grad():
            model.layers[0].weight_ih.mul_(self.input_std / INPUT_STD)

    def prepare(self, model: FolkRNN) -> None:
        if self.dropout is not None:
            model.dropout = self.dropout

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)

    def rate(self, update: int, total: int, per_epoch: int) -> float:
        return learning_rate_at(update, total, self)

    def logits(self, model: FolkRNN, inputs: Tensor, drop: Drop, processes: int, record: ClipRecord) -> Tensor:
        return dropped_logits(model, inputs, drop)

    def clip(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        return nn.utils.clip_grad_norm_(parameters, self.clip_norm)


def dropped_logits(model: FolkRNN, tokens: Tensor, drop: Drop) -> Tensor:
    """Returns what `model(tokens)` does, logits `[B, T, V]`, with `drop` in the place of the model's dropout."""
    x = model.one_hot(tokens)
    for number, (layer, state) in enumerate(zip(model.layers, model.initial_state(len(tokens)), strict=True)):
        x = drop(number, layer.fused(x, state))
    return model.read_out(x)


def learning_rate_at(update: int, total: int, recipe: ModernRecipe) -> float:
    """Returns the learning rate of an update: linear warm-up, then half a cosine down to the final share."""
    if update < recipe.warmup_updates:
        return recipe.learning_rate * (update + 1) / recipe.warmup_updates
    done = min(1.0, (update - recipe.warmup_updates) / max(1, total - recipe.warmup_updates))
    share = recipe.final_share + (1 - recipe.final_share) * (1 + math.cos(math.pi * done)) / 2
    return recipe.learning_rate * share


class LanguageModelTraining(pl.LightningModule):
    """Fits a FolkRNN to predict each token from those before it.

    Logs per update `train/loss` (nats per token, whatever is minimised; uniform guessing among 137 tokens costs 4.92),
    `train/objective` where something else is minimised, `train/learning_rate`, `train/gradient_norm`, and, where gate
    gradients are clipped, `train/gate_clip_share` and `train/gate_gradient_max`; per validation `validation/loss` (nats
    per token) and `validation/nats_per_tune`.
    """

    def __init__(self, model: FolkRNN, recipe: TrainingRecipe, seed: int = 0) -> None:
        super().__init__()
        self.model, self.recipe, self.seed = model, recipe, seed
        self._clips, self._sums = ClipRecord(), LossSums()
        self.save_hyperparameters({"recipe": asdict(cast("Any", recipe))})

    def training_step(self, batch: Batch, index: int) -> Tensor:
        inputs, targets, size = batch
        processes, parts = self.trainer.world_size, self.trainer.accumulate_grad_batches
        places = places_of(size.tunes, processes, self.trainer.global_rank, parts, index % parts)
        # a process without a share of the batch has a row with nothing to predict
        drop = dropout(self.seed, self.trainer.global_step, places or [0], self.model.dropout)
        logits = self.recipe.logits(self.model, inputs, drop, processes, self._clips)
        # DDP averages over processes and Lightning over parts: this makes the average the loss of the whole batch
        loss = LOSSES[self.recipe.loss](logits, targets, size) * processes * parts
        self._stop_at_nonsense(loss, inputs, index // parts)
        per_token = self.recipe.loss == "per_token"
        mean = loss if per_token else summed_loss(logits.detach(), targets) * processes * parts / size.tokens
        whole = self._sums.add(index % parts, parts, {"train/loss": mean, "train/objective": loss})
        if whole:
            self.log("train/loss", whole["train/loss"], prog_bar=True)
            if not per_token:
                self.log("train/objective", whole["train/objective"])
        return loss

    def _stop_at_nonsense(self, loss: Tensor, inputs: Tensor, index: int) -> None:
        """Raises UserError at a loss that is no number, before it can reach the parameters."""
        if not torch.isfinite(loss):
            raise UserError(
                f"the training loss is {float(loss.detach())} at update {self.trainer.global_step} (epoch "
                f"{self.trainer.current_epoch}, batch {index}: {inputs.shape[0]} tunes of up to {inputs.shape[1]} "
                "tokens); nothing of this batch was kept. A smaller recipe.learning_rate may help"
            )

    def on_validation_epoch_start(self) -> None:
        self._nats = torch.zeros(3, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, _: int) -> None:
        inputs, targets, _size = batch
        real = targets != IGNORED
        summed = summed_loss(self.model(inputs), targets).double()
        self._nats += torch.stack([summed, real.sum().double(), real.any(1).sum().double()])

    def on_validation_epoch_end(self) -> None:
        nats, tokens, tunes = self.trainer.strategy.reduce(self._nats, reduce_op="sum")
        self.log("validation/loss", (nats / tokens).float(), prog_bar=True, rank_zero_only=False)
        self.log("validation/nats_per_tune", (nats / tunes).float(), rank_zero_only=False)

    def configure_optimizers(self) -> dict:
        optimiser = self.recipe.optimiser(self.parameters())
        total = int(self.trainer.estimated_stepping_batches)
        per_epoch = max(1, total // max(1, self.trainer.max_epochs or 1))
        full = optimiser.param_groups[0]["lr"]
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda update: self.recipe.rate(update, total, per_epoch) / full
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: object, **__: object) -> None:
        self.log("train/gradient_norm", self.recipe.clip(self.parameters()))
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])
        if self._clips.total:
            self.log("train/gate_clip_share", self._clips.share)
            self.log("train/gate_gradient_max", torch.as_tensor(self._clips.largest))
            self._clips.clipped, self._clips.total, self._clips.largest = 0, 0, 0.0
