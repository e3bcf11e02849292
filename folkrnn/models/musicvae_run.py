"""A run of a MusicVAE with hooks: each part of the model with those that look at it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from folkrnn.models.engine import Engine, Source
from folkrnn.models.hooks import OUT, AnyHook, Hook, Hooks, Step, as_hook
from folkrnn.models.musicvae_encoder import Steps, reversal
from folkrnn.models.positions import Position

if TYPE_CHECKING:
    from folkrnn.models.musicvae import MusicVAE


class MelodyRun:
    """The parts of a model as its hooks, and those of a run, see them; `numbers` are those of the melodies."""

    def __init__(self, model: MusicVAE, reads: Sequence[AnyHook], numbers: Sequence[int]) -> None:
        self.model, self.numbers = model, numbers
        sites = model.sites.keys() - {"probs"}
        self.reads = [as_hook(hook, sites) for hook in reads]
        self.hooks = Hooks(model.hooks, self.reads)
        self.decodes = self.hooks.within(f"{model.decoder.name}.", "logits", OUT)

    @cached_property
    def engine(self) -> Engine:
        return self.model.decoder.engine(self.model.hooks, self.model.tracker)

    def see(self, site: str, value: Tensor, read: Tensor | None = None) -> Tensor:
        """What the hooks make of a site that is there once a melody; `read [B, T]` are the melodies."""
        if site not in self.hooks:
            return value
        before = torch.full((len(value),), -1, device=value.device)
        return self.hooks(site, value, Step(-1, [len(value)], position=self._position(before, before), read=read))

    def encode(self, x: Tensor, classes: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        mu, sigma = self.model.encoder(x, ends, self.hooks, self.reading(classes, ends))
        return self.see("mu", mu, classes), self.see("sigma", sigma, classes)

    def conditions(self, z: Tensor) -> Tensor:
        """The conditions of `MusicVAE.conditions`."""
        model = self.model
        if model.conductor is None:
            return z.unsqueeze(1)
        return model.conductor(z, model.sizes.segments, self.hooks, self.conducting(len(z)))

    def decode(self, source: Source, conditions: Tensor, segment: int, steps: int, reads: Sequence[Hook] = ()) -> None:
        """Steps over a source with the condition of one segment of so many steps."""
        every = [*self.reads, *reads]
        self.model.decoder.run(self.engine, source, conditions[:, segment], every, segment * steps)

    def reading(self, classes: Tensor, ends: Tensor) -> Steps | None:
        """The steps of the encoder, in the order in which each direction reads; None where no hook looks at it."""
        if not self.hooks.within("enc."):
            return None
        steps = torch.arange(classes.shape[1], device=classes.device).expand_as(classes)
        turned = reversal(ends, classes.shape[1])

        @cache
        def of(direction: str) -> list[Step]:
            places = steps if direction == "fw" else steps.flip(1) if turned is None else turned
            return [self._step(t, place, classes.gather(1, place[:, None])[:, 0]) for t, place in enumerate(places.T)]

        return of

    def conducting(self, rows: int) -> list[Step] | None:
        """The steps of the conductor, each at the first step of its segment; None where no hook looks at it."""
        if not self.hooks.within("cond."):
            return None
        sizes, device = self.model.sizes, self.model.device
        each = sizes.max_seq_len // sizes.segments
        nothing = torch.full((rows,), -1, device=device)
        return [self._step(k, torch.full((rows,), k * each, device=device), nothing) for k in range(sizes.segments)]

    def _step(self, time: int, place: Tensor, read: Tensor) -> Step:
        return Step(time, [len(read)], position=self._position(place, read), read=read)

    def _position(self, place: Tensor, read: Tensor) -> Position | None:
        if self.model.tracker is None:
            return None
        return self.model.tracker.at(place, torch.tensor(self.numbers, device=place.device), read)
