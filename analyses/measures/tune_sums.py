"""The tunes of an intervention, of its control and of random units, as sums to compare; and the abilities they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analyses.measures import paired
from analyses.measures.divergence import first_difference
from analyses.measures.tune_quantities import CHROMATIC_IN_SCALE, QUANTITIES, scrambled, sums
from folkrnn.observation.observation import Observation

ABILITIES = {"counting": ("full_bars",), "melody": ("stepwise", "in_scale", "cadence", "figure_repetition")}
"""An ability is the mean of what is kept of these."""

NAMES = list(QUANTITIES)


@dataclass
class TuneSums:
    """The sums `[N, Q, 2]` of the tunes of every condition, and where each tune leaves the control, `[N]`."""

    control: np.ndarray
    changed: np.ndarray
    matched: list[np.ndarray]
    floor: np.ndarray
    apart: np.ndarray
    matched_apart: list[np.ndarray]
    resumed: np.ndarray | None = None
    """Of replays: what the unchanged model made of each tune from where it left the replayed one."""
    null: np.ndarray | None = None
    """What no change looks like: the unchanged model with other random numbers; of replays `resumed`."""
    null_again: np.ndarray | None = None

    def unchanged(self) -> TuneSums | None:
        """Returns the same with what no change looks like, drawn once more, in the place of the changed tunes."""
        return None if self.null_again is None else replace(self, changed=self.null_again, matched=[])


def collect(observation: Observation, control: Observation) -> TuneSums:
    """Returns the sums of the tunes of every condition and where each tune leaves the control."""
    rng = np.random.default_rng([observation.seed, 1])
    before = tokens_of(control)
    ended = [t.ended for t in control.transcriptions]
    return TuneSums(
        control=_sums(control),
        changed=_sums(observation),
        matched=[_sums(other) for other in observation.matched],
        floor=sums(scrambled(before, rng), ended),
        apart=_apart(observation, control),
        matched_apart=[_apart(other, control) for other in observation.matched],
        resumed=None if observation.resumed is None else _sums(observation.resumed),
        null=None if observation.null is None else _sums(observation.null),
        null_again=None if observation.null_again is None else _sums(observation.null_again),
    )


def floors_of(floor: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the floor of each quantity `[Q]` and of each bootstrap sample `[R, Q]`."""
    values, samples = paired.ratios(floor), paired.resampled(floor, weights)
    place = NAMES.index("in_scale")
    values[place] = samples[:, place] = CHROMATIC_IN_SCALE
    return values, samples


def ability_kept(value: np.ndarray, control: np.ndarray, floor: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Returns the mean over `names` of what is kept, `[…]`, of ratios `[…, Q]`; NaN where none can be said."""
    places = [NAMES.index(name) for name in names]
    each = paired.kept(value[..., places], control[..., places], floor[..., places])
    known = np.isfinite(each)
    total = np.where(known, each, 0.0).sum(-1)
    with np.errstate(invalid="ignore"):
        return np.where(known.any(-1), total / np.maximum(known.sum(-1), 1), np.nan)


def tokens_of(observation: Observation) -> list[list[str]]:
    """Returns the tokens of every tune, without markers."""
    return [t.tokens(observation.vocabulary) for t in observation.transcriptions]


def _sums(observation: Observation) -> np.ndarray:
    return sums(tokens_of(observation), [t.ended for t in observation.transcriptions])


def _apart(observation: Observation, control: Observation) -> np.ndarray:
    pairs = zip(observation.transcriptions, control.transcriptions, strict=True)
    return np.array([first_difference(after.ids, before.ids) for after, before in pairs])
