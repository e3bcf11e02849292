"""How did the training go: when did it leave short memories behind, when was it at its best, did it over-fit? (Part 1.)

Losses come with the weights (`curve.csv`) or from a published pickle, in nats per token; those of the original script
are per tune and are divided by the mean number of predicted tokens of the data. Training losses are taken with dropout
on and vary with the lengths of a batch's tunes, so they are drawn as running means; validation losses are without.
Beside them stand what uniform guessing, single-token frequencies and a 5-gram (interpolated Witten–Bell) cost on the
same validation tunes, where these are known: of a training on other data, only if they came with its curve.
Over-fitting begins at the best validation if a later one is worse by more than `tolerance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import training_curve as draw
from folkrnn.analysis import Analysis
from folkrnn.datasets.families import split
from folkrnn.errors import UserError
from folkrnn.files.places import place
from folkrnn.findings import Figure, Findings, Main
from folkrnn.models.ngram import baselines
from folkrnn.observation.observation import Observation
from folkrnn.weights import curve as curves
from folkrnn.weights.curve import Curve

SHIPPED = Path(curves.__file__).parent / "curves"
"""Curves of published trainings that come along, as `<name>.csv`."""

TITLES = {"lstm_26273_tunes": "an LSTM on 26,273 tunes"}
"""What they are called in figures and tables."""

OWN = "these weights"


@dataclass(frozen=True)
class TrainingCurve(Analysis[Observation]):
    """The loss curves of the training of these weights, beside those of others, with baselines and turning points."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[Mapping[str, Main]] = {
        "best_validation": Main("The best validation loss is {} nats per token", "baseline_5gram", "a 5-gram"),
        "best_epoch": Main("It was reached in epoch {}"),
        "rise_after_best": Main("After it the loss rose by {}"),
    }

    beside: Sequence[str] = ()
    """Trainings to draw beside: weights folders, `curve.csv` files, or names of shipped curves."""
    tokens_per_tune: float | None = None
    """Predicted tokens of a tune, where a curve is per tune; None: the mean of the data."""
    smoothing: int = 50
    """Training losses in a running mean."""
    tolerance: float = 0.005
    """Nats per token by which validation must rise again to count as over-fitting."""
    enough: int = 50
    """Epochs that part 1 says would have been enough."""

    def __post_init__(self) -> None:
        if self.smoothing < 1:
            raise UserError(f"training_curve.smoothing is {self.smoothing}; it must be at least 1 loss")
        for name in self.beside:
            curve_at(name)

    def __call__(self, observation: Observation) -> Findings:
        if observation.curve is None and not self.beside:
            raise UserError(
                "no curve came with these weights; train with weights=scratch, or name others with "
                f"analysis.training_curve.beside=[FOLDER] (shipped: {', '.join(shipped())})"
            )
        own = {} if observation.curve is None else {OWN: observation.curve}
        given = {name: self.per_token(curve, observation) for name, curve in (own | self.others()).items()}
        costs = {name: dict(curve.baselines) for name, curve in given.items()}
        if observation.curve is not None:
            costs[OWN] = costs[OWN] or self.baselines(observation)
        rows = {name: self.numbers(curve, costs[name]) for name, curve in given.items()}
        first = next(iter(rows))
        return Findings(
            metrics={**rows[first], **{f"baseline_{name}": value for name, value in costs[first].items()}},
            figures={
                "losses": Figure(
                    draw.losses(given, costs, self.smoothing),
                    self.caption(rows, costs),
                    title="Loss by epoch: training, validation, and simpler models",
                )
            },
            tables={"trainings": pd.DataFrame([{"training": name} | row for name, row in rows.items()])},
            arrays={
                "losses": {
                    f"{place}_{series}": getattr(curve, series)
                    for place, curve in enumerate(given.values())
                    for series in ("training", "validation")
                }
            },
        )

    def others(self) -> dict[str, Curve]:
        """Returns the curves drawn beside, by the names given."""
        return {TITLES.get(name) or Path(name).stem.replace("_", " ") or name: curve_at(name) for name in self.beside}

    def per_token(self, curve: Curve, observation: Observation) -> Curve:
        """Returns the curve in nats per token."""
        if curve.unit == "token":
            return curve
        tokens = self.tokens_per_tune
        if tokens is None:
            if observation.data is None:
                raise UserError("this curve is in nats per tune; set analysis.training_curve.tokens_per_tune")
            tokens = float(np.mean([len(ids) - 1 for ids in observation.data.ids]))
        scaled = (part / [1, tokens] for part in (curve.training, curve.validation))
        return replace(Curve.of(*scaled), updates_per_epoch=curve.updates_per_epoch, baselines=curve.baselines)

    def baselines(self, observation: Observation) -> dict[str, float]:
        """Returns what short memories cost, counted in the data."""
        size = len(observation.vocabulary)
        if observation.data is None:
            return {"uniform": float(np.log(size))}
        training, held = split(observation.data.tunes)
        if not held:
            return {"uniform": float(np.log(size))}
        ids = observation.data.ids
        return baselines([ids[i] for i in training], [ids[i] for i in held], size)

    def numbers(self, curve: Curve, costs: Mapping[str, float]) -> dict[str, float]:
        """Returns where a training was at its best, what is left after it, and how far below a 5-gram it came."""
        found = {"updates": float(max([*curve.training[:, 0], *curve.validation[:, 0]], default=0))}
        if len(curve.training):
            found["training_last"] = float(curve.training[-self.smoothing :, 1].mean())
            found["training_first"] = float(curve.training[0, 1])
            found["first_update"] = float(curve.training[0, 0])
        if not len(curve.validation):
            return found
        updates, losses = curve.validation.T
        best = int(losses.argmin())
        epochs = updates / curve.per_epoch
        rise = float(losses[-1] - losses[best])
        found |= {
            "best_validation": float(losses[best]),
            "perplexity": float(np.exp(losses[best])),
            "best_update": float(updates[best]),
            "best_epoch": float(epochs[best]),
            "last_epoch": float(epochs[-1]),
            "rise_after_best": rise,
            "overfitting_epoch": float(epochs[best]) if rise > self.tolerance else float("nan"),
        }
        if (epochs <= self.enough).any() and (epochs > self.enough).any():
            found["gain_after_enough"] = float(losses[epochs <= self.enough].min() - losses[best])
        if "5gram" in costs:
            found["below_5gram"] = costs["5gram"] - found["best_validation"]
        return {name: value for name, value in found.items() if np.isfinite(value)}

    def caption(self, rows: Mapping[str, dict[str, float]], costs: Mapping[str, Mapping[str, float]]) -> str:
        told = []
        for name, row in rows.items():
            floor = f" (a 5-gram costs {costs[name]['5gram']:.3f})" if "5gram" in costs[name] else ""
            told.append(f"{name}: {self.told(row)}{floor}")
        without = " and ".join(name for name in rows if not costs[name])
        other = f"; of {without} the validation tunes, and so the baselines, are not known" if without else ""
        return (
            f"Loss in nats per token against epochs: training (grey, dropout on, running mean of {self.smoothing}) and "
            f"validation (orange, its best marked). {'; '.join(told)}{other}. Part 1 judges v2 not over-fitted after "
            "100 epochs, and that some 50 would have been enough. After Fig. 3 of the paper."
        )

    def told(self, row: Mapping[str, float]) -> str:
        """Returns a training's best validation, and whether it rose again, in words."""
        if "best_validation" not in row:
            return f"{row['updates']:,.0f} updates"
        kept = "" if "training_last" in row else " (losses of the training itself were not kept)"
        again = f", then {row['rise_after_best']:.3f} worse" if "overfitting_epoch" in row else ", never worse again"
        at = f" at epoch {row['best_epoch']:.3g}" if "best_epoch" in row else ""
        return f"best validation {row['best_validation']:.3f} (perplexity {row['perplexity']:.2f}){at}{again}{kept}"


def shipped() -> list[str]:
    """Returns the names of the curves that come along."""
    return sorted(file.stem for file in SHIPPED.glob("*.csv"))


def curve_at(name: str) -> Curve:
    """Returns a shipped curve, or that of a weights folder or file. Raises UserError where there is none."""
    if name in shipped():
        return curves.from_csv((SHIPPED / f"{name}.csv").read_text(encoding="utf-8"), name)
    found = curves.read(place(name, "analysis.training_curve.beside"))
    if found is None:
        raise UserError(
            f"analysis.training_curve.beside: {name} has no {curves.FILE} (shipped: {', '.join(shipped())})"
        )
    return found
