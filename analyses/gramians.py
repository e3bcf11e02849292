"""What in a layer repeats when the tune does? Similarities between all pairs of steps. (Part 9 of the blog; part 10.)

Definitions: the one-hot Gramian says which tokens are equal. Between posteriors, the L1 distance (0 to 2; 2 where they
have no token in common): pairs count as far beyond 1.98 and as near-identical up to 0.02. Between the states or gates
of two steps, the cosine of their angle, drawn as a magnitude, since polarity is ignored. Row t of a state has read
token t, so a state is compared with the one-hot Gramian of the tokens just read (lag 0: part 9's shift by one pixel)
and of those that follow (lag 1). The similarity of two Gramians is Pearson's r over their unequal pairs of steps.

Part 9's cosines are large wherever an activation has a mean, as gates have. Beside them stands what is left when the
mean of every unit is taken off (`centred_read`), and what circular shifts in time leave of that (see
`measures.centred`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import gramians as draw
from analyses.measures import centred, similarity
from analyses.measures import repetition_pairs as again
from analyses.measures.activation_pairs import activations_by_layer, cross_metrics, cross_table, likeness, pairs_of
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.passages import reversals
from analyses.measures.places import is_measure, place_in_bar
from analyses.measures.tables import rows_of
from folkrnn import sites as grammar
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Animation, Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observation import Observation

ONLY_IN_TABLES = ("same_place", "other_place", "centred_shifted")
"""What is no metric of the run: with seven activations in three layers there would be too many to compare."""


@dataclass(frozen=True)
class Gramians(Analysis[Observation | LatentObservation]):
    """Gramians of inputs, posteriors, hidden states, gates and cells of one tune; their numbers over all tunes."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn", "musicvae")
    pairs_of_steps: ClassVar[bool] = True
    main: ClassVar[Mapping[str, Main]] = {
        "l*.h/place_structure": Main("States at the same place of a bar are more alike than others by {}"),
        "probs/far_share": Main("{:%} of pairs of distributions are far apart"),
        "l*.h/similarity_read": Main("The last layer's Gramian follows the token read with {}"),
    }

    sites: Sequence[str] = ("l*.*",)
    far: float = 1.98
    near: float = 0.02
    reach: int = 4
    window: int = 16
    shortest_repeat: int = 4
    shortest_reversal: int = 3
    passages: int = 20
    tune: int = 0
    resamples: int = 1000
    animated: Sequence[str] = ("h", "o", "tanhc", "c", "i", "f", "i×o")
    """Part 9's animations: activations, and products of two (vertical axis last); h flips against the one-hot
    Gramian.
    """

    def __post_init__(self) -> None:
        if not 0 <= self.near < self.far <= 2:
            raise UserError(
                f"gramians.near={self.near:g} and gramians.far={self.far:g} are L1 distances between distributions; "
                "they must satisfy 0 ≤ near < far ≤ 2"
            )
        for name in ("window", "shortest_repeat", "shortest_reversal"):
            if getattr(self, name) < 2:
                raise UserError(f"gramians.{name} is {getattr(self, name)}; it must be at least 2 steps")

    def __call__(self, observation: Observation | LatentObservation) -> Findings:
        observation = observation.reading()
        k = min(self.tune, len(observation.transcriptions) - 1)
        names = [str(site) for site in grammar.parse(self.sites, observation.model.sites)]
        distributions, layers = self.gather(observation, names)
        rng = np.random.default_rng(observation.seed)
        population = self.population(distributions, layers, names, rng)
        tokens = observation.tokens(k)
        cross = cross_table(tokens, observation.traces(k, names))
        distance = similarity.l1(observation.posterior(k))
        activations = observation.traces(k, names)
        gram = {name: similarity.gramian(activations[name]) for name in names}
        per_bar = similarity.bar_table(tokens, distance)
        metrics = self.metrics(population)
        return Findings(
            metrics=metrics | cross_metrics(cross),
            figures=self.figures(tokens, k, distance, activations, gram, per_bar, layers)
            | self.spread(distributions, layers, metrics),
            animations=self.animations(tokens, k, activations, gram),
            tables={
                "posteriors": distributions,
                "activations": layers,
                "population": population,
                f"bars_tune{k}": per_bar,
                f"passages_tune{k}": again.passage_table(
                    tokens, self.shortest_repeat, self.shortest_reversal, self.passages
                ),
                f"cross_tune{k}": cross,
            },
            lists={
                "first_bar_again": again.first_bar_again(tokens, self.shortest_reversal),
                "longest_repeats": again.longest_repeats(tokens, self.shortest_repeat),
            },
            arrays={f"tune{k}": {"l1": distance.astype(np.float32)} | gram},
        )

    def animations(
        self, tokens: Sequence[str], k: int, activations: dict[str, np.ndarray], gram: dict[str, np.ndarray]
    ) -> dict[str, Animation]:
        """Returns part 9's animations: the layers of each of `animated` in turn, resting at the last."""
        found = {}
        for name in self.animated:
            one, _, other = name.partition("×")
            if other:
                layers = [
                    layer
                    for layer in activations_by_layer(activations)
                    if {f"{layer}.{one}", f"{layer}.{other}"} <= set(activations)
                ]
                panels = {
                    f"{layer}.{other} (up) · {layer}.{one} (across)": np.abs(
                        similarity.cross(activations[f"{layer}.{other}"], activations[f"{layer}.{one}"])
                    )
                    for layer in layers
                }
            else:
                panels = {site: np.abs(gram[site]) for site in gram if site.endswith(f".{name}")}
            if not panels:
                continue
            one_hot = similarity.one_hot(tokens[: len(next(iter(panels.values())))]) if name == "h" else None
            frames = draw.frames(tokens, one_hot, panels)
            rest = [1.0] * (len(frames) - 1) + [3.0]
            found[f"flip_{name.replace('×', '_')}"] = Animation(
                frames, (_FLIP if name == "h" else _CYCLE).format(tune=k, activation=name), rest
            )
        return found

    def spread(self, distributions: pd.DataFrame, layers: pd.DataFrame, metrics: dict[str, float]) -> dict[str, Figure]:
        """Returns how the numbers are distributed over tunes; nothing of one tune."""
        if len(distributions) < 2:
            return {}
        drawn = {
            "distributions": draw.spread_of_distributions(distributions, metrics),
            "layers": draw.spread_of_layers(layers, metrics),
        }
        caption = _SPREAD.format(tunes=len(distributions))
        return {
            f"population_{name}": Figure(drawing, caption, title=_SPREAD_TITLES[name])
            for name, drawing in drawn.items()
            if drawing
        }

    def metrics(self, population: pd.DataFrame) -> dict[str, float]:
        """Returns the means over tunes as metrics, with their intervals where there are several tunes."""
        found: dict[str, float] = {}
        for row in rows_of(population[~population["quantity"].isin(ONLY_IN_TABLES)], index=False):
            found |= with_interval(f"{row.site}/{row.quantity}", (row.mean, row.low, row.high))
        return found

    def gather(self, observation: Observation, names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Returns (one row per tune about its posteriors, one row per tune and activation), traced in batches."""
        distributions, layers = [], []
        for k, activations in observation.each([*names, "probs"]):
            tokens = observation.tokens(k)
            distributions.append({"tune": k} | self.measure_distribution(tokens, activations["probs"]))
            gram = {name: np.abs(similarity.gramian(activations[name])) for name in names}
            layers += [
                {"tune": k, "site": name}
                | self.measure_gramian(tokens, gram[name])
                | self.measure_values(tokens, activations[name])
                | likeness(gram, name)
                for name in names
            ]
        order = {name: place for place, name in enumerate(names)}
        layers.sort(key=lambda row: (row["tune"], order[row["site"]]))
        return pd.DataFrame(distributions).sort_values("tune", ignore_index=True), pd.DataFrame(layers)

    def measure_distribution(self, tokens: Sequence[str], distribution: np.ndarray) -> dict[str, float]:
        """Returns counts and shares of far and near pairs; among steps that draw measure tokens and by bar role."""
        distance = similarity.l1(distribution)
        pairs = similarity.pairs(distance)
        draws_measure = is_measure(tokens)[1:]
        among = similarity.pairs(distance[np.ix_(draws_measure, draws_measure)])
        bars = similarity.bar_table(tokens, distance)
        roles = {
            f"l1_{role.replace(' ', '_')}": similarity.mean(bars.loc[bars["role"] == role, "mean_l1"])
            for role in ("first", "penultimate", "after the middle")
        }
        return {
            "steps": len(distribution),
            "pairs": len(pairs),
            "far_pairs": int((pairs > self.far).sum()),
            "far_share": similarity.mean(pairs > self.far),
            "near_share": similarity.mean(pairs <= self.near),
            "near_share_measure": similarity.mean(among <= self.near),
            "mean_l1": similarity.mean(pairs),
            "l1_bars": similarity.mean(bars["mean_l1"].dropna()),
            "l1_at_repeats": again.mean_at(distance, again.pairs_at(tokens, "repeated", self.shortest_repeat)),
            "l1_at_reversals": again.mean_at(distance, again.pairs_at(tokens, "reversed", self.shortest_reversal)),
            "reversed_passages": len(reversals(tokens, self.shortest_reversal)),
            **roles,
        }

    def measure_values(self, tokens: Sequence[str], values: np.ndarray) -> dict[str, float]:
        """Returns how much of the activation is saturated, and its likeness to the one-hot Gramian without its mean.

        `open_share`: values above 0.9, `shut_share`: below 0.1, which say of a gate whether it is saturated.
        """
        gram = np.abs(similarity.gramian(centred.centred(values)))
        return {
            "open_share": float((values > 0.9).mean()),
            "shut_share": float((values < 0.1).mean()),
            "centred_read": similarity.to_one_hot(gram, tokens, 0),
            "centred_shifted": float(np.mean(centred.likeness_of_shifts(gram, tokens))),
        }

    def measure_gramian(self, tokens: Sequence[str], gram: np.ndarray) -> dict[str, float]:
        """Returns the same of the |Gramian| `[T, T]` itself."""
        known = {f"lag{lag:+d}": similarity.to_one_hot(gram, tokens, lag) for lag in range(-self.reach, self.reach + 1)}
        same, other = similarity.by_place(gram, place_in_bar(tokens)[: len(gram)], tokens)
        half = len(gram) // 2
        return {
            "similarity_read": known["lag+0"],
            "similarity_next": similarity.to_one_hot(gram, tokens, 1),
            "same_place": same,
            "other_place": other,
            "place_structure": same - other,
            "mean_cosine": similarity.mean(similarity.pairs(gram)),
            "saturation_first_half": similarity.mean(similarity.pairs(gram[:half, :half])),
            "saturation_second_half": similarity.mean(similarity.pairs(gram[half:, half:])),
            **known,
        }

    def population(
        self, distributions: pd.DataFrame, layers: pd.DataFrame, names: Sequence[str], rng: np.random.Generator
    ) -> pd.DataFrame:
        """Returns the mean over tunes of every number, with its 95 % bootstrap interval."""
        groups = [("probs", distributions)] + [(name, layers[layers["site"] == name]) for name in names]
        rows = []
        for name, part in groups:
            for quantity in part.columns.drop(["tune", "site", "steps"], errors="ignore"):
                if quantity.startswith("lag"):
                    continue
                middle, low, high = mean_interval(part[quantity].to_numpy(), self.resamples, rng)
                known = int(part[quantity].notna().sum())
                row = {"site": name, "quantity": quantity, "mean": middle, "low": low, "high": high, "tunes": known}
                rows.append(row)
        return pd.DataFrame(rows)

    def figures(
        self,
        tokens: Sequence[str],
        k: int,
        distance: np.ndarray,
        activations: dict[str, np.ndarray],
        gram: dict[str, np.ndarray],
        per_bar: pd.DataFrame,
        layers: pd.DataFrame,
    ) -> dict[str, Figure]:
        pairs = similarity.pairs(distance)
        one_hot = similarity.one_hot(tokens[: len(distance)])
        families = activations_by_layer(activations)
        found = {
            "posteriors": Figure(
                draw.distances(tokens, distance, self.near, self.far),
                _POSTERIORS.format(
                    tune=k, near=self.near, far=self.far, pairs=len(pairs), count=int((pairs > self.far).sum())
                ),
                title=f"L1 distance between the distributions of all pairs of steps of tune {k}",
            ),
            "one_hot": Figure(
                draw.one_hot(tokens[: len(distance)], one_hot),
                _ONE_HOT.format(tune=k),
                title=f"Equal tokens in tune {k}",
            ),
        }
        for activation in dict.fromkeys(name for members in families.values() for name in members):
            panels = {name: np.abs(gram[name]) for name in gram if name.endswith(f".{activation}")}
            caption = _ACTIVATION.format(tune=k, activation=activation)
            found[f"activation_{activation}"] = Figure(
                draw.layers(tokens, one_hot, panels),
                caption,
                title=f"|Cosine| between the values of {activation} at all pairs of steps of tune {k}",
            )
        for layer, members in families.items():
            products = {
                (a, b): similarity.cross(activations[f"{layer}.{a}"], activations[f"{layer}.{b}"])
                for a, b in pairs_of(members)
            }
            if products:
                found[f"cross_{layer}"] = Figure(
                    draw.crosses(tokens, layer, products),
                    _CROSS.format(tune=k, layer=layer),
                    title=f"|Cosine| between two activations of layer {layer.lstrip('l')} at all steps of tune {k}",
                )
        windows = {name: similarity.running(np.abs(gram[name]), self.window) for name in gram if name.endswith(".c")}
        found["bars"] = Figure(
            draw.bars(per_bar),
            _BARS.format(tune=k),
            title=f"How far the distributions of each bar of tune {k} lie from those of the rest",
        )
        found["similarity"] = Figure(
            draw.likeness(layers, self.reach),
            _LIKENESS.format(tunes=layers["tune"].nunique()),
            title="How much each layer's Gramian resembles that of the tokens, by lag",
        )
        if windows:
            found["saturation"] = Figure(
                draw.saturation(tokens, windows, self.window),
                _SATURATION.format(tune=k, window=self.window),
                title=f"How much cells still turn: |cosine| with the {self.window} steps before, tune {k}",
            )
        return found


_SPREAD_TITLES = {
    "distributions": "How far apart distributions are, tune by tune",
    "layers": "How alike states and cells are, tune by tune",
}
_POSTERIORS = (
    "Tune {tune}: L1 distance between the distributions of all pairs of steps. Sanguine: at most {near:g}; powder "
    "blue: beyond {far:g} ({count:,} of {pairs:,} pairs); grey between, darker where closer. Lines are measure "
    "tokens; axes name the token that was drawn. After part 9, which reports 2,642 of 5,671 pairs for v2 on "
    "the same tune as the paper's Fig. 1."
)
_ONE_HOT = (
    "Tune {tune}: which tokens are equal. Runs along the main diagonal are repeats, runs across it reversals; lines "
    "are measure tokens. After part 9's first figure."
)
_ACTIVATION = (
    "Tune {tune}: |cosine| between the values of {activation} at all pairs of steps, layer by layer, beside the "
    "one-hot Gramian of the tokens just read. Sanguine: same direction but for the sign (from 0.99); powder blue: "
    "orthogonal (up to 0.01); darker grey: smaller angle (of gates, all above 0, the lightest is the widest angle "
    "there is); the axes name the token just read. After part 9."
)
_FLIP = (
    "Tune {tune}: the layers of {activation} in turn, each after the one-hot Gramian of the tokens just read, so "
    "that the eye sees what moves: a shift by one step is a token that comes next. After part 9's animations."
)
_CYCLE = (
    "Tune {tune}: |cosine| between the values of {activation} at all pairs of steps, layer by layer, resting at the "
    "last; the axes name the token just read. After part 9's animations."
)
_CROSS = (
    "Tune {tune}: |cosine| between two activations of {layer} at all pairs of steps (first named up, second across: "
    "the output gate on the vertical axis), in the colours of the other Gramians. Part 9 finds no structure here for "
    "v2."
)
_BARS = (
    "Tune {tune}: mean L1 distance of the distributions that drew a bar's tokens to those of all other steps. Part "
    "9: the first and penultimate bars of a part overlap most with the others, the bar after the middle least."
)
_LIKENESS = (
    "How much the Gramians of each layer resemble the one-hot Gramian of the tokens at a lag (Pearson's r over pairs "
    "of steps, mean over tunes: {tunes}). Lag 0: the tokens just read; lag 1: those that follow. Part 9: layer 2's "
    "hidden state is most alike."
)
_SPREAD = (
    "{tunes} tunes: how the numbers of part 9 are distributed over them; line and band are the mean and its 95 % "
    "bootstrap interval."
)
_SATURATION = (
    "Tune {tune}: mean |cosine| between the cell state of a step and those of the {window} steps before it. Near 1 the "
    "cells no longer change direction. Part 9: they saturate as the tune goes on, least in layer 1."
)
