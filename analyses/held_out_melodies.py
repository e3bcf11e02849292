"""How much of melodies that the model was not trained on comes back?

Melodies of the validation side of the family split of the data (fixed; see `MelodyCorpus.split`), encoded to μ and
written back: freely, each step the likeliest class and its own output fed back, and reading the true steps (teacher
forcing). A step is exact if its class is the same, an onset if that pitch begins at that step. The numbers mean what
they say only for weights that were trained on the other side of the same split; `side=trained` takes that other side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch

from analyses.measures.intervals import cluster_weights, interval, with_interval
from analyses.measures.tables import rows_of
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.melodies.grid import FIRST_ON, HOLD
from folkrnn.observation.latents import LatentObservation

if TYPE_CHECKING:
    import matplotlib.figure

BATCH = 512
WAYS = {"free": "reading its own output", "forced": "reading the true steps"}
SIDES = {"held_out": "held-out", "trained": "trained-on"}


@dataclass(frozen=True)
class HeldOutMelodies(Analysis[LatentObservation]):
    """Writes the held-out melodies of the data back: exact steps and onsets, by place in the melody and collection."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "free_onsets": Main("{:%} of held-out onsets come back exactly when the model reads its own output"),
        "free_steps": Main("{:%} of held-out steps come back exactly", "always_hold_steps", "never beginning a note"),
        "whole_melodies": Main("{:%} of melodies come back whole"),
    }

    side: str = "held_out"
    """`held_out`, or to compare with it `trained`: the melodies of the other side of the split."""
    most: int | None = None
    """So many melodies, drawn by the seed; None: all of that side."""
    resamples: int = 1000
    """Bootstrap samples of tune families behind the intervals."""

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise UserError(f"side={self.side}: must be one of {', '.join(SIDES)}")
        if self.most is not None and self.most < 1:
            raise UserError(f"most={self.most}: must be a whole number from 1, or null for all")

    def __call__(self, observation: LatentObservation) -> Findings:
        data = observation.data
        chosen = self.chosen(observation)
        melodies = data.classes[chosen].astype(np.int64)
        there = np.arange(melodies.shape[1]) < data.lengths[chosen][:, None]
        counted = {"steps": there, "onsets": there & (melodies >= FIRST_ON)}
        right = {way: written == melodies for way, written in self.written(observation, melodies).items()}
        weights = cluster_weights(
            data.family[data.source[chosen]], self.resamples, np.random.default_rng(observation.seed)
        )
        metrics = {
            "melodies": float(len(chosen)),
            "families": float(len(np.unique(data.family[data.source[chosen]]))),
            "always_hold_steps": float((melodies == HOLD)[there].mean()),
        }
        for way, hits in right.items():
            for name, count in counted.items():
                metrics |= with_interval(f"{way}_{name}", share(hits & count, count, weights))
        # a melody that comes back whole does so in both ways: what is read is then the same
        metrics["whole_melodies"] = float((right["free"] | ~there).all(1).mean())
        table = self.by_collection(observation, chosen, right, counted)
        caption = (
            f"{len(chosen):,} {SIDES[self.side]} melodies of {data.name}, written back from μ: "
            f"{metrics['free_onsets']:.1%} of the onsets and {metrics['free_steps']:.1%} of the steps are exact when "
            f"the model reads its own output. Whoever never begins a note gets {metrics['always_hold_steps']:.1%} of "
            "the steps. Left: onsets by the step at which they stand. Right: by collection."
        )
        return Findings(
            metrics=metrics,
            figures={
                "exact": Figure(
                    self.draw(right, counted["onsets"], table), caption, title="Held-out melodies given back"
                )
            },
            tables={"collections": table},
        )

    def chosen(self, observation: LatentObservation) -> np.ndarray:
        """Returns the indices of the melodies that are written back, in order."""
        data = observation.data
        side = data.split[1 if self.side == "held_out" else 0]
        if not len(side):
            raise UserError(f"dataset {data.name} is too small to hold any melody out")
        if self.most is None or self.most >= len(side):
            return side
        return np.sort(np.random.default_rng(observation.seed).choice(side, self.most, replace=False))

    def written(self, observation: LatentObservation, melodies: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what the model makes of `melodies [N, T]` in each of the WAYS, `[N, T]`."""
        model = observation.model
        free, forced = [], []
        with torch.no_grad():
            for rows in torch.from_numpy(melodies).split(BATCH):
                mu, _ = model.encode(rows.to(model.device))
                free.append(model.generate(mu, steps=melodies.shape[1]).numpy())
                forced.append(model.decode(mu, rows.to(model.device)).argmax(-1).cpu().numpy())
        return {"free": np.concatenate(free), "forced": np.concatenate(forced)}

    def by_collection(
        self,
        observation: LatentObservation,
        chosen: np.ndarray,
        right: dict[str, np.ndarray],
        counted: dict[str, np.ndarray],
    ) -> pd.DataFrame:
        """Returns one row per collection: its melodies, what "always hold" gets of the steps, and the shares of exact
        steps and onsets in each way."""
        data = observation.data
        collection = np.array([data.sources[i].collection for i in data.source[chosen]])
        rows = []
        for name in sorted(set(collection)):
            mine = collection == name
            shares = {
                f"{way}_{what}": (hits & count)[mine].sum() / max(1, count[mine].sum())
                for way, hits in right.items()
                for what, count in counted.items()
            }
            still = (data.classes[chosen] == HOLD)[mine][counted["steps"][mine]].mean()
            rows.append({"collection": name, "melodies": int(mine.sum()), "always_hold_steps": still} | shares)
        return pd.DataFrame(rows)

    def draw(self, right: dict[str, np.ndarray], onsets: np.ndarray, table: pd.DataFrame) -> matplotlib.figure.Figure:
        drawing = style.figure(height=2.55)
        left, bars = drawing.subplots(1, 2)
        height = 0.38
        for k, (way, colour) in enumerate(zip(WAYS, (style.ACCENT, style.INK), strict=True)):
            seen = onsets.sum(0)
            shares = np.where(seen > 0, (right[way] & onsets).sum(0) / np.maximum(seen, 1), np.nan)
            left.plot(np.arange(len(shares)), shares, color=colour, marker="o", markersize=2.5, label=WAYS[way])
            places = np.arange(len(table)) + (k - 0.5) * height
            bars.barh(places, table[f"{way}_onsets"], height, color=colour)
        left.set_xlabel("step (sixteenths)")
        left.set_xticks(range(0, onsets.shape[1] + 1, max(4, onsets.shape[1] // 8)))
        left.set_ylabel("share of onsets exact")
        left.set_ylim(0, 1)
        left.legend(frameon=False, loc="lower left")
        bars.set_yticks(range(len(table)), [f"{row.collection}\n{row.melodies:,} melodies" for row in rows_of(table)])
        bars.set_xlim(0, 1)
        bars.invert_yaxis()
        bars.set_xlabel("share of onsets exact")
        return drawing


def share(right: np.ndarray, counted: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Returns the share of what is `counted [N, T]` that is `right`, with the ends of its 95 % bootstrap interval.

    `weights [resamples, N]` say how often each melody is drawn.
    """
    hits, all_of_them = right.sum(1).astype(float), counted.sum(1).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = (weights @ hits) / (weights @ all_of_them)
    return float(hits.sum() / max(1.0, all_of_them.sum())), *interval(drawn)
