"""How many latents carry music? (Barenboim, Del Debbio, Hirn, Sanz 2023, Figs. 3 and 4.)

Definitions: neurons are ordered by their mean σ over the melodies, smallest first, and that order is kept everywhere.
The paper calls a neuron a *music neuron* if its σ is below 1 "by eye"; usable rules stand side by side here: mean σ
below a threshold, variance of μ over the melodies above 0.01 (the active-units rule), mean KL per neuron above a
threshold, and the largest gap in the sorted mean σ. They agree where the split is clean. The KL of a neuron is
½(μ² + σ² − 1 − ln σ²).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from folkrnn import style
from folkrnn.findings import Figure, Findings
from folkrnn.observation.latents import LatentObservation

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class LatentSpread:
    """Draws box plots of σ and μ over the melodies, neurons in order of mean σ; counts music neurons by each rule."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)

    shown: int = 100
    """Neurons drawn (the paper's 100)."""
    sigma_below: float = 0.9
    active_variance: float = 0.01
    kl_above: float = 0.1
    """Nats."""

    def __call__(self, observation: LatentObservation) -> Findings:
        order = observation.order
        mu, sigma = observation.mu[:, order], observation.sigma[:, order]
        table = self.table(order, mu, sigma)
        counts = self.counts(table)
        between = (table["mean_sigma"] > 0.6) & (table["mean_sigma"] < self.sigma_below)
        metrics = {f"music_neurons_by_{rule}": float(count) for rule, count in counts.items()}
        metrics |= {"between_share": float(between.mean()), "kl": float(table["kl"].sum())}
        return Findings(
            metrics=metrics,
            figures={"boxes": Figure(self.draw(mu, sigma, counts["sigma"]), self.caption(len(mu), counts))},
            tables={"neurons": table},
        )

    def table(self, order: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> pd.DataFrame:
        """Returns one row per neuron, in order: its number in the model, mean σ, variance of μ, mean KL in nats."""
        return pd.DataFrame(
            {
                "neuron": order,
                "mean_sigma": sigma.mean(0),
                "variance_of_mu": mu.var(0),
                "kl": kl_divergence(mu, sigma).mean(0),
            }
        )

    def counts(self, table: pd.DataFrame) -> dict[str, int]:
        """Returns the number of music neurons by each rule."""
        gaps = np.diff(table["mean_sigma"].to_numpy())
        return {
            "sigma": int((table["mean_sigma"] < self.sigma_below).sum()),
            "variance": int((table["variance_of_mu"] > self.active_variance).sum()),
            "kl": int((table["kl"] > self.kl_above).sum()),
            "gap": int(gaps.argmax() + 1) if len(gaps) else 0,
        }

    def draw(self, mu: np.ndarray, sigma: np.ndarray, music: int) -> matplotlib.figure.Figure:
        shown = min(self.shown, mu.shape[1])
        drawing = style.figure(width=10.0, height=5.0)
        upper, lower = drawing.subplots(2, 1, sharex=True)
        for axes, values, name in ((upper, sigma, "σ"), (lower, mu, "μ")):
            axes.boxplot(
                values[:, :shown],
                showfliers=False,
                widths=0.7,
                patch_artist=True,
                boxprops={"facecolor": style.SOFT, "linewidth": 0.5},
                medianprops={"color": style.INK},
            )
            axes.axvline(music + 0.5, color=style.ACCENT, linestyle="--", linewidth=1.0)
            axes.set_ylabel(name)
        ticks = range(1, shown + 1, 10)
        lower.set_xticks(list(ticks), [str(k) for k in ticks])
        lower.set_xlabel("neuron, in order of mean σ")
        return drawing

    def caption(self, melodies: int, counts: dict[str, int]) -> str:
        return (
            f"σ and μ of {melodies} melodies; boxes are quartiles, whiskers 1.5 times their range. Dashed: "
            f"{counts['sigma']} neurons with mean σ below {self.sigma_below:g} (by variance of μ {counts['variance']}, "
            f"by KL {counts['kl']}, by the largest gap {counts['gap']}). The paper reports 37 of 512 for Magenta's "
            "2-bar model."
        )


def kl_divergence(mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Returns the KL divergence of each N(μ, σ²) from N(0, 1), in nats, elementwise."""
    return 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma))
