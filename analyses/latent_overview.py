"""The whole of a latent space on one page. (Barenboim, Del Debbio, Hirn, Sanz 2023, Fig. 12 for the 16-bar model.)

Definitions are those of the analyses that draw each panel alone: `latent_spread` (σ and μ), `latent_correlation`
(Pearson's r of μ), `feature_correlation` (φk with jSymbolic features), `real_vs_random` (histograms, excited neurons).
A neuron is called after the kind of features (pitch, rhythm, melody) with which its mean φk is highest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import latents as draw
from analyses.latent_correlation import correlation
from analyses.measures import jsymbolic
from analyses.measures.music_neurons import KINDS, kind_scores
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import Thresholds, neuron_table

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

ROWS: dict[str, tuple[float, float, tuple[float, ...]]] = {
    "s": (0.985, 0.885, (1,)),
    "m": (0.865, 0.765, (1,)),
    "cC.fF": (0.71, 0.415, (1, 0.035, 0.16, 1, 0.035)),
    "1234": (0.36, 0.255, (1, 1, 1, 1)),
    "xy": (0.195, 0.045, (1, 1)),
}
"""The panels of each row of the page, its upper and lower end, and their widths; capitals hold colour bars."""


@dataclass(frozen=True)
class LatentOverview(Analysis[LatentObservation]):
    """Puts all figures of the paper on one page, and says what kind of neuron each of the first is."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "music_neurons": Main("{} latents carry music"),
        "melody_candidates": Main("{} latents follow both pitch and rhythm"),
    }

    shown: int = 100
    """Neurons drawn (the paper's 100)."""
    excited: float = 0.1
    sigma_below: float = 0.9

    def __call__(self, observation: LatentObservation) -> Findings:
        table = neuron_table(observation.mu, observation.sigma, Thresholds(self.sigma_below))
        music = int(table["by_sigma"].sum())
        order = table["neuron"].to_numpy()
        strength = jsymbolic.strengths(observation, self.shown)
        kinds = kind_table(strength, music)
        drawing = self.draw(observation, order, music, strength, kinds)
        named = jsymbolic.named(observation, strength)
        place = {int(neuron): k for k, neuron in enumerate(order, start=1)}
        return Findings(
            metrics={"music_neurons": float(music), "melody_candidates": float(len(named.melody))},
            figures={
                "page": Figure(
                    drawing,
                    self.caption(observation, music, named.melody, place),
                    title=f"The latents of {len(observation):,} melodies on one page",
                )
            },
            tables={"kinds": kinds},
            lists={
                **{f"{kind}_among_first_four": places_of(kinds.head(4), kind) for kind in ("pitch", "rhythm")},
                "melody_places": [str(place[neuron]) for neuron in named.melody],
            },
        )

    def draw(
        self,
        observation: LatentObservation,
        order: np.ndarray,
        music: int,
        strength: pd.DataFrame,
        kinds: pd.DataFrame,
    ) -> matplotlib.figure.Figure:
        shown = order[: self.shown]
        drawing = style.figure(height=10.1)
        panels = panels_of(drawing)
        draw.boxes(panels["s"], observation.sigma[:, shown], music, "σ")
        draw.boxes(panels["m"], observation.mu[:, shown], music, "μ")
        panels["m"].set_xlabel("neuron, in order of mean σ")
        image = draw.correlations(panels["c"], correlation(observation.mu[:, shown]), music)
        drawing.colorbar(image, cax=panels["C"], label="Pearson's r")
        if not strength.empty:
            image = draw_strengths(panels["f"], strength, music)
            drawing.colorbar(image, cax=panels["F"], label="φk")
        for k in range(4):
            self.draw_neuron(panels[str(k + 1)], observation, order, kinds, k)
        self.draw_excited(panels["x"], observation, order[:music], "music neurons")
        self.draw_excited(panels["y"], observation, order[music:], "noise neurons")
        panels["x"].legend(loc="upper left", fontsize=7.5, handlelength=1.0)
        for letter, key in zip("abcdefgh", "smcf1xy", strict=False):
            panels[key].text(
                -0.01, 1.01, letter, transform=panels[key].transAxes, fontweight="bold", ha="right", va="bottom"
            )
        return drawing

    def draw_neuron(
        self, axes: matplotlib.axes.Axes, observation: LatentObservation, order: np.ndarray, kinds: pd.DataFrame, k: int
    ) -> None:
        """Draws the histogram of the neuron at place k + 1 for real melodies and random notes."""
        if k >= len(order):
            axes.set_visible(False)
            return
        samples = {"real": observation.mu[:, order[k]], "random": observation.random.mu[:, order[k]]}
        draw.densities(axes, samples)
        axes.set_xlabel(f"μ of neuron {k + 1}" + (f" ({kinds['kind'].iloc[k]})" if k < len(kinds) else ""))

    def draw_excited(
        self, axes: matplotlib.axes.Axes, observation: LatentObservation, neurons: np.ndarray, name: str
    ) -> None:
        """Draws how many of `neurons` are excited by real melodies and by random notes."""
        if not len(neurons):
            axes.set_visible(False)
            return
        both = {"real": observation.mu, "random": observation.random.mu}
        samples = {label: (np.abs(mu[:, neurons]) > self.excited).sum(1) for label, mu in both.items()}
        draw.counts(axes, samples, len(neurons))
        axes.set_xlabel(f"excited, of {len(neurons)} {name}")

    def caption(
        self, observation: LatentObservation, music: int, melody: tuple[int, ...], place: dict[int, int]
    ) -> str:
        candidates = ", ".join(str(place[neuron]) for neuron in melody[:8]) or "none"
        return (
            f"{len(observation):,} melodies of {observation.classes.shape[1] // 16} bars. a, b: σ and μ of the first "
            f"neurons in order of mean σ, {music} of them music neurons (dashed); c: Pearson's r of μ; d: φk with "
            f"jSymbolic features; e: μ of the first four for real melodies and random notes; f, g: neurons with |μ| > "
            f"{self.excited:g}. Places with more to do with melody than with pitch or rhythm: {candidates}. After Fig. "
            "12 of the source paper: 77 music neurons in 16 bars, 1 and 2 pitch, 3 and 4 rhythm, melody candidates 23, "
            "30, 43, 62, 68 and 72."
        )


