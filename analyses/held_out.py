"""How well does the model predict tunes that it was not trained on?

Nats per token on the validation side of the family split of the data (5 % of the tune families, fixed; see
`folkrnn.datasets.families`), `</s>` included, dropout off. Uniform guessing among 137 tokens costs 4.92. The number
means what it says only for weights that were trained on the other side of the same split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch

from folkrnn import style
from folkrnn.datasets.batches import pad
from folkrnn.datasets.families import split
from folkrnn.findings import Figure, Findings
from folkrnn.observation.observation import Observation
from folkrnn.refusal import Refusal
from folkrnn.vocabulary import TYPES

if TYPE_CHECKING:
    import matplotlib.figure

BATCH = 64


@dataclass(frozen=True)
class HeldOut:
    """Reads the held-out tunes of the data: nats per token in all, by token type and by place in the tune."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ("untrained",)

    resamples: int = 1000
    """Bootstrap samples of tunes behind the interval."""

    def __call__(self, observation: Observation) -> Findings:
        if observation.data is None:
            raise Refusal("analysis=held_out needs a dataset to hold tunes out of")
        _, held = split(observation.data.tunes)
        if not held:
            raise Refusal(f"dataset {observation.data.name} is too small to hold any tune out")
        tunes = [observation.data.ids[i] for i in held]
        costs = self.costs(observation, tunes)
        table = pd.DataFrame({"tune": held, "tokens": [len(c) for c in costs], "nats": [c.sum() for c in costs]})
        low, high = self.interval(table, np.random.default_rng(observation.seed))
        types = self.by_type(observation, tunes, costs)
        nats = table["nats"].sum() / table["tokens"].sum()
        caption = (
            f"{len(held)} held-out tunes of {observation.data.name}: {nats:.3f} nats per token (95 % bootstrap "
            f"interval over tunes {low:.3f} to {high:.3f}). Left: by the type of the token to predict, with each "
            "type's share of the tokens. Right: the mean at each step of the tune, smoothed over 15 steps."
        )
        return Findings(
            metrics={"nats_per_token": nats, "nats_per_token_low": low, "nats_per_token_high": high},
            figures={"costs": Figure(self.draw(types, costs), caption)},
            tables={"tunes": table, "types": types},
        )

    def costs(self, observation: Observation, tunes: list[np.ndarray]) -> list[np.ndarray]:
        """Returns −ln p of every token after `<s>` of each tune, in nats."""
        found: list[np.ndarray] = [np.empty(0)] * len(tunes)
        order = sorted(range(len(tunes)), key=lambda k: len(tunes[k]))
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            inputs, targets = pad([tunes[k] for k in some], observation.vocabulary.end)
            with torch.no_grad():
                log_law = observation.model(inputs.to(observation.model.device)).log_softmax(-1).cpu()
            cost = -log_law.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1).double().numpy()
            for row, k in enumerate(some):
                found[k] = cost[row, : len(tunes[k]) - 1]
        return found

    def by_type(self, observation: Observation, tunes: list[np.ndarray], costs: list[np.ndarray]) -> pd.DataFrame:
        """Returns per token type: share of the tokens to predict, and mean nats."""
        kinds = np.array(observation.vocabulary.types)[np.concatenate([ids[1:] for ids in tunes])]
        every = np.concatenate(costs)
        rows = [(kind, (kinds == kind).mean(), every[kinds == kind].mean()) for kind in TYPES if (kinds == kind).any()]
        return pd.DataFrame(rows, columns=["type", "share", "nats_per_token"])

    def interval(self, table: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float]:
        picks = rng.integers(0, len(table), (self.resamples, len(table)))
        nats, tokens = table["nats"].to_numpy()[picks].sum(1), table["tokens"].to_numpy()[picks].sum(1)
        low, high = np.quantile(nats / tokens, [0.025, 0.975])
        return float(low), float(high)

    def draw(self, types: pd.DataFrame, costs: list[np.ndarray]) -> matplotlib.figure.Figure:
        drawing = style.figure(width=10.0, height=3.2)
        left, right = drawing.subplots(1, 2)
        labels = [f"{kind}\n{share:.0%}" for kind, share in zip(types["type"], types["share"], strict=True)]
        left.bar(labels, types["nats_per_token"], color=[style.TYPE_COLOURS[kind] for kind in types["type"]])
        left.tick_params(axis="x", labelsize=6.5)
        left.set_ylabel("nats per token")
        steps = min(300, max(len(c) for c in costs))
        mean = np.array([np.mean([c[t] for c in costs if len(c) > t]) for t in range(steps)])
        width = min(15, steps)
        smooth = np.convolve(mean, np.ones(width) / width, mode="valid")
        right.plot(np.arange(len(smooth)) + width // 2, smooth, color=style.INK)
        right.margins(y=0.08)
        right.set_ylim(bottom=0)
        right.set_xlabel("step")
        right.set_ylabel("nats per token")
        return drawing
