"""Does a unit follow what is read, or announce what is written? (Part 7: cause or effect.)

Part 7 compares the peaks of units with the tokens that go in and come out: the period in layer 1 follows the inputs,
that in layer 3 causes the outputs. Here: the correlation of a unit's value at row t with "token t + lag is a measure
token" (or of another type), for every lag in reach. Row t has read token t, so a unit that is strongest at lag 0 or
before follows the input, one that is strongest at lag 1 or after announces the output. Where bars are equally long the
correlation returns with the bar, so the reach should stay below half of it.

A unit responds if its correlation, averaged over tunes, reaches `threshold` at some lag; as a control, the same with
the tokens of each tune shifted round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import timing as draw
from analyses.measures.intervals import mean_interval
from analyses.measures.lags import lag_correlation
from analyses.measures.places import is_type
from analyses.measures.tables import rows_of
from folkrnn import sites as grammar
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError, did_you_mean
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import TYPES

CLEAR = 0.5
"""Mean correlation from which on a unit that is strongest right before or after a token is listed (Cohen: large)."""


@dataclass
class LagSums:
    """Of one activation: sums over tunes of the correlations of each unit, and one profile a tune."""

    total: np.ndarray
    """Σ r over tunes in which it is defined, `[2·reach + 1, U]`; `count` in how many."""
    count: np.ndarray
    shifted: np.ndarray
    shifted_count: np.ndarray
    profiles: dict[int, np.ndarray] = field(default_factory=dict)
    """By tune: mean |r| over the units, `[2·reach + 1]`."""

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> LagSums:
        """Returns sums over no tune yet, of `[2·reach + 1, U]`."""
        return cls(np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape))

    def mean(self) -> np.ndarray:
        """Returns the correlation of each unit averaged over tunes, `[2·reach + 1, U]`; NaN where never defined."""
        return _ratio(self.total, self.count)

    def control(self) -> np.ndarray:
        """Returns the same with the tokens shifted round."""
        return _ratio(self.shifted, self.shifted_count)


@dataclass(frozen=True)
class Timing(Analysis[Observation]):
    """Lag profiles of units against a type of token: who follows, who announces, by activation."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    main: ClassVar[Mapping[str, Main]] = {
        "l*.h/lead": Main("The last layer's units lead by {} steps more than they follow"),
        "l*.h/responding": Main("{:%} of its units respond to bar lines", "l*.h/responding_control", "bar lines moved"),
        "l*.h/announcing": Main("{:%} of these announce them"),
    }

    sites: Sequence[str] = ("l*.h",)
    event: str = "measure"
    reach: int = 4
    threshold: float = 0.2
    tune: int = 0
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.event not in TYPES:
            hint = did_you_mean(self.event, TYPES)
            raise UserError(f"timing.event: no token type {self.event!r}{hint}; there are {', '.join(TYPES)}")
        if self.reach < 1:
            raise UserError(f"timing.reach is {self.reach}; it must be at least 1 step to either side")
        if not 0 < self.threshold < 1:
            raise UserError(f"timing.threshold is {self.threshold:g}; it is a correlation, between 0 and 1")

    def __call__(self, observation: Observation) -> Findings:
        names = [str(site) for site in grammar.parse(self.sites, observation.model.sites)]
        gathered = self.gather(observation, names)
        rng = np.random.default_rng(observation.seed)
        units = pd.concat([self.unit_table(name, one) for name, one in gathered.items()], ignore_index=True)
        profiles = {name: self.profile(one, rng) for name, one in gathered.items()}
        sites = pd.DataFrame([self.site_row(name, units, profiles[name]) for name in names])
        k = min(self.tune, len(observation.transcriptions) - 1)
        tunes = len(observation.transcriptions)
        return Findings(
            metrics={
                f"{row['site']}/{quantity}": row[quantity]
                for row in sites.to_dict("records")
                for quantity in ("lead", "responding", "responding_control", "announcing")
            },
            figures={
                "lags": Figure(
                    draw.lags(profiles, self.event),
                    self.caption_lags(tunes),
                    title=f"Do units follow or announce {self.event} tokens? Correlation by lag",
                ),
                "best_lag": Figure(
                    draw.best_lags(units, names, self.reach),
                    self.caption_best(sites, tunes),
                    title="At which lag each unit is strongest",
                ),
                "traces": Figure(
                    draw.traces(observation, k, self.clearest(units)),
                    self.caption_traces(k),
                    title=f"The units that follow and announce {self.event} tokens most clearly, tune {k}",
                ),
            },
            tables={
                "sites": sites,
                "units": units,
                "lags": pd.concat([frame.assign(site=name) for name, frame in profiles.items()], ignore_index=True),
            },
            lists={
                f"{name}/{word}": self.clear_at(units, name, lag)
                for name in names
                for word, lag in (("just_before", 1), ("just_after", 0))
            },
        )

    def gather(self, observation: Observation, names: Sequence[str]) -> dict[str, LagSums]:
        """Returns the sums of every activation, traced in batches and not kept."""
        found: dict[str, LagSums] = {}
        for k, activations in observation.each(names):
            event = is_type(observation.tokens(k), self.event)
            shift = np.random.default_rng([observation.seed, k]).integers(1, max(2, len(event)))
            for name in names:
                r = lag_correlation(activations[name], event, self.reach)
                control = lag_correlation(activations[name], np.roll(event, shift), self.reach)
                one = found.setdefault(name, LagSums.empty(r.shape))
                one.total += np.nan_to_num(r)
                one.count += np.isfinite(r)
                one.shifted += np.nan_to_num(control)
                one.shifted_count += np.isfinite(control)
                one.profiles[k] = _mean_magnitude(r)
        return found

    def unit_table(self, name: str, one: LagSums) -> pd.DataFrame:
        """Returns one row per unit: its strongest lag, the correlation there, and whether it responds."""
        mean = one.mean()
        magnitude = np.nan_to_num(np.abs(mean), nan=-1.0)
        best = magnitude.argmax(0)
        known = magnitude.max(0) >= 0
        control = np.nan_to_num(np.abs(one.control())).max(0)
        return pd.DataFrame(
            {
                "site": name,
                "unit": np.arange(mean.shape[1]),
                "best_lag": np.where(known, best - self.reach, np.nan),
                "r": np.where(known, mean[best, np.arange(len(best))], np.nan),
                "responds": magnitude.max(0) >= self.threshold,
                "responds_to_shifted": control >= self.threshold,
            }
        )

    def profile(self, one: LagSums, rng: np.random.Generator) -> pd.DataFrame:
        """Returns one row per lag: mean |r| over units and tunes, and the ends of its interval over tunes."""
        stacked = np.array([one.profiles[k] for k in sorted(one.profiles)])
        rows = [mean_interval(stacked[:, place], self.resamples, rng) for place in range(stacked.shape[1])]
        frame = pd.DataFrame(rows, columns=["mean", "low", "high"])
        frame.insert(0, "lag", np.arange(-self.reach, self.reach + 1))
        return frame

    def site_row(self, name: str, units: pd.DataFrame, profile: pd.DataFrame) -> dict[str, object]:
        """Returns what is said of an activation: its lead, how many units respond, and how many of these announce."""
        part = units[units["site"] == name]
        responding = part[part["responds"]]
        mean = profile["mean"].to_numpy()
        return {
            "site": name,
            "units": len(part),
            "lead": float(profile["lag"][np.nanargmax(mean)]) if np.isfinite(mean).any() else float("nan"),
            "responding": float(part["responds"].mean()),
            "responding_control": float(part["responds_to_shifted"].mean()),
            "announcing": float((responding["best_lag"] >= 1).mean()) if len(responding) else float("nan"),
        }

    def clear_at(self, units: pd.DataFrame, name: str, lag: int) -> list[str]:
        """Returns the units of an activation that are strongest at a lag and clear there, the clearest first."""
        size = units["r"].abs()
        part = units[(units["site"] == name) & (units["best_lag"] == lag) & (size >= CLEAR)]
        return part.loc[size[part.index].sort_values(ascending=False, kind="stable").index, "unit"].astype(str).tolist()

    def clearest(self, units: pd.DataFrame) -> pd.DataFrame:
        """Returns of each activation the unit that follows and the one that announces most strongly."""
        known = units[units["r"].notna()].assign(
            announces=lambda t: t["best_lag"] >= 1, strength=lambda t: t["r"].abs()
        )
        return known.loc[known.groupby(["site", "announces"], sort=False)["strength"].idxmax()].sort_values(
            ["site", "announces"]
        )

    def caption_lags(self, tunes: int) -> str:
        return (
            f"Correlation of the units' values with “the token at this lag is a {self.event} token”: mean |r| over "
            f"the units of an activation, then over {tunes:,} tune{'s' * (tunes != 1)} (95 % intervals). Lag 0 is the "
            "token just read, lag 1 the one that the row's distribution draws: a peak on the left follows the input, "
            "on the right it announces the output (part 7: layer 1 follows, layer 3 causes)."
        )

    def caption_best(self, sites: pd.DataFrame, tunes: int) -> str:
        said = ", ".join(f"{row.site} {row.announcing:.0%}" for row in rows_of(sites) if row.responding > 0)
        return (
            f"Where each unit is most correlated with {self.event} tokens, of the units whose mean correlation over "
            f"{tunes:,} tune{'s' * (tunes != 1)} reaches {self.threshold:g} at some lag. Share that announces (lag 1 "
            f"or more): {said or 'none'}."
        )

    def caption_traces(self, k: int) -> str:
        return (
            f"Tune {k}: of each activation the unit that follows {self.event} tokens most clearly, and the one that "
            "announces them, over the tokens read."
        )


def _ratio(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def _mean_magnitude(r: np.ndarray) -> np.ndarray:
    """Mean |r| over the units for which it is defined, per lag."""
    known = np.isfinite(r)
    return _ratio(np.where(known, np.abs(r), 0).sum(1), known.sum(1))
