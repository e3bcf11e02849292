"""Do attribute vectors say more than single neurons? (Barenboim, Del Debbio, Hirn, Sanz 2023, section 4.)

Definitions: the attribute vector of a feature is the mean μ of the melodies with its highest values less the mean μ of
those with its lowest (a tenth of the melodies each; Roberts et al. 2018, section 5.2, take quarters). A melody's score
is its μ along that vector. It is compared with the single neuron that is strongest for the feature, with the least
squares direction (what a linear combination can reach), and with a random direction. All are chosen on one half of the
tunes and judged on the other, by φk between score and feature, and by |Spearman's ρ|. The paper finds vectors *less*
strongly correlated than single neurons.

φk weighs shape as well as order, so that a vector may win by ρ and lose by φk; the vector over the music neurons only
shows whether noise neurons spoil it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from analyses.measures import jsymbolic
from analyses.measures.intervals import interval, with_interval
from analyses.measures.phik import phik
from analyses.measures.tables import rows_of
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import Thresholds, in_order, music_neurons

if TYPE_CHECKING:
    import matplotlib.figure

WAYS = {
    "neuron": "strongest single neuron",
    "vector": "attribute vector",
    "music_vector": "attribute vector, music neurons only",
    "least_squares": "least squares direction",
    "random": "random direction",
}
COLOURS = dict(zip(WAYS, (*style.PALETTE[:4], "#8A929B"), strict=True))
FEWEST = 40
"""Melodies per half for which a feature must be defined."""


@dataclass(frozen=True)
class AttributeVectors(Analysis[LatentObservation]):
    """Compares attribute vectors with single neurons, least squares and chance, feature by feature."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "phik/vector": Main(
            "Along the attribute vector features follow the latent with a mean φk of {}",
            "phik/random",
            "a random direction",
        ),
        "phik/neuron": Main("The strongest single neuron reaches a mean φk of {}"),
        "phik/neuron_beats_vector": Main("The neuron beats the vector for {:%} of the features"),
    }

    extreme: float = 0.1
    """Share of the melodies at either end of a feature that the vector is taken between."""
    sigma_below: float = 0.9
    resamples: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.extreme <= 0.5:
            raise UserError(f"attribute_vectors.extreme is {self.extreme:g}; it is a share above 0 and up to 0.5")

    def __call__(self, observation: LatentObservation) -> Findings:
        values = jsymbolic.telling(jsymbolic.feature_values(observation))
        music = music_neurons(observation.mu, observation.sigma, "sigma", Thresholds(self.sigma_below))
        table, vectors = self.judged(observation, values, music)
        if table.empty:
            raise UserError(
                f"attribute_vectors: no feature is defined for {FEWEST} melodies of either half; raise sampling.tunes"
            )
        summary = self.summary(table, np.random.default_rng(observation.seed))
        return Findings(
            metrics=self.metrics(table, summary),
            figures={
                "strengths": Figure(
                    self.draw(table),
                    self.caption(table, summary, len(observation)),
                    title="How strongly each feature hangs together with attribute vectors and with single neurons",
                )
            },
            tables={"features": table, "summary": summary},
            arrays={"vectors": vectors},
        )

    def judged(
        self, observation: LatentObservation, values: pd.DataFrame, music: np.ndarray
    ) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        """Returns one row per feature with φk and |ρ| of each way on the second half, and the vectors `[Z]`."""
        rng = np.random.default_rng([observation.seed, 4])
        place = np.unique(observation.source, return_inverse=True)[1]
        first_half = rng.permutation(place.max() + 1)[place] % 2 == 0
        order = in_order(observation.sigma)
        rank = {int(neuron): k for k, neuron in enumerate(order, start=1)}
        rows, vectors = [], {}
        for number in values:
            feature = values[number].to_numpy()
            known = np.isfinite(feature)
            fit, test = known & first_half, known & ~first_half
            if min(fit.sum(), test.sum()) < FEWEST or min(len(np.unique(feature[side])) for side in (fit, test)) < 2:
                continue
            found = self.directions(feature[fit], observation.mu[fit], music, rng)
            scores = np.column_stack([observation.mu[test] @ direction for direction in found.values()])
            strength = phik(feature[test][:, None], scores)[0]
            monotone = np.abs(spearman(feature[test], scores))
            neuron = int(found["neuron"].argmax())
            row = {"feature": number, "name": jsymbolic.names()[str(number)].partition(" ")[2], "neuron": neuron}
            row |= {"place": rank[neuron], "melodies": int(test.sum())}
            row |= {f"phik_{way}": float(value) for way, value in zip(found, strength, strict=True)}
            row |= {f"rho_{way}": float(value) for way, value in zip(found, monotone, strict=True)}
            rows.append(row)
            vectors[number] = found["vector"].astype(np.float32)
        return pd.DataFrame(rows), vectors

    def directions(
        self, feature: np.ndarray, mu: np.ndarray, music: np.ndarray, rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """Returns a direction `[Z]` for each way, fitted to `feature [N]` and `mu [N, Z]`."""
        neurons = mu.shape[1]
        vector = attribute_vector(feature, mu, self.extreme)
        in_music = np.zeros(neurons)
        in_music[music] = 1
        strongest = int(np.nan_to_num(phik(feature[:, None], mu)[0]).argmax())
        return {
            "neuron": np.eye(neurons)[strongest],
            "vector": vector,
            "music_vector": vector * in_music if len(music) else vector,
            "least_squares": least_squares(feature, mu),
            "random": rng.standard_normal(neurons),
        }

    def summary(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Returns one row per way: mean φk and |ρ| over features, and how often it beats the single neuron.

        Intervals are over bootstrap samples of features.
        """
        drawn = rng.integers(0, len(table), (self.resamples, len(table)))
        rows = []
        for way, says in WAYS.items():
            row: dict[str, object] = {"way": way, "says": says}
            for measure in ("phik", "rho"):
                own, single = table[f"{measure}_{way}"].to_numpy(), table[f"{measure}_neuron"].to_numpy()
                wins = (own > single).astype(float)
                for name, values in ((measure, own), (f"{measure}_beats_neuron", wins)):
                    low, high = interval(np.nanmean(values[drawn], axis=1))
                    row |= {name: float(np.nanmean(values)), f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
        return pd.DataFrame(rows)

    def metrics(self, table: pd.DataFrame, summary: pd.DataFrame) -> dict[str, float]:
        """Returns the mean φk and |ρ| of each way, and the share of features for which the neuron beats the vector."""
        found: dict[str, float] = {"features": float(len(table))}
        for row in summary.to_dict("records"):
            for measure in ("phik", "rho"):
                ends = (row[measure], row[f"{measure}_low"], row[f"{measure}_high"])
                found |= with_interval(f"{measure}/{row['way']}", ends)
        vector = summary.set_index("way").loc["vector"]
        for measure in ("phik", "rho"):
            share, low, high = (1 - vector[f"{measure}_beats_neuron{end}"] for end in ("", "_high", "_low"))
            found |= with_interval(f"{measure}/neuron_beats_vector", (share, low, high))
        return found

    def draw(self, table: pd.DataFrame) -> matplotlib.figure.Figure:
        """Returns one row per feature, the strongest neuron's first, with a dot for each way."""
        ordered = table.sort_values("phik_neuron", ascending=True, ignore_index=True)
        drawing = style.figure(height=0.8 + 0.12 * len(ordered))
        panels = drawing.subplots(1, 2, sharey=True)
        places = np.arange(len(ordered))
        for axes, (measure, label) in zip(panels, (("phik", "φk"), ("rho", "|Spearman's ρ|")), strict=True):
            ends = ordered[[f"{measure}_neuron", f"{measure}_vector"]].to_numpy()
            axes.hlines(places, ends.min(1), ends.max(1), color=style.SOFT, linewidth=1.0, zorder=1)
            for way, says in WAYS.items():
                marker = {"neuron": "o", "vector": "s"}.get(way, ".")
                size = 20 if way in ("neuron", "vector") else 16
                axes.scatter(
                    ordered[f"{measure}_{way}"], places, s=size, marker=marker, color=COLOURS[way], label=says, zorder=2
                )
            axes.set_xlim(-0.02, 1.02)
            axes.set_xlabel(f"{label} with the feature")
            axes.set_ylim(-0.8, len(ordered) - 0.2)
            axes.grid(axis="y", color="#EEF0F2", linewidth=0.5)
        names = [f"{row.feature} {row.name} · {row.place}" for row in rows_of(ordered, index=False)]
        panels[0].set_yticks(places, names, fontsize=6.5)
        panels[0].tick_params(axis="y", length=0)
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return drawing

    def caption(self, table: pd.DataFrame, summary: pd.DataFrame, melodies: int) -> str:
        of = summary.set_index("way")
        beats = 1 - float(of["phik_beats_neuron"]["vector"])
        return (
            f"Strength of association of {len(table)} features with the strongest single neuron (its place in order of "
            f"mean σ after the dot), with the attribute vector between the top and bottom {self.extreme:.0%} of "
            f"{melodies:,} melodies, and with other directions; chosen on half of the tunes, judged on the others. The "
            f"single neuron has the higher φk for {beats:.0%} of the features (mean φk {of.loc['neuron', 'phik']:.2f}, "
            f"vector {of.loc['vector', 'phik']:.2f}, least squares {of.loc['least_squares', 'phik']:.2f}); the source "
            "paper finds single neurons the stronger."
        )


def attribute_vector(feature: np.ndarray, mu: np.ndarray, extreme: float) -> np.ndarray:
    """Returns the mean of `mu [N, Z]` where `feature [N]` is in its top share, less that of its bottom share, `[Z]`.

    Melodies that tie with the last one taken are taken too.
    """
    low, high = np.quantile(feature, [extreme, 1 - extreme])
    if low == high:  # most melodies have one value: those above it (or below it) against it
        top, bottom = (feature > low, feature <= low) if (feature > low).any() else (feature >= high, feature < high)
    else:
        top, bottom = feature >= high, feature <= low
    return mu[top].mean(0, dtype=float) - mu[bottom].mean(0, dtype=float)


def least_squares(feature: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """Returns the direction `[Z]` whose scores fit `feature [N]` best, with a ridge of 1 % of the mean variance."""
    x = mu.astype(np.float64) - mu.mean(0, dtype=float)
    gram = x.T @ x
    ridge = 0.01 * np.trace(gram) / len(gram) + 1e-12
    return np.linalg.solve(gram + ridge * np.eye(len(gram)), x.T @ (feature - feature.mean()))


def spearman(feature: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns Spearman's ρ of `feature [N]` with each column of `scores [N, C]`, `[C]`."""
    from scipy.stats import rankdata

    x, y = rankdata(feature), rankdata(scores, axis=0)
    x, y = x - x.mean(), y - y.mean(0)
    spread = np.sqrt((x**2).sum() * (y**2).sum(0))
    return np.where(spread > 0, x @ y / np.where(spread > 0, spread, 1), np.nan)
