"""How many latents does a melody need? Reconstruction against the number of neurons kept.

The journal version of the source paper says that several hundred latents can be set to zero with little loss.
Definition: of μ only the k neurons that a rule ranks first are kept, all others are 0, the prior's mean; the decoder
then writes freely, each step its likeliest class. Steps and onsets that come back exactly are counted
(`analyses.measures.reconstruction`). Rankings: mean σ (the order of the paper, and that of the gap rule), variance of
μ, mean KL, all over the observed melodies; as control neurons in random order. The melodies decoded are of the tunes
that the dataset holds out, where there are any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import pandas as pd

from analyses.drawings import latents as draw
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.reconstruction import always_hold, exact_onsets, exact_steps
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import Thresholds, neuron_table

if TYPE_CHECKING:
    import matplotlib.figure

RANKINGS = {"sigma": "smallest mean σ", "variance": "largest variance of μ", "kl": "largest mean KL"}
RANDOM = "random"
COLOURS = {"sigma": style.PALETTE[0], "variance": style.PALETTE[2], "kl": style.PALETTE[3], RANDOM: draw.CONTROL}
WIDTHS = {"sigma": 2.6, "variance": 1.5, "kl": 0.7, RANDOM: 1.2}
"""Where rankings agree, the later ones lie on the earlier ones and must not hide them."""

MEASURES = {"steps": "sixteenth steps", "onsets": "note onsets"}
ENOUGH = 0.95
"""Share of what all neurons give that counts as little loss."""


@dataclass(frozen=True)
class ReconstructionCurve(Analysis[LatentObservation]):
    """Decodes melodies from their first k neurons by each ranking and from random ones, for growing k."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "onsets_from_music_neurons": Main(
            "{:%} of the onsets come back from the music neurons alone",
            "onsets_from_random_neurons",
            "as many random ones",
        ),
        "onsets_from_all": Main("{:%} come back from all"),
        "steps_from_music_neurons": Main(
            "{:%} of the steps come back from the music neurons", "steps_always_hold", "never beginning a note"
        ),
    }

    melodies: int = 200
    """Melodies that are decoded again and again."""
    kept: Sequence[int] | None = None
    """Numbers of neurons kept; None: 0, 1, 2, 3, 4, 6, 8, 12, … and the number of music neurons."""
    orders: int = 3
    """Random orders of the neurons, the control."""
    sigma_below: float = 0.9
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.melodies < 2 or self.orders < 1:
            raise UserError(
                f"reconstruction_curve.melodies={self.melodies} and reconstruction_curve.orders={self.orders}; at "
                "least two melodies and one random order are needed"
            )
        if self.kept is not None and (not self.kept or min(self.kept) < 0):
            raise UserError(
                f"reconstruction_curve.kept={list(self.kept)}; it is a list of numbers of neurons from 0 on"
            )

    def __call__(self, observation: LatentObservation) -> Findings:
        table = neuron_table(observation.mu, observation.sigma, Thresholds(self.sigma_below))
        music = int(table["by_sigma"].sum())
        melodies, unheard = self.chosen(observation)
        curve = self.curve(observation, table, melodies, self.numbers(len(table), music))
        hold = always_hold(melodies)
        return Findings(
            metrics=self.metrics(curve, music, len(table), hold),
            figures={
                "curve": Figure(
                    self.draw(curve, music, hold),
                    self.caption(curve, music, melodies, unheard),
                    title="How much of a melody comes back as neurons are kept",
                )
            },
            tables={"curve": curve},
        )

    def chosen(self, observation: LatentObservation) -> tuple[np.ndarray, bool]:
        """Returns the melodies to decode `[M, T]`, and whether they are of held-out tunes (else observed ones)."""
        held = observation.data.split[1]
        unheard = len(held) >= 2
        pool = observation.data.classes[held] if unheard else observation.classes
        count = min(self.melodies, len(pool))
        rng = np.random.default_rng([observation.seed, 2])
        return pool[np.sort(rng.choice(len(pool), count, replace=False))], unheard

    def numbers(self, neurons: int, music: int) -> list[int]:
        """Returns the numbers of neurons to keep, ascending."""
        if self.kept is not None:
            return sorted({min(int(k), neurons) for k in self.kept})
        steps = {0, 1, music, neurons} | {2**k for k in range(1, 12)} | {3 * 2**k for k in range(0, 11)}
        return sorted(k for k in steps if k <= neurons)

    def curve(
        self, observation: LatentObservation, table: pd.DataFrame, melodies: np.ndarray, numbers: list[int]
    ) -> pd.DataFrame:
        """Returns one row per ranking and number kept: mean exact steps and onsets, with their 95 % intervals."""
        rng = np.random.default_rng([observation.seed, 3])
        mu = observation.encoded(melodies)[0]
        shares: dict[tuple[bytes, int], tuple[np.ndarray, np.ndarray]] = {}
        found = []
        for ranking, orders in self.rankings(table, rng).items():
            for k in numbers:
                parts = []
                for order in orders:
                    kept = np.sort(order[:k])
                    key = (kept.tobytes(), k)
                    if key not in shares:
                        z = np.zeros_like(mu)
                        z[:, kept] = mu[:, kept]
                        written = observation.decoded(z)
                        shares[key] = exact_steps(written, melodies), exact_onsets(written, melodies)
                    parts.append(shares[key])
                row: dict[str, object] = {"ranking": ranking, "kept": k}
                for name, values in zip(MEASURES, zip(*parts, strict=True), strict=True):
                    # a melody's mean over random orders: melodies are what is resampled
                    row[name], row[f"{name}_low"], row[f"{name}_high"] = mean_interval(
                        np.mean(values, axis=0), self.resamples, rng
                    )
                found.append(row)
        return pd.DataFrame(found)

    def rankings(self, table: pd.DataFrame, rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
        """Returns the neurons in order of each ranking (several orders of the random one), in the model's numbering."""
        by = {"sigma": table["mean_sigma"], "variance": -table["variance_of_mu"], "kl": -table["kl"]}
        neurons = table["neuron"].to_numpy()
        ranked = {name: [neurons[np.argsort(values.to_numpy(), kind="stable")]] for name, values in by.items()}
        return ranked | {RANDOM: [rng.permutation(neurons) for _ in range(self.orders)]}

    def metrics(self, curve: pd.DataFrame, music: int, neurons: int, hold: float) -> dict[str, float]:
        """Returns what all neurons, the music neurons and as many random ones give, and how many neurons are enough."""
        at = curve.set_index(["ranking", "kept"])
        found = {"steps_always_hold": hold}
        for name in MEASURES:
            for label, ranking, k in (
                ("all", "sigma", neurons),
                ("music_neurons", "sigma", music),
                ("random_neurons", RANDOM, music),
            ):
                if (ranking, k) in at.index:
                    row = cast("pd.Series", at.loc[(ranking, k)])
                    found |= with_interval(f"{name}_from_{label}", (row[name], row[f"{name}_low"], row[f"{name}_high"]))
            found |= {f"{name}_enough_by_{r}": float(self.enough(curve, r, name)) for r in (*RANKINGS, RANDOM)}
        return found

    def enough(self, curve: pd.DataFrame, ranking: str, name: str) -> int:
        """Returns the smallest number kept from which on the mean stays at 95 % of what the largest number gives."""
        part = curve[curve["ranking"] == ranking].sort_values("kept")
        good = (part[name] >= ENOUGH * part[name].iloc[-1]).to_numpy()
        below = np.flatnonzero(~good)
        return int(part["kept"].iloc[below[-1] + 1 if len(below) else 0])

    def draw(self, curve: pd.DataFrame, music: int, hold: float) -> matplotlib.figure.Figure:
        drawing = style.figure(height=2.95)
        panels = drawing.subplots(1, 2, sharex=True, sharey=True)
        largest = int(curve["kept"].max())
        for axes, (name, label) in zip(panels, MEASURES.items(), strict=True):
            for ranking, colour in COLOURS.items():
                part = curve[curve["ranking"] == ranking]
                text = RANKINGS.get(ranking, "neurons in random order")
                look = {"linewidth": WIDTHS[ranking], "markersize": 1.8 + WIDTHS[ranking]}
                axes.plot(part["kept"], part[name], "o-", color=colour, label=text, **look)
                axes.fill_between(
                    part["kept"], part[f"{name}_low"], part[f"{name}_high"], color=colour, alpha=0.18, linewidth=0
                )
            axes.axvline(music, color=style.ACCENT, linestyle="--", linewidth=0.9)
            axes.set_title(f"exact {label}")
            axes.set_xlabel("neurons kept (all others 0)")
            axes.set_xscale("symlog", base=2, linthresh=1, linscale=0.6)
            ticks = [0, *(2**k for k in range(0, 12) if 2**k <= largest)]
            axes.set_xticks(ticks, [str(k) for k in ticks])
            axes.minorticks_off()
            axes.set_xlim(-0.15, 1.12 * largest)
            axes.set_ylim(0, 1.02)
        panels[0].axhline(hold, color=style.INK, linewidth=0.7, linestyle=":", label="always hold")
        panels[0].set_ylabel("share that comes back exactly")
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        return drawing

    def caption(self, curve: pd.DataFrame, music: int, melodies: np.ndarray, unheard: bool) -> str:
        last = curve[curve["ranking"] == "sigma"].iloc[-1]
        which = "of held-out tunes" if unheard else "of those observed"
        return (
            f"What {len(melodies)} melodies {which} keep when the decoder gets only some neurons of μ; all "
            f"{int(last['kept'])} give {last['steps']:.0%} of steps and {last['onsets']:.0%} of onsets. Bands: 95 % "
            f"intervals over melodies. Dashed: the {music} music neurons. For {ENOUGH:.0%} of the onsets that all "
            f"give, {self.enough(curve, 'sigma', 'onsets')} neurons in order of mean σ are enough, "
            f"{self.enough(curve, RANDOM, 'onsets')} in random order."
        )
