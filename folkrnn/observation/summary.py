"""The streaming summary of activations: moments, sparsity and saturation of every unit, batch by batch.

Memory does not grow with the number of tunes. Thresholds are those of "Making sense of the folk-rnn v2 model", part 5
(|h| < 0.07, |h| > 0.8, a unit that never exceeds 0.004) and of Karpathy, Johnson, Li 2015 for gates (< 0.1, > 0.9).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from folkrnn import sites as grammar
from folkrnn.models.engine import InputTunes
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import Hook, Step
from folkrnn.observation.blocks import Block, Blocks
from folkrnn.parallel.blocks import each_block
from folkrnn.parallel.shards import ALONE, Arrays, Progress, Workers

GATES = frozenset("iforu")
"""Activations that are sigmoids, in (0, 1): saturation is their share near 0 and near 1."""

SPARSE, STRONG, DEAD = 0.07, 0.8, 0.004
CLOSED, OPEN = 0.1, 0.9
BATCH = 64
BLOCK = 1024
"""Steps gathered before they are added up: larger reductions are faster, and this many take 2 MB an activation."""


ADDED, LARGEST, SMALLEST = slice(0, 7), 7, 8
"""Rows of the sums of an activation, `[9, H]`: what is added up over blocks, and what is not."""


class UnitSums:
    """Running sums of one activation, one entry per unit. Rows are gathered and added in blocks, in the order they
    come.

    numpy adds, on one thread: torch's sums change in the last bit with the threads, and its counts take ten times as
    long.
    """

    def __init__(self, units: int, gate: bool) -> None:
        self.low_bound, self.high_bound = (CLOSED, OPEN) if gate else (-STRONG, STRONG)
        self.block, self.filled = torch.empty(BLOCK, units), 0
        self._rows = self.block.numpy()
        self.sums = np.zeros((9, units))
        self.sums[LARGEST], self.sums[SMALLEST] = -np.inf, np.inf

    def add(self, value: Tensor) -> None:
        """Takes in up to BLOCK rows, `[B, H]`."""
        if self.filled + len(value) > BLOCK:
            self._flush()
        self.block[self.filled : self.filled + len(value)] = value
        self.filled += len(value)

    def finished(self) -> np.ndarray:
        """Returns the sums `[9, H]`: per unit the rows, Σ, Σ², Σ|·|, how many are near zero, low and high, the
        largest and the smallest.
        """
        self._flush()
        return self.sums

    def _flush(self) -> None:
        rows, self.filled = self._rows[: self.filled], 0
        if not len(rows):
            return
        sizes = np.abs(rows)
        self.sums[ADDED] += (
            np.full(rows.shape[1], len(rows)),
            np.add.reduce(rows, axis=0, dtype=np.float64),
            np.add.reduce(np.square(rows), axis=0, dtype=np.float64),
            np.add.reduce(sizes, axis=0, dtype=np.float64),
            _count(sizes < SPARSE),
            _count(rows < self.low_bound),
            _count(rows > self.high_bound),
        )
        np.maximum(self.sums[LARGEST], rows.max(0), out=self.sums[LARGEST])
        np.minimum(self.sums[SMALLEST], rows.min(0), out=self.sums[SMALLEST])


def _count(mask: np.ndarray) -> np.ndarray:
    """How many rows of `mask [R, H]` are true, `[H]`: in bytes, 255 rows at a time, which is ten times as fast."""
    ones = mask.view(np.uint8)
    whole = len(ones) // 255 * 255
    parts = np.add.reduce(ones[:whole].reshape(-1, 255, ones.shape[1]), axis=1, dtype=np.uint8)
    return parts.sum(0, dtype=np.int64) + np.add.reduce(ones[whole:], axis=0, dtype=np.uint8)


class SiteSums(Hook):
    """A hook that sums up the sites that `widths` names, over the tunes in progress."""

    by_windows = True

    def __init__(self, widths: Mapping[str, int]) -> None:
        self._sums = {name: UnitSums(width, name.split(".")[-1] in GATES) for name, width in widths.items()}
        self.sites = widths.keys()

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        """Adds `[B, units]` of a step, or `[S, B, units]` of several."""
        for rows, active in zip([value] if value.dim() == 2 else value, step.active, strict=True):
            self._sums[site].add(rows[:active])
        return value

    def finished(self) -> dict[str, np.ndarray]:
        """Returns the sums of each site, `[9, H]`."""
        return {name: part.finished() for name, part in self._sums.items()}


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
            "mean_abs": unit["mean_abs"].mean(),
            "std": unit["std"].mean(),
            "saturation": shares["low"] + shares["high"],
            **named,
            "dead_units": dead.sum(),
        }
        return {name: float(value) for name, value in numbers.items()}


def added(blocks: Iterable[Arrays]) -> dict[str, np.ndarray]:
    """Returns the sums of each site over blocks of tunes, `[9, H]` each, added in the order of the blocks."""
    sums: dict[str, np.ndarray] = {}
    for block in blocks:
        for site, part in block.items():
            if site not in sums:
                sums[site] = part
                continue
            whole = sums[site]
            whole[ADDED] += part[ADDED]
            np.maximum(whole[LARGEST], part[LARGEST], out=whole[LARGEST])
            np.minimum(whole[SMALLEST], part[SMALLEST], out=whole[SMALLEST])
    return sums


def summary_of(sums: Mapping[str, np.ndarray]) -> Summary:
    """Returns the summary of finished sums, `[9, H]` per site."""
    rows = max((int(part[0].max(initial=0)) for part in sums.values()), default=0)
    return Summary({site: per_unit(part) for site, part in sums.items()}, rows)


def per_unit(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the finished quantities, `[H]` each, of the sums `[9, H]` of an activation."""
    rows, total, squares, absolute, sparse, low, high, largest, smallest = sums
    mean = total / rows
    return {
        "mean": mean,
        "mean_abs": absolute / rows,
        "std": np.sqrt(np.maximum(squares / rows - np.square(mean), 0)),
        "sparse": sparse / rows,
        "low": low / rows,
        "high": high / rows,
        "largest": largest.astype(np.float32),
        "smallest": smallest.astype(np.float32),
        "magnitude": np.maximum(np.abs(largest), np.abs(smallest)).astype(np.float32),
    }


