"""What the page of a MusicVAE holds: melodies beside what comes back, and what moving a music neuron does to them.

For each of the first melodies every one of the NEURONS foremost music neurons (smallest mean σ, the order of the
source paper's figures) is set to each of VALUES, the others staying at the melody's μ; what the model writes, and what
jSymbolic's features say of it, is computed beforehand, so that a slider answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from folkrnn.explorer.pack import Pack
from folkrnn.findings import Findings
from folkrnn.melodies.features import features, measure
from folkrnn.melodies.grid import FIRST_ON, LOWEST, QUARTERS_PER_MINUTE, STEPS_PER_BAR, STEPS_PER_QUARTER, to_notes
from folkrnn.notation.score import engrave
from folkrnn.observation.latents import LatentObservation

SHOWN, NEURONS = 8, 12
VALUES = np.linspace(-2.0, 2.0, 9)
"""Of a neuron; the prior, and by training nearly the melodies' latents, have mean 0 and deviation 1."""
DECODED = 28_000
"""Steps that are decoded for sliders: eight melodies of two bars, one of sixteen."""
FEATURES = ("R15", "R17", "P12", "P10", "M2", "M11")
_NAMES = ("C", "^C", "D", "^D", "E", "F", "^F", "G", "^G", "A", "^A", "B")


def packs_of(
    observation: LatentObservation, findings: Mapping[str, Findings], heading: Mapping[str, Any]
) -> dict[str, Pack]:
    """Returns the pack `core` of a page on this observation; `heading` is what stands at its top."""
    steps = observation.classes.shape[1]
    shown = min(SHOWN, len(observation))
    neurons = observation.order[: min(NEURONS, observation.mu.shape[1])]
    moved = min(shown, max(1, DECODED // (len(neurons) * len(VALUES) * steps)))
    melodies = {
        "melody": observation.classes[:shown],
        "reconstruction": observation.decoded(observation.mu[:shown]).astype(np.uint8),
    }
    if observation.control is not None:
        melodies["unchanged"] = observation.control.decoded(observation.control.mu[:shown]).astype(np.uint8)
    decoded = observation.decoded(placed(observation.mu[:moved], neurons).reshape(-1, observation.mu.shape[1]))
    chosen = [k for k, feature in enumerate(features()) if feature.number in FEATURES]
    names = [features()[k].name for k in chosen]
    scores = engrave([as_tokens(classes) for group in melodies.values() for classes in group])
    core = Pack(dict(heading))
    core.manifest |= {
        "kind": "musicvae",
        "titles": observation.titles[:shown],
        "groups": list(melodies),
        "pictures": {name: [s.html for s in scores[n * shown :][:shown]] for n, name in enumerate(melodies)},
        "neurons": neurons.tolist(),
        "values": VALUES.tolist(),
        "moved": moved,
        "features": names,
        "step": 60.0 / QUARTERS_PER_MINUTE / STEPS_PER_QUARTER,
        "steps_per_bar": STEPS_PER_BAR,
        "first_on": FIRST_ON,
        "lowest": LOWEST,
        "left_out": _left_out(len(observation), shown, moved),
    }
    core.arrays |= melodies | {
        "decoded": decoded.astype(np.uint8).reshape(moved, len(neurons), len(VALUES), steps),
        "features": _features(decoded, chosen).reshape(moved, len(neurons), len(VALUES), -1),
        "features_now": _features(melodies["reconstruction"], chosen),
        "mu": observation.mu[:shown, neurons].astype(np.float32),
        "sigma": observation.sigma[:shown, neurons].astype(np.float32),
    }
    return {"core": core}


def placed(mu: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    """Returns `mu [M, Z]` with each of `neurons [K]` in turn at each of VALUES, `[M, K, VALUES, Z]`."""
    latents = np.repeat(mu[:, None, None, :], len(neurons), 1).repeat(len(VALUES), 2).copy()
    for k, neuron in enumerate(neurons):
        latents[:, k, :, neuron] = VALUES
    return latents


def as_tokens(classes: np.ndarray) -> list[str]:
    """Returns `classes [T]` as tokens that can be engraved, four quarters a bar.

    A note that sounds over a bar line is written again behind it.
    """
    stretches: list[tuple[int | None, int, int]] = []
    at = 0
    for note in to_notes(classes):
        stretches += [(None, at, note.start), (note.pitch, note.start, note.end)]
        at = note.end
    tokens, altered = ["M:4/4", "K:Cmaj"], set[str]()
    for pitch, start, stop in [*stretches, (None, at, len(classes))]:
        lines = range(start - start % STEPS_PER_BAR + STEPS_PER_BAR, stop, STEPS_PER_BAR)
        for first, behind in pairwise(dict.fromkeys([start, *lines, stop])):
            tokens += ["z" if pitch is None else _pitch(pitch, altered), *_length(behind - first)]
            if behind % STEPS_PER_BAR == 0:
                tokens.append("|")
                altered.clear()
    return tokens


def _length(steps: int) -> list[str]:
    """The token of a length, none for an eighth."""
    return {1: ["/2"], 2: []}.get(steps, [str(Fraction(steps, 2))])


def _pitch(number: int, altered: set[str]) -> str:
    """The token of a MIDI pitch; `altered` are the letters that are sharp in this bar, to which it adds."""
    name, octave = _NAMES[number % 12], number // 12 - 5
    letter = name[-1]
    accidental = "^" if len(name) > 1 else "=" if letter in altered else ""
    (altered.add if accidental == "^" else altered.discard)(letter)
    if octave > 0:
        return accidental + letter.lower() + "'" * (octave - 1)
    return accidental + letter + "," * -octave


def _features(classes: np.ndarray, chosen: list[int]) -> np.ndarray:
    tempi = np.full(len(classes), QUARTERS_PER_MINUTE)
    return measure(classes, tempi)[:, chosen].astype(np.float32)


def _left_out(total: int, shown: int, moved: int) -> list[str]:
    told = [f"{shown} of the run's {total:,} melodies are shown"] if total > shown else []
    if moved < shown:
        told.append(f"sliders move the first {moved}" if moved > 1 else "sliders move the first")
    return told
