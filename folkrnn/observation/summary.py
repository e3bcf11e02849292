"""The streaming summary of activations: moments, sparsity and saturation of every unit, batch by batch.

Memory does not grow with the number of tunes. Thresholds are those of "Making sense of the folk-rnn v2 model", part 5
(|h| < 0.07, |h| > 0.8, a unit that never exceeds 0.004) and of Karpathy, Johnson, Li 2015 for gates (< 0.1, > 0.9).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from folkrnn import sites as grammar
from folkrnn.interventions.edited import Playable, number
from folkrnn.models.draws import SMALLEST_BATCH
from folkrnn.models.visits import Visitor

GATES = frozenset("iforu")
"""Streams that are sigmoids, in (0, 1): saturation is their share near 0 and near 1."""

SPARSE, STRONG, DEAD = 0.07, 0.8, 0.004
CLOSED, OPEN = 0.1, 0.9
BATCH = 64
BLOCK = 1024
"""Steps gathered before they are added up: larger reductions are faster, and this many take 2 MB a stream."""


class UnitSums:
    """Running sums of one stream, one entry per unit, `[H]` each. Rows are gathered and added in blocks."""

    def __init__(self, units: int, gate: bool) -> None:
        self.low_bound, self.high_bound = (CLOSED, OPEN) if gate else (-STRONG, STRONG)
        self.block, self.filled, self.rows = torch.empty(BLOCK, units), 0, 0
        self.total, self.squares, self.sparse, self.low, self.high = torch.zeros(5, units, dtype=torch.float64)
        self.largest, self.smallest = torch.full((units,), -torch.inf), torch.full((units,), torch.inf)

    def add(self, value: Tensor) -> None:
        """Takes in one step of several tunes, `[B, H]`."""
        if self.filled + len(value) > BLOCK:
            self.flush()
        self.block[self.filled : self.filled + len(value)] = value
        self.filled += len(value)

    def flush(self) -> None:
        block = self.block[: self.filled]
        if not len(block):
            return
        self.total += block.sum(0, dtype=torch.float64)
        self.squares += block.square().sum(0, dtype=torch.float64)
        self.sparse += (block.abs() < SPARSE).count_nonzero(0)
        self.low += (block < self.low_bound).count_nonzero(0)
        self.high += (block > self.high_bound).count_nonzero(0)
        self.largest = torch.maximum(self.largest, block.amax(0))
        self.smallest = torch.minimum(self.smallest, block.amin(0))
        self.rows, self.filled = self.rows + len(block), 0

    def per_unit(self) -> dict[str, np.ndarray]:
        """Returns the finished quantities, `[H]` each."""
        self.flush()
        mean = self.total / self.rows
        found = {
            "mean": mean,
            "std": (self.squares / self.rows - mean.square()).clamp(min=0).sqrt(),
            "sparse": self.sparse / self.rows,
            "low": self.low / self.rows,
            "high": self.high / self.rows,
            "largest": self.largest,
            "smallest": self.smallest,
            "magnitude": torch.maximum(self.largest.abs(), self.smallest.abs()),
        }
        return {name: value.numpy() for name, value in found.items()}


@dataclass(frozen=True)
class Summary:
    """What `summarise` returns: per site, an array per quantity with one entry per unit."""

    units: dict[str, dict[str, np.ndarray]]
    rows: int
    """Steps that were read."""

    def table(self) -> list[dict[str, float | str]]:
        """Returns one row per site: the mean of each quantity over units, and the share of dead units."""
        return [{"site": site} | self.row(site) for site in self.units]

    def row(self, site: str) -> dict[str, float]:
        """Returns the numbers of one site, as they are filed under `activations/<site>/<quantity>`."""
        unit = self.units[site]
        gate = site.split(".")[-1] in GATES
        shares = {"low": unit["low"].mean(), "high": unit["high"].mean()}
        named = {"closed": shares["low"], "open": shares["high"]} if gate else {"sparsity": unit["sparse"].mean()}
        dead = (unit["largest"] < CLOSED) if gate else (unit["magnitude"] <= DEAD)
        numbers = {
            "mean": unit["mean"].mean(),
            "std": unit["std"].mean(),
            "saturation": shares["low"] + shares["high"],
            **named,
            "dead_units": dead.sum(),
        }
        return {name: float(value) for name, value in numbers.items()}


@torch.no_grad()
def summarise(model: Playable, tunes: Sequence[np.ndarray], patterns: str | Iterable[str] = "l*.*") -> Summary:
    """Returns the summary of the streams that `patterns` name over all steps of `tunes` (token ids from `<s>` on).

    For gates, `low` and `high` are the shares below 0.1 and above 0.9; for other streams, below −0.8 and above 0.8. The
    result does not depend on threads or on how the tunes were generated: batches are formed here, by length.
    """
    model.eval()
    names = [site.name for site in grammar.parse(patterns, model.sites)]
    sums = {name: UnitSums(model.sites[name], name.split(".")[-1] in GATES) for name in names}
    order = sorted(range(len(tunes)), key=lambda k: len(tunes[k]), reverse=True)
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        _read(model, [tunes[k][:-1] for k in some], some, sums)
    return Summary({name: part.per_unit() for name, part in sums.items()}, sum(len(ids) - 1 for ids in tunes))


def summarise_streams(streams: Iterable[tuple[str, np.ndarray]]) -> Summary:
    """Returns the summary of streams that come in parts, (site, `[…, units]`); a site may come any number of times."""
    sums: dict[str, UnitSums] = {}
    for name, value in streams:
        units = value.shape[-1]
        part = sums.setdefault(name, UnitSums(units, name.split(".")[-1] in GATES))
        for rows in torch.from_numpy(value).reshape(-1, units).split(BLOCK):
            part.add(rows)
    found = {name: part.per_unit() for name, part in sums.items()}
    return Summary(found, max((part.rows for part in sums.values()), default=0))


def _read(model: Playable, tunes: Sequence[np.ndarray], numbers: Sequence[int], sums: dict[str, UnitSums]) -> None:
    """Steps through tunes sorted from long to short, of these numbers; those that have ended drop out at the bottom."""
    lengths = np.array([len(ids) for ids in tunes])
    height = max(SMALLEST_BATCH, len(tunes))
    tokens = torch.zeros(height, int(lengths.max()), dtype=torch.long)
    for row, ids in enumerate(tunes):
        tokens[row, : len(ids)] = torch.from_numpy(ids)
    state, stepper = model.initial_state(height), model.stepper()
    number(model, state, numbers)
    alive = len(tunes)

    def add(site: str, value: Tensor) -> Tensor:
        sums[site].add(value[:alive])
        return value

    visitor = Visitor(sums.keys(), add)
    for t in range(tokens.shape[1]):
        alive = int((lengths > t).sum())
        height = max(SMALLEST_BATCH, alive)
        state = [tuple(part[:height] for part in layer) for layer in state]
        _, state = stepper.step(tokens[:height, t].to(model.device), state, visitor)
