"""What is heard of a tune, as numbers that can be compared: counting, form, melody, length.

Every quantity of a set of tunes is a ratio of two sums over them (full bars over bars, scale notes over notes, tunes
that end on the tonic over tunes), so that a tune counts by what it holds and an interval comes from resampling tunes.

Melody is taken from the notes in the order of writing, repeats not played out. A step is the interval between two
successive notes, in semitones. The scale is that of the tune's mode token on C. A cadence is a part (what a repeat sign
or the end of the tune closes) whose last note is the tonic. A figure is four successive notes with their durations; it
repeats if it stood in the 64 notes before (so that long tunes have no advantage), a bar if it stood anywhere earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from folkrnn.notation.bars import TOO_LONG, TOO_SHORT, Bar, bars, flaws, parts
from folkrnn.notation.notes import Note, notes, signature, signature_letters
from folkrnn.vocabulary import token_type

FIGURE = 4
"""Notes in a figure."""
REACH = 64
"""Notes back in which a figure is looked for: some eight bars."""
SHORTEST_BAR = 3
"""Tokens that a bar needs to be looked for earlier in the tune."""

_NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Quantity:
    """A number of a set of tunes: the sum of `over` is what it is a share or mean of."""

    group: str
    words: str
    """What it is, as an axis says it."""
    over: str


QUANTITIES: dict[str, Quantity] = {
    "full_bars": Quantity("counting", "full bars", "bars"),
    "full_time": Quantity("counting", "time in full bars", "eighths"),
    "counted_throughout": Quantity("counting", "tunes without a bar too long or short", "tunes"),
    "two_by_eight": Quantity("form", "tunes of two repeated 8-bar parts", "tunes"),
    "repeated_parts": Quantity("form", "parts that are repeated", "parts"),
    "second_ending": Quantity("form", "tunes with a second ending", "tunes"),
    "bar_repetition": Quantity("form", "bars that stood before", "bars"),
    "step_size": Quantity("melody", "step size (semitones)", "steps"),
    "stepwise": Quantity("melody", "steps of one or two semitones", "steps"),
    "range": Quantity("melody", "range (semitones)", "tunes"),
    "in_scale": Quantity("melody", "notes of the scale", "notes"),
    "cadence": Quantity("melody", "parts that end on the tonic", "parts"),
    "figure_repetition": Quantity("melody", "figures that stood shortly before", "figures"),
    "length": Quantity("length", "tokens in a tune", "tunes"),
    "bars": Quantity("length", "bars in a tune", "tunes"),
    "ended": Quantity("length", "tunes that ended by themselves", "tunes"),
}
"""In the order in which they are shown."""

CHROMATIC_IN_SCALE = 7 / 12
"""Notes of the scale among notes drawn evenly from all twelve pitch classes."""

Sums = dict[str, tuple[float, float]]
"""Per quantity: what one tune adds to the sum above and to the sum below."""


def quantities(tokens: Sequence[str], ended: bool = True) -> Sums:
    """Returns what a tune (tokens without markers, meter and mode first) adds to both sums of each quantity."""
    tokens = list(tokens)
    found, played = bars(tokens), notes(tokens, unfold=False)
    return {**_counting(tokens, found), **_form(tokens, found), **_melody(tokens, found, played)} | {
        "length": (len(tokens) + 1.0 + ended, 1.0),
        "bars": (float(len(found)), 1.0),
        "ended": (float(ended), 1.0),
    }


def sums(tunes: Sequence[Sequence[str]], ended: Sequence[bool]) -> np.ndarray:
    """Returns both sums of every tune, `[N, Q, 2]`, quantities in the order of QUANTITIES."""
    rows = [quantities(tokens, end) for tokens, end in zip(tunes, ended, strict=True)]
    return np.array([[row[name] for name in QUANTITIES] for row in rows], dtype=float).reshape(-1, len(QUANTITIES), 2)


def scrambled(tunes: Sequence[Sequence[str]], rng: np.random.Generator) -> list[list[str]]:
    """Returns the tunes with the tokens behind their header in random order: what is left without any order."""
    return [[*tokens[:2], *rng.permutation(np.array(tokens[2:], dtype=object)).tolist()] for tokens in tunes]


def _counting(tokens: list[str], found: list[Bar]) -> Sums:
    full = [bar for bar in found if bar.full]
    wrong = any(flaw.reason in (TOO_LONG, TOO_SHORT) for flaw in flaws(tokens))
    return {
        "full_bars": (float(len(full)), float(len(found))),
        "full_time": (float(sum(bar.duration for bar in full)), float(sum(bar.duration for bar in found))),
        "counted_throughout": (float(bool(found) and not wrong), 1.0),
    }


def _form(tokens: list[str], found: list[Bar]) -> Sums:
    built = parts(found)
    lengths = [length for repeated, length in built if repeated]
    long = [bar.tokens for bar in found if len(bar.tokens) >= SHORTEST_BAR]
    return {
        "two_by_eight": (float(lengths == [8, 8] and len(built) == 2), 1.0),
        "repeated_parts": (float(len(lengths)), float(len(built))),
        "second_ending": (float("|2" in tokens), 1.0),
        "bar_repetition": (float(len(long) - len(set(long))), float(len(long))),
    }


def _melody(tokens: list[str], found: list[Bar], played: list[Note]) -> Sums:
    pitches = np.array([note.pitch for note in played])
    intervals = np.abs(np.diff(pitches))
    inside = scale(next((token for token in tokens[:2] if token_type(token) == "mode"), ""))
    words = [(note.pitch, note.duration) for note in played]
    figures = [tuple(words[k : k + FIGURE]) for k in range(len(words) - FIGURE + 1)]
    last = _last_notes(found, played)
    return {
        "step_size": (float(intervals.sum()), float(len(intervals))),
        "stepwise": (float(((intervals == 1) | (intervals == 2)).sum()), float(len(intervals))),
        "range": (float(np.ptp(pitches)) if len(pitches) else 0.0, float(bool(len(pitches)))),
        "in_scale": (float(sum(pitch % 12 in inside for pitch in pitches.tolist())), float(len(pitches))),
        "cadence": (float(sum(pitch % 12 == 0 for pitch in last)), float(len(last))),
        "figure_repetition": (float(sum(_stood_before(figures))), float(len(figures))),
    }


def _stood_before(figures: list[tuple[tuple[int, Fraction], ...]]) -> list[bool]:
    """For each figure whether it stood among the REACH before it."""
    last: dict[tuple[tuple[int, Fraction], ...], int] = {}
    found = []
    for place, figure in enumerate(figures):
        found.append(place - last.get(figure, -REACH - 1) <= REACH)
        last[figure] = place
    return found


def scale(mode: str) -> set[int]:
    """Returns the seven pitch classes of a mode token on C ("" and unknown: major), C = 0."""
    altered = signature_letters(signature(mode))
    return {(place + altered.get(letter, 0)) % 12 for letter, place in _NATURAL.items()}


def _last_notes(found: list[Bar], played: list[Note]) -> list[int]:
    """The last pitch of each part."""
    pitch_at = {note.index: note.pitch for note in played}
    last = []
    for place, bar in enumerate(found):
        ends = place == len(found) - 1 or any(":|" in sign for sign in bar.closing) or "|:" in bar.closing
        heard = [pitch_at[i] for i in range(bar.start, bar.stop) if i in pitch_at]
        if ends and heard:
            last.append(heard[-1])
    return last
