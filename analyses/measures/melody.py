"""What the paper and the blog hear in a tune: endings, cadences, the highest note, motion, repetition, the minor.

Every quantity of a set of tunes is a ratio of two sums over them, so that an interval comes from resampling tunes; here
is what one tune adds to both. Notes are taken in the order of writing, repeats not played out; pitches are MIDI numbers
and tunes have their root on C. A part is what a repeat sign or the end of the tune closes, its pickup left out where
bars are counted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from operator import eq

import numpy as np

from analyses.measures.places import PlacedBar, placed_bars
from folkrnn.notation.notes import Note, notes

TONIC, DOMINANT = 0, 7
TRIADIC = (3, 4, 5)
"""Semitones of the leaps that arpeggios are made of: thirds and fourths."""
SHORTEST_BAR = 3
"""Tokens that a bar needs to be looked for elsewhere."""
SHARED = 0.5
"""Share of a bar's tokens, in their places, from which another bar is a variation of it."""

MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""Krumhansl and Kessler's (1982) profiles: how well each pitch class fits a key, from its tonic on."""

Sums = dict[str, tuple[float, float]]

QUANTITIES = {
    "parts_ending_on_tonic": "parts that end on the tonic",
    "final_cadences": "parts whose last note is reached from the dominant triad",
    "mid_part_cadences": "parts with a leading tone into the middle",
    "starting_on_tonic": "parts whose first full bar begins on the tonic",
    "highest_in_turn": "tunes of two parts with the highest note in the second",
    "stepwise": "steps of one or two semitones",
    "arpeggiated": "thirds and fourths that go on in one direction",
    "repetition": "bars that stood before in their part",
    "variation": "bars that vary one before them in their part",
    "shared_by_parts": "bars of later parts that vary or repeat one of the first",
    "relative_minor_time": "time on A, C and E that is on A (major tunes)",
    "relative_minor_tunes": "major tunes whose pitches fit A minor no worse than C major",
    "range": "semitones from the lowest to the highest note",
}
"""Name and words of each quantity, in the order in which they are shown."""


def sums(tokens: Sequence[str], played: Sequence[Note] | None = None) -> Sums:
    """Returns what a tune (tokens without markers) adds to both sums of each quantity in QUANTITIES.

    `played` are its notes, if they are at hand.
    """
    tokens = list(tokens)
    played = notes(tokens, unfold=False) if played is None else played
    parts = _parts(placed_bars(tokens))
    heard = [_notes_in(part, played) for part in parts]
    some = [part for part in heard if part]
    return {
        **_endings(parts, heard),
        "highest_in_turn": _highest(some),
        **_motion(played),
        **_repetition(parts),
        **_minor(tokens, played),
        "range": (float(np.ptp([note.pitch for note in played])) if played else 0.0, float(bool(played))),
    }


def pitch_classes(played: Sequence[Note]) -> np.ndarray:
    """Returns the eighths that notes spend on each pitch class, `[12]`, C first."""
    time = np.zeros(12)
    for note in played:
        time[note.pitch % 12] += float(note.duration)
    return time


def fits_minor(time: np.ndarray) -> bool:
    """Whether the time per pitch class `[12]` correlates with A minor's profile no less than with C major's."""
    major = np.corrcoef(time, MAJOR)[0, 1]
    minor = np.corrcoef(time, np.roll(MINOR, 9))[0, 1]
    return bool(minor >= major)


def _parts(bars: Sequence[PlacedBar]) -> list[list[PlacedBar]]:
    found: dict[int, list[PlacedBar]] = {}
    for bar in bars:
        found.setdefault(bar.part, []).append(bar)
    return list(found.values())


def _notes_in(part: Sequence[PlacedBar], played: Sequence[Note]) -> list[list[Note]]:
    """The notes of each bar of a part; bars without notes are left out."""
    places = [note.index for note in played]
    bars = [played[bisect_left(places, bar.start) : bisect_left(places, bar.stop)] for bar in part]
    return [list(bar) for bar in bars if bar]


