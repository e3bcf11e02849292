"""What a training step costs through Lightning, beside a bare PyTorch loop on the same batches; and what buckets save.

    python benchmarks/training_step.py [--updates 40] [--model folkrnn|folkrnn_small] [--threads 2]

After every update that Lightning makes (the training that `weights=scratch` starts: checkpoints, pace, metrics and all)
the bare loop makes one on the same batch with a model of its own, so that both see the machine in the same state. The
same for the published recipe, whose bare loop is that of the modern one: fused kernels without clipping at each step.
The limit of the bare loop is the largest of three, all measured here: operations (three times those of a forward pass)
÷ the rate of bare products; bytes that have to be moved ÷ the rate of a copy; steps that wait for one another, through
time and layers and back, × the time of a step of one row.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import CLOCKS, BareProducts, options, time_interleaved
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from folkrnn.datasets.batches import bucketed, filled_share, pad
from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.irish import irish
from folkrnn.datasets.module import Batch, TuneBatches
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training.fit import TrainerSettings, fit
from folkrnn.training.language_model import ModernRecipe, TrainingRecipe, dropped_logits, token_loss
from folkrnn.training.memory import memory_kept
from folkrnn.training.noise import dropout
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import scratch

SIZES = {"folkrnn": 512, "folkrnn_small": 128}
SETTLING = 3
"""Updates that are not counted."""


class EnoughError(Exception):
    """Ends a training that has been timed."""


class BareLoop:
    """Forward, backward, clipping, optimiser; no framework."""

    def __init__(self, units: int, recipe: ModernRecipe) -> None:
        self.model, self.recipe = scratch(FolkRNN(units=units), seed=1).model.train(), recipe
        self.model.dropout, self.number = recipe.dropout or 0.0, 0
        self.optimiser = recipe.optimiser(self.model.parameters())

    def update(self, inputs: Tensor, targets: Tensor) -> None:
        self.number += 1
        drop = dropout(1, self.number, range(len(inputs)), self.model.dropout)
        loss = token_loss(dropped_logits(self.model, inputs, drop), targets)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimiser.step()


class Beside(Callback):
    """Times each update of a training, and after it one of the bare loop on the same batch."""

    def __init__(self, bare: BareLoop, batches: Iterator[Batch], updates: int, clock: str) -> None:
        self.bare, self.batches, self.updates, self.read = bare, batches, updates, CLOCKS[clock]
        self.framework: list[float] = []
        self.loop: list[float] = []
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.steps: list[int] = []

    def on_train_start(self, *_: Any) -> None:
        self.since = self.read()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Batch, index: int) -> None:
        began = self.read()
        inputs, targets, size = next(self.batches)
        assert torch.equal(inputs, batch[0])
        self.bare.update(inputs, targets)
        ended = self.read()
        self.framework.append(began - self.since)
        self.loop.append(ended - began)
        self.tokens.append(size.tokens)
        self.positions.append(inputs.numel())
        self.steps.append(inputs.shape[1])
        if len(self.loop) == self.updates + SETTLING:
            raise EnoughError
        self.since = self.read()

    def counted(self, values: Sequence[float]) -> np.ndarray:
        return np.array(values[SETTLING:])


def beside(recipe: TrainingRecipe, units: int, corpus: Corpus, updates: int, clock: str) -> Beside:
    """Returns the times of a training that `recipe` governs and of the bare loop on its batches."""
    shown = TuneBatches(corpus, recipe.batch_size, 1, recipe.batching, recipe.split)
    timed = Beside(BareLoop(units, ModernRecipe()), iter(shown.train_dataloader()), updates, clock)
    settings = TrainerSettings(1, accelerator="cpu", progress=False, save_every=None)
    with tempfile.TemporaryDirectory() as folder:
        try:
            fit(scratch(FolkRNN(units=units), seed=1).model, corpus, recipe, settings, 1, Path(folder), None, [timed])
        except EnoughError:
            return timed
    raise SystemExit(f"an epoch has fewer than {updates + SETTLING} batches; ask for fewer --updates")


@dataclass(frozen=True)
class Machine:
    """What the machine does at best with a model."""

    model: FolkRNN
    operations: float
    """Per second, in bare products of 256 rows."""
    bytes: float
    """Per second, read and written by a copy that no cache holds."""
    step: float
    """Seconds of one step of one row through one layer."""

    def limits(self, steps: Sequence[int], positions: Sequence[int]) -> dict[str, float]:
        """Returns the seconds that updates take at least, given the steps and positions of each, by what limits."""
        model, layers = self.model, len(self.model.layers)
        parameters = sum(p.numel() for p in model.parameters())
        # of each position: per layer gates, c and h written and read again, as are their gradients; logits likewise
        numbers = layers * 2 * 2 * 6 * model.units + 2 * 2 * model.vocabulary_size
        # of each update: weights read twice, gradients written; by the optimiser four arrays read and three written
        moved = 4 * (numbers * sum(positions) + 10 * parameters * len(positions))
        operations = 3 * BareProducts(model, 1).operations() * sum(positions)
        serial = 2 * sum(length + layers - 1 for length in steps)
        return {
            "operations": operations / self.operations,
            "bytes": moved / self.bytes,
            "serial steps": serial * self.step,
        }


def report(name: str, timed: Beside, machine: Machine) -> None:
    framework, loop = timed.counted(timed.framework), timed.counted(timed.loop)
    tokens = timed.counted(timed.tokens).sum()
    limits = machine.limits(timed.counted(timed.steps), timed.counted(timed.positions))
    binding = max(limits, key=limits.__getitem__)
    ratio = framework / loop
    low, high = np.quantile(ratio, [0.25, 0.75])
    print(f"{name}: {len(loop)} updates of {tokens / len(loop):,.0f} tokens")
    print(
        f"  through Lightning {tokens / framework.sum():8,.0f} tokens/s; bare loop {tokens / loop.sum():8,.0f} tokens/s"
    )
    print(f"  Lightning ÷ bare loop       {np.median(ratio):.2f} (quartiles {low:.2f} to {high:.2f})")
    each = ", ".join(f"{what} {seconds / len(loop) * 1e3:.0f} ms" for what, seconds in limits.items())
    print(f"  an update takes {loop.sum() / len(loop) * 1e3:.0f} ms; limits: {each}")
    print(f"  bare loop ÷ limit           {limits[binding] / loop.sum():.2f}, the limit being that of {binding}")


def bucketing(units: int, corpus: Corpus, rounds: int, clock: str) -> None:
    """Prints real tokens per second on some bucketed batches and on as many random ones."""
    rng = np.random.default_rng(0)
    lengths, size = [len(ids) - 1 for ids in corpus.ids], ModernRecipe().batch_size
    order = rng.permutation(len(lengths))
    random = [order[k : k + size].tolist() for k in range(0, len(order), size)]
    kinds = {"bucketed": bucketed(lengths, size, rng)[:6], "random": random[:6]}
    bare = BareLoop(units, ModernRecipe())
    padded = {kind: [pad([corpus.ids[i] for i in rows], 0) for rows in some] for kind, some in kinds.items()}
    works = {
        kind: (lambda some=some: [bare.update(inputs, targets) for inputs, targets in some])
        for kind, some in padded.items()
    }
    times = time_interleaved(works, rounds, clock)
    tokens = {kind: sum(lengths[i] for rows in some for i in rows) for kind, some in kinds.items()}
    rate = {kind: tokens[kind] / times.median(kind) for kind in kinds}
    shares = {kind: filled_share(lengths, some) for kind, some in (("random", random), ("bucketed", kinds["bucketed"]))}
    print("bare loop on batches made of neighbours in length and of any tunes")
    for kind, value in rate.items():
        print(f"  {kind:9} {value:8,.0f} real tokens/s; {shares[kind]:.0%} of the positions are tokens")
    print(f"  bucketed ÷ random           {rate['bucketed'] / rate['random']:.2f}")


def measure(model: FolkRNN, rounds: int, clock: str) -> Machine:
    """Returns what the machine does at best: the fastest tenth of many tries."""
    products, layer = BareProducts(model, 256), model.layers[-1]
    large = torch.ones(2**26)
    into, zero = torch.empty_like(large), [torch.zeros(1, model.units)] * (2 if model.cell == "lstm" else 1)
    short, long = torch.zeros(1, 100, model.units), torch.zeros(1, 300, model.units)
    step = _fastest(lambda: layer.fused(long, zero), rounds, clock)
    step -= _fastest(lambda: layer.fused(short, zero), rounds, clock)
    return Machine(
        model,
        256 * products.operations() / _fastest(lambda: products.step(256), 10 * rounds, clock),
        2 * 4 * large.numel() / _fastest(lambda: into.copy_(large), rounds, clock),
        step / 200,
    )


def _fastest(work: Callable[[], object], times: int, clock: str) -> float:
    read, found = CLOCKS[clock], []
    for _ in range(max(3, times)):
        began = read()
        work()
        found.append(read() - began)
    return statistics.quantiles(found, n=10)[0] if len(found) > 10 else min(found)


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--model", choices=tuple(SIZES), default="folkrnn")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    units, corpus = SIZES[chosen.model], irish()
    with torch.no_grad():
        machine = measure(FolkRNN(units=units).eval(), chosen.rounds, chosen.clock)
    print(
        f"{chosen.model}, {chosen.threads} threads; bare products reach {machine.operations / 1e9:.0f} GFLOP/s, a copy "
        f"{machine.bytes / 1e9:.0f} GB/s, a step of one row {machine.step * 1e6:.0f} µs"
    )
    for name, recipe in {"recipe=modern": ModernRecipe(), "recipe=published": PublishedRecipe()}.items():
        report(name, beside(recipe, units, corpus, chosen.updates, chosen.clock), machine)
    with memory_kept():
        bucketing(units, corpus, chosen.rounds, chosen.clock)


if __name__ == "__main__":
    main()
