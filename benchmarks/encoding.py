"""How fast melodies are encoded, beside the bare matrix products of the same shapes.

    python benchmarks/encoding.py [--melodies 50000] [--threads 2] [--encoder 512]

Prints melodies per second of: encoding in batches, μ and σ gathered as running sums only, so that memory does not grow
with the number of melodies; and the limit: the matrix products of the encoder (inputs of all steps at once, the
recurrence step by step, both directions, then μ and σ) and nothing else. Medians of several rounds, interleaved; and by
how much resident memory grew while all melodies were encoded.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from folkrnn.melodies.random_notes import draw_random_notes
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.products import Product
from folkrnn.models.recurrent import RecurrentLayer
from folkrnn.observation.latents import BATCH


def encode(model: MusicVAE, classes: np.ndarray) -> torch.Tensor:
    """Returns the sums of μ and σ over all melodies, `[2, Z]`."""
    sums = torch.zeros(2, model.sizes.z_size, dtype=torch.float64)
    for start in range(0, len(classes), BATCH):
        rows = torch.from_numpy(classes[start : start + BATCH].astype(np.int64))
        sums += torch.stack([part.sum(0, dtype=torch.float64) for part in model.encode(rows)])
    return sums


def products(model: MusicVAE, melodies: int, steps: int) -> None:
    """The matrix products of encoding `melodies` melodies of `steps` steps, in batches of the same size.

    They go through weights packed once for the processor (`folkrnn.models.products`), which plain products do not.
    """
    layers = [(part.units, Product([part.weight_ih]), Product([part.weight_hh])) for part in parts_of(model)]
    for start in range(0, melodies, BATCH):
        count = min(BATCH, melodies - start)
        for place, (units, inputs, recurrent) in enumerate(layers):
            width = model.sizes.depth if place < 2 else 2 * layers[place - 2][0]
            inputs(torch.zeros(count * steps, width))
            h = torch.zeros(count, units)
            for _ in range(steps):
                recurrent(h)
        code = torch.zeros(count, model.encoder.mu.in_features)
        for head in (model.encoder.mu, model.encoder.sigma):
            head(code)


def parts_of(model: MusicVAE) -> list[RecurrentLayer]:
    """Returns both directions of each layer of the encoder, from the first layer up."""
    return [part for layer in model.encoder.layers for part in (layer.fw, layer.bw)]


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--melodies", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", type=int, nargs="+", default=[512], help="units per direction of each layer")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = MusicVAE(encoder=options.encoder).eval()
    classes = draw_random_notes(options.melodies, np.random.default_rng(0)).classes
    steps = classes.shape[1]
    encode(model, classes[: 2 * BATCH])
    products(model, 2 * BATCH, steps)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rates: dict[str, list[float]] = {"encoding": [], "matrix products": []}
    for _ in range(options.rounds):
        rates["encoding"].append(len(classes) / seconds(lambda: encode(model, classes)))
        rates["matrix products"].append(len(classes) / seconds(lambda: products(model, len(classes), steps)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{len(classes):,} melodies of {steps} steps, encoder {options.encoder}, {options.threads} threads")
    for name, found in rates.items():
        print(f"{name:16} {statistics.median(found):9.0f} melodies/s   (from {min(found):.0f} to {max(found):.0f})")
    shares = [own / limit for own, limit in zip(rates["encoding"], rates["matrix products"], strict=True)]
    print(f"encoding ÷ matrix products {statistics.median(shares):.2f}")
    print(f"resident memory grew by {grown / 1024:.0f} MiB over {len(classes):,} melodies")


if __name__ == "__main__":
    main()
