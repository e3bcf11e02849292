"""Interventions on the latents of a MusicVAE: μ and σ are changed between what is read and what is written.

A changed model encodes as the original does and hands on other latents; everything else is the original's, which is
never modified. Neurons keep the model's own numbering, from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn.errors import UserError, did_you_mean
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.windows import ALWAYS, Window
from folkrnn.interventions.writes import with_hooks
from folkrnn.models.hooks import Hook, Step
from folkrnn.models.musicvae import MusicVAE

NOTE_ON = 2
"""Classes from here on begin a note; 0 nothing new, 1 note off."""


class Partners:
    """Whose neurons a melody gets: the observed ones in pairs, 0 and 1, 2 and 3, …, as they come, each counted once.

    A melody is known by its notes, so that it gets the same ones whatever batch it is encoded in.
    """

    def __init__(self, classes: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> None:
        """Takes the observed melodies `[N, T]` and their latents `[N, Z]`; raises UserError where they are all one."""
        first: dict[bytes, int] = {}
        for k, melody in enumerate(classes.astype(np.uint8)):
            first.setdefault(melody.tobytes(), k)
        if len(first) < 2:
            raise UserError("neurons are exchanged between two melodies, and one is observed; raise sampling.tunes")
        rows = list(first.values())
        paired = len(rows) // 2 * 2  # the last of an odd number has no partner
        self.partner = {melody: rows[k ^ 1] for k, melody in enumerate(first) if k < paired}
        self.latents = {"mu": mu, "sigma": sigma}

    def swapped(self, site: str, value: Tensor, melodies: Tensor, neurons: Tensor) -> Tensor:
        """Returns the μ or σ `[B, Z]` of the melodies `[B, T]` with these neurons of their partners, if any."""
        rows = [self.partner.get(melody.tobytes(), -1) for melody in melodies.to("cpu", torch.uint8).numpy()]
        paired = torch.tensor([row >= 0 for row in rows], device=value.device).unsqueeze(1)
        new = torch.from_numpy(self.latents[site][rows][:, neurons.cpu().numpy()]).to(value)
        return value.index_copy(1, neurons, torch.where(paired, new, value[:, neurons]))


@dataclass(frozen=True)
class EditLatents(Intervention[MusicVAE]):
    """Clamps neurons (`value`), silences noise neurons, swaps neurons between neighbours, or adds an attribute."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    window: ClassVar[Window] = ALWAYS

    how: str
    neurons: tuple[int, ...] = ()
    value: float = 0.0
    """What `clamp` holds μ at; the σ from which `zero_noise` counts neurons as noise; the factor of `attribute`."""
    attribute: str = "density"
    vector: np.ndarray | None = field(default=None, compare=False)
    """Of `attribute`, `[Z]`, once it is resolved."""
    partners: Partners | None = field(default=None, compare=False)
    """Of `swap`, once it is resolved."""
    size: int = 0
    """Neurons that the model has, once it is resolved."""

    def check(self, model: MusicVAE, context: RunContext) -> None:
        last = model.sizes.z_size - 1
        beyond = [neuron for neuron in self.neurons if not 0 <= neuron <= last]
        if beyond:
            raise UserError(f"neuron {beyond[0]} does not exist; this model has neurons 0 to {last}")
        if not np.isfinite(self.value):
            raise UserError(f"the value is {self.value}; it must be a finite number")
        if self.attribute not in ATTRIBUTES:
            hint = did_you_mean(self.attribute, ATTRIBUTES)
            raise UserError(f"no attribute {self.attribute!r}{hint}; there are {', '.join(ATTRIBUTES)}")

    def resolved(self, model: MusicVAE, context: RunContext) -> EditLatents:
        here = replace(self, size=model.sizes.z_size)
        if self.how == "clamp":
            return here
        classes, mu, sigma = context.melodies
        if self.how == "zero_noise":
            return replace(here, neurons=tuple(np.flatnonzero(sigma.mean(0) >= self.value).tolist()))
        if self.how == "attribute":
            return replace(here, vector=attribute_vector(classes, mu, self.attribute))
        return replace(here, partners=Partners(classes, mu, sigma))

    @property
    def direction(self) -> np.ndarray:
        """The vector of an attribute, `[Z]`, once it is resolved."""
        assert self.vector is not None
        return self.vector

    def matched(self, seed: int) -> EditLatents | None:
        """As many random neurons; for an attribute its vector with the entries at random neurons."""
        rng = np.random.default_rng(seed)
        if self.how == "attribute":
            return replace(self, vector=rng.permutation(self.direction))
        if not self.neurons:
            return None
        return replace(self, neurons=tuple(np.sort(rng.choice(self.size, len(self.neurons), replace=False)).tolist()))

    def fixes(self, model: MusicVAE, context: RunContext) -> frozenset[tuple[str, int]]:
        return frozenset() if self.how == "attribute" else frozenset(("z", neuron) for neuron in self.neurons)

    def edit(self, model: MusicVAE, context: RunContext) -> tuple[MusicVAE, EffectRecord]:
        table = pd.DataFrame({"unit": list(self.neurons)})
        effect = EffectRecord("", {"neurons": float(len(self.neurons))}, {"units": table})
        if self.how == "attribute":
            effect = EffectRecord("", {"length": float(np.linalg.norm(self.value * self.direction))})
        return with_hooks(model, None, [LatentHook(self)]), effect


