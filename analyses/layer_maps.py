"""What does a layer do to what it is given? Each layer as a transformation of the one below. (Part 8, agenda.)

Part 8 asks to understand layer 2 through layers 1 and 3. How far a linear map gets: h² from h¹ at the same step, from
the token just read alone, and from h¹ and the layer's own past together; the logits from every layer. R² is over tunes
that the map was not fitted to (folds of tunes; of fewer tunes than folds, stretches of successive steps, from which
little can be learned). What a linear map from below misses is what the layer's own memory and its gates add. As a
control, the same with the rows of each tune's target shifted round: what is left then is what holds for a whole tune,
its mode for instance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import layer_maps as draw
from analyses.measures.ridge import Products, cross_validated
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation

RIDGES = (1e-4, 1e-2, 1e-1, 1.0)
"""Strengths of the penalty that are tried, in units of the mean variance of the inputs."""

AT_ONCE = 4
"""Maps whose sums are held in memory together."""


@dataclass(frozen=True)
class Map:
    """A linear map: what it reads, what it is to tell, and whether the target is shifted round (the control)."""

    target: str
    source: str
    shifted: bool = False

    @property
    def name(self) -> str:
        return f"{self.target} from {self.source}{' (shifted)' if self.shifted else ''}"


@dataclass(frozen=True)
class LayerMaps(Analysis[Observation]):
    """Cross-validated R² of linear maps between the token read, the hidden states and the logits."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    main: ClassVar[Mapping[str, Main]] = {
        "l*.h_from_l*.h_and_past": Main("The layer below and the past explain {:%} of the last layer"),
        "l*.h_from_token": Main("The token alone explains {:%} of the last layer"),
    }

    folds: int = 5
    ridge: float | None = None
    """None: the best of `RIDGES` for each map, by the same R²."""

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise UserError(f"layer_maps.folds is {self.folds}; at least 2 are needed to hold one out")
        if self.ridge is not None and self.ridge < 0:
            raise UserError(f"layer_maps.ridge is {self.ridge:g}; a penalty is not negative")

    def __call__(self, observation: Observation) -> Findings:
        n = len(observation.transcriptions)
        if n < self.folds and max(len(t.ids) - 1 for t in observation.transcriptions) < 2 * self.folds:
            raise UserError(
                f"layer_maps holds out one of {self.folds} folds: it needs as many tunes, or a tune of at least "
                f"{2 * self.folds} tokens to cut into so many stretches"
            )
        folds = np.random.default_rng(observation.seed).permutation(n) % self.folds if n >= self.folds else None
        maps = self.maps(len(observation.model.layers))
        rows, units = [], []
        for start in range(0, len(maps), AT_ONCE):
            some = maps[start : start + AT_ONCE]
            for one, products in zip(some, self.gather(observation, some, folds), strict=True):
                row, by_unit = self.measure(one, products)
                rows.append(row)
                units.append(by_unit)
        table = pd.DataFrame(rows)
        return Findings(
            metrics={
                f"{row['target']}_from_{row['source'].replace(' ', '_')}{'_shifted' if row['shifted'] else ''}": row[
                    "r2"
                ]
                for row in rows
            },
            figures={
                "explained": Figure(
                    draw.explained(table),
                    self.caption(table, n),
                    title="How well one layer tells what another holds (R² on other tunes)",
                ),
                "units": Figure(
                    draw.units(units),
                    CAPTION_UNITS.format(n=n, s="s" * (n != 1)),
                    title="How well single units are told (R² on other tunes)",
                ),
            },
            tables={"maps": table, "units": pd.concat(units, ignore_index=True)},
        )

    def maps(self, layers: int) -> list[Map]:
        """Returns the maps that are fitted, from the token to the logits."""
        found = []
        for k in range(1, layers + 1):
            below = "token" if k == 1 else f"l{k - 1}.h"
            found += [Map(f"l{k}.h", "token"), Map(f"l{k}.h", f"{below} and past")]
            if k > 1:
                found += [Map(f"l{k}.h", below), Map(f"l{k}.h", below, shifted=True)]
        found += [Map("logits", "token"), *(Map("logits", f"l{k}.h") for k in range(1, layers + 1))]
        return [*found, Map("logits", f"l{layers}.h", shifted=True)]

    def gather(self, observation: Observation, maps: list[Map], folds: np.ndarray | None) -> list[Products]:
        """Returns the sums of each map over all tunes, in one pass; without `folds [tunes]` each tune is cut up."""
        units, tokens = observation.model.sites["l1.h"], len(observation.vocabulary)
        widths = {"token": tokens, "logits": tokens}
        sums = []
        for one in maps:
            source, _, past = one.source.partition(" and ")
            target = widths.get(one.target, units)
            sums.append(Products.empty(self.folds, widths.get(source, units) + (target if past else 0), target))
        for k, x, activations in self.activations(observation, maps):
            for one, products in zip(maps, sums, strict=True):
                y = activations[one.target]
                shift = np.random.default_rng([observation.seed, k]).integers(1, max(2, len(y)))
                y, read = np.roll(y, shift, 0) if one.shifted else y, inputs(one, x, activations)
                for fold, rows in self.dealt(len(y)) if folds is None else [(int(folds[k]), slice(None))]:
                    products.add(fold, read[rows], y[rows])
        return sums

    def dealt(self, rows: int) -> list[tuple[int, slice]]:
        """Returns the stretch of a tune that each fold has."""
        edges = np.linspace(0, rows, self.folds + 1).astype(int)
        return [(fold, slice(*stretch)) for fold, stretch in enumerate(pairwise(edges.tolist())) if np.diff(stretch)]

    def activations(
        self, observation: Observation, maps: list[Map]
    ) -> Iterator[tuple[int, np.ndarray, dict[str, np.ndarray]]]:
        """Yields (tune, one-hot tokens read `[n, V]`, activations) for every tune."""
        sites = {one.target for one in maps} | {one.source.removesuffix(" and past") for one in maps} - {"token"}
        one_hot = np.eye(len(observation.vocabulary), dtype=np.float32)
        for k, activations in observation.each(sorted(sites)):
            yield k, one_hot[observation.transcriptions[k].ids[:-1]], activations

    def measure(self, one: Map, products: Products) -> tuple[dict[str, object], pd.DataFrame]:
        """Returns the row of a map, and R² of each unit of its target."""
        ridges = RIDGES if self.ridge is None else (self.ridge,)
        tried = {ridge: cross_validated(products, ridge) for ridge in ridges}
        ridge = max(tried, key=lambda r: float(np.nan_to_num(tried[r][1], nan=-np.inf).mean()))
        by_unit, by_fold = tried[ridge]
        row = {
            "map": one.name,
            "target": one.target,
            "source": one.source,
            "shifted": one.shifted,
            "r2": float(np.nanmean(by_fold)),
            "r2_low": float(np.nanmin(by_fold)),
            "r2_high": float(np.nanmax(by_fold)),
            "median_unit_r2": float(np.nanmedian(by_unit)),
            "ridge": ridge,
            "rows": int(products.rows.sum()),
        }
        return row, pd.DataFrame({"map": one.name, "unit": np.arange(len(by_unit)), "r2": by_unit})

    def caption(self, table: pd.DataFrame, n: int) -> str:
        below = table[(table["target"] == "l2.h") & (table["source"] == "l1.h") & ~table["shifted"]]
        kind = "tunes" if n >= self.folds else "steps"
        second = f" A linear map of h¹ tells {below['r2'].iloc[0]:.0%} of the variance of h²." if len(below) else ""
        return (
            f"Share of the variance of an activation that a linear map tells of {kind} it was not fitted to ({n} "
            f"tune{'s' * (n != 1)} in {self.folds} folds; the line spans the folds), from the token just read, the "
            "layer below, the layer below and the layer's own state one step earlier, and, as a control, with the "
            f"target shifted round.{second}"
        )


def inputs(one: Map, tokens: np.ndarray, activations: dict[str, np.ndarray]) -> np.ndarray:
    """Returns what the map reads at every row, `[n, D]`; the past of the first row is zero."""
    source, _, past = one.source.partition(" and ")
    x = tokens if source == "token" else activations[source]
    if not past:
        return x
    before = np.concatenate([np.zeros_like(activations[one.target][:1]), activations[one.target][:-1]])
    return np.concatenate([x, before], axis=1)


CAPTION_UNITS = (
    "The same by unit, over {n} tune{s}: how many units of the target a map tells well. Units at the left are those "
    "that the layer makes anew from its memory; units at the right are handed on."
)
