"""How fast tunes are generated, beside two yardsticks measured in the same process.

    python benchmarks/generation.py [--tunes 200] [--threads 2]

Prints tokens per second of: the batched generator; the plain numpy sampler, one tune at a time (the authors' fast
script, facts sheet section 3.1); and the bare matrix products at the very sequence of live batch sizes that the
generator went through: what it could reach if everything else were free. Medians of several rounds, interleaved.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from folkrnn.models.draws import SMALLEST_BATCH
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.sampling import Sampling, Transcription, generate
from folkrnn.vocabulary import V2
from folkrnn.weights.sources import pretrained


def live_batches(tunes: Sequence[Transcription], live: int) -> list[int]:
    """Returns the number of rows at each step: waiting tunes take the places of finished ones."""
    left = [len(t.ids) - 1 for t in tunes]
    rows, waiting, sizes = left[:live], left[live:], []
    while rows:
        sizes.append(max(SMALLEST_BATCH, len(rows)))
        rows = [steps - 1 for steps in rows]
        rows = [steps if steps else waiting.pop(0) if waiting else 0 for steps in rows]
        rows = [steps for steps in rows if steps]
    return sizes


def products(model: FolkRNN, sizes: Sequence[int]) -> None:
    """The matrix products of generation and nothing else: recurrent and input ones of each layer, then the softmax."""
    H, weights = model.units, [layer.weight_hh for layer in model.layers]
    inputs = [layer.weight_ih for layer in model.layers[1:]]
    buffer = torch.zeros(max(sizes), H)
    for size in sizes:
        x = buffer[:size]
        for weight in [*weights, *inputs, model.softmax_weight]:
            torch.nn.functional.linear(x, weight)


def numpy_sampler(model: FolkRNN, tunes: int, seed: int) -> int:
    """Samples tunes one at a time in plain numpy; returns the number of tokens."""
    p = {name: value.numpy() for name, value in model.state_dict().items()}
    L, H, rng, tokens = len(model.layers), model.units, np.random.RandomState(seed), 0
    for _ in range(tunes):
        token, h, c = V2.start, np.zeros((L, H), np.float32), np.zeros((L, H), np.float32)
        for _ in range(1000):
            drive = p["layers.0.weight_ih"][:, token]
            for k in range(L):
                if k:
                    drive = p[f"layers.{k}.weight_ih"] @ h[k - 1]
                i, f, g, o = np.split(drive + p[f"layers.{k}.weight_hh"] @ h[k] + p[f"layers.{k}.bias"], 4)
                c[k] = c[k] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
                h[k] = np.tanh(c[k]) / (1 + np.exp(-o))
            z = np.exp((p["softmax_weight"] @ h[-1] + p["softmax_bias"]).astype(np.float64))
            token = int(rng.choice(np.arange(len(z)), p=z / z.sum()))
            tokens += 1
            if token == V2.end:
                break
    return tokens


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tunes", type=int, default=200)
    parser.add_argument("--live", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = pretrained().model
    sampling = Sampling(tunes=options.tunes, live=options.live)
    tunes = generate(model, V2, sampling, seed=1)
    tokens, sizes = sum(len(t.ids) - 1 for t in tunes), live_batches(tunes, options.live)
    rates: dict[str, list[float]] = {"generator": [], "matrix products": [], "numpy sampler": []}
    for _ in range(options.rounds):
        rates["generator"].append(tokens / seconds(lambda: generate(model, V2, sampling, seed=1)))
        rates["matrix products"].append(tokens / seconds(lambda: products(model, sizes)))
        began = time.perf_counter()
        sampled = numpy_sampler(model, 2, seed=1)
        rates["numpy sampler"].append(sampled / (time.perf_counter() - began))
    print(f"{options.tunes} tunes, {tokens} tokens, {len(sizes)} steps, {options.threads} threads")
    for name, found in rates.items():
        print(f"{name:16} {statistics.median(found):9.0f} tokens/s   (from {min(found):.0f} to {max(found):.0f})")
    ratio = [g / n for g, n in zip(rates["generator"], rates["numpy sampler"], strict=True)]
    limit = [g / n for g, n in zip(rates["generator"], rates["matrix products"], strict=True)]
    print(f"generator ÷ numpy sampler   {statistics.median(ratio):.1f}")
    print(f"generator ÷ matrix products {statistics.median(limit):.2f}")


if __name__ == "__main__":
    main()
