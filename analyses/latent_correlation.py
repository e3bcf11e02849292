"""Are latents correlated with each other? (Barenboim, Del Debbio, Hirn, Sanz 2023, Fig. 5.)

Definition: Pearson's r over the melodies between the means μ of two neurons, in order of mean σ. The paper stresses
that these are means: samples z ~ N(μ, σ²) of noise neurons would be uncorrelated whatever their means are, since σ ≈ 1
drowns them, so both matrices are drawn. The control shuffles every neuron's values over the melodies. Intervals are
over bootstrap samples of the tunes that the melodies come from. 95 % of the pairs of independent neurons lie below 2/√N
in magnitude; melodies of one tune make it a little more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import latents as draw
from analyses.measures.intervals import cluster_weights, interval, with_interval
from analyses.measures.tables import rows_of
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import Thresholds, neuron_table

if TYPE_CHECKING:
    import matplotlib.figure

GROUPS = ("music", "noise", "between")
"""Pairs of music neurons, pairs of noise neurons, one of each."""


@dataclass(frozen=True)
class LatentCorrelation(Analysis[LatentObservation]):
    """Correlates the μ of the first neurons, and draws of z, beside shuffled melodies."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "music/mean_abs_r": Main(
            "Two music neurons correlate with a mean |r| of {}", "music/mean_abs_r_shuffled", "shuffled"
        ),
        "noise/mean_abs_r": Main(
            "Two noise neurons correlate with a mean |r| of {}", "noise/mean_abs_r_shuffled", "shuffled"
        ),
    }

    shown: int = 100
    """Neurons correlated and drawn (the paper's 100)."""
    sigma_below: float = 0.9
    shuffles: int = 20
    resamples: int = 200

    def __call__(self, observation: LatentObservation) -> Findings:
        table = neuron_table(observation.mu, observation.sigma, Thresholds(self.sigma_below))
        order = table["neuron"].to_numpy()[: self.shown]
        music = int(table["by_sigma"].sum())
        mu, sigma = observation.mu[:, order], observation.sigma[:, order]
        rng = np.random.default_rng(observation.seed)
        z = mu + sigma * rng.standard_normal(mu.shape, dtype=np.float32)
        matrix, of_draws = correlation(mu), correlation(z)
        shuffled = [correlation(rng.permuted(mu, axis=0)) for _ in range(self.shuffles)]
        summary = self.summary(observation, mu, matrix, of_draws, shuffled, music, rng)
        pairs = pair_table(matrix, order, music)
        return Findings(
            metrics=self.metrics(summary, matrix, music),
            figures={
                "matrix": Figure(
                    self.draw_matrices(matrix, of_draws, music),
                    self.caption(len(mu), len(order), music),
                    title=f"Correlations between neurons, over {len(mu):,} melodies",
                ),
                "distribution": Figure(
                    self.draw_distribution(matrix, of_draws, shuffled, music),
                    self.caption_distribution(summary),
                    title="How strongly pairs of neurons correlate, and what shuffling leaves",
                ),
            },
            tables={"summary": summary, "pairs": pairs},
            arrays={"correlation": {"mu": matrix, "z": of_draws, "neuron": order}},
        )

    def summary(
        self,
        observation: LatentObservation,
        mu: np.ndarray,
        matrix: np.ndarray,
        of_draws: np.ndarray,
        shuffled: list[np.ndarray],
        music: int,
        rng: np.random.Generator,
    ) -> pd.DataFrame:
        """Returns one row per group of pairs: mean |r| of μ with its interval, of z, of shuffled melodies; extremes."""
        resampled = [
            np.abs(correlation(mu, weights)) for weights in cluster_weights(observation.source, self.resamples, rng)
        ]
        rows = []
        for name in GROUPS:
            chosen = pairs_of(name, len(matrix), music)
            if not chosen.any():
                continue
            mean = float(np.nanmean(np.abs(matrix[chosen])))
            means = np.array([np.nanmean(found[chosen]) for found in resampled])
            # drawing with repeats adds noise, which raises every |r|: only the spread of the means counts
            low, high = interval(mean + means - np.nanmedian(means))
            by_chance = np.abs(np.concatenate([found[chosen] for found in shuffled]))
            rows.append(
                {
                    "pairs_of": name,
                    "pairs": int(chosen.sum()),
                    "mean_abs_r": mean,
                    "low": low,
                    "high": high,
                    "largest_abs_r": float(np.nanmax(np.abs(matrix[chosen]))),
                    "mean_abs_r_of_draws": float(np.nanmean(np.abs(of_draws[chosen]))),
                    "mean_abs_r_shuffled": float(np.nanmean(by_chance)),
                    "q95_abs_r_shuffled": float(np.nanquantile(by_chance, 0.95)),
                }
            )
        return pd.DataFrame(rows)

    def metrics(self, summary: pd.DataFrame, matrix: np.ndarray, music: int) -> dict[str, float]:
        """Returns mean |r| of each group beside chance, the largest among music neurons, and their independence."""
        found: dict[str, float] = {}
        for row in rows_of(summary, index=False):
            found |= with_interval(f"{row.pairs_of}/mean_abs_r", (row.mean_abs_r, row.low, row.high))
            found[f"{row.pairs_of}/mean_abs_r_of_draws"] = row.mean_abs_r_of_draws
            found[f"{row.pairs_of}/mean_abs_r_shuffled"] = row.mean_abs_r_shuffled
            found[f"{row.pairs_of}/largest_abs_r"] = row.largest_abs_r
        if music > 1:
            found["music/independence"] = independence(matrix[:music, :music])
        return found

    def draw_matrices(self, matrix: np.ndarray, of_draws: np.ndarray, music: int) -> matplotlib.figure.Figure:
        drawing = style.figure(height=3.9)
        panels = drawing.subplots(1, 2)
        for axes, values, title in zip(panels, (matrix, of_draws), ("means μ", "draws z ~ N(μ, σ²)"), strict=True):
            image = draw.correlations(axes, values, music)
            axes.set_title(title)
        drawing.colorbar(image, ax=list(panels), label="Pearson's r", fraction=0.025, pad=0.01)
        return drawing

    def draw_distribution(
        self, matrix: np.ndarray, of_draws: np.ndarray, shuffled: list[np.ndarray], music: int
    ) -> matplotlib.figure.Figure:
        """Returns how large |r| is for each group of pairs: the share of pairs above each value."""
        drawing = style.figure(width=style.PAGE, height=3.1)
        groups = [name for name in GROUPS if pairs_of(name, len(matrix), music).any()]
        panels = drawing.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
        titles = {"music": "two music neurons", "noise": "two noise neurons", "between": "one of each"}
        for axes, name in zip(panels, groups, strict=True):
            chosen = pairs_of(name, len(matrix), music)
            chance = np.concatenate([found[chosen] for found in shuffled])
            looks = ((matrix[chosen], "μ", draw.REAL), (of_draws[chosen], "draws z", draw.RANDOM))
            for values, label, colour in (*looks, (chance, "μ, shuffled", draw.CONTROL)):
                ordered = np.sort(np.abs(values[np.isfinite(values)]))
                axes.plot(ordered, 1 - np.arange(len(ordered)) / len(ordered), color=colour, label=label)
            axes.set_title(titles[name])
            axes.set_xlabel("|r|")
        panels[0].set_ylabel("share of pairs with larger |r|")
        panels[0].set_xlim(0, 1)
        panels[0].set_ylim(0, 1)
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return drawing

    def caption(self, melodies: int, neurons: int, music: int) -> str:
        return (
            f"Pearson's r between the first {neurons} neurons in order of mean σ, over {melodies:,} melodies: of their "
            f"means μ (after Fig. 5 of the source paper) and of one draw z per melody. Dashed: after the {music} music "
            "neurons."
        )

    def caption_distribution(self, summary: pd.DataFrame) -> str:
        said = "; ".join(
            f"{row.pairs_of}: {row.mean_abs_r:.2f} ({row.low:.2f} to {row.high:.2f}; shuffled "
            f"{row.mean_abs_r_shuffled:.2f})"
            for row in rows_of(summary, index=False)
        )
        return (
            f"Share of pairs of neurons above each |r|. Mean |r| of μ (95 % interval over tunes) by pairs of: {said}."
        )