def summarise(
    model: FolkRNN,
    tunes: Sequence[np.ndarray],
    patterns: str | Iterable[str] = "l*.*",
    processes: Workers = ALONE,
    progress: Progress | None = None,
) -> Summary:
    """Returns the summary of the activations that `patterns` name over all steps of `tunes` (token ids from `<s>` on).

    For gates, `low` and `high` are the shares below 0.1 and above 0.9; for other activations, below −0.8 and above
    0.8. The
    result does not depend on threads, on processes or on how the tunes were generated: they are read here in blocks of
    64, by length, each block is summed alone, and the sums are added in that order. `progress` is called with the
    number of tunes that have just been read.
    """
    model.eval()
    names = tuple(site.name for site in grammar.parse(patterns, model.sites))
    sums = added(each_block(SummaryWork(model, names), Blocks(tunes, lambda _: BATCH), processes, progress))
    return summary_of({name: sums[name] for name in names})


@dataclass(frozen=True)
class SummaryWork:
    """The work of a summary: the sums of each site over the tunes of a block, `[9, H]`."""

    model: FolkRNN
    names: tuple[str, ...]

    @torch.no_grad()
    def __call__(self, block: Block, progress: Progress) -> Arrays:
        numbers, tunes = block
        sums = SiteSums({name: self.model.sites[name] for name in self.names})
        self.model.engine().run(InputTunes.of([ids[:-1] for ids in tunes], numbers), [sums])
        progress(len(tunes))
        return sums.finished()


def summarise_activations(activations: Iterable[tuple[str, np.ndarray]]) -> Summary:
    """Returns the summary of activations that come in parts, (site, `[…, units]`); a site may come any number of
    times.
    """
    return summary_of(sums_of(activations))


def sums_of(activations: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the sums of each site, `[9, H]`, of activations that come in parts."""
    sums: dict[str, UnitSums] = {}
    for name, value in activations:
        units = value.shape[-1]
        part = sums.setdefault(name, UnitSums(units, name.split(".")[-1] in GATES))
        for rows in torch.from_numpy(value).reshape(-1, units).split(BLOCK):
            part.add(rows)
    return {name: part.finished() for name, part in sums.items()}
