"""What the distributions of a tune say beside the tokens that were drawn: events in waiting, shadows of the melody,
spread.

A distribution is a row of `distribution [T, V]`; row t draws token t + 1 of the transcription `ids [T + 1]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from analyses.measures.pitch_relations import literal_pitch
from analyses.measures.places import placed_bars
from folkrnn.notation.keys import read_key
from folkrnn.vocabulary import Vocabulary, pitch_parts


def entropy(distribution: np.ndarray) -> np.ndarray:
    """Returns the entropy of each row of `distribution [T, V]` in nats, `[T]`."""
    return -np.sum(distribution * np.log(np.where(distribution > 0, distribution, 1.0)), axis=1)


def broken_rhythms(vocabulary: Vocabulary) -> list[int]:
    """Returns the ids of the durations that make a broken rhythm (`>`, `<`, `2>`, …)."""
    return [i for i in vocabulary.of_type("duration") if set(vocabulary.tokens[i]) & set("<>")]


def accidentals(vocabulary: Vocabulary) -> list[int]:
    """Returns the ids of the pitches with a written accidental."""
    return [i for i in vocabulary.of_type("pitch") if pitch_parts(vocabulary.tokens[i])[0]]


def heights(vocabulary: Vocabulary, mode: str = "maj") -> np.ndarray:
    """Returns the semitones of each pitch token above `C` in a mode on C, `[V]`; NaN for rests and all other tokens.

    A letter without an accidental sounds as the key signature has it: `B` at 10 in C minor. Accidentals earlier in the
    bar are not counted.
    """
    signature, found = read_key(f"C{mode}").signature, np.full(len(vocabulary), np.nan)
    for i in vocabulary.of_type("pitch"):
        height = literal_pitch(vocabulary.tokens[i])
        if height is not None:
            accidental, letter, _ = pitch_parts(vocabulary.tokens[i])
            found[i] = height + (0 if accidental else signature[letter.upper()])
    return found


def mode_of(ids: np.ndarray, vocabulary: Vocabulary) -> str:
    """Returns the mode of a transcription: `min` of one with `K:Cmin`; `maj` where it has none."""
    tokens = [vocabulary.tokens[i] for i in ids if vocabulary.types[i] == "mode"]
    return tokens[0].removeprefix("K:C") if tokens else "maj"


def trend(distribution: np.ndarray, ids: np.ndarray, tokens: Sequence[int], vocabulary: Vocabulary) -> float:
    """Returns Spearman's correlation of the joint probability of `tokens` with the step, over steps after a pitch.

    Elsewhere a duration has no place, and its probability says nothing. NaN with fewer than three such steps.
    """
    from scipy.stats import spearmanr

    rows = np.flatnonzero(np.isin(ids[:-1], vocabulary.of_type("pitch")))
    mass = distribution[rows][:, list(tokens)].sum(1)
    if len(rows) < 3 or np.ptp(mass) == 0:
        return float("nan")
    return float(cast("Any", spearmanr(rows, mass)).statistic)


def shadow(
    distribution: np.ndarray, ids: np.ndarray, vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (rows, height drawn, mean height of the accidentals under the distribution) of the steps that draw a
    pitch.

    All `[N]`; heights in semitones above `C`, in the mode of the transcription.
    """
    height, marked = heights(vocabulary, mode_of(ids, vocabulary)), accidentals(vocabulary)
    rows = np.flatnonzero(np.isfinite(height[ids[1:]]))
    if not marked or not len(rows):
        return rows[:0], np.zeros(0), np.zeros(0)
    mass = distribution[rows][:, marked].astype(np.float64)
    centre = (mass @ height[marked]) / np.maximum(mass.sum(1), 1e-300)
    return rows, height[ids[1:]][rows], centre


def shadow_correlation(distribution: np.ndarray, ids: np.ndarray, vocabulary: Vocabulary) -> float:
    """Returns Pearson's r between the two heights of `shadow`; NaN where either is constant."""
    _, drawn, centre = shadow(distribution, ids, vocabulary)
    if len(drawn) < 3 or np.ptp(drawn) == 0 or np.ptp(centre) == 0:
        return float("nan")
    return float(np.corrcoef(drawn, centre)[0, 1])


def likely_undrawn(distribution: np.ndarray, ids: np.ndarray, likely: float, vocabulary: Vocabulary) -> np.ndarray:
    """Returns the ids of tokens that reach the probability `likely` at some step and are never drawn, likeliest first.

    Meters and modes are left out: of each a tune can have but one.
    """
    peak = distribution.max(0)
    absent = ~np.isin(np.arange(distribution.shape[1]), [*ids, *vocabulary.of_type("meter", "mode")])
    order = np.argsort(-peak, kind="stable")
    return order[(peak[order] >= likely) & absent[order]]


def often_likely(distribution: np.ndarray, tokens: Sequence[int], likely: float, times: int) -> list[int]:
    """Returns those of `tokens` that reach the probability `likely` at `times` steps or more, the most often first."""
    count = (distribution[:, list(tokens)] >= likely).sum(0)
    return [tokens[i] for i in np.argsort(-count, kind="stable") if count[i] >= times]


def pitch_spread(distribution: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Returns between how many equally likely pitches each distribution would be as undecided, `[T]` (its
    perplexity).
    """
    mass = distribution[:, list(vocabulary.of_type("pitch"))].astype(np.float64)
    mass /= np.maximum(mass.sum(1, keepdims=True), 1e-300)
    return np.exp(entropy(mass))


def part_starts(tokens: Sequence[str], ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """Returns the rows that draw the first pitch of each part, `[parts]`."""
    pitches = np.flatnonzero(np.isin(ids, vocabulary.of_type("pitch")))
    firsts: dict[int, int] = {}
    for bar in placed_bars(tokens):
        inside = pitches[(pitches >= bar.start) & (pitches < bar.stop)]
        if len(inside):
            firsts.setdefault(bar.part, int(inside[0]))
    return np.array(sorted(firsts.values()), dtype=int) - 1
