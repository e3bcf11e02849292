"""Which units: by rank of a statistic, at random, by number, or all but those another selector chooses.

Statistics are measured on tunes that the unchanged model wrote or reads (`RunContext.control`). Layers count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from folkrnn import spectra
from folkrnn.errors import UserError, did_you_mean
from folkrnn.interventions.intervention import RunContext
from folkrnn.interventions.layers import Layers, check_layer, layers_of
from folkrnn.interventions.statistics import STATISTICS, score
from folkrnn.interventions.windows import token_ids
from folkrnn.models.folkrnn import FolkRNN

Units = dict[int, np.ndarray]
"""Layer to units, ascending."""


class Selector(Protocol):
    """A rule that chooses units."""

    def check(self, model: FolkRNN, context: RunContext) -> None:
        """Raises UserError for a layer, unit, share or token outside its bounds."""

    def choose(self, model: FolkRNN, context: RunContext) -> Chosen:
        """Returns the units, and the table behind the choice."""
        ...


@dataclass(frozen=True)
class Chosen:
    """A choice that is made; itself a selector. `table` has a row per unit: layer, unit, score, chosen."""

    units: Units
    table: pd.DataFrame = field(default_factory=pd.DataFrame, compare=False)

    def check(self, model: FolkRNN, context: RunContext) -> None:
        for layer, units in self.units.items():
            check_layer(layer, model)
            beyond = [int(unit) for unit in units if not 0 <= unit < model.units]
            if beyond:
                raise UserError(f"unit {beyond[0]} does not exist; layer {layer} has units 0 to {model.units - 1}")

    def choose(self, model: FolkRNN, context: RunContext) -> Chosen:
        return self

    def like(self, seed: int) -> Matched:
        """Returns as many random units in each layer, of the same norms."""
        return Matched(self, seed)

    def listing(self) -> pd.DataFrame:
        """Returns the table, or where nothing was measured the chosen units."""
        if len(self.table):
            return self.table
        parts = [(layer, int(unit)) for layer, units in self.units.items() for unit in units]
        return pd.DataFrame(parts, columns=["layer", "unit"])

    @property
    def count(self) -> int:
        return sum(len(units) for units in self.units.values())


@dataclass(frozen=True)
class Indices:
    """Units by number, the same in each layer; `base` is the first number (1 for those of the blog and the paper)."""

    units: tuple[int, ...]
    layers: Layers = None
    base: int = 0

    def check(self, model: FolkRNN, context: RunContext) -> None:
        layers_of(self.layers, model)
        if self.base not in (0, 1):
            raise UserError(f"units_base is {self.base}; units count from 0 or from 1")
        beyond = [unit for unit in self.units if not self.base <= unit < model.units + self.base]
        if beyond:
            last = model.units + self.base - 1
            raise UserError(
                f"unit {beyond[0]} does not exist; counted from {self.base}, units are {self.base} to {last}"
            )

    def choose(self, model: FolkRNN, context: RunContext) -> Chosen:
        units = np.unique(np.array(self.units, dtype=int) - self.base)
        return Chosen(dict.fromkeys(layers_of(self.layers, model), units))


@dataclass(frozen=True)
class Ranked:
    """Units by a statistic: the top (or bottom) `fraction` or `count`, else all whose score reaches `threshold`."""

    by: str = "period"
    layers: Layers = None
    fraction: float | None = None
    count: int | None = None
    threshold: float | None = None
    smallest: bool = False
    jointly: bool = False
    """Rank over all layers at once instead of in each."""
    period: float = 9.0
    half_width: float = 0.5
    dc: bool = True
    """Whether the mean counts towards a unit's power."""
    token: str = "measure"
    """Token type, or tokens, that the next token is compared with."""
    tunes: int = 16
    """Most tunes to measure on."""

    def check(self, model: FolkRNN, context: RunContext) -> None:
        layers_of(self.layers, model)
        check_size(self.fraction, self.count, model)
        if self.by not in STATISTICS:
            raise UserError(
                f"by={self.by}: no such statistic{did_you_mean(self.by, STATISTICS)}; there are {STATISTICS}"
            )
        if self.fraction is None and self.count is None and self.threshold is None:
            raise UserError("how many units? Give cut.fraction (a share from 0 to 1), a count or a threshold")
        if not 2 + self.half_width <= self.period <= spectra.LENGTH:
            raise UserError(f"period is {self.period:g}; it must lie between 2 + half_width and {spectra.LENGTH} steps")
        if self.tunes < 1:
            raise UserError(f"tunes is {self.tunes}; it must be at least 1")
        token_ids(self.token, context.vocabulary)

    def choose(self, model: FolkRNN, context: RunContext) -> Chosen:
        scores = score(self, layers_of(self.layers, model), model, context)
        signed = {layer: -values if self.smallest else values for layer, values in scores.items()}
        units = self._among(signed)
        return Chosen(units, score_table(scores, units))

    def _among(self, scores: dict[int, np.ndarray]) -> Units:
        if self.fraction is None and self.count is None and self.threshold is not None:
            limit = -self.threshold if self.smallest else self.threshold
            return {layer: np.flatnonzero(values >= limit) for layer, values in scores.items()}
        if not self.jointly:
            return {
                layer: _top(values, size_of(self.fraction, self.count, len(values))) for layer, values in scores.items()
            }
        layers, width = list(scores), len(next(iter(scores.values())))
        best = _top(np.concatenate(list(scores.values())), size_of(self.fraction, self.count, width * len(layers)))
        return {layer: best[best // width == k] % width for k, layer in enumerate(layers)}


@dataclass(frozen=True)
class Random:
    """Units at random: a share or number of each layer, or as many as another selector chooses there."""

    layers: Layers = None
    fraction: float | None = None
    count: int | None = None
    like: Selector | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    """(layer, number of units), where they are known."""
    seed: int | None = None
    """None: that of the run."""

    def check(self, model: FolkRNN, context: RunContext) -> None:
        layers_of(self.layers, model)
        check_size(self.fraction, self.count, model)
        if self.like is not None:
            self.like.check(model, context)
        elif self.fraction is None and self.count is None:
            raise UserError("how many units at random? Give cut.fraction (a share from 0 to 1) or a count")

    def choose(self, model: FolkRNN, context: RunContext) -> Chosen:
        if self.sizes:
            sizes = dict(self.sizes)
        elif self.fraction is None and self.count is None and self.like is not None:
            sizes = {layer: len(units) for layer, units in self.like.choose(model, context).units.items()}
        else:
            size = size_of(self.fraction, self.count, model.units)
            sizes = dict.fromkeys(layers_of(self.layers, model), size)
        rng = np.random.default_rng([context.seed if self.seed is None else self.seed, _RANDOM_UNITS])
        return Chosen(_drawn(sizes, model.units, rng))


@dataclass(frozen=True)
class Matched:
    """As many units at random as were chosen, and as many of every size: the norm of the column that reads a unit.

    The units of a layer are put into strata of STRATUM by that norm; from each as many are drawn as were chosen there.
    """

    of: Chosen
    seed: int

    def check(self, model: FolkRNN, context: RunContext) -> None:
        self.of.check(model, context)

    def choose(self, model: FolkRNN, context: RunContext) -> Chosen:
        rng = np.random.default_rng([self.seed, _RANDOM_UNITS])
        norms = score(Ranked(by="norm"), list(self.of.units), model, context)
        return Chosen({layer: _stratified(units, norms[layer], rng) for layer, units in self.of.units.items()})


STRATUM = 16
"""Units of neighbouring norms that are exchanged for one another."""


def _stratified(units: np.ndarray, norms: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    order = np.argsort(norms, kind="stable")
    strata = np.array_split(order, max(1, len(order) // STRATUM))
    drawn = [rng.permutation(some)[: np.isin(some, units).sum()] for some in strata]
    return np.sort(np.concatenate(drawn))


@dataclass(frozen=True)
class Complement:
    """All units of the layers but those that another selector chooses."""

    of: Selector

    def check(self, model: FolkRNN, context: RunContext) -> None:
        self.of.check(model, context)

    def choose(self, model: FolkRNN, context: RunContext) -> Chosen:
        chosen = self.of.choose(model, context)
        every = np.arange(model.units)
        units = {layer: np.setdiff1d(every, taken) for layer, taken in chosen.units.items()}
        table = chosen.table.assign(chosen=~chosen.table["chosen"]) if len(chosen.table) else chosen.table
        return Chosen(units, table)


_RANDOM_UNITS = 6
"""Keeps the choice of random units apart from other uses of the seed."""


def score_table(scores: Mapping[int, np.ndarray], units: Units) -> pd.DataFrame:
    """Returns one row per unit: layer, unit, score, and whether it was chosen."""
    parts = [
        pd.DataFrame(
            {
                "layer": layer,
                "unit": np.arange(len(values)),
                "score": values,
                "chosen": np.isin(np.arange(len(values)), units[layer]),
            }
        )
        for layer, values in scores.items()
    ]
    return pd.concat(parts, ignore_index=True)


def check_size(fraction: float | None, count: int | None, model: FolkRNN) -> None:
    """Raises UserError for a share outside 0 to 1, a number outside 0 to H, or both at once."""
    if fraction is not None and count is not None:
        raise UserError(f"fraction={fraction:g} and count={count} are both given; give one of them")
    if fraction is not None and not 0 <= fraction <= 1:
        raise UserError(f"fraction is {fraction:g}; it must lie between 0 and 1")
    if count is not None and not 0 <= count <= model.units:
        raise UserError(f"count is {count}; it must lie between 0 and {model.units}, the units of a layer")


def size_of(fraction: float | None, count: int | None, units: int) -> int:
    """Returns how many of `units` a share or number means: 20, 27, 33 % of 512 are 102, 138, 169."""
    return round((fraction or 0.0) * units) if count is None else count


def _drawn(sizes: Mapping[int, int], units: int, rng: np.random.Generator) -> Units:
    """Of one order of all units per layer, so that more units at the same seed are the same ones and others."""
    return {layer: np.sort(rng.permutation(units)[:size]) for layer, size in sizes.items()}


def known_units(select: Selector, model: FolkRNN) -> Units:
    """Returns the units where they are known without measuring, else none."""
    if isinstance(select, Indices):
        return {layer: np.array(select.units) - select.base for layer in layers_of(select.layers, model)}
    return select.units if isinstance(select, Chosen) else {}


def _top(values: np.ndarray, size: int) -> np.ndarray:
    return np.sort(np.argsort(-values, kind="stable")[:size])
