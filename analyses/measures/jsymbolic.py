"""jSymbolic features of what was observed: which of them tell its melodies apart, and what its neurons have of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analyses.measures.music_neurons import Named, name_neurons
from analyses.measures.phik import BINS, phik
from folkrnn.datasets.features import cached_features as measured
from folkrnn.melodies.features import features, left_out
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.music_neurons import in_order, music_neurons

REGISTER = ("P11", "P12", "P13", "P14", "P15")
"""The pitch features that tell high melodies from low ones: the correlated block of the source paper."""


def feature_values(observation: LatentObservation) -> pd.DataFrame:
    """Returns every feature of every melody, `[N, F]`; columns are jSymbolic's numbers. NaN where undefined."""
    numbers = [feature.number for feature in features()]

    def compute() -> pd.DataFrame:
        return pd.DataFrame(measured(observation.classes, observation.quarters_per_minute), columns=numbers)

    return observation.once("jsymbolic features", compute)


def describe(values: pd.DataFrame) -> pd.DataFrame:
    """Returns one row per feature that music21 registers: what it is, how it is distributed here, whether it is used.

    Used are those of `values [N, F]` that take two values or more, and no two that always agree.
    """
    rows = []
    for feature in features():
        column = values[feature.number].dropna()
        rows.append(
            {
                "feature": feature.number,
                "name": feature.name,
                "kind": feature.group,
                "description": feature.description,
                "defined": len(column) / max(1, len(values)),
                "distinct": column.nunique(),
                "min": column.min(),
                "mean": column.mean(),
                "max": column.max(),
                "left_out_because": _reason(values, feature.number),
            }
        )
    others = [{"feature": number, "left_out_because": why} for number, why in left_out().items()]
    table = pd.DataFrame(rows + others)
    table.insert(1, "used", table["left_out_because"] == "")
    return table


def telling(values: pd.DataFrame) -> pd.DataFrame:
    """Returns the columns of `values` that are used, by `describe`, in its order."""
    return values[[number for number in map(str, values) if not _reason(values, number)]]


def strengths(observation: LatentObservation, shown: int | None = None, bins: int = BINS) -> pd.DataFrame:
    """Returns φk of every telling feature with μ of the first `shown` neurons by mean σ (all if None), `[F, shown]`.

    Columns are neurons in the model's numbering, in order of mean σ.
    """
    order = in_order(observation.sigma)[:shown]

    def compute() -> pd.DataFrame:
        values = telling(feature_values(observation))
        return pd.DataFrame(
            phik(values.to_numpy(), observation.mu[:, order], bins), index=values.columns, columns=order
        )

    return observation.once(f"phik of features with {shown} neurons, {bins} bins", compute)


def named(observation: LatentObservation, strength: pd.DataFrame) -> Named:
    """Returns which of the music neurons (by σ) among the columns of `strength` are pitch, rhythm and melody."""
    music = [neuron for neuron in music_neurons(observation.mu, observation.sigma) if neuron in strength.columns]
    return name_neurons(strength, music)


def names() -> dict[str, str]:
    """Returns what a feature is called in figures: "P12 Primary Register"."""
    return {feature.number: f"{feature.number} {feature.name}" for feature in features()}


def _reason(values: pd.DataFrame, number: str) -> str:
    column = values[number].to_numpy()
    distinct = np.unique(column[np.isfinite(column)])
    if len(distinct) == 0:
        return "undefined for every melody here"
    if len(distinct) == 1:
        return f"the same for every melody here: {distinct[0]:g}"
    earlier = list(values)[: list(values).index(number)]
    twin = next((other for other in earlier if np.array_equal(values[other], column, equal_nan=True)), None)
    return f"the same as {twin} for every melody here" if twin else ""
