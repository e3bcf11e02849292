"""`recipe=published`: training as the authors of folk-rnn did it (facts sheet, sections 1.5 and 2.1 to 2.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from folkrnn.datasets.batches import Batching, Split
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.initialisation import Era, initialise
from folkrnn.models.placement import on_cpu
from folkrnn.training.gate_clipping import ClipRecord, clipped_logits
from folkrnn.training.language_model import dropped_logits
from folkrnn.training.lasagne import LasagneRMSprop, decayed, learn_initial_states
from folkrnn.training.limits import check_recipe
from folkrnn.training.losses import LOSSES, LossName
from folkrnn.training.noise import Drop

_CHOICES: dict[str, tuple[object, ...]] = {
    "loss": tuple(LOSSES),
    "lr_decay": ("as_published", "effective"),
    "init": (2015, 2016, None),
    "initial_state": ("learned", None),
    "batching": ("published", "bucketed"),
    "split": ("published", "families"),
}


@dataclass(frozen=True)
class PublishedRecipe:
    """Lasagne's RMSprop at a constant rate, gate gradients clipped per step, batches uniform over lengths."""

    learning_rate: float = 0.003
    rho: float = 0.9
    epsilon: float = 1e-6
    """Inside the root."""
    lr_decay: Literal["as_published", "effective"] = "as_published"
    """The authors' decay was computed and printed but never reached the update rule; `effective` lets it."""
    decay_factor: float = 0.97
    decay_after: int = 20
    """Epochs (from 0) at the full rate, and one more, before each epoch's end multiplies it."""
    gate_clip: float | None = 5.0
    loss: LossName = "per_tune"
    init: Era | None = 2016
    """Whose initialisation; null keeps the model's."""
    initial_state: Literal["learned"] | None = "learned"
    """Null keeps the model's."""
    batching: Batching = "published"
    split: Split = "published"
    batch_size: int = 64
    dropout: float | None = 0.5

    curriculum: ClassVar[None] = None

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                words = ", ".join("null" if choice is None else str(choice) for choice in allowed)
                raise UserError(f"recipe.{name}={getattr(self, name)}: must be one of {words}")
        check_recipe(
            self, above_zero="learning_rate epsilon decay_factor gate_clip", below_one="rho dropout",
            count="batch_size", whole="decay_after",
        )  # fmt: skip

    def draw_initial(self, model: FolkRNN, seed: int) -> None:
        if self.init is not None:
            with on_cpu(model):
                initialise(model, self.init, torch.Generator().manual_seed(seed))

    def prepare(self, model: FolkRNN) -> None:
        if self.gate_clip is not None and model.cell != "lstm":
            raise UserError("recipe.gate_clip clips the gates of an LSTM; for a GRU set recipe.gate_clip=null")
        if self.dropout is not None:
            model.dropout = self.dropout
        if self.initial_state == "learned":
            learn_initial_states(model)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return LasagneRMSprop(parameters, self.learning_rate, self.rho, self.epsilon)

    def rate(self, update: int, total: int, per_epoch: int) -> float:
        """Returns the learning rate of an update (from 0)."""
        return self.printed_rate(update // per_epoch) if self.lr_decay == "effective" else self.learning_rate

    def printed_rate(self, epoch: int) -> float:
        """Returns the rate that the authors' program says it uses in an epoch (from 0)."""
        return decayed(self.learning_rate, epoch, self.decay_factor, self.decay_after)

    def logits(self, model: FolkRNN, inputs: Tensor, drop: Drop, processes: int, record: ClipRecord) -> Tensor:
        """Returns logits `[B, T, V]`. With several processes the gradients that DDP averages are that much larger."""
        if self.gate_clip is None:
            return dropped_logits(model, inputs, drop)
        return clipped_logits(model, inputs, self.gate_clip * processes, record, drop)

    def clip(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Returns the norm of all gradients; the authors did not clip those of parameters."""
        return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
