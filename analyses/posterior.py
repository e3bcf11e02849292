"""What does the softmax say at each step? (Part 5 of the blog.)

Definitions: row t is the law of token t + 1 given all before it, at temperature 1. Entropy is in nats (a uniform law
over 137 tokens has 4.92). The spacing of the measure spikes is the most frequent distance between successive steps at
which the measure tokens together hold more than half of the probability.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn.findings import Figure, Findings
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import TYPES

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Posterior:
    """Draws log₁₀ p over tokens and steps, the probability of each token type over time, and the entropy."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    tune: int = 0
    """Which transcription the figures show."""
    floor: float = -10.0
    """Smallest log₁₀ p that is drawn (part 5)."""
    spike: float = 0.5
    """Probability of all measure tokens together above which a step counts as a spike."""

    def __call__(self, observation: Observation) -> Findings:
        k = min(self.tune, len(observation.transcriptions) - 1)
        law = observation.posterior(k)
        numbers = {n: self.measure(observation, n, streams["probs"]) for n, streams in observation.each(["probs"])}
        spacing = Counter(step for row in numbers.values() for step in row.pop("spacings")).most_common(1)
        table = pd.DataFrame([{"tune": n} | numbers[n] for n in sorted(numbers)])
        steps = table["steps"].to_numpy()
        return Findings(
            metrics={
                "nats_per_token": float(np.average(table["nats_per_token"], weights=steps)),
                "entropy": float(np.average(table["entropy"], weights=steps)),
                "measure_spike_spacing": float(spacing[0][0]) if spacing else float("nan"),
            },
            figures={
                "log10": Figure(self.draw_law(observation, k, law), _CAPTION_LAW.format(tune=k, floor=self.floor)),
                "types": Figure(self.draw_types(observation, k, law), _CAPTION_TYPES.format(tune=k)),
            },
            tables={"tunes": table, "types": self.type_shares(observation, law)},
            arrays={f"tune{k}": {"probs": law.astype(np.float32), "ids": observation.transcriptions[k].ids}},
        )

    def measure(self, observation: Observation, k: int, law: np.ndarray) -> dict[str, Any]:
        """Returns steps, mean −ln p of the tokens, mean entropy, and the spacings of measure spikes of one tune."""
        ids = observation.transcriptions[k].ids
        of_measure = law[:, observation.vocabulary.of_type("measure")].sum(1)
        return {
            "steps": len(law),
            "nats_per_token": float(-np.log(law[np.arange(len(law)), ids[1:]]).mean()),
            "entropy": float(entropy(law).mean()),
            "spacings": spike_spacings(of_measure, self.spike),
        }

    def type_shares(self, observation: Observation, law: np.ndarray) -> pd.DataFrame:
        """Returns the probability of each token type at each step, one row per step."""
        shares = {name: law[:, observation.vocabulary.of_type(name)].sum(1) for name in TYPES}
        return pd.DataFrame(shares).rename_axis("step")

    def draw_law(self, observation: Observation, k: int, law: np.ndarray) -> matplotlib.figure.Figure:
        vocabulary, tokens = observation.vocabulary, observation.tokens(k)
        order = list(vocabulary.plot_order)
        figure = style.figure(width=10.0, height=max(4.0, 0.055 * len(law)))
        axes = figure.subplots()
        with np.errstate(divide="ignore"):
            image = np.ma.masked_less(np.log10(law[:, order]), self.floor)
        shown = axes.imshow(image, aspect="auto", origin="lower", cmap="viridis", vmin=self.floor, vmax=0)
        style.token_axis(axes, vocabulary.decode(order), axis="x")
        style.token_axis(axes, tokens[1:], axis="y")
        drawn = [order.index(i) for i in observation.transcriptions[k].ids[1:]]
        axes.plot(drawn, range(len(drawn)), ".", markersize=2.5, color=style.ACCENT, label="token that followed")
        axes.set_ylabel("step (the token that followed)")
        axes.set_xlabel("token, by type")
        figure.colorbar(shown, ax=axes, label="log₁₀ p", fraction=0.03, pad=0.01)
        return figure

    def draw_types(self, observation: Observation, k: int, law: np.ndarray) -> matplotlib.figure.Figure:
        tokens = observation.tokens(k)[1:]
        figure = style.figure(width=10.0, height=4.6)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        shares = self.type_shares(observation, law)
        upper.stackplot(
            range(len(law)),
            *(shares[name] for name in TYPES),
            labels=TYPES,
            colors=[style.TYPE_COLOURS[name] for name in TYPES],
            step="mid",
        )
        upper.set_ylim(0, 1)
        upper.set_ylabel("probability")
        upper.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
        lower.plot(entropy(law), drawstyle="steps-mid", color=style.INK, linewidth=0.9)
        lower.set_ylabel("entropy (nats)")
        lower.set_ylim(bottom=0)
        lower.set_xlim(-0.5, len(law) - 0.5)
        for axes in (upper, lower):
            style.bar_lines(axes, tokens)
        style.token_axis(lower, tokens, axis="x")
        lower.set_xlabel("step (the token that followed)")
        return figure


def entropy(law: np.ndarray) -> np.ndarray:
    """Returns the entropy of each row of `law [T, V]` in nats, `[T]`."""
    return -np.sum(law * np.log(np.where(law > 0, law, 1.0)), axis=1)


def spike_spacings(mass: Sequence[float], threshold: float) -> list[int]:
    """Returns distances between successive steps at which `mass` exceeds `threshold`."""
    return np.diff(np.flatnonzero(np.asarray(mass) > threshold)).tolist()


_CAPTION_LAW = (
    "Tune {tune}: log₁₀ of the probability of every token (x, grouped by type) at every step (y, bottom to top); blank "
    "below {floor:g}. Dots mark the token that followed. After part 5 of “Making sense of the folk-rnn v2 model”."
)
_CAPTION_TYPES = (
    "Tune {tune}: the probability of each token type over time, and the entropy of the law; vertical lines are measure "
    "tokens. Spikes of “measure” come once a bar where the model counts."
)