def _endings(parts: Sequence[Sequence[PlacedBar]], heard: Sequence[list[list[Note]]]) -> Sums:
    counts = dict.fromkeys(("parts_ending_on_tonic", "final_cadences", "mid_part_cadences", "starting_on_tonic"), 0)
    total = middles = 0
    for part, bars in zip(parts, heard, strict=True):
        if not bars:
            continue
        total += 1
        line = [note.pitch for bar in bars for note in bar]
        last = line[-1]
        before = next((pitch for pitch in reversed(line) if pitch % 12 != last % 12), last)
        tonic = last % 12 == TONIC
        counts["parts_ending_on_tonic"] += tonic
        # the chord of the dominant: G, B, D
        counts["final_cadences"] += tonic and before % 12 in (7, 11, 2)
        pickup = part[0].role == "pickup" and len(bars) > 1
        counts["starting_on_tonic"] += bars[int(pickup)][0].pitch % 12 == TONIC
        inner = bars[int(pickup) :]
        if len(inner) >= 4:
            middles += 1
            half = len(inner) // 2
            counts["mid_part_cadences"] += _leads([*inner[half - 1], inner[half][0]])
    by_part = {name: (float(count), float(total)) for name, count in counts.items()}
    return by_part | {"mid_part_cadences": (float(counts["mid_part_cadences"]), float(middles))}


def _leads(line: Sequence[Note]) -> bool:
    """Whether a note rises by a semitone into the tonic or the dominant: B to C, F sharp to G."""
    return any(b.pitch - a.pitch == 1 and b.pitch % 12 in (TONIC, DOMINANT) for a, b in pairwise(line))


def _highest(parts: Sequence[list[list[Note]]]) -> tuple[float, float]:
    if len(parts) < 2:
        return 0.0, 0.0
    tops = [max(note.pitch for bar in part for note in bar) for part in parts[:2]]
    return float(tops[1] > tops[0]), 1.0


def _motion(played: Sequence[Note]) -> Sums:
    steps = np.diff([note.pitch for note in played]) if len(played) > 1 else np.zeros(0)
    size = np.abs(steps)
    triadic = np.isin(size, TRIADIC)
    going_on = triadic[:-1] & triadic[1:] & (np.sign(steps[:-1]) == np.sign(steps[1:]))
    arpeggiated = np.zeros(len(steps), dtype=bool)
    arpeggiated[:-1] |= going_on
    arpeggiated[1:] |= going_on
    return {
        "stepwise": (float(((size == 1) | (size == 2)).sum()), float(len(steps))),
        "arpeggiated": (float(arpeggiated.sum()), float(len(steps))),
    }


def _repetition(parts: Sequence[Sequence[PlacedBar]]) -> Sums:
    written = [[bar.bar.tokens for bar in part if len(bar.bar.tokens) >= SHORTEST_BAR] for part in parts]
    again = varied = total = shared = later = 0
    for place, part in enumerate(written):
        for k, bar in enumerate(part):
            total += 1
            again += bar in part[:k]
            varied += bar not in part[:k] and any(_alike(bar, other) for other in part[:k])
            if place:
                later += 1
                shared += any(_alike(bar, other) for other in written[0])
    return {
        "repetition": (float(again), float(total)),
        "variation": (float(varied), float(total)),
        "shared_by_parts": (float(shared), float(later)),
    }


def _alike(bar: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two bars have at least half of their tokens in the same places."""
    return bar == other or sum(map(eq, bar, other)) >= SHARED * max(len(bar), len(other))


def _minor(tokens: Sequence[str], played: Sequence[Note]) -> Sums:
    if not any(token.strip("[]") == "K:Cmaj" for token in tokens[:2]) or not played:
        return {"relative_minor_time": (0.0, 0.0), "relative_minor_tunes": (0.0, 0.0)}
    time = pitch_classes(played)
    return {
        "relative_minor_time": (time[9], time[9] + time[0] + time[4]),
        "relative_minor_tunes": (float(np.ptp(time) > 0 and fits_minor(time)), 1.0),
    }
