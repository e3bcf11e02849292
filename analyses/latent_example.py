"""What does one melody become? (Barenboim, Del Debbio, Hirn, Sanz 2023, Figs. 2 and 3.)

The melody, what the model writes back from one draw z ~ N(μ, σ²) and from μ itself, as piano rolls; and this melody's
σ, μ and z, neurons in order of this melody's σ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn.findings import Figure, Findings
from folkrnn.melodies.grid import to_notes
from folkrnn.observation.latents import LatentObservation

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure


@dataclass(frozen=True)
class LatentExample:
    """Draws one melody's way through the model and counts the steps that come back as they were."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)

    melody: int = 0
    """Which of the observed melodies."""
    shown: int = 100
    """Neurons drawn (the paper's 100)."""

    def __call__(self, observation: LatentObservation) -> Findings:
        k = min(self.melody, len(observation.classes) - 1)
        original = observation.classes[k]
        written = {
            "the melody": original,
            "from one draw of z": observation.sample(k),
            "from μ": observation.reconstruction(k),
        }
        mu, sigma = observation.mu[k], observation.sigma[k]
        z = observation.draw(k)
        order = np.argsort(sigma, kind="stable")
        return Findings(
            metrics={
                "steps_exact_from_mu": float((written["from μ"] == original).mean()),
                "steps_exact_from_z": float((written["from one draw of z"] == original).mean()),
                "sigma_below_1": float((sigma < 1).sum()),
            },
            figures={
                "rolls": Figure(self.draw_rolls(written), f"{observation.titles[k]}: the melody and what comes back."),
                "latents": Figure(
                    self.draw_latents(mu[order], sigma[order], z[order]),
                    f"{observation.titles[k]}: σ, μ and one draw z of the first {min(self.shown, len(mu))} neurons, in "
                    "order of this melody's σ.",
                ),
            },
            tables={"neurons": pd.DataFrame({"neuron": order, "mu": mu[order], "sigma": sigma[order], "z": z[order]})},
        )

    def draw_rolls(self, written: dict[str, np.ndarray]) -> matplotlib.figure.Figure:
        drawing = style.figure(width=10.0, height=2.6)
        rows = drawing.subplots(1, len(written), sharex=True, sharey=True)
        for axes, (name, classes) in zip(rows, written.items(), strict=True):
            draw_roll(axes, classes)
            axes.set_title(name)
            axes.set_xlabel("sixteenth")
        rows[0].set_ylabel("MIDI pitch")
        return drawing

    def draw_latents(self, mu: np.ndarray, sigma: np.ndarray, z: np.ndarray) -> matplotlib.figure.Figure:
        drawing = style.figure(width=10.0, height=4.6)
        rows = drawing.subplots(3, 1, sharex=True)
        for axes, values, name in zip(rows, (sigma, mu, z), ("σ", "μ", "z"), strict=True):
            axes.bar(np.arange(min(self.shown, len(values))), values[: self.shown], color=style.INK, width=0.8)
            axes.set_ylabel(name)
        rows[-1].set_xlabel("neuron, in order of σ")
        return drawing


def draw_roll(axes: matplotlib.axes.Axes, classes: np.ndarray) -> None:
    """Draws a melody as bars of pitch over sixteenths, with a line at every bar of 16."""
    for note in to_notes(classes):
        axes.barh(note.pitch, note.end - note.start, left=note.start, height=0.8, color=style.ACCENT)
    for bar in range(0, len(classes) + 1, 16):
        axes.axvline(bar, color=style.SOFT, linewidth=0.6, zorder=0)
    axes.set_xlim(0, len(classes))
