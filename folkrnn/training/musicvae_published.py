"""`recipe=published` for a MusicVAE: Magenta's configs (facts on MusicVAE, sections 1 and 4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from folkrnn.models.musicvae import MusicVAE
from folkrnn.training.autoencoder import fresh
from folkrnn.training.limits import check_recipe
from folkrnn.training.musicvae_objective import beta_at, clip_gradients, learning_rate_at, sampling_probability_at

LONG = 64
"""Steps from which a model is trained as Magenta's of 16 bars are."""

_LARGE = 1024
"""Units of an encoder layer from which a model of two bars is trained as cat-mel_2bar_big is."""


@dataclass(frozen=True)
class PublishedAutoencoderRecipe:
    """Adam at a decaying rate, β by Magenta's schedule, scheduled sampling; made for 25 million melodies.

    What is None is what the config of a model of that size says: see `resolved`.
    """

    batch_size: int = 512
    first_rate: float = 1e-3
    lowest_rate: float = 1e-5
    rate_decay: float = 0.9999
    """Per update."""
    clip_norm: float = 1.0
    max_beta: float | None = None
    beta_rate: float | None = None
    """β(n) = max_beta · (1 − beta_rate^n)."""
    free_bits: float | None = None
    sampling_rate: float | None = None
    """k of the inverse sigmoid by which inputs come to be the model's own samples; 0: they never do."""
    transpose: int | None = None
    moved: float = 1.0
    """Share of the melodies that are moved."""

    gate_clip: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_recipe(
            self, above_zero="first_rate lowest_rate clip_norm rate_decay", share="rate_decay beta_rate moved",
            from_zero="max_beta free_bits sampling_rate", count="batch_size", whole="transpose",
        )  # fmt: skip
        if self.sampling_rate:
            sampling_probability_at(0, "inverse_sigmoid", self.sampling_rate)

    def resolved(self, model: MusicVAE) -> PublishedAutoencoderRecipe:
        """Returns the recipe with the values of Magenta's config of that length and size in the place of None."""
        if model.sizes.max_seq_len >= LONG:
            config = {"max_beta": 0.2, "beta_rate": 0.0, "free_bits": 256.0, "sampling_rate": 0.0, "transpose": 0}
        else:
            big = max(model.sizes.encoder) >= _LARGE
            config = {"max_beta": 0.5 if big else 0.2, "beta_rate": 0.99999, "free_bits": 0.0}
            config |= {"sampling_rate": 1000.0, "transpose": 5}
        return replace(self, **{name: value for name, value in config.items() if getattr(self, name) is None})

    def draw_initial(self, model: MusicVAE, seed: int) -> None:
        """Does nothing: an untrained model has Magenta's initial values."""

    def prepare(self, model: MusicVAE) -> None:
        pass

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=self.first_rate)

    def rate(self, update: int, total: int) -> float:
        return learning_rate_at(update, self.first_rate, self.lowest_rate, self.rate_decay)

    def beta(self, update: int, total: int) -> float:
        assert self.beta_rate is not None, "a recipe is resolved before it is used"
        return beta_at(update, self.last_beta, self.beta_rate)

    @property
    def last_beta(self) -> float:
        assert self.max_beta is not None, "a recipe is resolved before it is used"
        return self.max_beta

    def lasso_of(self, update: int, total: int) -> float:
        return 0.0

    def steps(self, model: MusicVAE, update: int, total: int) -> int:
        return model.sizes.max_seq_len

    def logits(
        self, model: MusicVAE, z: Tensor, melodies: Tensor, update: int, total: int, uniforms: Tensor | None = None
    ) -> Tensor:
        """Returns logits `[B, T, D]`, the decoder reading its own samples ever more often."""
        if not self.sampling_rate:
            return model.decode(z, melodies)
        share = sampling_probability_at(update, "inverse_sigmoid", self.sampling_rate)
        return model.decode(z, melodies, sampling_probability=share, uniforms=fresh(melodies, uniforms)[..., 1:])

    def clip(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        return clip_gradients(parameters, self.clip_norm)
