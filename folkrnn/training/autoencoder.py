"""Training a MusicVAE: the recipe, and the LightningModule that follows it (facts on MusicVAE, section 4)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from folkrnn.datasets.batches import Size, places_of
from folkrnn.datasets.melody_batches import MelodyBatch
from folkrnn.errors import UserError
from folkrnn.models.melody_tensors import NOTHING, valid_steps
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.placement import on_cpu
from folkrnn.models.recurrent import RecurrentLayer
from folkrnn.models.rng import draw
from folkrnn.training.limits import advice, check_recipe
from folkrnn.training.losses import LossSums, single
from folkrnn.training.musicvae_objective import elbo
from folkrnn.training.noise import LATENTS, VALIDATION, latents


class AutoencoderRecipe(Protocol):
    """What a recipe decides; `recipe=` names one."""

    @property
    def batch_size(self) -> int: ...
    @property
    def transpose(self) -> int: ...
    @property
    def moved(self) -> float: ...
    @property
    def free_bits(self) -> float: ...
    @property
    def gate_clip(self) -> float | None:
        """As of a language model's recipe."""
        ...

    def resolved(self, model: MusicVAE) -> AutoencoderRecipe:
        """Returns the recipe with what it leaves to the model's sizes filled in."""
        ...

    def draw_initial(self, model: MusicVAE, seed: int) -> None:
        """Draws anew those parameters of an untrained model that the recipe wants otherwise."""

    def prepare(self, model: MusicVAE) -> None:
        """Sets what the recipe wants otherwise in any model that it is to train."""

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...

    def rate(self, update: int, total: int) -> float:
        """Returns the learning rate of an update (from 0) out of `total`."""
        ...

    def beta(self, update: int, total: int) -> float:
        """Returns the weight of the KL in an update (from 0) out of `total`."""
        ...

    @property
    def last_beta(self) -> float:
        """The weight that β comes to: that of the validation loss."""
        ...

    def lasso_of(self, update: int, total: int) -> float:
        """Returns the weight of Σ|μ| in an update (from 0) out of `total`."""
        ...

    def steps(self, model: MusicVAE, update: int, total: int) -> int:
        """Returns at how many steps the melodies of an update are cut."""
        ...

    def logits(
        self, model: MusicVAE, z: Tensor, melodies: Tensor, update: int, total: int, uniforms: Tensor | None = None
    ) -> Tensor:
        """Returns logits `[B, T, D]` of `melodies [B, T]` given z, reading what the recipe lets the decoder read.

        What is random is decided by `uniforms [B, T, 3]`; None: by fresh ones.
        """
        ...

    def clip(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Returns the norm of all gradients, having clipped them."""
        ...


@dataclass(frozen=True)
class ModernAutoencoderRecipe:
    """`recipe=modern`: made to learn from a twentieth of the melodies that Magenta's schedules take.

    AdamW with warm-up and cosine decay; β rises linearly to its last value; parts of the decoder's inputs are hidden,
    so that what it needs must come through z, and others replaced by its own samples of a first, teacher-forced pass
    (parallel scheduled sampling, Duckworth et al. 2019), which keeps both passes fused.
    """

    learning_rate: float = 3e-3
    final_share: float = 0.01
    """Learning rate at the end, as a share of `learning_rate`."""
    warmup_updates: int = 100
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    batch_size: int = 128
    transpose: int = 5
    """Training melodies are moved by up to so many semitones, up or down."""
    moved: float = 0.5
    """Share of them that are moved; the others stand where the corpus has them."""
    last_beta: float = 0.1
    beta_warmup: float = 0.5
    """Share of all updates over which β rises."""
    free_bits: float = 0.0
    """Bits of the whole KL that cost nothing."""
    lasso: float = 0.0
    """Weight of Σ|μ| in the first update, in nats; it falls evenly to nothing.

    Many latents that each say a little cost as much KL as one that says it all, nearly: they part very slowly. A lasso
    prefers the one, so that the others fall silent, and once they are they stay so.
    """
    hidden: float = 0.3
    """Share of the decoder's inputs that are taken away."""
    own: float = 0.5
    """Share of the decoder's inputs that are its own samples once melodies have their full length."""
    shortest: int = 4
    """Steps that melodies are cut at in the first update; flat models only, as a conductor takes whole melodies."""
    growth: float = 0.5
    """Share of all updates over which melodies grow to their full length."""
    long_memory: bool = True
    """Forget and input gates begin with memories of 1 to T steps instead of three (Tallec and Ollivier 2018)."""

    gate_clip: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_recipe(
            self, above_zero="learning_rate clip_norm", from_zero="weight_decay last_beta free_bits lasso",
            share="final_share beta_warmup growth hidden own moved", count="batch_size shortest",
            whole="warmup_updates transpose",
        )  # fmt: skip

    def resolved(self, model: MusicVAE) -> ModernAutoencoderRecipe:
        return self

    def draw_initial(self, model: MusicVAE, seed: int) -> None:
        """Draws time scales of gates, and larger first weights of μ and the initial states: z speaks from the start."""
        generator = torch.Generator().manual_seed(seed)
        with on_cpu(model):
            if self.long_memory:
                remember(model, generator)
            nn.init.xavier_uniform_(model.encoder.mu.weight, generator=generator)
            nn.init.xavier_uniform_(model.encoder.sigma.weight, gain=0.1, generator=generator)
            nn.init.xavier_uniform_(model.decoder.initial.weight, generator=generator)
            if model.conductor is not None:
                nn.init.xavier_uniform_(model.conductor.initial.weight, generator=generator)

    def prepare(self, model: MusicVAE) -> None:
        pass

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)

    def rate(self, update: int, total: int) -> float:
        if update < self.warmup_updates:
            return self.learning_rate * (update + 1) / self.warmup_updates
        done = min(1.0, (update - self.warmup_updates) / max(1, total - self.warmup_updates))
        return self.learning_rate * (self.final_share + (1 - self.final_share) * (1 + math.cos(math.pi * done)) / 2)

    def beta(self, update: int, total: int) -> float:
        return self.last_beta * min(1.0, update / max(1.0, self.beta_warmup * total))

    def lasso_of(self, update: int, total: int) -> float:
        return self.lasso * (1 - update / total)

    def steps(self, model: MusicVAE, update: int, total: int) -> int:
        longest = model.sizes.max_seq_len
        if model.conductor is not None or self.shortest >= longest or update >= self.growth * total:
            return longest
        return self.shortest + int((longest - self.shortest) * update / (self.growth * total))

    def logits(
        self, model: MusicVAE, z: Tensor, melodies: Tensor, update: int, total: int, uniforms: Tensor | None = None
    ) -> Tensor:
        read = melodies
        hidden, owned, drawn = fresh(melodies, uniforms).unbind(-1)
        if self.own > 0 and update >= self.growth * total:
            with torch.no_grad():
                distribution = model.decode(z, melodies).double().softmax(-1)
            own = draw(distribution.flatten(0, 1), drawn.flatten()).view_as(melodies)
            read = torch.where(owned < self.own, own, read)
        if self.hidden > 0:
            read = read.masked_fill(hidden < self.hidden, NOTHING)
        return model.decode(z, read)

    def clip(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        return nn.utils.clip_grad_norm_(parameters, self.clip_norm)


def fresh(melodies: Tensor, uniforms: Tensor | None) -> Tensor:
    """Returns `uniforms`, or ones just drawn, `[B, T, 3]` for melodies `[B, T]`."""
    return torch.rand(*melodies.shape, 3, device=melodies.device) if uniforms is None else uniforms


@torch.no_grad()
def remember(model: MusicVAE, generator: torch.Generator) -> None:
    """Sets gate biases so that units forget at rates from 1 / T to 1 (chrono initialisation, Tallec and Ollivier 2018).

    b_f = ln U(1, T − 1) and b_i = −b_f, T being the steps that a layer runs over: those of a melody, for a conductor's
    core those of a segment.
    """
    sizes = model.sizes
    each = sizes.max_seq_len // sizes.segments
    parts = [(model.encoder, sizes.max_seq_len), (model.decoder, each), (model.conductor, sizes.segments)]
    for part, steps in parts:
        for layer in () if part is None else part.modules():
            if isinstance(layer, RecurrentLayer):
                span = torch.empty(layer.units).uniform_(1, max(2, steps - 1), generator=generator).log()
                layer.bias[: layer.units] = -span
                layer.bias[layer.units : 2 * layer.units] = span


class Terms(NamedTuple):
    """What a loss is made of, in nats, summed over melodies."""

    reconstruction: Tensor
    kl_cost: Tensor
    """KL beyond the free bits."""
    kl: Tensor
    mu: Tensor
    """Σ|μ|."""


class AutoencoderTraining(pl.LightningModule):
    """Fits a MusicVAE to write back each melody from a sample of its z.

    Logs per update, in nats per melody, `train/loss` (what is minimised), `train/reconstruction` and `train/kl`, and
    `train/beta`, `train/steps`, `train/learning_rate`, `train/gradient_norm`; per validation, from a sample of z and
    reading the true steps, `validation/loss` (with the last β), `validation/reconstruction` and `validation/kl`.
    """

    def __init__(self, model: MusicVAE, recipe: AutoencoderRecipe, seed: int = 0) -> None:
        super().__init__()
        self.model, self.recipe, self.seed = model, recipe, seed
        self._parts = LossSums()
        self.save_hyperparameters({"recipe": asdict(cast("Any", recipe)), "sizes": asdict(model.sizes)})

    def training_step(self, batch: MelodyBatch, index: int) -> Tensor:
        melodies, lengths, size = batch
        update, total = self.trainer.global_step, int(self.trainer.estimated_stepping_batches)
        parts = self.trainer.accumulate_grad_batches
        beta, steps = self.recipe.beta(update, total), self.recipe.steps(self.model, update, total)
        noise = self._noise(LATENTS, update, melodies[:, :steps], size, parts, index % parts)
        cut = lengths.clamp(max=steps)
        found = self._terms(melodies[:, :steps], cut, noise, (update, total))
        # DDP averages over processes and Lightning over parts: this makes the average the loss of the whole batch
        share = self.trainer.world_size * parts / size.tunes
        lasso = self.recipe.lasso_of(update, total)
        loss = (found.reconstruction + beta * found.kl_cost + lasso * found.mu) * share
        if not torch.isfinite(loss):
            raise UserError(
                f"the training loss is {float(loss.detach())} at update {update} (epoch {self.trainer.current_epoch}, "
                f"batch {index // parts}: {len(melodies)} melodies); nothing of this batch was kept. "
                f"{advice(self.recipe)}"
            )
        values = {"loss": loss, "reconstruction": found.reconstruction * share, "kl": found.kl * share}
        for name, value in self._parts.add(index % parts, parts, values).items():
            self.log(f"train/{name}", value, prog_bar=name != "kl")
        self.log("train/beta", beta)
        self.log("train/steps", float(steps))
        return loss

    def _noise(
        self, purpose: int, update: int, melodies: Tensor, size: Size, parts: int = 1, part: int = 0
    ) -> tuple[Tensor, Tensor]:
        """ε `[B, Z]` and uniforms `[B, T, 3]` of this share of a batch, whoever has the others."""
        places = places_of(size.tunes, self.trainer.world_size, self.trainer.global_rank, parts, part)
        # a process without a share of the batch has a melody of no steps
        found = latents(self.seed, purpose, update, places or [0], self.model.sizes.z_size, melodies.shape[1])
        return found[0].to(melodies.device), found[1].to(melodies.device)

    def _terms(
        self, melodies: Tensor, lengths: Tensor, noise: tuple[Tensor, Tensor], update: tuple[int, int] | None
    ) -> Terms:
        """Returns the sums over melodies.

        `update` is its number and that of all updates; None for validation, which reads the true steps.

        A process without a share of the batch has a melody of no steps, which costs nothing.
        """
        mu, sigma = (single(part) for part in self.model.encode(melodies, lengths))
        epsilon, uniforms = noise
        z = mu + sigma * epsilon.to(sigma.dtype)
        if update is None:
            logits = self.model.decode(z, melodies)
        else:
            logits = self.recipe.logits(self.model, z, melodies, *update, uniforms)
        valid = valid_steps(lengths, melodies.shape[1], self.model.sizes.segments)
        found = elbo(single(logits), melodies, valid, mu, sigma, 0.0, self.recipe.free_bits)
        present = lengths > 0
        size = mu.abs().sum(1)
        return Terms(found.reconstruction.sum(), *((x * present).sum() for x in (found.kl_cost, found.kl, size)))

    def on_validation_epoch_start(self) -> None:
        self._sums = torch.zeros(4, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: MelodyBatch, index: int) -> None:
        melodies, lengths, size = batch
        # the same draws of z at each validation, so that they differ by the parameters alone
        noise = self._noise(VALIDATION, index, melodies, size)
        self._sums += torch.stack([*self._terms(melodies, lengths, noise, None)[:3], (lengths > 0).sum()]).double()

    def on_validation_epoch_end(self) -> None:
        sums = self.trainer.strategy.reduce(self._sums, reduce_op="sum")
        reconstruction, kl_cost, kl = (sums[:3] / sums[3]).float()
        loss = reconstruction + self.recipe.last_beta * kl_cost
        for name, value in {"loss": loss, "reconstruction": reconstruction, "kl": kl}.items():
            self.log(f"validation/{name}", value, prog_bar=name == "reconstruction", rank_zero_only=False)

    def configure_optimizers(self) -> dict:
        optimiser = self.recipe.optimiser(self.parameters())
        total = int(self.trainer.estimated_stepping_batches)
        full = optimiser.param_groups[0]["lr"]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda update: self.recipe.rate(update, total) / full)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: object, **__: object) -> None:
        self.log("train/gradient_norm", self.recipe.clip(self.parameters()))
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])
