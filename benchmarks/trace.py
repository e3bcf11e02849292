"""What it costs to see every gate, beside a plain fused forward pass over the same tunes.

    python benchmarks/trace.py [--tunes 64] [--threads 2]

Prints tokens per second of the fused forward pass; of a trace of all activations (33 of the layers, x, logits, probs);
of a tracer as one would write it at first, a loop over steps that keeps lists of gates; and of the bare matrix products
on the fastest path there is: the limit. Copying all activations once is timed too: a trace writes them at least once.
Memory that a work frees stays at hand for the next, so that what the system takes for new pages is not counted.
"""

from __future__ import annotations

import torch
from measuring import BareProducts, irish_batch, options, time_interleaved
from torch import Tensor

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training.memory import memory_kept
from folkrnn.weights.sources import pretrained

FUSED, TRACE, NAIVE, PRODUCTS, COPY = (
    "fused forward",
    "trace of all activations",
    "naive loop that keeps lists",
    "bare matrix products",
    "one copy of all activations",
)
ALL = ["x", "l*.*", "l*.*.pre", "logits", "probs"]


def naive_trace(model: FolkRNN, tokens: Tensor) -> list[Tensor]:
    """Every gate and state of every layer, `[B, T, H]` each, as a first version would have it."""
    kept: list[list[Tensor]] = []
    state = [tuple(part.clone() for part in layer) for layer in model.initial_state(len(tokens))]
    for t in range(tokens.shape[1]):
        x, row = model.one_hot(tokens[:, t]), []
        for k, layer in enumerate(model.layers):
            h, c = state[k]
            pre = x @ layer.weight_ih.t() + h @ layer.weight_hh.t() + layer.bias
            i, f, g, o = pre.chunk(4, dim=-1)
            gates = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            c = gates[1] * c + gates[0] * gates[2]
            tanhc = c.tanh()
            x = gates[3] * tanhc
            state[k] = (x, c)
            row += [i, f, g, o, *gates, c, tanhc, x]
        logits = model.read_out(x)
        kept.append([*row, logits, logits.softmax(-1)])
    return [torch.stack(activation, dim=1) for activation in zip(*kept, strict=True)]


@torch.no_grad()
def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--tunes", type=int, default=64)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = pretrained().model.eval()
    tokens = irish_batch(chosen.tunes)
    B, T = tokens.shape
    products, activations = BareProducts(model, B), list(model.trace(tokens, ALL).values())
    size = sum(activation.numel() for activation in activations)
    with memory_kept():
        times = time_interleaved(
            {
                FUSED: lambda: model(tokens),
                TRACE: lambda: model.trace(tokens, ALL),
                NAIVE: lambda: naive_trace(model, tokens),
                PRODUCTS: lambda: [products.step(B) for _ in range(T)],
                COPY: lambda: [activation.clone() for activation in activations],
            },
            chosen.rounds,
            chosen.clock,
        )
    print(
        f"{B} tunes of {T} tokens, {chosen.threads} threads; {len(activations)} activations, {size * 4 / 2**20:.0f} MiB"
    )
    print(times.rates(B * T, "tokens"))
    print(f"trace ÷ fused forward                {times.ratio(TRACE, FUSED)}")
    print(f"naive loop ÷ trace                   {times.ratio(NAIVE, TRACE)}")
    print(f"fused forward ÷ limit (products)     {times.ratio(PRODUCTS, FUSED)}")
    print(f"trace ÷ limit (products)             {times.ratio(PRODUCTS, TRACE)}")


if __name__ == "__main__":
    main()
