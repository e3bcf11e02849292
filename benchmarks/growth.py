"""How the cost of writing and of tracing tunes grows with their number, length, width, batch and processes.

    python benchmarks/growth.py FOLDER [--rounds 5] [--threads 2] [--processes 1 2]

Everything is measured on a three-layer LSTM with fresh parameters that never draws `</s>`, so that each tune has just
as many tokens as asked for. One thing is varied at a time; the other four stay at 64 tunes of 50 tokens, 512 units, as
many tunes at once as there are, one process. Works are timed one after the other within each round. Leaves
`growth.csv` (seconds: median, fastest, slowest) and `growth.png`, whose dashed line is the limit: the bare products of
as many steps of as many tunes at once, in this process; above it is everything else, the start of processes too.
About five minutes on two cores.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import BareProducts, options, time_interleaved

from folkrnn import style
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.blocks import Blocks
from folkrnn.observation.observation import TraceWork
from folkrnn.parallel.blocks import each_block
from folkrnn.parallel.shards import Workers
from folkrnn.sampling import Sampling
from folkrnn.sampling.writing import written
from folkrnn.vocabulary import V2

SITES = ("l1.h", "l2.h", "l3.h")
"""What is traced: every layer's hidden state."""

VALUES: dict[str, tuple[int, ...]] = {
    "tunes": (16, 32, 64, 128, 256),
    "length": (25, 50, 100, 200, 400),
    "width": (64, 128, 256, 512, 1024),
    "batch": (4, 16, 64, 256),
}

LABELS = {
    "tunes": "tunes",
    "length": "tokens a tune",
    "width": "units a layer",
    "batch": "tunes at once (256 tunes)",
    "processes": "processes (4,096 tunes)",
}
LIMIT = "bare products"


STYLES: tuple[dict[str, Any], ...] = (
    {"color": style.PALETTE[0], "marker": "o", "markersize": 3},
    {"color": style.PALETTE[1], "marker": "s", "markersize": 3},
    {"color": "black", "linestyle": "--", "linewidth": 0.8},
)
"""Of writing, tracing, and the limit."""


@dataclass(frozen=True)
class Load:
    """What there is to do."""

    tunes: int = 64
    length: int = 50
    width: int = 512
    batch: int | None = None
    """None: all at once, up to 256."""
    processes: int = 1

    @property
    def tokens(self) -> int:
        return self.tunes * self.length


def loads(counts: Sequence[int]) -> Iterator[tuple[str, int, Load]]:
    """Yields what is varied, its value, and the load."""
    for axis, values in VALUES.items():
        usual = Load(tunes=256, length=16) if axis == "batch" else Load()
        yield from ((axis, value, replace(usual, **{axis: value})) for value in values)
    yield from (("processes", count, Load(tunes=4096, processes=count)) for count in counts)


def main() -> None:
    parser = options(__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="where growth.csv and growth.png go")
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2], help="numbers of processes to compare")
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    models = {width: endless(width) for width in VALUES["width"]}
    works: dict[str, Callable[[], object]] = {}
    about: dict[str, tuple[str, str, int, Load]] = {}
    for axis, value, load in loads(chosen.processes):
        for kind, make in KINDS.items():
            name = f"{kind} {axis} {value}"
            works[name], about[name] = make(models[load.width], load), (kind, axis, value, load)
    seconds = time_interleaved(works, chosen.rounds, chosen.clock).seconds
    rows = [row(*about[name], seconds[name]) for name in works]
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with (chosen.folder / "growth.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    draw(rows).savefig(chosen.folder / "growth.png", dpi=120)
    for found in rows:
        print(
            f"{found['work']:<13} {found['axis']:<10} {found['value']:>5}  {found['median']:8.3f} s "
            f"({found['fastest']:.3f} to {found['slowest']:.3f})  {found['tokens_per_second']:>8,.0f} tokens/s"
        )


def endless(width: int) -> FolkRNN:
    """Returns a network that never ends a tune."""
    torch.manual_seed(0)
    model = FolkRNN(units=width).eval()
    with torch.no_grad():
        model.softmax_bias[V2.end] = -1e4
    return model


def writing(model: FolkRNN, load: Load) -> Callable[[], object]:
    sampling = Sampling(tunes=load.tunes, max_tokens=load.length, batch_size=load.batch or 256)
    return lambda: written(model, V2, sampling, 1, Workers(load.processes))


def tracing(model: FolkRNN, load: Load) -> Callable[[], object]:
    """Traces random tunes; activations are dropped as they come."""
    rng = np.random.default_rng(0)
    tunes = [np.append(V2.start, rng.integers(2, 137, load.length)) for _ in range(load.tunes)]
    blocks = Blocks(tunes, lambda _: load.batch or 64)
    work = TraceWork(model, V2.end, SITES)

    def trace() -> None:
        for _ in each_block(work, blocks, Workers(load.processes)):
            pass

    return trace


def bare_products(model: FolkRNN, load: Load) -> Callable[[], object]:
    rows = min(load.tunes, load.batch or 256)
    products, steps = BareProducts(model, rows), load.length * -(-load.tunes // rows)
    return lambda: [products.step(rows) for _ in range(steps)]


KINDS = {"writing": writing, "tracing": tracing, LIMIT: bare_products}
"""What is timed of each load."""


def row(kind: str, axis: str, value: int, load: Load, seconds: Sequence[float]) -> dict[str, Any]:
    median = statistics.median(seconds)
    return {
        "work": kind,
        "axis": axis,
        "value": value,
        "tokens": load.tokens,
        "median": round(median, 4),
        "fastest": round(min(seconds), 4),
        "slowest": round(max(seconds), 4),
        "tokens_per_second": round(load.tokens / median),
    }


def draw(rows: Sequence[dict[str, Any]]) -> Any:
    """Returns the figure: seconds against each thing that was varied, medians with ranges, both axes logarithmic."""
    axes_of = list(dict.fromkeys(found["axis"] for found in rows))
    drawing = style.figure(width=style.PAGE * 1.3, height=2.6)
    panels = drawing.subplots(1, len(axes_of), sharey=True)
    for panel, axis in zip(panels, axes_of, strict=True):
        for kind, how in zip(KINDS, STYLES, strict=True):
            points = [found for found in rows if found["axis"] == axis and found["work"] == kind]
            x, y = ([found[key] for found in points] for key in ("value", "median"))
            below = [found["median"] - found["fastest"] for found in points]
            above = [found["slowest"] - found["median"] for found in points]
            panel.errorbar(x, y, yerr=[below, above], capsize=2, label=kind, **how)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xticks(x, [str(value) for value in x])
        panel.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        panel.set_xlabel(LABELS[axis])
    panels[0].set_ylabel("seconds")
    panels[0].legend()
    return drawing


if __name__ == "__main__":
    main()
