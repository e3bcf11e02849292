"""Which latents carry music: four rules (facts on MusicVAE, section 6).

The source paper calls a neuron a music neuron "if σ < 1" by eye. Four rules can be computed; where the model splits its
latents cleanly they agree: mean σ over the melodies below a threshold; variance of μ over the melodies above one (the
active-units rule of Burda, Grosse, Salakhutdinov 2016); mean KL above one; everything before the largest gap in the
sorted mean σ. Neurons are ordered by mean σ, smallest first, and that order is kept in every figure.

Shapes: N melodies, Z latents (in the model's own numbering, from 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

RULES = ("sigma", "variance", "kl", "gap")
"""The names of the rules, as they stand in tables and metrics; `sigma` is the one that figures mark."""


@dataclass(frozen=True)
class Thresholds:
    """From where on a neuron counts as one of music."""

    sigma_below: float = 0.9
    active_variance: float = 0.01
    kl_above: float = 0.1
    """Nats."""


def kl_divergence(mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Returns the KL divergence of each N(μ, σ²) from N(0, 1), in nats, elementwise."""
    return 0.5 * (mu**2 + sigma**2 - 1 - 2 * np.log(sigma))


def in_order(sigma: np.ndarray) -> np.ndarray:
    """Returns the neurons by their mean σ over the melodies (`sigma [N, Z]`), smallest first, `[Z]`."""
    return np.argsort(sigma.mean(0), kind="stable")


def neuron_table(mu: np.ndarray, sigma: np.ndarray, thresholds: Thresholds | None = None) -> pd.DataFrame:
    """Returns one row per neuron in order of mean σ, from `mu` and `sigma` `[N, Z]`.

    Columns: its number in the model, mean and median σ, mean and variance of μ, mean KL in nats, and for each rule
    whether it is a music neuron (`by_sigma`, …).
    """
    order = in_order(sigma)
    mu, sigma = mu[:, order], sigma[:, order]
    table = pd.DataFrame(
        {
            "neuron": order,
            "mean_sigma": sigma.mean(0),
            "median_sigma": np.median(sigma, 0),
            "mean_of_mu": mu.mean(0),
            "variance_of_mu": mu.var(0),
            "kl": kl_divergence(mu, sigma).mean(0),
        }
    )
    chosen = music(table, thresholds or Thresholds())
    return table.assign(**{f"by_{rule}": chosen[rule] for rule in RULES})


def music(table: pd.DataFrame, thresholds: Thresholds) -> dict[str, np.ndarray]:
    """Returns for each rule which rows of `table` (sorted by `mean_sigma`) are music neurons, `[Z]` of bool."""
    sigma = table["mean_sigma"].to_numpy()
    gaps = np.diff(sigma)
    before_gap = int(gaps.argmax()) + 1 if len(gaps) else 0
    return {
        "sigma": sigma < thresholds.sigma_below,
        "variance": table["variance_of_mu"].to_numpy() > thresholds.active_variance,
        "kl": table["kl"].to_numpy() > thresholds.kl_above,
        "gap": np.arange(len(sigma)) < before_gap,
    }


def music_neurons(
    mu: np.ndarray, sigma: np.ndarray, rule: str = "sigma", thresholds: Thresholds | None = None
) -> np.ndarray:
    """Returns the music neurons by one rule, in the model's numbering and in order of mean σ."""
    table = neuron_table(mu, sigma, thresholds)
    return table.loc[table[f"by_{rule}"], "neuron"].to_numpy()


def agreement(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the Jaccard similarity of the sets that two rules choose, `[rules, rules]`; 1 where both are empty."""
    sets = {rule: table[f"by_{rule}"].to_numpy() for rule in RULES}
    rows = [
        [float((a & b).sum() / max(1, (a | b).sum())) if (a | b).any() else 1.0 for b in sets.values()]
        for a in sets.values()
    ]
    return pd.DataFrame(rows, index=list(sets), columns=list(sets))
