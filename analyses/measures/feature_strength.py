"""How strongly each latent hangs together with each jSymbolic feature of the observed melodies, and what it is named.

Strength is φk (`analyses.measures.phik`, equally wide bins, as in the source paper). Features are measured once and
kept on disk, so that every analysis may ask for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analyses.measures.music_neurons import Named, name_neurons
from analyses.measures.phik import phik
from folkrnn.datasets import features as measured
from folkrnn.melodies import features as jsymbolic
from folkrnn.observation.latents import LatentObservation


def feature_table(observation: LatentObservation) -> pd.DataFrame:
    """Returns the features of every melody, `[N, F]`, by their jSymbolic numbers, without those that never vary."""
    values = observation.once("features", lambda: _measured(observation))
    varies = np.array([len(np.unique(column[np.isfinite(column)])) > 1 for column in values.T], bool)
    numbers = np.array([feature.number for feature in jsymbolic.features()])
    return pd.DataFrame(values[:, varies], columns=numbers[varies])


def strengths(observation: LatentObservation, neurons: Sequence[int]) -> pd.DataFrame:
    """Returns φk of every feature with μ of every one of `neurons`, `[F, neurons]`, columns in their numbering."""
    chosen = [int(n) for n in neurons]
    table = feature_table(observation)
    found = observation.once(
        f"phik {chosen}", lambda: phik(table.to_numpy(), observation.mu[:, chosen]) if chosen else np.zeros((0, 0))
    )
    return pd.DataFrame(found.reshape(len(table.columns), len(chosen)), index=table.columns, columns=chosen)


def named(observation: LatentObservation, music: Sequence[int]) -> Named:
    """Returns the pitch, the rhythm and the melody neurons among `music`, by the rule of `name_neurons`."""
    return name_neurons(strengths(observation, music), [int(n) for n in music])


def _measured(observation: LatentObservation) -> np.ndarray:
    return measured.features(observation.classes, observation.quarters_per_minute)
