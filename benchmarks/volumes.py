"""How long the ten published volumes of folk-rnn would take: 30,000 transcriptions, on a CPU or a GPU.

    python benchmarks/volumes.py [--device cuda] [--tunes 30000] [--batch-size 4096] [--precision bf16]

Writes them step by step as usual, and with each step captured (`sampling.captured`); prints seconds, tokens per second,
and the share of the bare matrix products at the same batch sizes on the same device: the limit.
"""

from __future__ import annotations

import torch
from generation import batch_sizes
from measuring import BareProducts, options, time_interleaved

from folkrnn.sampling import Sampling, generate
from folkrnn.vocabulary import V2
from folkrnn.weights.sources import pretrained

STEPPED, CAPTURED, PRODUCTS = "step by step", "captured steps", "bare matrix products"


@torch.no_grad()
def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tunes", type=int, default=30_000)
    parser.add_argument("--batch-size", type=int, default=4096, help="tunes in progress at once")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.set_defaults(rounds=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = pretrained().model.to(chosen.device)

    def written(captured: bool) -> list:
        sampling = Sampling(chosen.tunes, batch_size=chosen.batch_size, precision=chosen.precision, captured=captured)
        return generate(model, V2, sampling, seed=1)

    tunes = written(captured=False)
    tokens, sizes = sum(len(t.ids) - 1 for t in tunes), batch_sizes(tunes, chosen.batch_size)
    products = BareProducts(model, max(sizes), chosen.precision)

    def bare() -> None:
        for size in sizes:
            products.step(size)
        if model.device.type == "cuda":
            torch.cuda.synchronize()

    works = {STEPPED: lambda: written(captured=False), CAPTURED: lambda: written(captured=True), PRODUCTS: bare}
    times = time_interleaved(works, chosen.rounds, chosen.clock)
    print(
        f"{chosen.tunes:,} tunes, {tokens:,} tokens, {len(sizes)} steps of up to {chosen.batch_size} tunes "
        f"on {chosen.device}"
    )
    for name in works:
        print(f"{name:22} {times.median(name):8.1f} s {tokens / times.median(name):12,.0f} tokens/s")
    for name in (STEPPED, CAPTURED):
        print(f"{name} ÷ limit: {times.ratio(PRODUCTS, name)}")


if __name__ == "__main__":
    main()
