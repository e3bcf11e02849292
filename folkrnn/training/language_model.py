"""Training a FolkRNN: the loss, the optimiser and its schedule, as a LightningModule."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from folkrnn.datasets.batches import IGNORED
from folkrnn.datasets.module import Batch
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.refusal import Refusal


@dataclass(frozen=True)
class Recipe:
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

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.batch_size < 1 or self.clip_norm <= 0:
            raise Refusal(f"recipe: learning_rate, batch_size and clip_norm must be positive; got {asdict(self)}")


def summed_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the sum over real tokens of −ln p(token), in nats; logits `[B, T, V]`, targets `[B, T]`."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Returns the mean over real tokens of −ln p(token), in nats per token; logits `[B, T, V]`, targets `[B, T]`."""
    return summed_loss(logits, targets) / (targets != IGNORED).sum()


def learning_rate_at(update: int, total: int, recipe: Recipe) -> float:
    """Returns the learning rate of an update: linear warm-up, then half a cosine down to the final share."""
    if update < recipe.warmup_updates:
        return recipe.learning_rate * (update + 1) / recipe.warmup_updates
    done = min(1.0, (update - recipe.warmup_updates) / max(1, total - recipe.warmup_updates))
    share = recipe.final_share + (1 - recipe.final_share) * (1 + math.cos(math.pi * done)) / 2
    return recipe.learning_rate * share


class LanguageModelTraining(pl.LightningModule):
    """Fits a FolkRNN to predict each token from those before it.

    Logs `train/loss`, `train/learning_rate`, `train/gradient_norm` per update and `validation/loss` per epoch,
    losses in nats per token (uniform guessing among 137 tokens: 4.92).
    """

    def __init__(self, model: FolkRNN, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.save_hyperparameters({"recipe": asdict(recipe)})

    def training_step(self, batch: Batch, _: int) -> Tensor:
        inputs, targets, tokens = batch
        # DDP averages over processes: this makes the average the mean over the tokens of the whole batch
        loss = summed_loss(self.model(inputs), targets) * self.trainer.world_size / tokens
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self._nats = torch.zeros(2, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, _: int) -> None:
        inputs, targets, _ = batch
        self._nats += torch.stack(
            [summed_loss(self.model(inputs), targets).double(), (targets != IGNORED).sum().double()]
        )

    def on_validation_epoch_end(self) -> None:
        nats, tokens = self.trainer.strategy.reduce(self._nats, reduce_op="sum")
        self.log("validation/loss", (nats / tokens).float(), prog_bar=True, rank_zero_only=False)

    def configure_optimizers(self) -> dict:
        optimiser = torch.optim.AdamW(
            self.parameters(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda update: learning_rate_at(update, total, self.recipe) / self.recipe.learning_rate
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: object, **__: object) -> None:
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.recipe.clip_norm)
        self.log("train/gradient_norm", norm)
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])
