"""What is known of every unit: the event that explains it best, the tokens it speaks for, and what cutting it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.events import IDENTITY, VARIABLES, Variable, event_labels, first_row, identity, identity_labels
from analyses.measures.explained import Explained, drawn_labels, labellings
from analyses.unit_events import MINIMUM, NONE, UnitEvents
from folkrnn.interventions.intervention import EffectRecord
from folkrnn.models.folkrnn import FolkRNN

if TYPE_CHECKING:
    from folkrnn.findings import Findings

SHUFFLES = 19
"""Labellings in shuffled order that the events are held against: the fewest that can show significance at 0.05."""
RAISED = 6
"""Tokens named on either side of a unit's softmax column."""
CATEGORIES = max(len(variable.categories) for variable in VARIABLES)
"""Answers of a variable for which means are kept: all, but of which token was read the most frequent ones."""


@dataclass(frozen=True)
class Events:
    """What explains each unit, one entry per unit in every array."""

    variables: tuple[Variable, ...]
    table: pd.DataFrame
    """As `UnitEvents` files it: `site`, `unit`, `variable`, `category`, `correlation_ratio`, `excess`, …"""
    answers: list[list[int]]
    """Of each variable the categories for which means are kept, at most CATEGORIES."""
    means: np.ndarray
    """Mean of each unit by these of its variable, `[U, CATEGORIES]`; NaN where there is none."""


@dataclass
class EventSums:
    """Sums over the tunes as they are traced, from which `Events` follow."""

    tokens: list[list[str]]
    seed: int

    def __post_init__(self) -> None:
        self.analysis = UnitEvents(sites=("l*.h",), shuffles=SHUFFLES)
        self.variables = (identity(self.tokens), *VARIABLES)
        kept = [k for k, tune in enumerate(self.tokens) if len(tune) - 1 - first_row(tune) >= MINIMUM]
        self.places = {k: place for place, k in enumerate(kept)}
        self.labels = [
            event_labels(self.tokens[k]) | {IDENTITY: identity_labels(self.tokens[k], self.variables[0])} for k in kept
        ]
        rng = np.random.default_rng(self.seed)
        self.drawn = labellings(self.labels, self.variables, SHUFFLES, rng) if kept else []
        self.sums: Explained | None = None

    def add(self, k: int, values: np.ndarray) -> None:
        """Adds tune k, `values [T, U]`; one that is too short counts for nothing."""
        if k not in self.places:
            return
        if self.sums is None:
            self.sums = Explained.empty(self.variables, SHUFFLES, values.shape[1])
        place = self.places[k]
        rows = values[first_row(self.tokens[k]) :]
        self.sums.add(rows, drawn_labels(place, self.labels, self.variables, *self.drawn[place]))

    def events(self, sites: Mapping[str, slice], known: pd.DataFrame | None = None) -> Events | None:
        """Returns what the sums say of each site's units, or what `known` says; None where no tune was long enough."""
        if self.sums is None:
            return None
        if known is None:
            found = {name: self.sums.of(units).result() for name, units in sites.items()}
            known = self.analysis.unit_table(found, self.variables)
        answers = [self.frequent(place) for place in range(len(self.variables))]
        return Events(self.variables, known, answers, self.means(known, answers))

    def frequent(self, place: int) -> list[int]:
        """Returns the categories of a variable, where they are more than CATEGORIES the most frequent, in order."""
        assert self.sums is not None
        counts = self.sums.counts[0, self.sums.parts()[place]]
        return sorted(np.argsort(-counts, kind="stable")[:CATEGORIES].tolist())

    def means(self, table: pd.DataFrame, answers: Sequence[Sequence[int]]) -> np.ndarray:
        """Returns the mean of each unit by `answers` of its variable, `[U, CATEGORIES]`."""
        found = np.full((len(table), CATEGORIES), np.nan, np.float32)
        names = table["variable"].to_numpy()
        assert self.sums is not None
        for place, (variable, part) in enumerate(zip(self.variables, self.sums.parts(), strict=True)):
            mine = np.flatnonzero(names == variable.name)
            counts = self.sums.counts[0, part][:, None]
            with np.errstate(invalid="ignore", divide="ignore"):
                means = np.where(counts > 0, self.sums.sums(place)[0] / counts, np.nan)
            found[mine, : len(answers[place])] = means[np.ix_(np.asarray(answers[place], dtype=int), mine)].T
        return found


def known_events(findings: Mapping[str, Findings], sites: Sequence[str]) -> pd.DataFrame | None:
    """Returns the rows of these sites in the table that `unit_events` filed in this run; None without it."""
    found = findings.get("unit_events")
    if found is None or not set(sites) <= set(found.tables["units"]["site"]):
        return None
    table = found.tables["units"]
    return pd.concat([table[table["site"] == site].sort_values("unit") for site in sites], ignore_index=True)


def explained(events: Events) -> np.ndarray:
    """Returns the variable of each unit as a place in `events.variables`, −1 for none, `[U]`."""
    places = {variable.name: place for place, variable in enumerate(events.variables)} | {NONE: -1}
    return events.table["variable"].map(places).to_numpy(np.int8)


def softmax_tokens(model: FolkRNN) -> tuple[np.ndarray, np.ndarray]:
    """Returns the tokens that each unit of the last layer raises and lowers most, ids and weights, `[H, 2·RAISED]`.

    The first RAISED are raised, strongest first, the others lowered, strongest first. Weights are those of the softmax
    layer less their mean over the tokens, which changes no probability.
    """
    weights = model.softmax_weight.detach().cpu().numpy()
    weights = weights - weights.mean(0)
    order = np.argsort(-weights, axis=0, kind="stable")
    count = min(RAISED, len(order) // 2)
    chosen = np.concatenate([order[:count], order[::-1][:count]])
    return chosen.T.astype(np.uint16), np.take_along_axis(weights, chosen, 0).T.astype(np.float32)


def cuts(effects: Sequence[EffectRecord], findings: Mapping[str, Findings], layers: int) -> list[dict[str, object]]:
    """Returns what interventions of this run did to chosen units: name, units by site, and what changed in words."""
    told = _told(findings)
    found = []
    for effect in effects:
        table = effect.tables.get("units")
        if table is None or "unit" not in table or not {"site", "layer"} & set(table.columns):
            continue
        table = table[table["chosen"]] if "chosen" in table else table
        names = table["site"] if "site" in table else [f"l{layer}.h" for layer in table["layer"]]
        layered = [f"{str(name).split('.')[0]}.h" for name in names]
        chosen: dict[str, list[int]] = {f"l{k + 1}.h": [] for k in range(layers)}
        for name, unit in zip(layered, table["unit"], strict=True):
            chosen.setdefault(name, []).append(int(unit))
        found.append({"name": effect.name, "units": {k: v for k, v in chosen.items() if v}, "told": told})
    return found


def _told(findings: Mapping[str, Findings]) -> list[str]:
    """What `effect` found of the abilities, one line each."""
    effect = findings.get("effect")
    if effect is None or "abilities" not in effect.tables:
        return []
    lines = []
    for row in effect.tables["abilities"].to_dict("records"):
        line = f"{row['ability']} kept to {row['changed']:.0%}"
        if np.isfinite(row["changed_low"]):
            line += f" ({row['changed_low']:.0%} to {row['changed_high']:.0%})"
        if np.isfinite(row["matched"]):
            line += f", {row['matched']:.0%} with as many random units cut"
        lines.append(line)
    return lines
