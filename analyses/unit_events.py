"""Which unit does what? Each unit's activity against everything that happens in a tune. (Part 8, agenda.)

For every unit of the chosen activations, gates and cell states included, and every variable of
`analyses.measures.events` (which token was just read, its type, the one that follows, the place in the bar in steps and
in time, the bar of the part, the part, …), the share of the unit's variance that the variable explains (η²), less what
shuffled labels explain. A unit belongs to the variable with the largest excess among those that are significant when
all units, variables and activations are tested at once. The type of a token follows from the token, so the token
explains at least as much: a unit belongs to the type (or to the kind of measure token) only where that holds at least
`nested` of what the token itself explains. η² of a variable with many answers is large by chance; `adjusted` takes that
off. Many units answer to several variables, of which some imply each other (a bar line was just read: no time of the
bar has passed), so the runner-up stands in the table too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import unit_events as draw
from analyses.measures.events import (
    IDENTITY,
    VARIABLES,
    WITHIN_IDENTITY,
    Variable,
    event_labels,
    first_row,
    identity,
    identity_labels,
)
from analyses.measures.explained import (
    Explained,
    ExplainedShares,
    corrected_significance,
    drawn_labels,
    labellings,
    standard_scores,
)
from folkrnn import sites as grammar
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation

SITES_AT_ONCE = 4
"""Activations whose sums are held in memory together."""

MINIMUM = 8
"""Rows that a tune must have; a shorter one is left out."""

NONE = "none"
"""The variable of a unit that nothing explains significantly."""


@dataclass(frozen=True)
class UnitEvents(Analysis[Observation]):
    """A table of units by the event that explains each best, with shuffled controls and corrected significance."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    main: ClassVar[Mapping[str, Main]] = {
        "l*.h/explained_units": Main("{:%} of the last layer's units follow some property of the tune"),
    }

    sites: Sequence[str] = ("l*.*",)
    shuffles: int = 100
    significance: float = 0.05
    nested: float = 0.9
    """Share of what the token explains that its type must hold for a unit to belong to the type."""
    tune: int = 0
    """The transcription against which the clearest units are drawn."""

    def __post_init__(self) -> None:
        if self.shuffles < 19:
            raise UserError(f"unit_events.shuffles is {self.shuffles}; fewer than 19 cannot show significance at 0.05")
        if not 1 / (1 + self.shuffles) <= self.significance < 1:
            raise UserError(
                f"unit_events.significance is {self.significance:g}; with {self.shuffles} shuffles the smallest that "
                f"can be reached is {1 / (1 + self.shuffles):.3g}"
            )

    def __call__(self, observation: Observation) -> Findings:
        names = [str(site) for site in grammar.parse(self.sites, observation.model.sites)]
        tokens = [observation.tokens(k) for k in range(len(observation.transcriptions))]
        variables = (identity(tokens), *VARIABLES)
        units = self.unit_table(self.gather(observation, names, tokens, variables), variables)
        shares = self.share_table(units, names, variables)
        excess = units.groupby("site", sort=False)[[f"excess/{v.name}" for v in variables]].mean()
        k = min(self.tune, len(observation.transcriptions) - 1)
        clearest = self.clearest(units, variables)
        return Findings(
            metrics=self.metrics(shares, units, variables),
            figures={
                "shares": Figure(
                    draw.shares(shares),
                    self.caption_shares(observation, units),
                    title="Which variable explains the units of each activation best",
                ),
                "excess": Figure(
                    draw.excess(excess), CAPTION_EXCESS, title="How much each variable explains beyond chance"
                ),
                "clearest": Figure(
                    draw.traces(observation, k, clearest),
                    self.caption_traces(k),
                    title=f"The clearest unit of each variable over the tokens of tune {k}",
                ),
            },
            tables={
                "units": units.drop(columns=[c for c in map(str, units) if c.startswith("excess/")]),
                "excess": units[["site", "unit", *(c for c in map(str, units) if c.startswith("excess/"))]],
                "shares": shares,
                "variables": pd.DataFrame(
                    [
                        {"variable": v.name, "meaning": v.meaning, "categories": ", ".join(v.categories)}
                        for v in variables
                    ]
                ),
            },
        )

    def gather(
        self,
        observation: Observation,
        names: Sequence[str],
        tokens: Sequence[Sequence[str]],
        variables: Sequence[Variable],
    ) -> dict[str, ExplainedShares]:
        """Returns what is found of every site; each few sites are traced in one pass over the tunes."""
        kept = [k for k, tune in enumerate(tokens) if len(tune) - 1 - first_row(tune) >= MINIMUM]
        if not kept:
            raise UserError(
                f"unit_events needs a tune of at least {MINIMUM} tokens after meter and mode; there is none"
            )
        places = {k: place for place, k in enumerate(kept)}
        tunes = [event_labels(tokens[k]) | {IDENTITY: identity_labels(tokens[k], variables[0])} for k in kept]
        drawn = labellings(tunes, variables, self.shuffles, np.random.default_rng(observation.seed))
        widths = observation.traces(kept[0], names)
        found: dict[str, ExplainedShares] = {}
        for start in range(0, len(names), SITES_AT_ONCE):
            some = names[start : start + SITES_AT_ONCE]
            ends = np.cumsum([0, *(widths[name].shape[1] for name in some)])
            sums = Explained.empty(variables, self.shuffles, int(ends[-1]))
            for k, activations in observation.each(some):
                if k not in places:
                    continue
                values = np.concatenate([activations[name][first_row(tokens[k]) :] for name in some], axis=1)
                sums.add(values, drawn_labels(places[k], tunes, variables, *drawn[places[k]]))
            found |= {
                name: sums.of(slice(*stretch)).result() for name, stretch in zip(some, pairwise(ends), strict=True)
            }
        return found

    def unit_table(self, found: dict[str, ExplainedShares], variables: Sequence[Variable]) -> pd.DataFrame:
        """Returns one row per unit: its variable and category, η², excess, significance, means, and the runner-up."""
        excesses, scores = zip(*(standard_scores(one.ratios) for one in found.values()), strict=True)
        significances = corrected_significance(scores)
        return pd.concat(
            [
                self.rows(site, one, excess, significance, variables)
                for (site, one), excess, significance in zip(found.items(), excesses, significances, strict=True)
            ],
            ignore_index=True,
        )

    def rows(
        self,
        site: str,
        found: ExplainedShares,
        excess: np.ndarray,
        significance: np.ndarray,
        variables: Sequence[Variable],
    ) -> pd.DataFrame:
        """Returns the rows of one site; `excess` and `significance` are `[variables, U]`."""
        kept = np.where(significance <= self.significance, excess, -np.inf)
        order = np.argsort(-self.nesting(kept, variables), axis=0, kind="stable")
        best, units = order[0], np.arange(excess.shape[1])
        any_found = np.isfinite(kept[best, units])
        ratio, strongest = found.ratios[0], found.strongest
        category = [variables[v].categories[strongest[v][0][u]] for u, v in enumerate(best)]
        table = pd.DataFrame(
            {
                "site": site,
                "unit": units,
                "variable": [variables[v].name if ok else NONE for v, ok in zip(best, any_found, strict=True)],
                "category": np.where(any_found, category, ""),
                "mean_there": np.where(any_found, [strongest[v][1][u] for u, v in enumerate(best)], np.nan),
                "mean_elsewhere": np.where(any_found, [strongest[v][2][u] for u, v in enumerate(best)], np.nan),
                "correlation_ratio": np.where(any_found, ratio[best, units], np.nan),
                "adjusted": np.where(any_found, found.adjusted[best, units], np.nan),
                "excess": np.where(any_found, excess[best, units], np.nan),
                "token_adjusted": found.adjusted[0],
                "significance": np.where(any_found, significance[best, units], np.nan),
                "runner_up": [variables[v].name if np.isfinite(kept[v, u]) else NONE for u, v in enumerate(order[1])],
            }
        )
        for v, variable in enumerate(variables):
            table[f"excess/{variable.name}"] = excess[v]
        return table

    def nesting(self, kept: np.ndarray, variables: Sequence[Variable]) -> np.ndarray:
        """Returns the excess `[variables, U]` with the token's put just behind that of a variable which follows from it
        and holds at least `nested` of it."""
        found = kept.copy()
        for v, variable in enumerate(variables):
            if variable.name in WITHIN_IDENTITY:
                enough = np.isfinite(kept[v]) & (kept[v] >= self.nested * kept[0])
                found[0] = np.where(enough, np.minimum(found[0], kept[v] - 1e-9), found[0])
        return found

    def share_table(self, units: pd.DataFrame, names: Sequence[str], variables: Sequence[Variable]) -> pd.DataFrame:
        """Returns the share of the units of each site that belong to each variable."""
        counted = pd.crosstab(units["site"], units["variable"], normalize="index")
        columns = [*(v.name for v in variables), NONE]
        return counted.reindex(index=list(names), columns=columns, fill_value=0.0).rename_axis("site").reset_index()

    def metrics(self, shares: pd.DataFrame, units: pd.DataFrame, variables: Sequence[Variable]) -> dict[str, float]:
        found: dict[str, float] = {}
        for _, row in shares.iterrows():
            site = row["site"]
            found[f"{site}/explained_units"] = 1 - float(row[NONE])
            found |= {f"{site}/{v.name.replace(' ', '_')}": float(row[v.name]) for v in variables}
        best = units.groupby("site", sort=False)["excess"]
        found |= {f"{site}/median_excess": float(value) for site, value in best.median().items() if np.isfinite(value)}
        return found

    def clearest(self, units: pd.DataFrame, variables: Sequence[Variable]) -> pd.DataFrame:
        """Returns for each variable that has one the unit with the largest excess."""
        significant = units[units["variable"] != NONE]
        best = significant.loc[significant.groupby("variable", sort=False)["excess"].idxmax()].set_index("variable")
        return best.reindex([v.name for v in variables if v.name in best.index]).reset_index()

    def caption_shares(self, observation: Observation, units: pd.DataFrame) -> str:
        explained = (units["variable"] != NONE).mean()
        return (
            f"What explains each unit best, by activation, over {len(observation.transcriptions)} tunes: "
            f"{explained:.0%} of all units answer to something at a significance of {self.significance:g} corrected "
            f"over all units, variables and activations ({units['unit'].size * (len(VARIABLES) + 1):,} comparisons, "
            f"{self.shuffles} shuffles). Part 8 asks what the gates of each layer follow."
        )

    def caption_traces(self, k: int) -> str:
        return (
            f"Tune {k}: for each variable the unit whose activity it explains best, over the tokens read. The title "
            "gives the category that moves the unit most and η² over all tunes, less what shuffled labels explain."
        )


CAPTION_EXCESS = (
    "Mean over the units of each activation of the share of variance that a variable explains (η²), less the same with "
    "shuffled labels. Variables overlap, so the shares of a row do not add up."
)