def panels_of(drawing: matplotlib.figure.Figure) -> dict[str, matplotlib.axes.Axes]:
    """Returns the panels of the page by the letters in ROWS."""
    drawing.set_layout_engine("none")
    found = {}
    for letters, (top, bottom, widths) in ROWS.items():
        gap = 0.1 if "C" in letters else 0.12
        grid = drawing.add_gridspec(
            1, len(letters), left=0.065, right=0.945, top=top, bottom=bottom, width_ratios=widths, wspace=gap
        )
        found |= {letter: drawing.add_subplot(grid[0, k]) for k, letter in enumerate(letters) if letter != "."}
    return found


def draw_strengths(axes: matplotlib.axes.Axes, strength: pd.DataFrame, music: int) -> Any:
    """Draws φk of features (rows, by kind) with neurons (columns, by mean σ); returns the image for its colour bar."""
    rows = sorted(strength.index, key=lambda number: (number[0], int(number[1:])))
    values = strength.loc[rows].to_numpy(float)
    extent = (0.5, values.shape[1] + 0.5, len(rows) - 0.5, -0.5)
    image = axes.imshow(values, aspect="auto", cmap=style.SEQUENTIAL, vmin=0, vmax=1, extent=extent)
    letters = [number[0] for number in rows]
    for letter in dict.fromkeys(letters):
        places = [k for k, own in enumerate(letters) if own == letter]
        if places[0]:
            axes.axhline(places[0] - 0.5, color="white", linewidth=1.2)
    axes.set_yticks(range(len(rows)), rows, fontsize=style.SMALLEST)
    axes.tick_params(axis="y", length=0)
    height = 72 * axes.bbox.height / axes.figure.dpi
    style.stagger(axes, "y", height / max(1, len(rows)), style.SMALLEST)
    draw.after_music(axes, music)
    draw.neuron_axis(axes, values.shape[1])
    axes.set_xlim(0.5, values.shape[1] + 0.5)
    axes.set_xlabel("neuron")
    return image


def places_of(kinds: pd.DataFrame, kind: str) -> list[str]:
    """Returns the places, from 1, of the neurons of a kind."""
    return [str(place) for place in kinds.loc[kinds["kind"] == kind, "place"]]


def kind_table(strength: pd.DataFrame, music: int) -> pd.DataFrame:
    """Returns one row per music neuron in order of mean σ: its mean φk with each kind of features, and the highest."""
    scores = kind_scores(strength).reindex(list(KINDS.values())).T.astype(float).iloc[:music]
    best = scores.fillna(-1).idxmax(axis=1) if len(scores) else pd.Series(dtype=str)
    table = scores.rename_axis("neuron").reset_index()
    return table.assign(place=np.arange(1, len(table) + 1), kind=best.to_numpy())