class LatentHook(Hook):
    """Changes μ and σ between what is read and what is written."""

    sites = ("mu", "sigma")

    def __init__(self, intervention: EditLatents) -> None:
        self.of = intervention

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        of = self.of
        if of.how == "attribute":
            return value + of.value * torch.from_numpy(of.direction).to(value) if site == "mu" else value
        index = torch.tensor(of.neurons, dtype=torch.long, device=value.device)
        if of.how == "swap":
            assert of.partners is not None and step.read is not None, "what is swapped is read"
            return of.partners.swapped(site, value, step.read, index)
        return value.index_fill(1, index, of.value if of.how == "clamp" and site == "mu" else 0.0)


def latent_clamp(neurons: int | Sequence[int] = (0,), value: float = 0.0) -> EditLatents:
    """Returns neurons held at a value, without spread."""
    return EditLatents("clamp", _listed(neurons), value)


def latent_zero_noise(threshold: float = 0.95) -> EditLatents:
    """Returns z = 0 in all neurons whose mean σ over the observed melodies is at least `threshold`."""
    return EditLatents("zero_noise", (), threshold)


def latent_swap(neurons: int | Sequence[int] = (0,)) -> EditLatents:
    """Returns neurons exchanged between the observed melodies 0 and 1, 2 and 3, …; others keep theirs."""
    return EditLatents("swap", _listed(neurons))


def latent_attribute(attribute: str = "density", scale: float = 1.0) -> EditLatents:
    """Returns an attribute vector added `scale` times."""
    return EditLatents("attribute", (), scale, attribute)


def _density(classes: np.ndarray) -> np.ndarray:
    return (classes >= NOTE_ON).mean(1)


def _pitch(classes: np.ndarray) -> np.ndarray:
    notes = classes >= NOTE_ON
    return (classes * notes).sum(1) / np.maximum(1, notes.sum(1))


def _silence(classes: np.ndarray) -> np.ndarray:
    return (classes == 1).mean(1)


ATTRIBUTES = {"density": _density, "pitch": _pitch, "silence": _silence}
"""Notes per step; mean pitch of the notes; note-offs per step: `[N]` from classes `[N, T]`."""


def attribute_vector(classes: np.ndarray, mu: np.ndarray, attribute: str) -> np.ndarray:
    """Returns mean μ of the quarter of melodies with most of the attribute minus that with least, `[Z]`.

    The construction of Roberts et al. 2018, section 5.4.
    """
    order = np.argsort(ATTRIBUTES[attribute](classes.astype(float)), kind="stable")
    quarter = max(1, len(order) // 4)
    return (mu[order[-quarter:]].mean(0) - mu[order[:quarter]].mean(0)).astype(np.float32)


def _listed(neurons: int | Sequence[int]) -> tuple[int, ...]:
    return (neurons,) if isinstance(neurons, int) else tuple(neurons)
