"""What do hidden states and gates do? (Part 5 of the blog series, third to sixth figure; part 7 for other layers.)

Definitions (part 5): a value is near zero if its magnitude is below 0.07 and strong above 0.8; a unit is off if its
magnitude never exceeds 0.004 and saturated if it exceeds 0.9998 at some step. Values pile up at the ends if more of
them lie beyond 0.95 than between 0.90 and 0.95. A gate is closed below 0.1 and open above 0.9 (Karpathy, Johnson, Li
2015); a gate's unit is dead if it never reaches 0.1, always on if it never falls below 0.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import activations as draw
from analyses.drawings import population, stretch
from analyses.measures.intervals import mean_interval, with_interval
from folkrnn import sites as grammar
from folkrnn.analysis import Analysis
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observation import Observation
from folkrnn.observation.summary import CLOSED, GATES, OPEN

ENDS = (0.90, 0.95)
"""Magnitudes between which and beyond which values are counted to see whether they pile up."""

STATE_NUMBERS = {
    "near_zero_share": "share of values near zero",
    "strong_share": "share of strong values",
    "excess_kurtosis": "excess kurtosis (Laplacian: 3)",
    "mostly_on_units": "units that stay on",
    "off_units": "units that are off",
    "saturated_units": "units that saturate",
}
GATE_NUMBERS = {
    "closed_share": "share of closed values",
    "open_share": "share of open values",
    "dead_units": "dead units",
    "always_on_units": "units that are always on",
}
"""What is drawn over many tunes, and what it is called there."""

_TITLES = {"states": "States and cells", "gates": "Gates"}
_CAPTION_POPULATION = (
    "{tunes} tunes: how the numbers of {sites} are distributed over them; line and band are the mean and its 95 % "
    "bootstrap interval."
)

MOSTLY = 0.5
"""Share of the steps at which a unit must be strong to count as staying on."""


@dataclass(frozen=True)
class Activations(Analysis[Observation | LatentObservation]):
    """Draws activations of one tune as images, histograms, sorted per step, and as the largest value per unit.

    Metrics bear the name of their activation if several are looked at.
    """

    families: ClassVar[tuple[str, ...]] = ("folkrnn", "musicvae")
    main: ClassVar[Mapping[str, Main]] = {
        "near_zero_share": Main("{:%} of the hidden state's values are near zero"),
        "strong_share": Main("{:%} of the values are strong"),
        "*.h/near_zero_share": Main("{:%} of the last layer's values are near zero"),
    }

    site: str | None = None
    """The activation, or several by a pattern (`l*.h`, `l2.*`); None: the hidden states of the last layer."""
    tune: int = 0
    near_zero: float = 0.07
    strong: float = 0.8
    off: float = 0.004
    saturated: float = 0.9998
    resamples: int = 1000
    """Bootstrap samples of tunes behind each interval."""

    @property
    def sites(self) -> tuple[str, ...]:
        return () if self.site is None else (self.site,)

    def __call__(self, observation: Observation | LatentObservation) -> Findings:
        observation = observation.reading()
        k = min(self.tune, len(observation.transcriptions) - 1)
        names = self.names(observation)
        table = self.population(observation, names)
        activations = observation.traces(k, names)
        rng = np.random.default_rng(observation.seed)
        figures = {
            "layers": Figure(
                draw.layers(activations, self.near_zero),
                self.caption_layers(k, table),
                title=f"Values of {len(names)} activations in tune {k}, and how often each is near zero",
            )
        }
        found = Findings(figures=figures if len(names) > 1 else {}, arrays={f"tune{k}": activations})
        for name in names:
            prefix, tail = (f"{name}/", f"_{name}") if len(names) > 1 else ("", "")
            part = table[table["site"] == name].dropna(axis=1, how="all")
            for quantity in part.columns.drop(["tune", "site", "steps"]):
                found.metrics |= with_interval(
                    f"{prefix}{quantity}", mean_interval(part[quantity].to_numpy(), self.resamples, rng)
                )
            found.lists.update({f"{prefix}{key}": units for key, units in self.lists(activations[name]).items()})
            gate, tokens, steps = is_gate(name), observation.tokens(k)[:-1], len(activations[name])
            shown = stretch.shown(steps)
            found.figures[f"image{tail}"] = Figure(
                draw.image(name, tokens[shown], activations[name][shown], gate),
                self.caption_image(k, name) + stretch.said(steps),
                title=f"{name} of every unit over the steps of tune {k}",
            )
            found.figures[f"distribution{tail}"] = Figure(
                draw.distribution(name, activations[name]),
                self.caption_distribution(k, name, part) + stretch.said_of_lines(steps),
                title=f"How the values of {name} are distributed in tune {k}",
            )
        found.figures |= self.spread(table, names, found.metrics)
        found.tables.update({"tunes": table, "units": self.units(activations)})
        return found

    def names(self, observation: Observation) -> list[str]:
        """Returns the activations that are looked at."""
        pattern = self.site or f"l{len(observation.model.layers)}.h"
        return [str(site) for site in grammar.parse([pattern], observation.model.sites)]

    def population(self, observation: Observation, names: list[str]) -> pd.DataFrame:
        """Returns one row per tune and activation, in the words of the metrics; what does not apply to one is NaN."""
        rows = [
            {"site": name}
            | (self.measure_gate(k, activations[name]) if is_gate(name) else self.measure(k, activations[name]))
            for k, activations in observation.each(names)
            for name in names
        ]
        order = {name: place for place, name in enumerate(names)}
        return pd.DataFrame(sorted(rows, key=lambda row: (row["tune"], order[str(row["site"])])))

    def measure(self, k: int, values: np.ndarray) -> dict[str, float]:
        """Returns shares of near-zero and strong values, strong units per step, off and saturated units, shape."""
        magnitude = np.abs(values)
        strong, largest = magnitude > self.strong, magnitude.max(0)
        centred = values - values.mean(dtype=np.float64)
        variance = (centred**2).mean()
        return {
            "tune": k,
            "steps": len(magnitude),
            "near_zero_share": (magnitude < self.near_zero).mean(),
            "strong_share": strong.mean(),
            "strong_units_per_step": strong.sum(1).mean(),
            "off_units": (largest <= self.off).sum(),
            "off_share": (largest <= self.off).mean(),
            "saturated_units": (largest > self.saturated).sum(),
            "mostly_on_units": (strong.mean(0) > MOSTLY).sum(),
            "excess_kurtosis": (centred**4).mean() / max(variance**2, 1e-300) - 3,
            "pile_up": (magnitude > ENDS[1]).mean() - ((magnitude > ENDS[0]) & (magnitude <= ENDS[1])).mean(),
        }

    def measure_gate(self, k: int, values: np.ndarray) -> dict[str, float]:
        """Returns shares of closed and open values of a gate, and counts of its dead and always-on units."""
        closed, opened = values < CLOSED, values > OPEN
        return {
            "tune": k,
            "steps": len(values),
            "closed_share": closed.mean(),
            "open_share": opened.mean(),
            "saturated_share": closed.mean() + opened.mean(),
            "dead_units": closed.all(0).sum(),
            "always_on_units": opened.all(0).sum(),
        }

    def spread(self, table: pd.DataFrame, names: list[str], metrics: Mapping[str, float]) -> dict[str, Figure]:
        """Returns how the numbers of states, and those of gates, are distributed over tunes; nothing of one tune."""
        found: dict[str, Figure] = {}
        tunes = table["tune"].nunique()
        for kind, quantities in (("states", STATE_NUMBERS), ("gates", GATE_NUMBERS)):
            sites = [name for name in names if is_gate(name) == (kind == "gates")]
            if tunes < 2 or not sites:
                continue
            shown = [
                population.TuneValues(
                    label,
                    {name: table.loc[table["site"] == name, quantity].to_numpy(float) for name in sites},
                    {
                        name: population.interval_of(metrics, f"{name}/{quantity}" if len(names) > 1 else quantity)
                        for name in sites
                    },
                )
                for quantity, label in quantities.items()
            ]
            drawing = population.distributions(shown)
            found[f"population_{kind}"] = Figure(
                drawing,
                _CAPTION_POPULATION.format(tunes=tunes, sites=", ".join(sites)),
                title=f"{_TITLES[kind]}, over {tunes} tunes",
            )
        return found

    def lists(self, values: np.ndarray) -> dict[str, list[str]]:
        """Returns the units that are off and those that saturate in `values [T, H]`, the clearest first."""
        largest = np.abs(values).max(0)
        order = np.argsort(largest, kind="stable")
        return {
            "units_off": [str(unit) for unit in order if largest[unit] <= self.off],
            "units_saturated": [str(unit) for unit in order[::-1] if largest[unit] > self.saturated],
        }

    def units(self, activations: Mapping[str, np.ndarray]) -> pd.DataFrame:
        """Returns one row per activation and unit: its largest magnitude and its mean in the tune shown."""
        parts = [
            pd.DataFrame(
                {
                    "site": name,
                    "unit": np.arange(values.shape[1]),
                    "max_magnitude": np.abs(values).max(0),
                    "mean": values.mean(0),
                }
            )
            for name, values in activations.items()
        ]
        return pd.concat(parts, ignore_index=True)

    def caption_image(self, k: int, site: str) -> str:
        return (
            f"Tune {k}: {site} of every unit (x) at every step (y, bottom to top). "
            "After part 5 of “Making sense of the folk-rnn v2 model”."
        )

    def caption_distribution(self, k: int, site: str, part: pd.DataFrame) -> str:
        mean = part.mean(numeric_only=True)
        start = (
            f"Left to right, for tune {k}: all values; those of each step sorted; the largest magnitude of each unit. "
        )
        if is_gate(site):
            return start + (
                f"Over all {len(part)} tunes {site} is below {CLOSED:g} in {mean['closed_share']:.0%} and above "
                f"{OPEN:g} in {mean['open_share']:.0%} of the cases; {mean['dead_units']:.0f} units a tune are dead, "
                f"{mean['always_on_units']:.0f} always on."
            )
        return start + (
            f"Over all {len(part)} tunes {mean['near_zero_share']:.0%} of the values have a magnitude below "
            f"{self.near_zero:g} and {mean['strong_share']:.1%} above {self.strong:g}, about "
            f"{mean['strong_units_per_step']:.0f} units a step (part 5 reports 80 %, 2 % and 10 for v2's last layer on "
            f"one tune); {mean['off_units']:.2g} units a tune never exceed {self.off:g} and "
            f"{mean['saturated_units']:.2g} exceed {self.saturated:g} (v2: 2 and 8)."
        )

    def caption_layers(self, k: int, table: pd.DataFrame) -> str:
        of = table.groupby("site", sort=False)
        said = "; ".join(
            f"{site} {part['near_zero_share'].mean():.0%} near zero, {part['strong_share'].mean():.1%} strong"
            for site, part in of
            if "near_zero_share" in part and part["near_zero_share"].notna().any()
        )
        return (
            f"Tune {k}, several activations together: distribution of their values, share of values up to a magnitude, "
            f"and the largest magnitude of each unit. Over all tunes: {said or 'gates, see below'}. Part 7: sparse in "
            "every layer, more saturated the deeper."
        )


def is_gate(site: str) -> bool:
    """Whether an activation is a sigmoid, in (0, 1)."""
    return site.split("[")[0].split(".")[-1] in GATES
