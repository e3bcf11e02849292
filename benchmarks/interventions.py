"""What interventions cost while tunes are generated: their token rate over that of the plain model, side by side.

    python benchmarks/interventions.py [--tunes 256] [--max-tokens 64] [--threads 2]

Edits of parameters must cost nothing, edits of activations, distributions and inputs at most 30 %. Tunes are cut before
most of them end, so that every model steps through the same number of rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from measuring import options, time_interleaved
from threadpoolctl import threadpool_limits

from folkrnn.interventions import activations, composition, distributions, inputs, push, softmax
from folkrnn.interventions.cuts import cut
from folkrnn.interventions.intervention import Intervention, RunContext
from folkrnn.sampling import Sampling, generate
from folkrnn.weights.sources import pretrained

PLAIN, FLOOR = "plain", 0.70

INTERVENTIONS: dict[str, Callable[[], Intervention]] = {
    "cut of a third of the units": lambda: cut(select="random", fraction=0.33),
    "the same, in bars 3 and 4 only": lambda: cut(select="random", fraction=0.33, bars=[3, 4]),
    "the same, inside, in bars 3 and 4": lambda: cut("recurrence", bars=[3, 4], select="random", fraction=0.33),
    "truncation to rank 30, in bar 3": lambda: softmax.truncate_softmax(30, bars=3),
    "clamp of 100 units of l3.h": lambda: activations.clamp("l3.h[0:100]", 0.0),
    "clamp of all cell states": lambda: activations.clamp("l*.c", 0.5),
    "noise on one layer": lambda: activations.noise("l3.h", 0.01),
    "noise on all layers": lambda: activations.noise("l*.h", 0.01),
    "patch of l2.h": lambda: activations.patch("l2.h", "fig1"),
    "push of a token": lambda: push.push_hidden("A,", 0.1, "minimum_norm"),
    "suppression by re-sampling": lambda: distributions.suppress("measure"),
    "suppression by masking": lambda: distributions.suppress("measure", "mask"),
    "displacement by a factor": lambda: distributions.displace("A,", alpha=0.01),
    "two-hot inputs": inputs.blend_input,
}


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--tunes", type=int, default=256)
    parser.add_argument("--max-tokens", type=int, default=64, help="of a tune")
    parser.add_argument("--only", default="", help="only interventions with this in their name")
    arguments = parser.parse_args()
    chosen_names = [name for name in INTERVENTIONS if arguments.only in name]
    torch.set_num_threads(arguments.threads)
    weights = pretrained()
    sampling = Sampling(tunes=arguments.tunes, max_tokens=arguments.max_tokens)
    context = RunContext(weights.vocabulary, 1)
    models = {PLAIN: weights.model}
    for name in chosen_names:
        chosen = composition.resolve({name: INTERVENTIONS[name]()}, weights.model, context)
        models[name], _ = composition.apply(chosen, weights.model, context)
    tokens: dict[str, float] = {}

    def play(name: str) -> None:
        tunes = generate(models[name], weights.vocabulary, sampling, 1)
        tokens[name] = sum(len(tune.ids) - 1 for tune in tunes)

    works = {name: lambda name=name: play(name) for name in models}
    with threadpool_limits(arguments.threads):
        times = time_interleaved(works, arguments.rounds, arguments.clock)
    print(times.rates(tokens, "tokens"))
    print(f"\ntoken rate over the plain model's (at least {FLOOR:.0%} wanted), median of {arguments.rounds} rounds")
    for name in chosen_names:
        rounds = zip(times.seconds[PLAIN], times.seconds[name], strict=True)
        ratios = sorted(tokens[name] / tokens[PLAIN] * plain / changed for plain, changed in rounds)
        middle = ratios[len(ratios) // 2]
        verdict = "" if middle >= FLOOR else "  TOO SLOW"
        print(f"{name:36} {middle:.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f}){verdict}")


if __name__ == "__main__":
    main()
