"""What was seen of a MusicVAE: melodies, their latents μ and σ, and what the model writes back from μ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from folkrnn.datasets.melodies import MelodyCorpus
from folkrnn.melodies.grid import QUARTERS_PER_MINUTE
from folkrnn.models.musicvae import MusicVAE

BATCH = 256
"""Melodies encoded or traced at once."""


@dataclass
class LatentObservation:
    """A MusicVAE and N melodies of T steps that it encodes into Z latents. Neurons keep the model's own numbering."""

    model: MusicVAE
    classes: np.ndarray
    """The melodies, uint8 `[N, T]` (see `folkrnn.melodies.grid`)."""
    titles: list[str]
    data: MelodyCorpus
    seed: int = 0
    quarters_per_minute: np.ndarray = None  # type: ignore[assignment]
    """The tempo at which seconds of each melody are counted, `[N]`; 120 if not given. The model does not read it."""

    def __post_init__(self) -> None:
        if self.quarters_per_minute is None:
            self.quarters_per_minute = np.full(len(self.classes), QUARTERS_PER_MINUTE)

    @cached_property
    def latents(self) -> tuple[np.ndarray, np.ndarray]:
        """Means μ and standard deviations σ of q(z|x), `[N, Z]` each."""
        with torch.no_grad():
            parts = [self.model.encode(rows) for rows in self._batches()]
        mu, sigma = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
        return mu, sigma

    @property
    def mu(self) -> np.ndarray:
        return self.latents[0]

    @property
    def sigma(self) -> np.ndarray:
        return self.latents[1]

    @cached_property
    def order(self) -> np.ndarray:
        """Neurons by their mean σ over the melodies, smallest first, `[Z]`: the order of the source paper's figures."""
        return np.argsort(self.sigma.mean(0), kind="stable")

    def reconstruction(self, k: int) -> np.ndarray:
        """The melody that the model writes freely from μ of melody k, `[T]`, each step its likeliest class."""
        return self._written(torch.from_numpy(self.mu[k : k + 1]))

    def draw(self, k: int) -> np.ndarray:
        """One draw z ~ N(μ, σ²) for melody k, `[Z]`; the seed decides it."""
        mu, sigma = (torch.from_numpy(part[k : k + 1]).to(self.model.device) for part in self.latents)
        return self.model.posterior(mu, sigma, self.seed)[0].cpu().numpy()

    def sample(self, k: int) -> np.ndarray:
        """The melody that the model writes freely from `draw(k)`, `[T]`."""
        return self._written(torch.from_numpy(self.draw(k)[None]))

    def each(self, sites: Iterable[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yields the streams of batches of melodies, encoded and decoded with teacher forcing, as `MusicVAE.trace`."""
        patterns = list(sites)
        for rows in self._batches():
            yield {name: value.cpu().numpy() for name, value in self.model.trace(rows, patterns).items()}

    def _batches(self) -> Iterator[torch.Tensor]:
        for start in range(0, len(self.classes), BATCH):
            yield torch.from_numpy(self.classes[start : start + BATCH].astype(np.int64)).to(self.model.device)

    def _written(self, z: torch.Tensor) -> np.ndarray:
        return self.model.generate(z.to(self.model.device), steps=self.classes.shape[1])[0].numpy()
