"""What does one melody become? (Barenboim, Del Debbio, Hirn, Sanz 2023, Figs. 2 and 3.)

The melody, what the model writes back from one draw z ~ N(μ, σ²) and from μ itself, as piano rolls; and this melody's
σ, μ and z, neurons in order of this melody's σ. More draws say how alike what comes back is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch

from analyses.drawings import latents as draw
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.reconstruction import exact_onsets, exact_steps
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.melodies import twinkle
from folkrnn.observation.latents import LatentObservation

if TYPE_CHECKING:
    import matplotlib.figure

TWINKLE = "twinkle"

ORIGINAL, FROM_Z, FROM_MU = "the melody", "from one draw of z", "from μ"


@dataclass(frozen=True)
class LatentExample(Analysis[LatentObservation]):
    """Draws one melody's way through the model and counts the steps that come back as they were."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "steps_exact_from_mu": Main("{:%} of the example's steps come back exactly from μ"),
        "steps_exact_from_z": Main("{:%} come back exactly from draws of z"),
    }

    melody: int | str = 0
    """Which of the observed melodies; `twinkle`: that of the paper, whatever is observed."""
    shown: int = 100
    """Neurons drawn (the paper's 100)."""
    sigma_below: float = 0.9
    draws: int = 100
    """Draws of z for the numbers; the first that does not give the melody back unchanged is drawn."""
    resamples: int = 1000

    def __post_init__(self) -> None:
        if isinstance(self.melody, str) and self.melody != TWINKLE:
            raise UserError(f"latent_example.melody is {self.melody!r}; it must be a number from 0 on, or {TWINKLE}")
        if self.draws < 1:
            raise UserError(f"latent_example.draws is {self.draws}; at least one draw is made")

    def __call__(self, observation: LatentObservation) -> Findings:
        one = self.one(observation)
        original, title = one.classes[0], one.titles[0]
        mu, sigma = one.mu[0], one.sigma[0]
        z = self.drawn(one)
        from_z = one.decoded(z)
        shown = self.varied(from_z, original)
        written = {ORIGINAL: original, FROM_Z: from_z[shown], FROM_MU: one.reconstruction(0)}
        order = np.argsort(sigma, kind="stable")
        music = int((sigma < self.sigma_below).sum())
        return Findings(
            metrics=self.metrics(written, from_z, sigma, one.seed) | {"music_neurons": float(music)},
            figures={
                "rolls": Figure(
                    self.draw_rolls(written),
                    self.caption_rolls(title, written, from_z),
                    title=f"{title}: what the decoder writes from its latents",
                ),
                "latents": Figure(
                    self.draw_latents(mu[order], sigma[order], z[shown, order], music),
                    f"{title}: σ, μ and one draw z of the first {min(self.shown, len(mu))} neurons, in order of this "
                    f"melody's σ. Dashed: after the {music} with σ below {self.sigma_below:g} (Fig. 3 of the source "
                    "paper: 37 for the same melody in Magenta's 2-bar model).",
                    title=f"{title}: σ, μ and one draw z of each neuron",
                ),
            },
            tables={
                "neurons": pd.DataFrame({"neuron": order, "mu": mu[order], "sigma": sigma[order], "z": z[shown, order]})
            },
            arrays={"melodies": {"original": original, "from_mu": written[FROM_MU], "from_z": from_z}},
        )

    def varied(self, from_z: np.ndarray, original: np.ndarray) -> int:
        """Returns the number of the first draw that does not give the melody back; 0 where all do."""
        return int((from_z != original).any(1).argmax())

    def one(self, observation: LatentObservation) -> LatentObservation:
        """Returns an observation of the one melody that is looked at."""
        if self.melody == TWINKLE:
            classes, title = twinkle.twinkle(observation.classes.shape[1] // 16), twinkle.TITLE
        else:
            k = min(int(self.melody), len(observation) - 1)
            classes, title = observation.classes[k], observation.titles[k]
        return LatentObservation(observation.model, classes[None], [title], observation.data, observation.seed)

    def drawn(self, one: LatentObservation) -> np.ndarray:
        """Returns draws of z, `[draws, Z]`; the first is the same however many there are."""
        mu, sigma = (torch.from_numpy(part).expand(self.draws, -1).to(one.model.device) for part in one.latents)
        return one.model.posterior(mu, sigma, one.seed).cpu().numpy()

    def metrics(
        self, written: dict[str, np.ndarray], from_z: np.ndarray, sigma: np.ndarray, seed: int
    ) -> dict[str, float]:
        """Returns exact steps and onsets from μ and over draws of z, and how many neurons have σ below 1."""
        rng, original = np.random.default_rng(seed), written[ORIGINAL]
        found = {
            "steps_exact_from_mu": float(exact_steps(written[FROM_MU], original)),
            "onsets_exact_from_mu": float(exact_onsets(written[FROM_MU], original)),
            "sigma_below_1": float((sigma < 1).sum()),
            "draws_that_return_it": float((from_z == original).all(1).mean()),
        }
        for name, measure in (("steps", exact_steps), ("onsets", exact_onsets)):
            values = measure(from_z, np.broadcast_to(original, from_z.shape))
            found |= with_interval(f"{name}_exact_from_z", mean_interval(values, self.resamples, rng))
        return found

    def draw_rolls(self, written: dict[str, np.ndarray]) -> matplotlib.figure.Figure:
        long = len(written[ORIGINAL]) > 64
        drawing = style.figure(height=4.3 if long else 2.0)
        rows, columns = (len(written), 1) if long else (1, len(written))
        panels = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        colours = (style.INK, draw.RANDOM, draw.REAL)
        for axes, (name, classes), colour in zip(panels, written.items(), colours, strict=True):
            draw.roll(axes, classes, colour, None if name == ORIGINAL else written[ORIGINAL])
            axes.set_title(name)
        panels[0].set_ylim(*draw.pitch_range(list(written.values())))
        drawing.supxlabel("sixteenth", fontsize=9)
        panels[0].set_ylabel("MIDI pitch")
        return drawing

    def draw_latents(self, mu: np.ndarray, sigma: np.ndarray, z: np.ndarray, music: int) -> matplotlib.figure.Figure:
        drawing = style.figure(height=3.7)
        rows = drawing.subplots(3, 1, sharex=True)
        for axes, values, name in zip(rows, (sigma, mu, z), ("σ", "μ", "z"), strict=True):
            draw.bars(axes, values[: self.shown], music, name)
            draw.after_music(axes, music)
        rows[-1].set_xlabel("neuron, in order of this melody's σ")
        return drawing

    def caption_rolls(self, title: str, written: dict[str, np.ndarray], from_z: np.ndarray) -> str:
        original = written[ORIGINAL]
        same = ", as the one shown does" if (written[FROM_Z] == original).all() else ""
        return (
            f"{title}: the melody, and what comes back from one draw of z and from μ (grey: the melody). From μ "
            f"{exact_steps(written[FROM_MU], original):.0%} of the steps are exact, from {len(from_z)} draws "
            f"{exact_steps(from_z, original).mean():.0%} on average; {int((from_z == original).all(1).sum())} of these "
            f"draws give the melody back unchanged{same}. After Fig. 2 of the source paper, where μ returns "
            "the melody and a draw a variation of it."
        )
