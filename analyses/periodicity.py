"""Which units keep time? (Part 5, sixth figure on; part 7. Whether they follow bar lines or announce them: `timing`.)

Definitions: the spectrum of a unit is the squared magnitude of the DFT of its values over a tune, zero-padded to 512
steps; the picture shows what is within 6 dB of the unit's own peak. A unit is periodic if at least 5 % of its one-sided
energy lies at periods within half a step of 9, the length of a bar of eight eighths and its bar line (parts 5 and 6 say
neither how wide the band is nor whether DC counts: `half_width` and `dc` say both). A tune shorter than the period has
no share: NaN. A class of spectrum that says something of the order of the steps counts only for a unit that does not
get it as easily with its steps in random order (`shape` in the table is the class as it looks; `classes` how many units
have each, and how many by chance).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import periodicity as draw
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.places import bar_period
from analyses.measures.tables import rows_of
from folkrnn import sites as grammar
from folkrnn import spectra
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable

BAR = "bar"
"""`period=bar`: the tune's own bar period instead of one for all."""

ORDERED = ("harmonic", "closely spaced", "pulse train")
"""Classes that say something of the order of the steps."""

SHOWN = {"flat": 2, "closely spaced": 2, "pulse train": 3, "harmonic": 4}
"""How many units of each class are traced where none are named: those of part 5's last figure."""


