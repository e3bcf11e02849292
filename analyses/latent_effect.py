"""What does an intervention on latents do? The same melodies written back with and without it.

Definitions: a melody is written freely from its μ, each step its likeliest class. A quantity (see
`analyses.measures.melody_quantities`) is a ratio of sums over melodies; its interval, and that of its difference from
the control, comes from resampling the tunes that the melodies are of, the same ones on every side; beside it, the share
of melodies in which it falls and rises. Random neurons of the same number are the second control, drawn several times.
The floor of what comes back is what comes back of another melody. The divergence compares what the decoder says at each
step of what the control wrote, given the changed and the unchanged μ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch

from analyses.drawings import latent_effect as draw
from analyses.drawings.effect import differences
from analyses.measures import comparison, divergence, paired
from analyses.measures.intervals import cluster_weights
from analyses.measures.melody_quantities import WORDS, melody_sums
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.latents import BATCH, LatentObservation

BACK = ("exact_onsets", "kept_onsets")
"""Quantities that have a floor."""


@dataclass(frozen=True)
class LatentEffect(Analysis[LatentObservation]):
    """Paired comparison of an intervention on latents with the model as it is and with random neurons."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    of_interventions: ClassVar[bool] = True
    """Without one it is refused before anything slow starts."""
    repeated_on: ClassVar[tuple[str, ...]] = ()
    """It has controls of its own."""
    main: ClassVar[Mapping[str, Main]] = {
        "kept_onsets": Main("{:%} of the onsets stay", "matched_kept_onsets", "random neurons"),
        "moved": Main("{:%} of the melodies change"),
        "kl": Main("Distributions move by {} nats per step", "matched_kl", "random neurons"),
    }

    melodies: int = 500
    shown: int = 5
    resamples: int = 1000

    def __post_init__(self) -> None:
        for name, least in (("melodies", 2), ("shown", 1), ("resamples", 2)):
            if getattr(self, name) < least:
                raise UserError(f"latent_effect.{name} is {getattr(self, name)}; it must be at least {least}")

    def __call__(self, observation: LatentObservation) -> Findings:
        control = observation.control
        if control is None:
            raise UserError(
                "analysis=latent_effect compares an intervention with the model as it is, and there is none; choose "
                "one with intervention="
            )
        N = min(self.melodies, len(observation))
        rng = np.random.default_rng([observation.seed, 8])
        weights = cluster_weights(observation.source[:N], self.resamples, rng).astype(float)
        written = {"control": self.written(control), "changed": self.written(observation)}
        matched = [self.written(other) for other in observation.matched]
        table = self.compare(control.classes[:N], written, matched, weights, rng)
        distributions = self.divergence(observation, control, written["control"], weights, rng)
        moved = np.linalg.norm(observation.mu[:N] - control.mu[:N], axis=1)
        rows = [(control.classes[k], written["control"][k], written["changed"][k]) for k in range(min(self.shown, N))]
        return Findings(
            metrics=main_metrics(table) | distributions | {"moved": float(moved.mean())} | comparison.metrics(table),
            figures={
                "differences": Figure(
                    differences(table, WORDS, random="random neurons"),
                    self.caption(table, N, len(matched)),
                    title=f"What the intervention changes, over {N:,} melodies",
                ),
                "melodies": Figure(
                    draw.before_and_after(rows, observation.titles[: self.shown]),
                    "Observed melodies, and what is written from their μ by the model as it is and after the "
                    "intervention (grey: what the model as it is writes).",
                    title="Melodies as the model writes them without and with the intervention",
                ),
            },
            tables={"quantities": table},
            arrays={"written": {**written, "moved": moved}},
        )

    def written(self, observation: LatentObservation) -> np.ndarray:
        """Returns what is written from μ of the first melodies, `[N, T]`."""
        return observation.decoded(observation.mu[: self.melodies])

    def compare(
        self,
        melodies: np.ndarray,
        written: dict[str, np.ndarray],
        matched: list[np.ndarray],
        weights: np.ndarray,
        rng: np.random.Generator,
    ) -> pd.DataFrame:
        """Returns one row per quantity: each side and difference with its interval."""
        each: dict[str, Any] = {side: melody_sums(part, melodies, written["control"]) for side, part in written.items()}
        each["matched"] = [melody_sums(part, melodies, written["control"]) for part in matched]
        floor = paired.ratios(melody_sums(np.roll(written["control"], 1, axis=0), melodies, written["control"]))
        columns: dict[str, Any] = {"quantity": list(WORDS)} | comparison.columns(
            *comparison.resampled(each, weights, rng)
        )
        columns["floor"] = np.where(np.isin(list(WORDS), BACK), floor, np.nan)
        return pd.DataFrame(columns | comparison.falls_and_rises(each["control"], each["changed"]))

    def divergence(
        self,
        observation: LatentObservation,
        control: LatentObservation,
        classes: np.ndarray,
        weights: np.ndarray,
        rng: np.random.Generator,
    ) -> dict[str, float]:
        """Returns the divergence of the decoder's distributions per step, in nats, of the changed latents and of
        random ones.
        """
        total: dict[str, Any] = {"changed": _divergence(control, observation, classes)}
        total["matched"] = [_divergence(control, other, classes) for other in observation.matched]
        values, samples = comparison.resampled(total, weights, rng)
        found = {}
        for side, value in values.items():
            low, high = paired.ends(samples[side])
            named = {"": value, "_low": low, "_high": high}
            found |= {f"{comparison.SIDES[side]}kl{end}": float(part[0]) for end, part in named.items()}
        return found

    def caption(self, table: pd.DataFrame, melodies: int, draws: int) -> str:
        back = table.set_index("quantity").loc["kept_onsets"]
        random = f", {back['matched']:.0%} after {draws} draws of as many random neurons" if draws else ""
        return (
            f"{melodies} melodies written from their μ before and after; 95 % bootstrap intervals over tunes"
            f"{' and draws' if draws else ''}. Dotted: what comes back of another melody. Of the onsets that the model "
            f"as it is writes, {back['changed']:.0%} are written after the intervention{random}."
        )


def main_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Returns what is told first: the share of the control's onsets that are written."""
    return comparison.metrics(table[table["quantity"] == "kept_onsets"])


@torch.no_grad()
def _divergence(control: LatentObservation, changed: LatentObservation, classes: np.ndarray) -> np.ndarray:
    """Per melody the sum over steps of the divergence of distributions and the number of steps, `[N, 1, 2]`."""
    found = []
    for start in range(0, len(classes), BATCH):
        some = slice(start, min(start + BATCH, len(classes)))
        melodies, numbers = torch.from_numpy(classes[some].astype(np.int64)), range(some.start, some.stop)
        distributions = []
        for side in (control, changed):
            z = torch.from_numpy(side.mu[some]).to(side.model.device)
            read = side.model.trace(melodies.to(z.device), ["probs"], z=z, numbers=numbers)
            distributions.append(read["probs"].cpu().numpy())
        each = divergence.divergence(
            *(distribution.reshape(-1, distribution.shape[-1]) for distribution in distributions)
        )
        found.append(each.reshape(len(melodies), -1).sum(1))
    total = np.concatenate(found)
    return np.stack([total, np.full(len(total), float(classes.shape[1]))], axis=-1)[:, None]
