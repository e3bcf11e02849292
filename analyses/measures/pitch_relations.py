"""Pairs of pitch tokens that a musician would call related, and whether a model treats them alike.

Enharmonic: two spellings of one pitch by different letters, accidentals read literally (`^F` and `_G`, `_C` and `B,`).
Octave: the same letter and accidental one octave apart. Natural: a letter with and without `=` (one pitch in C major;
in the other modes `=E` cancels what the key signature flattens). Unrelated: all other pairs of pitch tokens.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from folkrnn.vocabulary import Vocabulary, pitch_parts

RELATIONS = ("enharmonic", "octave", "natural")

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHIFT = {"__": -2, "_": -1, "": 0, "=": 0, "^": 1, "^^": 2}


def literal_pitch(token: str) -> int | None:
    """Returns the semitones of a pitch token above `C`, accidentals read literally; None for a rest."""
    accidental, letter, octave = pitch_parts(token)
    if letter == "z":
        return None
    height = 12 * (letter.islower() + octave.count("'") - octave.count(","))
    return _SEMITONES[letter.upper()] + _SHIFT[accidental] + height


def relation(one: str, other: str) -> str | None:
    """Returns which of RELATIONS two pitch tokens stand in, None for none."""
    low, high = literal_pitch(one), literal_pitch(other)
    if low is None or high is None:
        return None
    (first, letter, _), (second, letter_2, _) = pitch_parts(one), pitch_parts(other)
    same_letter = letter.upper() == letter_2.upper()
    if same_letter and first == second and abs(high - low) == 12:
        return "octave"
    if low != high:
        return None
    return "natural" if same_letter else "enharmonic"


def related_pairs(vocabulary: Vocabulary, ids: list[int]) -> dict[str, np.ndarray]:
    """Returns pairs of places in `ids` (pitch token ids) by relation, each `[pairs, 2]`, and "unrelated" ones."""
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in (*RELATIONS, "unrelated")}
    for a, b in combinations(range(len(ids)), 2):
        found[relation(vocabulary.tokens[ids[a]], vocabulary.tokens[ids[b]]) or "unrelated"].append((a, b))
    return {name: np.array(pairs, int).reshape(-1, 2) for name, pairs in found.items()}


def similarity(
    C: np.ndarray, pairs: np.ndarray, shuffles: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Returns the mean of `C [N, N]` over pairs, the 2.5 and 97.5 % quantiles under chance, and a p-value.

    Chance permutes the tokens: the same number of pairs, sharing tokens in the same way, between random ones. p is the
    share of permutations with at least this mean (one-sided, counting the observed one). NaN where there are no pairs.
    """
    if not len(pairs):
        nan = float("nan")
        return nan, nan, nan, nan
    seen = float(C[pairs[:, 0], pairs[:, 1]].mean())
    orders = [rng.permutation(len(C)) for _ in range(shuffles)]
    chance = np.array([C[order[pairs[:, 0]], order[pairs[:, 1]]].mean() for order in orders])
    low, high = np.quantile(chance, [0.025, 0.975]) if shuffles else (np.nan, np.nan)
    return seen, float(low), float(high), float((1 + (chance >= seen).sum()) / (1 + shuffles))
