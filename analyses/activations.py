"""What do the hidden states do? (Part 5 of the blog series, third to sixth figure; part 7 for other layers.)

Definitions (part 5): a value is near zero if its magnitude is below 0.07 and strong above 0.8; a unit is off if its
magnitude never exceeds 0.004 and saturated if it exceeds 0.9998 at some step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn.findings import Figure, Findings
from folkrnn.observation.observation import Observation

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Activations:
    """Draws one stream of one tune as an image, a histogram, sorted per step, and as the largest value per unit."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    site: str = "l3.h"
    tune: int = 0
    near_zero: float = 0.07
    strong: float = 0.8
    off: float = 0.004
    saturated: float = 0.9998

    @property
    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def __call__(self, observation: Observation) -> Findings:
        k = min(self.tune, len(observation.transcriptions) - 1)
        values = observation.trace(k, self.site)
        table = self.population(observation)
        shares = table.drop(columns=["tune", "steps"])
        largest = np.abs(values).max(0)
        return Findings(
            metrics={name: float(shares[name].mean()) for name in shares},
            figures={
                "image": Figure(self.draw_image(observation, k, values), self.caption_image(k)),
                "distribution": Figure(self.draw_distribution(values, table), self.caption_distribution(k, table)),
            },
            tables={
                "tunes": table,
                "units": pd.DataFrame(
                    {"unit": np.arange(len(largest)), "max_magnitude": largest, "mean": values.mean(0)}
                ),
            },
            arrays={f"tune{k}": {self.site: values}},
        )

    def population(self, observation: Observation) -> pd.DataFrame:
        """Returns one row per tune, in the words of the metrics."""
        rows = {k: self.measure(k, streams[self.site]) for k, streams in observation.each([self.site])}
        return pd.DataFrame([rows[k] for k in sorted(rows)])

    def measure(self, k: int, values: np.ndarray) -> dict[str, float]:
        """Returns shares of near-zero and strong values, strong units per step, counts of off and saturated units."""
        magnitude = np.abs(values)
        strong = magnitude > self.strong
        return {
            "tune": k,
            "steps": len(magnitude),
            "near_zero_share": (magnitude < self.near_zero).mean(),
            "strong_share": strong.mean(),
            "strong_units_per_step": strong.sum(1).mean(),
            "off_units": (magnitude.max(0) <= self.off).sum(),
            "saturated_units": (magnitude.max(0) > self.saturated).sum(),
        }

    def draw_image(self, observation: Observation, k: int, values: np.ndarray) -> matplotlib.figure.Figure:
        tokens = observation.tokens(k)[:-1]
        figure = style.figure(width=10.0, height=max(3.5, 0.035 * len(values)))
        axes = figure.subplots()
        limit = max(1.0, float(np.abs(values).max()))
        shown = axes.imshow(
            values, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
        )
        style.token_axis(axes, tokens, axis="y")
        axes.set_xlabel(f"unit of {self.site}")
        axes.set_ylabel("step (the token just read)")
        figure.colorbar(shown, ax=axes, label=self.site, fraction=0.03, pad=0.01)
        return figure

    def draw_distribution(self, values: np.ndarray, table: pd.DataFrame) -> matplotlib.figure.Figure:
        figure = style.figure(width=10.0, height=3.4)
        left, middle, right = figure.subplots(1, 3)
        left.hist(values.ravel(), bins=101, color=style.INK)
        left.set_yscale("log")
        left.set_xlabel(self.site)
        left.set_ylabel("values in the tune")
        ordered = np.sort(values, axis=1)
        middle.plot(ordered.T, color=style.INK, alpha=0.12, linewidth=0.5)
        middle.plot(np.median(ordered, 0), color=style.ACCENT, linewidth=1.4, label="median over steps")
        middle.set_xlabel("unit, sorted at each step")
        middle.set_ylabel(self.site)
        middle.legend(frameon=False, fontsize="small")
        right.plot(np.sort(np.abs(values).max(0)), color=style.INK)
        right.set_xlabel("unit, sorted")
        right.set_ylabel(f"largest |{self.site}| in the tune")
        right.set_ylim(0, None)
        return figure

    def caption_image(self, k: int) -> str:
        return (
            f"Tune {k}: {self.site} of every unit (x) at every step (y, bottom to top). "
            "After part 5 of “Making sense of the folk-rnn v2 model”."
        )

    def caption_distribution(self, k: int, table: pd.DataFrame) -> str:
        mean = table.mean(numeric_only=True)
        return (
            f"Left to right, for tune {k}: all values; those of each step sorted; the largest magnitude of each unit. "
            f"Over all {len(table)} tunes {mean['near_zero_share']:.0%} of the values have a magnitude below "
            f"{self.near_zero:g} and {mean['strong_share']:.1%} above {self.strong:g}, about "
            f"{mean['strong_units_per_step']:.0f} units a step (part 5 reports 80 %, 2 % and 10 for v2 on one tune)."
        )
