"""How fast tunes are generated, beside two yardsticks measured in the same process.

    python benchmarks/generation.py [--tunes 1000] [--threads 2]

Prints tokens per second of the batched generator, alone, with a hook that looks at one site, and in bf16 where the
processor multiplies it; of the plain numpy sampler, one tune at a time (the authors' fast script, facts sheet section
3.1), with the number of threads that is best for it; and of the bare matrix products at the very sequence of batch
sizes that the generator went through, on the fastest path there is: what it could reach if all else were free. Then
the same at a full batch that stays full.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from measuring import BareProducts, options, time_interleaved
from threadpoolctl import threadpool_limits

from folkrnn.models.engine import Engine
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import At
from folkrnn.models.rng import SMALLEST_BATCH, draw, probabilities
from folkrnn.sampling import Sampling, Transcription, generate
from folkrnn.vocabulary import V2
from folkrnn.weights.sources import pretrained

GENERATOR, VISITED, PRODUCTS = "generator", "generator with a hook on l3.h", "bare matrix products"
ROUNDED, NUMPY = "generator in bf16", "numpy sampler, one at a time"


def batch_sizes(tunes: Sequence[Transcription], batch_size: int) -> list[int]:
    """Returns the number of rows at each step: waiting tunes take the places of finished ones."""
    left = [len(t.ids) - 1 for t in tunes]
    rows, waiting, sizes = left[:batch_size], left[batch_size:], []
    while rows:
        sizes.append(max(SMALLEST_BATCH, len(rows)))
        rows = [steps - 1 for steps in rows]
        rows = [steps if steps else waiting.pop(0) if waiting else 0 for steps in rows]
        rows = [steps for steps in rows if steps]
    return sizes


def numpy_sampler(model: FolkRNN, tunes: int, seed: int) -> int:
    """Samples tunes one at a time as the authors' script does; returns the number of tokens.

    A product for each gate of input and state (24 a token), the one-hot input multiplied like any other.
    """
    p = {name: value.numpy() for name, value in model.state_dict().items()}
    L, H, V, rng, tokens = len(model.layers), model.units, model.vocabulary_size, np.random.RandomState(seed), 0
    inward = [np.split(p[f"layers.{k}.weight_ih"], 4) for k in range(L)]
    recurrent = [np.split(p[f"layers.{k}.weight_hh"], 4) for k in range(L)]
    bias = [np.split(p[f"layers.{k}.bias"], 4) for k in range(L)]
    one_hot = np.eye(V, dtype=np.float32)
    for _ in range(tunes):
        token, h, c = V2.start, np.zeros((L, H), np.float32), np.zeros((L, H), np.float32)
        for _ in range(1000):
            x = one_hot[token]
            for k in range(L):
                i, f, g, o = (w @ x + u @ h[k] + b for w, u, b in zip(inward[k], recurrent[k], bias[k], strict=True))
                c[k] = c[k] / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
                h[k] = x = np.tanh(c[k]) / (1 + np.exp(-o))
            z = np.exp((p["softmax_weight"] @ x + p["softmax_bias"]).astype(np.float64))
            token = int(rng.choice(np.arange(V), p=z / z.sum()))
            tokens += 1
            if token == V2.end:
                break
    return tokens


def best_threads(model: FolkRNN, threads: int) -> int:
    """Returns the number of threads with which the numpy sampler is fastest: more of them can be much slower."""
    found = {}
    for count in {1, threads}:
        with threadpool_limits(count):
            began = time.perf_counter()
            numpy_sampler(model, 1, 1)
            found[count] = time.perf_counter() - began
    return min(found, key=found.get)


def full_batch(engine: Engine, rows: int, steps: int) -> None:
    """The steps of a batch that stays full, each with its draws."""
    state = engine.stack.initial(rows)
    last, uniform = torch.full((rows,), V2.start), torch.rand(rows, dtype=torch.float64)
    for _ in range(steps):
        logits, state = engine.step(last, state)
        last = draw(probabilities(logits, 1.0), uniform)


@torch.no_grad()
def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--tunes", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=256)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = pretrained().model
    sampling = Sampling(tunes=chosen.tunes, batch_size=chosen.batch_size)
    began = time.perf_counter()
    tunes = generate(model, V2, sampling, seed=1)
    took = time.perf_counter() - began
    tokens, sizes = sum(len(t.ids) - 1 for t in tunes), batch_sizes(tunes, chosen.batch_size)
    rows = min(chosen.batch_size, 256)
    products = BareProducts(model, max(rows, *sizes))
    hook = At({"l3.h"}, lambda site, value: value)
    pinned = best_threads(model, chosen.threads)
    sampled = numpy_sampler(model, 1, 1)

    def one_by_one() -> None:
        with threadpool_limits(pinned):
            numpy_sampler(model, 1, 1)

    works = {
        GENERATOR: lambda: generate(model, V2, sampling, seed=1),
        VISITED: lambda: generate(model, V2, sampling, seed=1, hook=hook),
        PRODUCTS: lambda: [products.step(size) for size in sizes],
        NUMPY: one_by_one,
    }
    counts = dict.fromkeys((GENERATOR, VISITED, PRODUCTS), tokens) | {NUMPY: sampled}
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        rounded = replace(sampling, precision="bf16")
        counts[ROUNDED] = sum(len(t.ids) - 1 for t in generate(model, V2, rounded, seed=1))
        works[ROUNDED] = lambda: generate(model, V2, rounded, seed=1)
    times = time_interleaved(works, chosen.rounds, chosen.clock)
    numpy_rate = sampled / times.median(NUMPY)
    print(f"{chosen.tunes} tunes, {tokens:,} tokens, {len(sizes)} steps, {chosen.threads} threads; first: {took:.1f} s")
    print(times.rates(counts, "tokens"))
    print(f"numpy is fastest with {pinned} of its threads")
    print(f"generator ÷ numpy sampler            {tokens / times.median(GENERATOR) / numpy_rate:.1f}")
    print(f"generator ÷ limit (bare products)    {times.ratio(PRODUCTS, GENERATOR)}")
    print(f"with a hook ÷ without                {times.ratio(GENERATOR, VISITED)}")
    if ROUNDED in counts:
        faster = counts[ROUNDED] / times.median(ROUNDED) / (tokens / times.median(GENERATOR))
        print(f"in bf16 ÷ in fp32                    {faster:.2f}")
    steps, engine = 10, model.engine()
    full = time_interleaved(
        {
            "steps and draws": lambda: full_batch(engine, rows, steps),
            PRODUCTS: lambda: [products.step(rows) for _ in range(steps)],
        },
        2 * chosen.rounds,
        chosen.clock,
    )
    operations = products.operations() * rows * steps / full.median(PRODUCTS) / 1e9
    print(
        f"{rows} rows: steps and draws ÷ limit    {full.ratio(PRODUCTS, 'steps and draws')}; {operations:.0f} GFLOP/s"
    )


if __name__ == "__main__":
    main()
