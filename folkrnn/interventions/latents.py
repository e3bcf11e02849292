"""Interventions on the latents of a MusicVAE: μ and σ are changed between what is read and what is written.

A changed model encodes as the original does and hands on other latents; everything else is the original's, which is
never modified. Neurons keep the model's own numbering, from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from folkrnn import sites as grammar
from folkrnn.interventions.intervention import Account, Intervention, Setting
from folkrnn.interventions.where import ALWAYS, Window
from folkrnn.models.melody_tensors import classes_of
from folkrnn.models.musicvae import MusicVAE
from folkrnn.refusal import Refusal, did_you_mean

Change = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Returns new μ and σ `[B, Z]` from those of the melodies `[B, T]`."""

NOTE_ON = 2
"""Classes from here on begin a note; 0 nothing new, 1 note off."""


class EditedVAE:
    """A MusicVAE (never modified) whose latents are changed after encoding. All else is as in the model below."""

    def __init__(self, base: MusicVAE, changes: Sequence[Change]) -> None:
        self.base, self.changes = base, tuple(changes)

    def __getattr__(self, name: str) -> Any:
        if name == "base":  # before __init__ has run
            raise AttributeError(name)
        return getattr(self.base, name)

    def encode(self, melodies: Tensor, *arguments: Any, **settings: Any) -> tuple[Tensor, Tensor]:
        """Returns the changed μ and σ `[B, Z]`, as `MusicVAE.encode`."""
        mu, sigma = self.base.encode(melodies, *arguments, **settings)
        for change in self.changes:
            mu, sigma = change(mu, sigma, classes_of(melodies, self.base.sizes))
        return mu, sigma

    reconstruct = MusicVAE.reconstruct  # from the μ that `encode` above returns

    @torch.no_grad()
    def trace(
        self,
        melodies: Tensor,
        patterns: str | Iterable[str] = ("enc.*.l*.h", "*.l*.h"),
        *,
        lengths: Tensor | None = None,
        z: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Returns the streams as `MusicVAE.trace`; μ and σ are the changed ones, and so is what is decoded."""
        alone = melodies.dim() == 1
        both = self.encode(melodies[None] if alone else melodies, lengths)
        latents = {name: value[0] if alone else value for name, value in zip(("mu", "sigma"), both, strict=True)}
        found = self.base.trace(melodies, patterns, lengths=lengths, z=latents["mu"] if z is None else z)
        for site in grammar.parse(patterns, self.base.sites):
            if site.name in latents:
                whole = latents[site.name]
                found[str(site)] = whole if site.units is None else whole[..., list(site.units)]
        return found


class Partners:
    """Whose neurons a melody gets: the observed ones in pairs, 0 and 1, 2 and 3, …, as they come, each counted once.

    A melody is known by its notes, so that it gets the same ones in whatever company it is encoded.
    """

    def __init__(self, classes: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> None:
        """Takes the observed melodies `[N, T]` and their latents `[N, Z]`; raises Refusal where they are all one."""
        first: dict[bytes, int] = {}
        for k, melody in enumerate(classes.astype(np.uint8)):
            first.setdefault(melody.tobytes(), k)
        if len(first) < 2:
            raise Refusal("neurons are exchanged between two melodies, and one is observed; raise sampling.tunes")
        rows = list(first.values())
        paired = len(rows) // 2 * 2  # the last of an odd number has no partner
        self.partner = {melody: rows[k ^ 1] for k, melody in enumerate(first) if k < paired}
        self.latents = mu, sigma

    def swapped(self, mu: Tensor, sigma: Tensor, melodies: Tensor, neurons: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the latents `[B, Z]` of the melodies `[B, T]` with these neurons of their partners, if any."""
        rows = [self.partner.get(melody.tobytes(), -1) for melody in melodies.to("cpu", torch.uint8).numpy()]
        paired = torch.tensor([row >= 0 for row in rows], device=mu.device).unsqueeze(1)
        chosen = neurons.cpu().numpy()
        new_mu, new_sigma = (torch.from_numpy(part[rows][:, chosen]).to(mu) for part in self.latents)
        return (
            mu.index_copy(1, neurons, torch.where(paired, new_mu, mu[:, neurons])),
            sigma.index_copy(1, neurons, torch.where(paired, new_sigma, sigma[:, neurons])),
        )


@dataclass(frozen=True)
class EditLatents(Intervention):
    """Clamps neurons (`value`), silences noise neurons, swaps neurons between neighbours, or adds an attribute."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    window: ClassVar[Window] = ALWAYS

    how: str
    neurons: tuple[int, ...] = ()
    value: float = 0.0
    """What `clamp` holds μ at; the σ from which `zero_noise` counts neurons as noise; the factor of `attribute`."""
    attribute: str = "density"
    vector: np.ndarray | None = field(default=None, compare=False)
    """Of `attribute`, `[Z]`, once it is settled."""
    partners: Partners | None = field(default=None, compare=False)
    """Of `swap`, once it is settled."""
    size: int = 0
    """Neurons that the model has, once it is settled."""

    def check(self, model: MusicVAE, setting: Setting) -> None:
        last = model.sizes.z_size - 1
        beyond = [neuron for neuron in self.neurons if not 0 <= neuron <= last]
        if beyond:
            raise Refusal(f"neuron {beyond[0]} does not exist; this model has neurons 0 to {last}")
        if not np.isfinite(self.value):
            raise Refusal(f"the value is {self.value}; it must be a finite number")
        if self.attribute not in ATTRIBUTES:
            hint = did_you_mean(self.attribute, ATTRIBUTES)
            raise Refusal(f"no attribute {self.attribute!r}{hint}; there are {', '.join(ATTRIBUTES)}")

    def settled(self, model: MusicVAE, setting: Setting) -> EditLatents:
        here = replace(self, size=model.sizes.z_size)
        if self.how == "clamp":
            return here
        classes, mu, sigma = setting.latents()
        if self.how == "zero_noise":
            return replace(here, neurons=tuple(np.flatnonzero(sigma.mean(0) >= self.value).tolist()))
        if self.how == "attribute":
            return replace(here, vector=attribute_vector(classes, mu, self.attribute))
        return replace(here, partners=Partners(classes, mu, sigma))

    def matched(self, seed: int) -> EditLatents | None:
        """As many random neurons; for an attribute its vector with the entries at random neurons."""
        rng = np.random.default_rng(seed)
        if self.how == "attribute":
            return replace(self, vector=rng.permutation(self.vector))
        if not self.neurons:
            return None
        return replace(self, neurons=tuple(np.sort(rng.choice(self.size, len(self.neurons), replace=False)).tolist()))

    def fixes(self, model: Any, setting: Setting) -> frozenset[tuple[str, int]]:
        return frozenset() if self.how == "attribute" else frozenset(("z", neuron) for neuron in self.neurons)

    def edit(self, model: MusicVAE | EditedVAE, setting: Setting) -> tuple[EditedVAE, Account]:
        table = pd.DataFrame({"unit": list(self.neurons)})
        account = Account("", {"neurons": float(len(self.neurons))}, {"units": table})
        if self.how == "attribute":
            account = Account("", {"length": float(np.linalg.norm(self.value * self.vector))})
        older = model.changes if isinstance(model, EditedVAE) else ()
        base = model.base if isinstance(model, EditedVAE) else model
        return EditedVAE(base, (*older, self._change)), account

    def _change(self, mu: Tensor, sigma: Tensor, melodies: Tensor) -> tuple[Tensor, Tensor]:
        if self.how == "attribute":
            return mu + self.value * torch.from_numpy(self.vector).to(mu), sigma
        index = torch.tensor(self.neurons, dtype=torch.long, device=mu.device)
        if self.how == "swap":
            return self.partners.swapped(mu, sigma, melodies, index)
        held = self.value if self.how == "clamp" else 0.0
        return mu.index_fill(1, index, held), sigma.index_fill(1, index, 0.0)


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
