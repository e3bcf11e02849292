"""How well does the model predict tunes that it was not trained on?

Nats per token on the validation side of the family split of the data (5 % of the tune families, fixed; see
`folkrnn.datasets.families`), `</s>` included, dropout off. Uniform guessing among 137 tokens costs 4.92. The number
means what it says only for weights that were trained on the other side of the same split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.datasets.families import split
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.nats import by_repetition, token_nats
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import TYPES

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class HeldOut(Analysis[Observation]):
    """Reads the held-out tunes of the data: nats per token in all, by token type and by place in the tune."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ("untrained",)
    main: ClassVar[Mapping[str, Main]] = {
        "nats_per_token": Main("Held-out tunes cost {} nats per token"),
        "copying_gain": Main("Bars that stood before in a tune cost {} nats per token less than new ones"),
    }

    resamples: int = 1000
    """Bootstrap samples of tunes behind the interval."""

    def __call__(self, observation: Observation) -> Findings:
        if observation.data is None:
            raise UserError("analysis=held_out needs a dataset to hold tunes out of")
        _, held = split(observation.data.tunes)
        if not held:
            raise UserError(f"dataset {observation.data.name} is too small to hold any tune out")
        tunes = [observation.data.ids[i] for i in held]
        costs = token_nats(observation.model, tunes, observation.vocabulary.end)
        bars = by_repetition(costs, tunes, observation.vocabulary)
        table = pd.DataFrame({"tune": held, "tokens": [len(c) for c in costs], "nats": [c.sum() for c in costs]})
        table[["new_nats", "new_tokens", "copied_nats", "copied_tokens"]] = bars
        rng = np.random.default_rng(observation.seed)
        low, high = self.interval(table, rng)
        repetition = self.repetition(table, rng)
        types = self.by_type(observation, tunes, costs)
        nats = table["nats"].sum() / table["tokens"].sum()
        caption = (
            f"{len(held)} held-out tunes of {observation.data.name}: {nats:.3f} nats per token (95 % bootstrap "
            f"interval over tunes {low:.3f} to {high:.3f}). Left: by the type of the token to predict, with each "
            "type's share of the tokens. Right: the mean at each step of the tune, smoothed over 15 steps. "
            + self.sentence(repetition)
        )
        return Findings(
            metrics={"nats_per_token": nats, "nats_per_token_low": low, "nats_per_token_high": high} | repetition,
            figures={"costs": Figure(self.draw(types, costs), caption, title="Cost of held-out tokens")},
            tables={"tunes": table, "types": types},
        )

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

    def repetition(self, table: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
        """Returns nats per token in new and in copied bars and how many fewer the latter cost, with its interval.

        Empty where no held-out tune repeats a bar.
        """
        sums = table[["new_nats", "new_tokens", "copied_nats", "copied_tokens"]].to_numpy()
        drawn = sums[rng.integers(0, len(sums), (self.resamples, len(sums)))].sum(1)
        drawn = drawn[(drawn[:, 1] > 0) & (drawn[:, 3] > 0)]
        if not len(drawn):
            return {}
        nats_new, tokens_new, nats_copied, tokens_copied = sums.sum(0)
        low, high = np.quantile(drawn[:, 0] / drawn[:, 1] - drawn[:, 2] / drawn[:, 3], [0.025, 0.975])
        new, copied = float(nats_new / tokens_new), float(nats_copied / tokens_copied)
        gain = {"copying_gain": new - copied, "copying_gain_low": float(low), "copying_gain_high": float(high)}
        return {"new_nats": new, "copied_nats": copied} | gain

    def sentence(self, repetition: dict[str, float]) -> str:
        """Returns what the caption says of bars that repeat."""
        if not repetition:
            return "No held-out tune repeats a bar."
        return (
            f"From the third token of a bar on, {repetition['new_nats']:.3f} nats in bars that are new to their tune "
            f"and {repetition['copied_nats']:.3f} in those that repeat an earlier one: a difference of "
            f"{repetition['copying_gain']:.3f} ({repetition['copying_gain_low']:.3f} to "
            f"{repetition['copying_gain_high']:.3f})."
        )

    def draw(self, types: pd.DataFrame, costs: list[np.ndarray]) -> matplotlib.figure.Figure:
        drawing = style.figure(height=2.55)
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
