"""How does a neuron follow a feature? (Barenboim, Del Debbio, Hirn, Sanz 2023, Figs. 8 and 9.)

Definitions: a neuron's excitation is its μ. The curve is LOESS, locally linear over the nearest two thirds of the
melodies (`analyses.measures.loess`); its band is the pointwise 95 % bootstrap interval, tunes resampled.
`explained` is the share of the variance of μ that the curve accounts for, beside that of a straight line (r²) and of
the curve after the melodies were put in random order. Melodies for which the feature is undefined are left out.

The paper draws its second neuron against "several" rhythm and pitch features. Here the neurons are the rhythm and the
pitch neuron as `feature_correlation` names them, the first two by mean σ if it names neither, or those asked for; of
each kind the features with the highest φk with each of these neurons in turn are drawn, the same for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import feature_correlation as draw
from analyses.measures import jsymbolic, loess
from analyses.measures.music_neurons import KINDS
from analyses.measures.tables import rows_of
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError, did_you_mean
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation


@dataclass(frozen=True)
class NeuronRegression(Analysis[LatentObservation]):
    """Draws chosen neurons against rhythm and pitch features with their LOESS curves and bootstrap bands."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "rhythm/explained_rhythm": Main(
            "Rhythm features explain {:%} of the rhythm neuron", "rhythm/explained_shuffled", "shuffled"
        ),
        "pitch/explained_pitch": Main(
            "Pitch features explain {:%} of the pitch neuron", "pitch/explained_shuffled", "shuffled"
        ),
    }

    neurons: Sequence[int] | None = None
    features: Sequence[str] | None = None
    kinds: Sequence[str] = ("rhythm", "pitch")
    per_kind: int = 4
    span: float = loess.SPAN
    rounds: int = loess.ROUNDS
    resamples: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.span <= 1:
            raise UserError(
                f"neuron_regression.span is {self.span:g}; it is a share of the melodies, above 0, at most 1"
            )
        if self.per_kind < 1 or self.resamples < 1 or self.rounds < 0:
            raise UserError("neuron_regression: per_kind and resamples must be at least 1, and rounds at least 0")
        for kind in self.kinds:
            if kind not in KINDS.values():
                known = ", ".join(KINDS.values())
                raise UserError(
                    f"neuron_regression.kinds: no kind {kind!r}{did_you_mean(kind, KINDS.values())}; {known}"
                )
        for number in self.features or ():
            if number not in jsymbolic.names():
                hint = did_you_mean(number, jsymbolic.names())
                raise UserError(
                    f"neuron_regression.features: no scalar feature {number!r}{hint}; jSymbolic's numbers are meant, "
                    "such as R15 or P12"
                )

    def __call__(self, observation: LatentObservation) -> Findings:
        strength = jsymbolic.strengths(observation)
        if strength.empty:
            raise UserError(
                f"neuron_regression: no feature takes two values in the {len(observation)} melodies observed; raise "
                "sampling.tunes or choose another dataset"
            )
        chosen = self.chosen(observation, strength)
        rows = self.rows(observation, strength[list(chosen.values())])
        rng = np.random.default_rng([observation.seed, 8])
        fits, curves, figures = [], [], {}
        for role, neuron in chosen.items():
            panels = [[self.panel(observation, neuron, number, rng) for number in row] for row in rows]
            fits += [{"role": role} | fit for row in panels for _, fit in row]
            curves += [
                panel.curve.assign(neuron=neuron, feature=str(fit["feature"])) for row in panels for panel, fit in row
            ]
            drawing = draw.regression([[panel for panel, _ in row] for row in panels], f"μ of neuron {neuron}")
            figures[role] = Figure(
                drawing,
                self.caption(observation, strength, role, neuron),
                title=f"The {role} neuron, {neuron}, against features of the melodies",
            )
        table = pd.DataFrame(fits)
        table.insert(5, "phik", [strength[row.neuron][row.feature] for row in rows_of(table)])
        return Findings(
            metrics=self.metrics(table),
            figures=figures,
            tables={"fits": table, "curves": pd.concat(curves, ignore_index=True)},
        )

    def chosen(self, observation: LatentObservation, strength: pd.DataFrame) -> dict[str, int]:
        """Returns role to neuron: those asked for, else rhythm and pitch, else the first two by mean σ."""
        width = observation.mu.shape[1]
        beyond = [neuron for neuron in self.neurons or () if not 0 <= neuron < width]
        if beyond:
            raise UserError(f"neuron_regression.neurons asks for neuron {beyond[0]}; the model has 0 to {width - 1}")
        if self.neurons:
            return {f"neuron_{neuron}": neuron for neuron in self.neurons}
        named = jsymbolic.named(observation, strength)
        found = {"rhythm": named.rhythm, "pitch": named.pitch}
        known = {role: neuron for role, neuron in found.items() if neuron is not None}
        return known or dict(zip(("first", "second"), map(int, strength.columns[:2]), strict=False))

    def rows(self, observation: LatentObservation, strength: pd.DataFrame) -> list[list[str]]:
        """Returns the features of each row of panels: those asked for, else the strongest of each kind."""
        if self.features:
            unfit = [number for number in self.features if number not in strength.index]
            if unfit:
                table = jsymbolic.describe(jsymbolic.feature_values(observation)).set_index("feature")
                raise UserError(
                    f"neuron_regression.features: {unfit[0]} tells nothing here: "
                    f"{table.loc[unfit[0], 'left_out_because']}"
                )
            return [list(self.features[k : k + 4]) for k in range(0, len(self.features), 4)]
        orders = [column.sort_values(ascending=False, kind="stable").index for _, column in strength.items()]
        rows = [
            in_turn([[n for n in order if KINDS[n[0]] == kind] for order in orders], self.per_kind)
            for kind in self.kinds
        ]
        if not any(rows):
            raise UserError(f"neuron_regression: no feature of {', '.join(self.kinds)} takes two values here")
        return [row for row in rows if row]

    def panel(
        self, observation: LatentObservation, neuron: int, number: str, rng: np.random.Generator
    ) -> tuple[draw.Panel, dict[str, object]]:
        """Returns what is drawn of a neuron against a feature, and the row of the table that belongs to it."""
        values = jsymbolic.feature_values(observation)[number].to_numpy()
        known = np.isfinite(values)
        x, y = values[known], observation.mu[known, neuron].astype(float)
        at = loess.places(x)
        low, high = loess.band(x, y, at, observation.source[known], rng, self.resamples, self.span, self.rounds)
        fitted = pd.DataFrame({"x": at, "y": self.curve(x, y, at), "low": low, "high": high})
        mixed = rng.permutation(y)
        fit = {
            "neuron": neuron,
            "feature": number,
            "melodies": len(x),
            "span": loess.widened(x, self.span),
            "pearson": correlation(x, y),
            "explained_by_line": correlation(x, y) ** 2,
            "explained_by_curve": loess.explained(y, np.interp(x, at, fitted["y"])),
            "explained_shuffled": loess.explained(mixed, np.interp(x, at, self.curve(x, mixed, at))),
        }
        note = f"R² {fit['explained_by_curve']:.2f}, of a line {fit['explained_by_line']:.2f}"
        return draw.Panel(jsymbolic.names()[number], KINDS[number[0]], x, y, fitted, note), fit

    def curve(self, x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
        return loess.curve(x, y, at, self.span, self.rounds)

    def metrics(self, fits: pd.DataFrame) -> dict[str, float]:
        """Returns for each neuron the mean share of variance that the curves over features of each kind explain."""
        kinds = fits["feature"].str[0].map(KINDS)
        return {
            f"{role}/explained_{kind}": float(part["explained_by_curve"].mean())
            for (role, kind), part in fits.groupby(["role", kinds])
        } | {
            f"{role}/explained_shuffled": float(part["explained_shuffled"].mean())
            for role, part in fits.groupby("role")
        }

    def caption(self, observation: LatentObservation, strength: pd.DataFrame, role: str, neuron: int) -> str:
        place = [int(one) for one in strength.columns].index(neuron) + 1
        who = f"the {role} neuron, {neuron}" if role in ("rhythm", "pitch") else f"neuron {neuron}"
        return (
            f"μ of {who} (place {place} by mean σ), against features of {len(observation):,} melodies. Orange: LOESS "
            f"over {self.span:.0%} of the melodies and its 95 % bootstrap band, tunes resampled. R² is the share of "
            "the variance of μ that the curve explains, beside a straight line's. The paper shows its rhythm neuron to "
            "depend strongly and non-linearly on rhythm features (Fig. 8), and not on pitch features (Fig. 9)."
        )


def in_turn(orders: Sequence[Sequence[str]], count: int) -> list[str]:
    """Returns `count` names, the first of each order, then the second of each, …, none twice."""
    return list(dict.fromkeys(name for place in zip(*orders, strict=True) for name in place))[:count]


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Returns Pearson's r of `x [N]` and `y [N]`; NaN where one is constant."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
