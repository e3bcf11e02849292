"""What was seen of a MusicVAE: melodies, their latents μ and σ, and what the model writes back from μ."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
import torch

from folkrnn.datasets.melodies import MelodyCorpus, random_notes
from folkrnn.interventions.intervention import EffectRecord
from folkrnn.melodies.grid import QUARTERS_PER_MINUTE
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.decoder_reading import decoder_reading
from folkrnn.observation.observation import Observation
from folkrnn.observation.summary import Summary, added, summary_of, sums_of
from folkrnn.parallel.blocks import each_block
from folkrnn.parallel.shards import ALONE, Arrays, Progress, Workers

BATCH = 256
"""Melodies encoded or traced at once."""

Value = TypeVar("Value")


@contextmanager
def _silent(_: str, __: int) -> Iterator[Progress]:
    yield lambda _: None


@dataclass
class LatentObservation:
    """A MusicVAE and N melodies of T steps that it encodes into Z latents. Neurons keep the model's own numbering."""

    model: MusicVAE
    classes: np.ndarray
    """The melodies, uint8 `[N, T]` (see `folkrnn.melodies.grid`)."""
    titles: list[str]
    data: MelodyCorpus
    seed: int = 0
    quarters_per_minute: np.ndarray = field(default_factory=lambda: np.empty(0))
    """The tempo at which seconds of each melody are counted, `[N]`; 120 if not given. The model does not read it."""

    rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    """Where each melody stands in `data`, `[N]`; if not given, they are its first N."""
    control: LatentObservation | None = None
    """The model without interventions, on the same melodies; None where there are no interventions."""
    matched: tuple[LatentObservation, ...] = ()
    """The same interventions on as many random neurons instead, once per draw (`cut.controls`)."""
    effects: list[EffectRecord] = field(default_factory=list)
    """What each intervention changed."""
    processes: Workers = ALONE
    """Who encodes, and traces for the summary."""
    progress: Callable[[str, int], AbstractContextManager[Progress]] = _silent
    """Shows how far that is: called with what it is and of how many melodies, as a context that yields the counter."""
    _once: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not len(self.quarters_per_minute):
            self.quarters_per_minute = np.full(len(self), QUARTERS_PER_MINUTE)
        if not len(self.rows):
            self.rows = np.arange(len(self))

    def __len__(self) -> int:
        return len(self.classes)

    def with_model(self, model: MusicVAE) -> LatentObservation:
        """Returns the same melodies as another model encodes them."""
        return replace(self, model=model, _once={})

    def shuffled(self, rng: np.random.Generator) -> LatentObservation:
        """Returns the melodies with their steps in random order."""
        return replace(self, classes=rng.permuted(self.classes, axis=1), _once={})

    def reading(self) -> Observation:
        """Returns the first melodies as the decoder reads them, for analyses of sequences."""
        make = partial(decoder_reading, self.model, self.classes, self.mu, self.seed)
        return self.once("decoder reading", make)

    @property
    def source(self) -> np.ndarray:
        """The tune or file that each melody comes from, `[N]`: melodies of one source are not independent."""
        return self.data.source[self.rows]

    @property
    def held_out(self) -> np.ndarray:
        """Which melodies are of families held out for validation, bool `[N]`: no training on `data` has seen them."""
        return self.data.held_out[self.rows]

    def once(self, name: str, compute: Callable[[], Value]) -> Value:
        """Returns what `compute()` returns, computed the first time only: for what several analyses need alike."""
        if name not in self._once:
            self._once[name] = compute()
        return self._once[name]

    @cached_property
    def random(self) -> LatentObservation:
        """As many random note sequences of the same length, by the paper's rules (facts on MusicVAE, section 6)."""
        corpus = random_notes(len(self), self.classes.shape[1] // 16, self.seed)
        titles = [corpus.title(i) for i in range(len(corpus))]
        tempi = corpus.quarters_per_minute
        return LatentObservation(
            self.model,
            corpus.classes,
            titles,
            corpus,
            self.seed,
            tempi,
            processes=self.processes,
            progress=self.progress,
        )

    @cached_property
    def latents(self) -> tuple[np.ndarray, np.ndarray]:
        """Means μ and standard deviations σ of q(z|x), `[N, Z]` each."""
        with self.progress("Encoding", len(self)) as advance:
            parts = list(each_block(Encoding(self.model), MelodyBlocks(self.classes), self.processes, advance))
        return np.concatenate([part["mu"] for part in parts]), np.concatenate([part["sigma"] for part in parts])

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
        return self.decoded(self.mu[k : k + 1], first=k)[0]

    def draw(self, k: int) -> np.ndarray:
        """One draw z ~ N(μ, σ²) for melody k, `[Z]`; the seed decides it."""
        mu, sigma = (torch.from_numpy(part[k : k + 1]).to(self.model.device) for part in self.latents)
        return self.model.posterior(mu, sigma, self.seed)[0].cpu().numpy()

    def sample(self, k: int) -> np.ndarray:
        """The melody that the model writes freely from `draw(k)`, `[T]`."""
        return self.decoded(self.draw(k)[None], first=k)[0]

    def encoded(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means μ and standard deviations σ `[M, Z]` of other melodies, `classes [M, T]`."""
        return LatentObservation(self.model, classes, [""] * len(classes), self.data, self.seed).latents

    def decoded(self, z: np.ndarray, first: int = 0) -> np.ndarray:
        """The melodies that the model writes freely from `z [M, Z]`, `[M, T]`, each step its likeliest class.

        `first` is the number of the first of them, which hooks may go by.
        """
        latents = torch.from_numpy(np.ascontiguousarray(z, dtype=np.float32)).to(self.model.device)
        return self.model.generate(latents, steps=self.classes.shape[1], first=first).numpy()

    def each(self, sites: Iterable[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yields the activations of batches of melodies, encoded and decoded with teacher forcing, as
        `MusicVAE.trace`.
        """
        work = MelodyTraceWork(self.model, tuple(sites))
        for block in MelodyBlocks(self.classes):
            yield work(block, lambda _: None)

    def each_kept(self, sites: Iterable[str]) -> Iterator[dict[str, np.ndarray]]:
        """Yields what `each` does, to the bit, traced by `processes`."""
        with self.progress("Tracing", len(self)) as advance:
            yield from each_block(
                MelodyTraceWork(self.model, tuple(sites)), MelodyBlocks(self.classes), self.processes, advance
            )

    def summary(self, sites: Iterable[str]) -> Summary:
        """Returns the summary of these activations, as `each` yields them; it does not depend on processes or
        threads.
        """
        work = Summing(MelodyTraceWork(self.model, tuple(sites)))
        with self.progress("Observing", len(self)) as advance:
            return summary_of(added(each_block(work, MelodyBlocks(self.classes), self.processes, advance)))


Block = tuple[range, np.ndarray]
"""The numbers of some melodies, and their classes `[B, T]`."""


class MelodyBlocks(Sequence[Block]):
    """Melodies `[N, T]` by BATCH."""

    def __init__(self, classes: np.ndarray) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return len(range(0, len(self.classes), BATCH))

    def __getitem__(self, k: int) -> Block:  # type: ignore[override] # read by number, never by slice
        numbers = range(len(self.classes))[range(0, len(self.classes), BATCH)[k] :][:BATCH]
        return numbers, self.classes[numbers.start : numbers.stop]


@dataclass(frozen=True)
class Encoding:
    """The work of encoding: μ and σ of a block of melodies, `[B, Z]` each."""

    model: MusicVAE

    @torch.no_grad()
    def __call__(self, block: Block, progress: Progress) -> Arrays:
        numbers, classes = block
        mu, sigma = self.model.encode(_on(self.model, classes), numbers=numbers)
        progress(len(classes))
        return {"mu": mu.cpu().numpy(), "sigma": sigma.cpu().numpy()}


@dataclass(frozen=True)
class MelodyTraceWork:
    """The work of tracing: the activations of a block of melodies by site."""

    model: MusicVAE
    sites: tuple[str, ...]

    def __call__(self, block: Block, progress: Progress) -> Arrays:
        numbers, classes = block
        activations = self.model.trace(_on(self.model, classes), self.sites, numbers=numbers)
        progress(len(classes))
        return {name: value.cpu().numpy() for name, value in activations.items()}


@dataclass(frozen=True)
class Summing:
    """The work of a summary: the sums of each site over a block of melodies, `[9, H]`."""

    tracing: MelodyTraceWork

    @property
    def model(self) -> MusicVAE:
        return self.tracing.model

    def __call__(self, block: Block, progress: Progress) -> Arrays:
        return sums_of(self.tracing(block, progress).items())


def _on(model: MusicVAE, classes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(classes.astype(np.int64)).to(model.device)
