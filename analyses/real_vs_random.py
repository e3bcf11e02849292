"""Where do random notes go in latent space? (Barenboim, Del Debbio, Hirn, Sanz 2023, section 5, Figs. 10 and 11.)

Definitions: as many random sequences as melodies, drawn as in the paper (facts on MusicVAE, section 6). A neuron is
excited if |μ| > 0.1. The separability of two sets by a quantity is the area under the ROC curve (AUC): the probability
that a random sequence has the larger value, 0.5 where it tells nothing; "either way" counts max(AUC, 1 − AUC). Several
neurons together are scored by the ratio of two Gaussian densities fitted to one half of the tunes and judged on the
other.

The control says which of the two it is that differs: the melodies' own rhythms with the random sequences' pitches, and
their own pitches, in order, on random rhythms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import pandas as pd

from analyses.drawings import latents as draw
from analyses.measures import jsymbolic
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.random_halves import with_random_pitches, with_random_rhythms
from analyses.measures.separability import auc, auc_interval, gaussian_scores
from analyses.measures.tables import rows_of
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.interventions.statistics import column_auc, either_way
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import Thresholds, neuron_table

if TYPE_CHECKING:
    import matplotlib.figure

RANDOM = "random notes"
LOOKED_AT = 100
"""Neurons among which a pitch and a rhythm neuron are looked for (as in `feature_correlation`)."""

SETS = ("real melodies", RANDOM, "real rhythm, random pitch", "random rhythm, real pitch")


@dataclass(frozen=True)
class RealVsRandom(Analysis[LatentObservation]):
    """Histograms of the first neurons and of the number of excited ones, real against random; how well they tell."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "auc/excited_noise_neurons": Main(
            "The number of excited noise neurons tells real from random with an AUC of {}"
        ),
        "auc/pitch_neuron": Main("The pitch neuron alone does with {}"),
        "excited_music/real": Main("{} music neurons are excited by a melody", "excited_music/random", "random notes"),
    }

    excited: float = 0.1
    """|μ| above which a neuron is excited."""
    first: int = 4
    """Neurons whose histograms are drawn."""
    sigma_below: float = 0.9
    resamples: int = 200

    def __post_init__(self) -> None:
        if self.first < 1 or not self.excited >= 0:
            raise UserError(
                f"real_vs_random.first={self.first} and real_vs_random.excited={self.excited:g}; at least one neuron "
                "is drawn, and |μ| is not below 0"
            )

    def __call__(self, observation: LatentObservation) -> Findings:
        table = neuron_table(observation.mu, observation.sigma, Thresholds(self.sigma_below))
        order, music = table["neuron"].to_numpy(), int(table["by_sigma"].sum())
        means = {name: mu[:, order] for name, mu in self.latents(observation).items()}
        excitation = self.excitation(means, music)
        rng = np.random.default_rng(observation.seed)
        separability = self.separability(observation, means, excitation, music, rng)
        neurons = self.neurons(observation, means, order, music)
        summary = self.summary(excitation, music, rng)
        return Findings(
            metrics=self.metrics(summary, separability, neurons),
            figures={
                "neurons": Figure(
                    self.draw_neurons(means, neurons),
                    self.caption_neurons(neurons, len(order)),
                    title="Real melodies and random notes in the first neurons",
                ),
                "excited": Figure(
                    self.draw_excited(excitation, music, len(order)),
                    self.caption_excited(summary),
                    title=f"How many neurons real melodies and random notes excite (|μ| > {self.excited:g})",
                ),
                "separability": Figure(
                    self.draw_separability(separability),
                    self.caption_separability(separability, music),
                    title="How well random notes are told from real melodies",
                ),
            },
            tables={"neurons": neurons, "excited": summary, "separability": separability},
            arrays={"excited": {f"{name}: {kind}": values for (name, kind), values in excitation.items()}},
        )

    def latents(self, observation: LatentObservation) -> dict[str, np.ndarray]:
        """Returns μ `[N, Z]` of the melodies, of random notes, and of both controls."""
        real, random = observation.classes, observation.random.classes
        rng = np.random.default_rng([observation.seed, 1])
        return dict(
            zip(
                SETS,
                (
                    observation.mu,
                    observation.random.mu,
                    observation.encoded(with_random_pitches(real, random, rng))[0],
                    observation.encoded(with_random_rhythms(real, rng))[0],
                ),
                strict=True,
            )
        )

    def excitation(self, means: dict[str, np.ndarray], music: int) -> dict[tuple[str, str], np.ndarray]:
        """Returns for each set and kind of neurons (music, noise, all) how many are excited, `[N]`."""
        found = {}
        for name, mu in means.items():
            on = np.abs(mu) > self.excited
            found[name, "music"], found[name, "noise"] = on[:, :music].sum(1), on[:, music:].sum(1)
            found[name, "all"] = on.sum(1)
        return found

    def summary(
        self, excitation: dict[tuple[str, str], np.ndarray], music: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Returns one row per set and kind: mean number of excited neurons with its interval, mode, quantiles."""
        rows = []
        for (name, kind), values in excitation.items():
            mean, low, high = mean_interval(values, self.resamples, rng)
            q05, q50, q95, q99 = np.quantile(values, [0.05, 0.5, 0.95, 0.99])
            rows.append(
                {
                    "set": name,
                    "neurons": kind,
                    "mean": mean,
                    "low": low,
                    "high": high,
                    "mode": int(np.bincount(values).argmax()),
                    "q05": q05,
                    "median": q50,
                    "q95": q95,
                    "q99": q99,
                    "over_100": float((values > 100).mean()),
                }
            )
        return pd.DataFrame(rows)

    def separability(
        self,
        observation: LatentObservation,
        means: dict[str, np.ndarray],
        excitation: dict[tuple[str, str], np.ndarray],
        music: int,
        rng: np.random.Generator,
    ) -> pd.DataFrame:
        """Returns one row per quantity and set: the AUC against real melodies with its interval over tunes."""
        rows = []
        halves = np.unique(observation.source, return_inverse=True)[1]
        fit = rng.permutation(halves.max() + 1)[halves] % 2 == 0
        groups = np.concatenate([halves, halves.max() + 1 + np.arange(len(observation))])
        parts = {"music neurons": slice(0, music), "noise neurons": slice(music, None)}
        for name in SETS[1:]:
            label = np.repeat([False, True], len(observation))
            for kind in ("music", "noise"):
                scores = np.concatenate([excitation[SETS[0], kind], excitation[name, kind]]).astype(float)
                rows.append(self.judged(name, f"excited {kind} neurons", scores, label, groups, rng))
            for part, columns in parts.items():
                both = np.concatenate([means[SETS[0]][:, columns], means[name][:, columns]])
                if not both.shape[1]:
                    continue
                use = np.tile(fit, 2)
                scores = gaussian_scores(both[use], label[use], both[~use])
                rows.append(self.judged(name, f"μ of all {part}", scores, label[~use], groups[~use], rng))
        return pd.DataFrame(rows)

    def judged(
        self,
        name: str,
        quantity: str,
        scores: np.ndarray,
        label: np.ndarray,
        groups: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, object]:
        place = np.unique(groups, return_inverse=True)[1]
        low, high = auc_interval(scores, label, place, self.resamples, rng)
        return {"set": name, "quantity": quantity, "auc": auc(scores, label), "low": low, "high": high}

    def neurons(
        self, observation: LatentObservation, means: dict[str, np.ndarray], order: np.ndarray, music: int
    ) -> pd.DataFrame:
        """Returns one row per neuron in order: what it is named, and its AUC, either way, of each set against real."""
        found = jsymbolic.named(observation, jsymbolic.strengths(observation, LOOKED_AT))
        names = {found.pitch: "pitch", found.rhythm: "rhythm"}
        label = np.repeat([False, True], len(observation))
        table = pd.DataFrame(
            {
                "place": np.arange(1, len(order) + 1),
                "neuron": order,
                "named": [names.get(int(neuron), "") for neuron in order],
            }
        )
        for name in SETS[1:]:
            both = np.concatenate([means[SETS[0]], means[name]])
            table[name] = either_way(column_auc(both, label))
        return table

    def metrics(self, excited: pd.DataFrame, separability: pd.DataFrame, neurons: pd.DataFrame) -> dict[str, float]:
        """Returns how many neurons are excited (mean, mode, median, 99 % quantile, share over 100), and the AUCs."""
        found: dict[str, float] = {}
        summary = excited.set_index(["set", "neurons"])
        for name, short in ((SETS[0], "real"), (RANDOM, "random")):
            for kind in ("music", "noise", "all"):
                row = cast("pd.Series", summary.loc[(name, kind)])
                found |= with_interval(f"excited_{kind}/{short}", (row["mean"], row["low"], row["high"]))
                found |= {f"excited_{kind}/{short}_mode": row["mode"], f"excited_{kind}/{short}_median": row["median"]}
                found |= {
                    f"excited_{kind}/{short}_q99": row["q99"],
                    f"excited_{kind}/{short}_over_100": row["over_100"],
                }
        for row in rows_of(separability[separability["set"] == RANDOM], index=False):
            name = row.quantity.replace("μ of all ", "").replace(" ", "_")
            found |= with_interval(f"auc/{name}", (row.auc, row.low, row.high))
        for name in ("pitch", "rhythm"):
            area = neurons.loc[neurons["named"] == name, RANDOM]
            if len(area):
                found[f"auc/{name}_neuron"] = float(area.iloc[0])
        return {name: float(value) for name, value in found.items()}

    def draw_neurons(self, means: dict[str, np.ndarray], neurons: pd.DataFrame) -> matplotlib.figure.Figure:
        places = self.drawn(neurons)
        columns = min(4, len(places))
        rows = -(-len(places) // columns)
        drawing = style.figure(height=0.48 + 1.85 * rows)
        panels = drawing.subplots(rows, columns, squeeze=False).ravel()
        for axes, place in zip(panels, places, strict=False):
            row = neurons.iloc[place]
            draw.densities(axes, {name: means[name][:, place] for name in SETS[:2]})
            axes.set_title(f"neuron {place + 1}" + (f" ({row['named']})" if row["named"] else ""))
            axes.set_xlabel(f"μ   (AUC {row[RANDOM]:.2f})")
        for axes in panels[len(places) :]:
            axes.set_visible(False)
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return drawing

    def drawn(self, neurons: pd.DataFrame) -> list[int]:
        """Returns the places of the first neurons, and of the named ones where they come later."""
        later = neurons.index[neurons["named"] != ""].tolist()
        return list(dict.fromkeys([*range(min(self.first, len(neurons))), *later]))

    def draw_excited(
        self, excitation: dict[tuple[str, str], np.ndarray], music: int, neurons: int
    ) -> matplotlib.figure.Figure:
        drawing = style.figure(height=2.3)
        panels = drawing.subplots(1, 3)
        sizes = {"music": music, "noise": neurons - music, "all": neurons}
        for axes, (kind, of) in zip(panels, sizes.items(), strict=True):
            draw.counts(axes, {name: excitation[name, kind] for name in SETS[:2]}, of)
            axes.set_xlabel(f"excited, of {of} {'neurons in all' if kind == 'all' else f'{kind} neurons'}")
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return drawing

    def draw_separability(self, table: pd.DataFrame) -> matplotlib.figure.Figure:
        drawing = style.figure(width=style.PAGE, height=2.9)
        axes = drawing.subplots()
        known = table[np.isfinite(table["auc"])]
        quantities = list(dict.fromkeys(known["quantity"]))
        looks = zip(SETS[1:], (draw.RANDOM, style.PALETTE[2], style.PALETTE[3]), strict=True)
        for side, (name, colour) in enumerate(looks):
            part = known[known["set"] == name].set_index("quantity").reindex(quantities)
            mean = part["auc"].to_numpy()
            error = np.nan_to_num(np.array([mean - part["low"], part["high"] - mean]).clip(min=0))
            places = np.arange(len(quantities)) + 0.2 * (side - 1)
            axes.errorbar(mean, places, xerr=error, fmt="o", markersize=4, color=colour, capsize=2.5, label=name)
        axes.axvline(0.5, color=style.INK, linewidth=0.7, linestyle=":")
        axes.set_yticks(range(len(quantities)), quantities)
        axes.set_ylim(len(quantities) - 0.5, -0.5)
        axes.set_xlim(min(0.45, float(known["low"].min()) - 0.02), 1.01)
        axes.set_xlabel("AUC against real melodies (0.5: cannot be told apart)")
        drawing.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return drawing

    def caption_neurons(self, neurons: pd.DataFrame, count: int) -> str:
        return (
            f"μ of the first {min(self.first, count)} neurons in order of mean σ, and of the pitch and the rhythm "
            "neuron where they come later, for real melodies and random notes; AUC, either way, says how well one "
            "neuron tells the two apart. After Fig. 10 of the source paper, in which the pitch neuron differs and the "
            "rhythm neuron hardly does."
        )

    def caption_excited(self, summary: pd.DataFrame) -> str:
        of = summary.set_index(["set", "neurons"])

        def said(kind: str) -> str:
            real, random = (cast("pd.Series", of.loc[(name, kind)]) for name in (SETS[0], RANDOM))
            return f"{real['mean']:.1f} {kind} neurons for real, {random['mean']:.1f} for random"

        return (
            f"Number of neurons with |μ| > {self.excited:g}. Means: {said('music')}; {said('noise')}. After Fig. 11 of "
            "the source paper: both peak at 34 or 35 of 37 music neurons; noise neurons, under 100 for real and mostly "
            "over 100 for random, with two peaks; in all, random notes excite 350 or fewer of 512."
        )

    def caption_separability(self, table: pd.DataFrame, music: int) -> str:
        without = table.loc[table["auc"].isna(), "quantity"].drop_duplicates()
        lacking = (
            f" Without {' and '.join(without)}: half of the melodies are too few for a Gaussian of so many dimensions."
            if len(without)
            else ""
        )
        return (
            "How well random notes, and melodies half of which is random, are told from real melodies by the number "
            f"of excited neurons and by the μ of all {music} music and of all noise neurons together (ratio of two "
            "Gaussians, fitted on half of the tunes, judged on the others). Bars: 95 % intervals over tunes." + lacking
        )
