"""How many latents carry music? (Barenboim, Del Debbio, Hirn, Sanz 2023, Figs. 3 and 4.)

Definitions: neurons are ordered by their mean σ over the melodies, smallest first, and that order is kept everywhere.
The paper calls a neuron a *music neuron* if its σ is below 1 "by eye"; the rules that can be computed stand side by
side (`analyses.measures.music_neurons`), with intervals over bootstrap samples of the tunes that the melodies are from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import latents as draw
from analyses.measures.intervals import cluster_weights, interval, with_interval
from analyses.measures.tables import rows_of
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import RULES, Thresholds, agreement, kl_divergence, music, neuron_table

if TYPE_CHECKING:
    import matplotlib.figure

LABELS = {
    "sigma": "mean σ < {0.sigma_below:g}",
    "variance": "variance of μ > {0.active_variance:g}",
    "kl": "mean KL > {0.kl_above:g} nats",
    "gap": "before the largest gap in mean σ",
}

PAPER_CLASSES = 130
"""What the paper counts a sixteenth to be: 128 pitches, a silence that begins, a note that goes on."""


@dataclass(frozen=True)
class LatentSpread(Analysis[LatentObservation]):
    """Draws σ and μ over the melodies as box plots and sorted, and counts music neurons by each rule."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "music_neurons_by_sigma": Main("{} latents carry music"),
        "kl": Main("A melody takes {} nats in the latents"),
        "kl_in_music_neurons": Main("{:%} of that lies in the latents that carry music"),
        "between_share": Main("{:%} of the latents are neither music nor noise"),
    }

    shown: int = 100
    """Neurons drawn (the paper's 100)."""
    sigma_below: float = 0.9
    active_variance: float = 0.01
    kl_above: float = 0.1
    """Nats."""
    resamples: int = 200

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.sigma_below, self.active_variance, self.kl_above)

    def __call__(self, observation: LatentObservation) -> Findings:
        table = neuron_table(observation.mu, observation.sigma, self.thresholds)
        order = table["neuron"].to_numpy()
        mu, sigma = observation.mu[:, order], observation.sigma[:, order]
        counts = self.counts(observation, table)
        number = dict(zip(counts["rule"], counts["neurons"], strict=True))
        likeness = agreement(table)
        between = (table["mean_sigma"] > 0.6) & (table["mean_sigma"] < 0.9)
        metrics: dict[str, float] = {}
        for row in rows_of(counts, index=False):
            metrics |= with_interval(f"music_neurons_by_{row.rule}", (row.neurons, row.low, row.high))
        metrics |= {
            "neurons": float(len(table)),
            "sigma_below_1": float((table["mean_sigma"] < 1).sum()),
            "rules_agree": float(likeness.to_numpy().min()),
            "between_share": float(between.mean()),
            "kl": float(table["kl"].sum()),
            # how many melodies there could be (the paper counts 130 classes of step), how many states of binary latents
            "sequences_log10": observation.classes.shape[1] * math.log10(PAPER_CLASSES),
            "binary_latents_log10": len(table) * math.log10(2),
            "kl_in_music_neurons": float(table.loc[table["by_sigma"], "kl"].sum() / table["kl"].sum()),
        }
        return Findings(
            metrics=metrics,
            figures={
                "boxes": Figure(
                    self.draw_boxes(mu, sigma, number["sigma"]),
                    self.caption_boxes(mu, number["sigma"]),
                    title=f"{number['sigma']} of {mu.shape[1]} neurons have a mean σ below {self.sigma_below:g}",
                ),
                "rules": Figure(
                    self.draw_rules(table, counts),
                    self.caption_rules(len(mu), len(table), counts),
                    title="Music neurons by each rule: " + ", ".join(map(str, counts["neurons"])),
                ),
            },
            tables={"neurons": table, "rules": counts, "agreement": likeness.rename_axis("rule").reset_index()},
        )

    def counts(self, observation: LatentObservation, table: pd.DataFrame) -> pd.DataFrame:
        """Returns one row per rule: what it says, the number of music neurons, the ends of its 95 % interval."""
        found = {rule: [] for rule in RULES}
        for resampled in self.resampled(observation):
            chosen = music(resampled.sort_values("mean_sigma"), self.thresholds)
            for rule in RULES:
                found[rule].append(int(chosen[rule].sum()))
        rows = []
        for rule in RULES:
            low, high = interval(np.array(found[rule], float))
            says = LABELS[rule].format(self.thresholds)
            rows.append(
                {"rule": rule, "says": says, "neurons": int(table[f"by_{rule}"].sum()), "low": low, "high": high}
            )
        return pd.DataFrame(rows)

    def resampled(self, observation: LatentObservation) -> list[pd.DataFrame]:
        """Returns mean σ, variance of μ and mean KL of every neuron in each bootstrap sample of sources."""
        weights = cluster_weights(observation.source, self.resamples, np.random.default_rng(observation.seed))
        weights /= weights.sum(1, keepdims=True)
        mu, sigma = observation.mu, observation.sigma
        mean, square = weights @ mu, weights @ mu**2
        columns = {
            "mean_sigma": weights @ sigma,
            "variance_of_mu": square - mean**2,
            "kl": weights @ kl_divergence(mu, sigma),
        }
        return [pd.DataFrame({name: column[k] for name, column in columns.items()}) for k in range(self.resamples)]

    def draw_boxes(self, mu: np.ndarray, sigma: np.ndarray, music_count: int) -> matplotlib.figure.Figure:
        shown = min(self.shown, mu.shape[1])
        drawing = style.figure(height=4.0)
        upper, lower = drawing.subplots(2, 1, sharex=True)
        draw.boxes(upper, sigma[:, :shown], music_count, "σ")
        draw.boxes(lower, mu[:, :shown], music_count, "μ")
        upper.set_ylim(0, None)
        lower.set_xlabel("neuron, in order of mean σ")
        return drawing

    def draw_rules(self, table: pd.DataFrame, counts: pd.DataFrame) -> matplotlib.figure.Figure:
        """Returns what each rule looks at, for all neurons, and which neurons it chooses."""
        drawing = style.figure(height=4.95)
        panels = drawing.subplots(4, 1, sharex=True, height_ratios=[1.2, 1.2, 1.2, 0.8])
        places = np.arange(1, len(table) + 1)
        looks = (
            ("mean_sigma", "mean σ", self.sigma_below, "sigma"),
            ("variance_of_mu", "variance of μ", self.active_variance, "variance"),
            ("kl", "mean KL (nats)", self.kl_above, "kl"),
        )
        for axes, (column, label, threshold, rule) in zip(panels, looks, strict=False):
            colours = np.where(table[f"by_{rule}"], draw.MUSIC, draw.NOISE)
            values = table[column].to_numpy()
            axes.scatter(places, values, s=7, c=colours, linewidths=0)
            axes.axhline(threshold, color=style.INK, linewidth=0.7, linestyle=":")
            axes.set_ylabel(label)
            if column != "mean_sigma":
                axes.set_yscale("log")
        for row, rule in enumerate(RULES):
            chosen = places[table[f"by_{rule}"].to_numpy()]
            panels[3].vlines(chosen, row - 0.38, row + 0.38, color=draw.MUSIC, linewidth=min(4, 500 / len(table)))
        names = [
            f"{row.says}: {'all ' if row.neurons == len(table) else ''}{row.neurons}"
            for row in rows_of(counts, index=False)
        ]
        panels[3].set_yticks(range(len(RULES)), names)
        panels[3].set_ylim(len(RULES) - 0.5, -0.5)
        panels[3].tick_params(axis="y", length=0)
        draw.neuron_axis(panels[3], len(table))
        panels[3].set_xlabel("neuron, in order of mean σ")
        return drawing

    def caption_boxes(self, mu: np.ndarray, music_count: int) -> str:
        return (
            f"σ and μ of {len(mu):,} melodies, the {min(self.shown, mu.shape[1])} neurons of smallest mean σ; boxes "
            f"are quartiles, whiskers reach 1.5 times their range. Dashed: after the {music_count} neurons with mean "
            f"σ below {self.sigma_below:g}. After Fig. 4 of the source paper, which reports 37 of 512 for Magenta's "
            "2-bar and 77 for its 16-bar model."
        )

    def caption_rules(self, melodies: int, neurons: int, counts: pd.DataFrame) -> str:
        said = "; ".join(
            f"{row.says}: {row.neurons} ({row.low:.0f} to {row.high:.0f})" for row in rows_of(counts, index=False)
        )
        idle: list[str] = [row.says for row in rows_of(counts, index=False) if row.neurons == neurons]
        told = f" The rule “{' and '.join(idle)}” takes all of them here and tells nothing." if idle else ""
        return (
            f"What makes a music neuron, by each rule that can be computed, over {melodies:,} melodies (95 % intervals "
            f"over their tunes): {said}. Dotted: thresholds; below: the neurons that each rule chooses." + told
        )
