"""What do the neurons say in a musician's terms? (Barenboim, Del Debbio, Hirn, Sanz 2023, Figs. 6 and 7.)

Definitions: features are jSymbolic's scalars by music21 (`folkrnn.melodies.features`); those are used that take two
values here and do not double another. A neuron's excitation is its μ. The strength of a pair is φk
(`analyses.measures.phik`) on 10 equally wide bins, over the melodies for which the feature is defined; r is Pearson's,
for the direction. φk does not see how small the μ of a noise neuron is. A pair is *significant* if its φk on equally
full bins exceeds that of any pair at all in 19 random orders of the melodies, one melody of each tune (family-wise
error 5 %). Neurons stand in order of mean σ.

The *pitch* neuron is the music neuron with the highest mean φk over the P features, of those that have more to do with
P than with R features; the *rhythm* neuron likewise; *melody candidates* have more to do with M features than with
either (`analyses.measures.music_neurons.name_neurons`). The source paper names neurons by eye.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import feature_correlation as draw
from analyses.measures import jsymbolic
from analyses.measures.association import SHUFFLES, beyond_chance, one_of_each, pearson
from analyses.measures.music_neurons import KINDS, Named, kind_scores
from analyses.measures.phik import BINS, phik
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import Thresholds, music_neurons

TOP = 10
"""Features drawn for a named neuron."""


@dataclass(frozen=True)
class FeatureCorrelation(Analysis[LatentObservation]):
    """Correlates jSymbolic's features with the neurons and with each other; names the pitch and the rhythm neuron."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "strongest_phik": Main("The strongest φk of a feature and a neuron is {}", "chance_phik", "chance"),
        "significant_share_music": Main(
            "{:%} of pairs of a feature and a music neuron are significant", "significant_share_noise", "noise neurons"
        ),
        "pitch_rank": Main("The pitch neuron has place {} by mean σ"),
        "rhythm_rank": Main("The rhythm neuron has place {} by mean σ"),
    }

    shown: int | None = 100
    bins: int = BINS
    shuffles: int = SHUFFLES

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise UserError(f"feature_correlation.bins is {self.bins}; a variable is cut into at least 2 bins")
        if self.shuffles < 1:
            raise UserError(f"feature_correlation.shuffles is {self.shuffles}; chance is measured on at least 1")
        if self.shown is not None and self.shown < 1:
            raise UserError(
                f"feature_correlation.shown is {self.shown}; it must be a number of neurons, or null for all"
            )

    def __call__(self, observation: LatentObservation) -> Findings:
        values = jsymbolic.feature_values(observation)
        strength = jsymbolic.strengths(observation, self.shown, self.bins)
        if strength.empty:
            raise UserError(
                f"feature_correlation: no feature takes two values in the {len(observation)} melodies observed; "
                "raise sampling.tunes or choose another dataset"
            )
        named = jsymbolic.named(observation, strength)
        music = self.music(observation, strength)
        pairs, threshold = self.pairs(observation, strength, music)
        kinds = kind_scores(strength)
        among = self.among_features(jsymbolic.telling(values))
        return Findings(
            metrics=self.metrics(strength, pairs, kinds, named, among["phik"], threshold) | self.counts(observation),
            figures=self.figures(observation, strength, kinds, named, pairs, among, len(music)),
            tables={
                "features": jsymbolic.describe(values),
                "pairs": pairs,
                "by_neuron": by_neuron(pairs, kinds, named),
                "by_feature": by_feature(pairs),
                "phik": strength.rename_axis("feature").reset_index(),
                "features_phik": among["phik"].rename_axis("feature").reset_index(),
                "features_pearson": among["pearson"].rename_axis("feature").reset_index(),
            },
            arrays={"features": {str(number): values[number].to_numpy() for number in values}},
        )

    def music(self, observation: LatentObservation, strength: pd.DataFrame) -> list[int]:
        """Returns the music neurons (by mean σ) among those looked at, in the model's numbering."""
        return [n for n in music_neurons(observation.mu, observation.sigma).tolist() if n in strength.columns]

    def pairs(
        self, observation: LatentObservation, strength: pd.DataFrame, music: list[int]
    ) -> tuple[pd.DataFrame, float]:
        """Returns one row per feature and neuron, the strongest first, and what φk had to exceed to be significant."""
        rng = np.random.default_rng([observation.seed, 6])
        values = jsymbolic.feature_values(observation)[strength.index].to_numpy()
        mu = observation.mu[:, strength.columns]
        alone = one_of_each(observation.source, rng)
        significant, threshold = beyond_chance(values[alone], mu[alone], rng, self.shuffles, self.bins)
        features, neurons = strength.shape
        table = pd.DataFrame(
            {
                "feature": np.repeat(strength.index, neurons),
                "neuron": np.tile(strength.columns, features),
                "rank": np.tile(np.arange(1, neurons + 1), features),
                "music": np.tile(np.isin(strength.columns, music), features),
                "phik": strength.to_numpy().ravel(),
                "pearson": pearson(values, mu).ravel(),
                "significant": significant.ravel(),
            }
        )
        return table.sort_values("phik", ascending=False, kind="stable", ignore_index=True), threshold

    def among_features(self, values: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Returns φk and Pearson's r of the features with each other, `[F, F]`, melody before pitch before rhythm."""
        numbers = sorted(map(str, values), key=lambda number: (number[0], int(number[1:])))
        x = values[numbers].to_numpy()
        found = {"phik": phik(x, x, self.bins), "pearson": pearson(x, x)}
        return {name: pd.DataFrame(matrix, index=numbers, columns=numbers) for name, matrix in found.items()}

    def counts(self, observation: LatentObservation) -> dict[str, float]:
        return {"melodies": float(len(observation)), "sources": float(len(np.unique(observation.source)))}

    def metrics(
        self,
        strength: pd.DataFrame,
        pairs: pd.DataFrame,
        kinds: pd.DataFrame,
        named: Named,
        among: pd.DataFrame,
        threshold: float,
    ) -> dict[str, float]:
        """Returns numbers by name; ranks count from 1 in order of mean σ, NaN where no neuron is named."""
        rank = {int(neuron): place for place, neuron in enumerate(strength.columns, start=1)}
        inner = pairs[pairs["music"]]
        found = {
            "features_used": float(len(strength)),
            "strongest_phik": float(strength.max().max()),
            "chance_phik": threshold,
            "significant_share_music": float(inner["significant"].mean()) if len(inner) else float("nan"),
            "significant_share_noise": float(pairs[~pairs["music"]]["significant"].mean()),
            "melody_candidates": float(len(named.melody)),
        }
        for kind in ("pitch", "rhythm"):
            neuron = getattr(named, kind)
            found[f"{kind}_neuron"] = float("nan") if neuron is None else float(neuron)
            found[f"{kind}_rank"] = float("nan") if neuron is None else float(rank[neuron])
            found[f"{kind}_mean_phik"] = float("nan") if neuron is None else float(kinds[neuron][kind])
        blocks = {name: [n for n in map(str, among) if n[0] == letter] for letter, name in KINDS.items()}
        blocks["register"] = [number for number in jsymbolic.REGISTER if number in among]
        found |= {f"within_{name}": mean_off_diagonal(among, numbers) for name, numbers in blocks.items()}
        return found | {"between_kinds": mean_between_kinds(among)}

    def figures(
        self,
        observation: LatentObservation,
        strength: pd.DataFrame,
        kinds: pd.DataFrame,
        named: Named,
        pairs: pd.DataFrame,
        among: dict[str, pd.DataFrame],
        music: int,
    ) -> dict[str, Figure]:
        names = jsymbolic.names()
        place = {int(neuron): rank for rank, neuron in enumerate(strength.columns, start=1)}
        titles = {
            f"{kind} neuron": neuron for kind in ("pitch", "rhythm") if (neuron := getattr(named, kind)) is not None
        }
        marks = {place[neuron]: title.split()[0] for title, neuron in titles.items()}
        found = {
            "neurons": Figure(
                draw.neurons(strength, kinds, marks, music, names),
                self.caption(observation, named, place, music),
                title=f"φk between features and neurons, over {len(observation):,} melodies",
            ),
            "features": Figure(
                draw.features(among["phik"], among["pearson"]),
                f"How {len(among['phik'])} jSymbolic features hang together over {len(observation):,} melodies, in the "
                "order melody, pitch, rhythm. The paper's Fig. 6 calls it Pearson's in the caption and φk in the text; "
                f"it finds R features strongly inter-correlated (mean φk here {self.block(among, 'R')}) and a block "
                f"P11 to P15 (here {mean_off_diagonal(among['phik'], jsymbolic.REGISTER):.2f}).",
                title=f"How the features hang together, over {len(observation):,} melodies",
            ),
        }
        tops = {
            f"{title}: {neuron} (place {place[neuron]})": pairs[pairs["neuron"] == neuron].head(TOP)
            for title, neuron in titles.items()
        }
        if tops:
            found["named"] = Figure(
                draw.best(tops, names),
                "The features that have most to do with the two named neurons, by φk; r is Pearson's. Hollow bars are "
                "not significant.",
                title="The features that have most to do with the two named neurons",
            )
        return found

    def block(self, among: dict[str, pd.DataFrame], letter: str) -> str:
        """Returns the mean φk among the features of one letter, for a caption."""
        return f"{mean_off_diagonal(among['phik'], [n for n in map(str, among['phik']) if n[0] == letter]):.2f}"

    def caption(self, observation: LatentObservation, named: Named, place: dict[int, int], music: int) -> str:
        said = [
            f"the {kind} neuron is neuron {neuron}, place {place[neuron]}"
            if (neuron := getattr(named, kind)) is not None
            else f"no music neuron qualifies as {kind} neuron"
            for kind in ("pitch", "rhythm")
        ]
        candidates = ", ".join(str(place[neuron]) for neuron in named.melody[:8]) or "none"
        return (
            f"φk between jSymbolic features and μ over {len(observation):,} melodies. Dashed: {music} music neurons by "
            f"mean σ below {Thresholds().sigma_below:g}. By the rule of this analysis {said[0]}, and {said[1]}; places "
            f"with more to do with melody than with either: {candidates}. The paper finds its first two neurons (of "
            "37) to be pitch and rhythm, in an order that it states both ways, and no melody neuron in two bars."
        )


def by_neuron(pairs: pd.DataFrame, kinds: pd.DataFrame, named: Named) -> pd.DataFrame:
    """Returns one row per neuron in order of mean σ: its three best features, and its mean φk by kind of features."""
    titles: dict[Any, str] = {named.pitch: "pitch", named.rhythm: "rhythm"} | dict.fromkeys(named.melody, "melody")
    rows = []
    for (rank, neuron), part in pairs.groupby(["rank", "neuron"], sort=True):
        row: dict[str, Any] = {
            "rank": rank,
            "neuron": neuron,
            "music": part["music"].iloc[0],
            "named": titles.get(neuron, ""),
        }
        for k, (feature, strength, r) in enumerate(part[["feature", "phik", "pearson"]].head(3).to_numpy(), start=1):
            row |= {f"best_{k}": feature, f"phik_{k}": strength, f"pearson_{k}": r}
        row |= {f"mean_{kind}": kinds.loc[kind, neuron] for kind in kinds.index}
        rows.append(row | {"significant_features": int(part["significant"].sum())})
    return pd.DataFrame(rows)


def by_feature(pairs: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per feature: the three neurons that have most to do with it, and how many significantly do."""
    rows = []
    for feature, part in pairs.groupby("feature", sort=True):
        row = {"feature": feature, "name": jsymbolic.names()[str(feature)].partition(" ")[2]}
        for k, (neuron, rank, strength) in enumerate(part[["neuron", "rank", "phik"]].head(3).to_numpy(), start=1):
            row |= {f"neuron_{k}": int(neuron), f"rank_{k}": int(rank), f"phik_{k}": strength}
        rows.append(row | {"significant_neurons": int(part["significant"].sum())})
    return pd.DataFrame(rows)


def mean_off_diagonal(matrix: pd.DataFrame, numbers: list[str] | tuple[str, ...]) -> float:
    """Returns the mean of `matrix [F, F]` over pairs of different features among `numbers`; NaN for fewer than two."""
    present = [number for number in numbers if number in matrix]
    block = matrix.loc[present, present].to_numpy()
    others = block[~np.eye(len(block), dtype=bool)]
    return float(np.nanmean(others)) if np.isfinite(others).any() else float("nan")


def mean_between_kinds(matrix: pd.DataFrame) -> float:
    """Returns the mean of `matrix [F, F]` over pairs of features of different kinds; NaN if there is but one kind."""
    letters = np.array([str(number)[0] for number in matrix])
    others = matrix.to_numpy()[letters[:, None] != letters]
    return float(np.nanmean(others)) if np.isfinite(others).any() else float("nan")