def correlation(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns Pearson's r between the columns of `values [N, C]`, `[C, C]`; NaN where one is constant.

    `weights [N]` count a row several times.
    """
    w = np.full(len(values), 1 / len(values)) if weights is None else weights / weights.sum()
    x = values.astype(np.float64)
    x -= w @ x
    covariance = (x * w[:, None]).T @ x
    spread = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    # below this a column is constant but for rounding
    known = spread > 1e-14
    return np.where(known, covariance / np.where(known, spread, 1), np.nan).clip(-1, 1)


def pairs_of(group: str, count: int, music: int) -> np.ndarray:
    """Returns which entries of a `[count, count]` matrix belong to a group of pairs, each pair once."""
    first, second = np.indices((count, count))
    upper = second > first
    kinds = {"music": second < music, "noise": first >= music, "between": (first < music) & (second >= music)}
    return upper & kinds[group]


def pair_table(matrix: np.ndarray, order: np.ndarray, music: int) -> pd.DataFrame:
    """Returns the pairs of music neurons by |r|, largest first, with their places in the order (from 1) and numbers."""
    first, second = np.nonzero(pairs_of("music", len(matrix), music))
    frame = pd.DataFrame(
        {
            "first_place": first + 1,
            "second_place": second + 1,
            "first_neuron": order[first],
            "second_neuron": order[second],
            "r": matrix[first, second],
        }
    )
    return frame.sort_values("r", key=lambda r: -r.abs(), ignore_index=True)


def independence(matrix: np.ndarray) -> float:
    """Returns the participation ratio of a correlation matrix's eigenvalues, (Σλ)²/Σλ², divided by their number.

    1 for uncorrelated variables, 1 over their number where all are the same.
    """
    values = np.linalg.eigvalsh(np.nan_to_num(matrix))
    return float(values.sum() ** 2 / (values**2).sum() / len(values))
