"""Timing works side by side in one process, and saying what the numbers are."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.products import Precision, Product

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def options(description: str) -> argparse.ArgumentParser:
    """Returns the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch and numpy")
    parser.add_argument("--rounds", type=int, default=5, help="times that each work is timed")
    clock = "wall time, or processor time of this process: for one thread on a machine that others use too"
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help=clock)
    return parser


@dataclass
class Times:
    """Seconds of each work in each round; the works of a round follow one another at once."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, one: str, other: str) -> str:
        """How often `other` goes into `one`: the median over rounds, and the range."""
        found = [a / b for a, b in zip(self.seconds[one], self.seconds[other], strict=True)]
        return f"{statistics.median(found):.2f} (from {min(found):.2f} to {max(found):.2f})"

    def rates(self, counts: Mapping[str, float] | float, unit: str) -> str:
        """A line for each work: how much of it is done in a second."""
        lines = []
        for name, seconds in self.seconds.items():
            count = counts if isinstance(counts, int | float) else counts[name]
            low, high = count / max(seconds), count / min(seconds)
            lines.append(f"{name:36} {count / self.median(name):10,.0f} {unit}/s (from {low:,.0f} to {high:,.0f})")
        return "\n".join(lines)


def time_interleaved(works: Mapping[str, Callable[[], object]], rounds: int, clock: str = "wall") -> Times:
    """Returns the times of each work, all of them in every round, after a round that is not counted."""
    read, found = CLOCKS[clock], {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            began = read()
            work()
            if number:
                found[name].append(read() - began)
    return Times(found)


class BareProducts:
    """The matrix products of a step and nothing else, on the fastest path there is: what a step cannot undercut.

    Layer 1 reads a token, which is a row lookup and no product; each layer above has one product of its input and its
    own state side by side; then the softmax layer.
    """

    def __init__(self, model: FolkRNN, rows: int, precision: Precision = "fp32") -> None:
        first, *others = model.layers
        self.products = [Product([first.weight_hh], None, precision)]
        self.products += [Product([layer.weight_ih, layer.weight_hh], layer.bias, precision) for layer in others]
        self.products.append(Product([model.softmax_weight], model.softmax_bias))
        widths = [sum(weight.shape[1] for weight in one.weights) for one in self.products]
        self.inputs = [torch.randn(rows, width, device=model.device) for width in widths]

    def step(self, rows: int) -> None:
        for product, x in zip(self.products, self.inputs, strict=True):
            product(x[:rows])

    def operations(self) -> int:
        """Multiplications and additions for one row."""
        return 2 * sum(weight.numel() for one in self.products for weight in one.weights)


def irish_batch(tunes: int) -> Tensor:
    """Returns tunes of the shipped corpus next to each other in length, about the median, as inputs `[B, T]`."""
    from folkrnn.datasets.batches import pad
    from folkrnn.datasets.irish import irish

    corpus = irish()
    order = sorted(corpus.ids, key=len)
    middle = (len(order) - tunes) // 2
    return pad(order[middle : middle + tunes], corpus.vocabulary.end)[0]