@dataclass
class PeriodicitySums:
    """What the pass over all tunes leaves: rows of the table, and sums whose size does not depend on their number."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    spectrum: dict[str, list[Any]] = field(default_factory=dict)
    """Per site: (sum over tunes of the mean spectrum, number of tunes that had one)."""


@dataclass(frozen=True)
class Periodicity(Analysis[Observation | LatentObservation]):
    """Spectra of all units of some activations: images, classes, periodic units, strong periods, traces."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn", "musicvae")
    main: ClassVar[Mapping[str, Main]] = {
        "l*.h/bar_periodic_units": Main("{:%} of the last layer's units keep the time of a bar"),
        "l*.h/periodic_units": Main("{:%} of the last layer's units have the period asked for"),
    }

    sites: Sequence[str] = ("l*.h",)
    period: float | str = 9.0
    half_width: float = 0.5
    threshold: float = 0.05
    dc: bool = True
    length: int = spectra.LENGTH
    units: Sequence[int] | None = None
    tune: int = 0
    resamples: int = 1000
    permutations: int = 20
    """Random orders of the steps that the class of a unit is held against."""

    def __post_init__(self) -> None:
        if self.length < 8 or self.length % 2:
            raise UserError(f"periodicity.length is {self.length}; it must be an even number of at least 8 steps")
        if not 0 < self.threshold < 1:
            raise UserError(f"periodicity.threshold is {self.threshold}; it is a share, between 0 and 1")
        if isinstance(self.period, str):
            if self.period != BAR:
                raise UserError(f"periodicity.period is {self.period!r}; it must be a number of steps or {BAR!r}")
        elif not 2 + self.half_width <= self.period <= self.length:
            raise UserError(
                f"periodicity.period is {self.period:g}; the band of ± {self.half_width:g} steps must lie between 2 "
                f"steps, the shortest period there is, and periodicity.length={self.length}"
            )

    def __call__(self, observation: Observation | LatentObservation) -> Findings:
        observation = observation.reading()
        k = min(self.tune, len(observation.transcriptions) - 1)
        names = [str(site) for site in grammar.parse(self.sites, observation.model.sites)]
        self.check_units(observation, names[-1])
        gathered = self.gather(observation, names)

        def in_order(row: dict[str, Any]) -> tuple[int, int]:
            return row["tune"], names.index(row["site"])

        table = pd.DataFrame(sorted(gathered.rows, key=in_order))
        rng = np.random.default_rng(observation.seed)
        population = self.population(table, names, rng)
        mean = {name: total / max(1, count) for name, (total, count) in gathered.spectrum.items()}
        units = pd.concat([self.unit_table(observation, k, name) for name in names], ignore_index=True)
        return Findings(
            metrics=self.metrics(population),
            figures=self.figures(observation, k, names, units, mean, population),
            tables={
                "tunes": table,
                "population": population,
                f"units_tune{k}": units,
                f"classes_tune{k}": class_table(units),
                "strong_periods": self.period_table(mean),
            },
            arrays={
                f"tune{k}": {name: spectra.power(observation.trace(k, name), self.length) for name in names},
                "average": mean,
            },
            lists=self.lists(units, names) | {"strong_periods": self.strong(mean)},
        )

    def lists(self, units: pd.DataFrame, names: list[str]) -> dict[str, list[str]]:
        """Returns the units of each class of spectrum, and the periodic ones, of tune k; the clearest first."""
        found = {}
        for name in names:
            part = units[units["site"] == name].sort_values("max_magnitude", ascending=False, kind="stable")
            for kind in SHOWN:
                found[f"{name}/{kind.replace(' ', '_')}"] = part.loc[part["class"] == kind, "unit"].astype(str).tolist()
            periodic = part[part["periodic"]].sort_values("share", ascending=False, kind="stable")
            found[f"{name}/periodic"] = periodic["unit"].astype(str).tolist()
        return found

    def strong(self, mean: dict[str, np.ndarray]) -> list[str]:
        """Returns the strong periods of all sites together in steps, longest first."""
        table = self.period_table(mean)
        part = table[table["site"] == ("all" if len(mean) > 1 else next(iter(mean)))]
        return [f"{period:.3g}" for period in sorted(part["period"], reverse=True)]

    def check_units(self, observation: Observation, site: str) -> None:
        """Raises UserError for a unit that the last of the sites, which is the one traced, does not have."""
        beyond = [unit for unit in self.units or () if not 0 <= unit < observation.model.sites[site]]
        if beyond:
            last = observation.model.sites[site] - 1
            raise UserError(f"periodicity.units asks for unit {beyond[0]}; {site} has units 0 to {last}")

    def period_of(self, tokens: Sequence[str]) -> float:
        """Returns the period looked for in one tune, in steps; NaN where it is the tune's own and there is none."""
        return bar_period(tokens) if self.period == BAR else float(self.period)

    def gather(self, observation: Observation, names: Sequence[str]) -> PeriodicitySums:
        """Returns the numbers of every tune and site, traced in batches and not kept."""
        found = PeriodicitySums(spectrum={name: [np.zeros(self.length // 2 + 1), 0] for name in names})
        for k, activations in observation.each(names):
            tokens = observation.tokens(k)
            rng = np.random.default_rng([observation.seed, k])
            for name in names:
                row, spectrum = self.measure(tokens, activations[name], rng)
                found.rows.append({"tune": k, "site": name} | row)
                if np.isfinite(spectrum).all():
                    found.spectrum[name][0] = found.spectrum[name][0] + spectrum
                    found.spectrum[name][1] += 1
        return found

    def measure(
        self, tokens: Sequence[str], values: np.ndarray, rng: np.random.Generator
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Returns (row of the table, mean spectrum `[length/2 + 1]`) of one activation.

        `chance` is the share of periodic units after the steps were put in random order.
        """
        period, own, steps = self.period_of(tokens), bar_period(tokens), len(values)
        spectrum = spectra.power(values, self.length, self.dc)
        shares = spectra.band_share(spectrum, steps, period, self.half_width)
        at_bar = shares if own == period else spectra.band_share(spectrum, steps, own, self.half_width)
        mixed = spectra.power(rng.permutation(values), self.length, self.dc)
        row = {
            "steps": steps,
            "period": period,
            "bar_period": own,
            "periodic_units": self.share_of_units(shares),
            "bar_periodic_units": self.share_of_units(at_bar),
            "chance": self.share_of_units(spectra.band_share(mixed, steps, period, self.half_width)),
            "mean_share": float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan"),
        }
        return row, spectra.average(spectrum, self.length)

    def share_of_units(self, shares: np.ndarray) -> float:
        """Returns the share of units that are periodic; NaN where the tune is too short to say. Dead units count."""
        return float((np.nan_to_num(shares) >= self.threshold).mean()) if np.isfinite(shares).any() else float("nan")

    def population(self, table: pd.DataFrame, names: Iterable[str], rng: np.random.Generator) -> pd.DataFrame:
        """Returns one row per site and quantity: mean over tunes and the ends of its 95 % bootstrap interval."""
        rows = []
        for name in names:
            part = table[table["site"] == name]
            for quantity in ("periodic_units", "bar_periodic_units", "chance", "mean_share"):
                mean, low, high = mean_interval(part[quantity].to_numpy(), self.resamples, rng)
                count = int(part[quantity].notna().sum())
                rows.append(
                    {"site": name, "quantity": quantity, "mean": mean, "low": low, "high": high, "tunes": count}
                )
        return pd.DataFrame(rows)

    def unit_table(self, observation: Observation, k: int, name: str) -> pd.DataFrame:
        """Returns one row per unit of one activation of tune k: share, whether periodic, class, largest magnitude."""
        values, tokens = observation.trace(k, name), observation.tokens(k)
        rng = np.random.default_rng([observation.seed, k, 1])
        spectrum, period = spectra.power(values, self.length, self.dc), self.period_of(tokens)
        shares = spectra.band_share(spectrum, len(values), period, self.half_width)
        shape = np.array(spectra.classify(spectrum, len(values), period, self.half_width))
        mixed = np.array(
            [
                spectra.classify(
                    spectra.power(rng.permutation(values), self.length, self.dc), len(values), period, self.half_width
                )
                for _ in range(self.permutations)
            ]
        )
        chance = (mixed == shape).mean(0)
        at_random = np.isin(shape, ORDERED) & ((1 + (mixed == shape).sum(0)) / (1 + self.permutations) > 0.05)
        return pd.DataFrame(
            {
                "site": name,
                "unit": np.arange(values.shape[1]),
                "share": shares,
                "periodic": np.nan_to_num(shares) >= self.threshold,
                "class": np.where(at_random, "other", shape),
                "shape": shape,
                "chance": chance,
                "max_magnitude": np.abs(values).max(0),
            }
        )

    def period_table(self, mean: dict[str, np.ndarray]) -> pd.DataFrame:
        """Returns the peaks of the mean spectrum of each site and of all together (part 7's strong periods)."""
        everything = mean | ({"all": np.mean(list(mean.values()), 0)} if len(mean) > 1 else {})
        rows = [
            {"site": name, "bin": k, "period": period, "height": height}
            for name, spectrum in everything.items()
            for k, period, height in spectra.strong_periods(spectrum)
        ]
        return pd.DataFrame(rows, columns=["site", "bin", "period", "height"])

    def metrics(self, population: pd.DataFrame) -> dict[str, float]:
        """Returns the means by site, with their intervals."""
        found: dict[str, float] = {}
        for row in _rows(population):
            found |= with_interval(f"{row.site}/{row.quantity}", (row.mean, row.low, row.high))
        return found

    def shown_units(self, units: pd.DataFrame, site: str) -> list[tuple[int, str]]:
        """Returns (unit, class) of the units to trace: those named, else the clearest of each class of part 5."""
        table = units[units["site"] == site].set_index("unit")
        if self.units:
            return [(unit, str(table["class"][unit])) for unit in self.units]
        shown: list[tuple[int, str]] = []
        for name, count in SHOWN.items():
            key = "share" if name == "harmonic" else "max_magnitude"
            chosen = table[table["class"] == name].sort_values(key, ascending=False).index[:count]
            shown += [(int(unit), name) for unit in chosen]
        rest = table.drop(index=[unit for unit, _ in shown]).sort_values("share", ascending=False).index
        wanted = max(0, 4 - sum(name == "harmonic" for _, name in shown))
        return shown + [(int(unit), str(table["class"][unit])) for unit in rest[:wanted]]

    def figures(
        self,
        observation: Observation,
        k: int,
        names: list[str],
        units: pd.DataFrame,
        mean: dict[str, np.ndarray],
        population: pd.DataFrame,
    ) -> dict[str, Figure]:
        tokens, tunes = observation.tokens(k), len(observation.transcriptions)
        period = self.period_of(tokens)
        images = {name: spectra.power(observation.trace(k, name), self.length, dc=False) for name in names}
        shown = self.shown_units(units, names[-1])
        traced = observation.trace(k, names[-1])[:, [unit for unit, _ in shown]]
        return {
            "spectra": Figure(
                draw.spectra_image(images, units, period),
                _SPECTRA.format(tune=k, length=self.length),
                title=f"Spectra of all units over tune {k}",
            ),
            "traces": Figure(
                draw.traces(tokens, traced, shown, names[-1]),
                _TRACES.format(tune=k, site=names[-1]),
                title=f"Units of {names[-1]} over the tokens of tune {k}",
            ),
            "strong_periods": Figure(
                draw.average(mean, period),
                _AVERAGE.format(tunes=count(tunes)),
                title=f"Mean spectrum of each layer over {count(tunes)}",
            ),
            "periodic_units": Figure(
                draw.population(population, units, names, self.threshold),
                self.caption_population(population, names, tunes),
                title=f"Units that are periodic in the bar, over {count(tunes)}",
            ),
        }

    def caption_population(self, population: pd.DataFrame, names: list[str], tunes: int) -> str:
        of = population.set_index(["site", "quantity"])["mean"]
        said = ", ".join(f"{of[name, 'periodic_units']:.0%} of {name}" for name in names)
        period = "the tune's bar period" if self.period == BAR else f"{self.period:g} steps"
        dc = "DC counted" if self.dc else "each unit's mean taken off first"
        return (
            f"Units with at least {self.threshold:.0%} of their energy within ± {self.half_width:g} steps of {period} "
            f"({dc}), mean over {count(tunes)} with 95 % bootstrap intervals: {said} (part 6 reports about 20 % of "
            "v2's third layer on one tune). Chance: the same after the steps were put in random order."
        )


def class_table(units: pd.DataFrame) -> pd.DataFrame:
    """Returns per site and class how many units look so, are so beyond chance, and look so by chance on average."""
    rows = []
    for (site, shape), part in units.groupby(["site", "shape"], sort=False):
        beyond = int((part["class"] == shape).sum())
        rows.append({"site": site, "class": shape, "look": len(part), "beyond_chance": beyond})
    return pd.DataFrame(rows)


def count(tunes: int) -> str:
    """Returns "1 tune", "2 tunes"."""
    return f"{tunes:,} tune" + "s" * (tunes != 1)


def _rows(frame: pd.DataFrame) -> list[Any]:
    return list(rows_of(frame, index=False))


_SPECTRA = (
    "Tune {tune}: spectrum of every unit, zero-padded to {length} steps, in dB relative to the unit's own peak, "
    "after its mean was taken off. Bars on top: classes that steps in random order do not give. After part 5's spectra "
    "of the third layer and part 7's of the others. Ticks on the right are the multiples of one bar."
)
_TRACES = (
    "Tune {tune}: units of {site} with the class of their spectrum, against the token just read; vertical lines are "
    "measure tokens. A unit that announces a bar line peaks in the step before the line. After part 5's last figure."
)
_AVERAGE = (
    "Mean spectrum of each layer's units, scaled to equal energy, over {tunes}, with its strong periods in steps. "
    "Part 7 reports DC, 2.25, 3, 4.5, 6, 8.8, 11.5, 18 and 36 for v2."
)
