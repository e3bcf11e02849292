"""Melodies out of folk-rnn's tokens, ABC and music21's scores: slices that begin on real bar lines.

Tunes know their bars, so slices begin where bars begin and hold full bars only; pickups and the short bars before
repeats are joined where they make one full bar. Repeats are played out. In other meters than 4/4, which Magenta drops
and `Rules(meters="all")` admits, a slice still is a whole number of times sixteen steps: it begins on a bar line, runs
over as many bars as it takes (two and two thirds of 6/8 to 32 steps), and may end inside one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, cast

import numpy as np

from folkrnn.melodies.grid import HIGHEST, LOWEST, STEPS_PER_BAR, STEPS_PER_QUARTER, from_first_note, one_voice
from folkrnn.melodies.rules import Rules
from folkrnn.notation.bars import Bar, bars_of
from folkrnn.notation.events import read
from folkrnn.notation.notes import alterations, midi_pitch
from folkrnn.notation.repeats import repeats_of

if TYPE_CHECKING:
    from music21.stream import Stream

_TICKS = 5040
"""Ticks in a step: halves down to 1/16 and tuplets of 3, 5, 7 and 9 are whole, and whole numbers are fast."""


@dataclass(frozen=True)
class TuneSlices:
    """What a tune yields: N distinct slices, uint8 `[N, T]`, and why none (keys of `extract.REASONS`)."""

    classes: np.ndarray
    bar: np.ndarray
    """The bar with which each begins, `[N]`, from 1, as played, in `from_score` of all parts one after the other."""
    reason: str = ""


@dataclass(frozen=True)
class _Bar:
    """A bar to be put on the grid: notes as (start, end, pitch), all times in ticks."""

    notes: tuple[tuple[int, int, int], ...]
    length: int
    nominal: int


def from_tokens(tokens: Sequence[str], rules: Rules) -> TuneSlices:
    """Returns the slices of any string of folk-rnn tokens. Never raises."""
    tokens = list(tokens)
    reading = read(tokens)
    found = bars_of(tokens, reading)
    altered = alterations(tokens, reading)
    written = [_written(bar, tokens, altered) for bar in found]
    return _slices([written[i] for i in repeats_of(tokens, reading, found).order], rules)


def from_score(score: Stream, rules: Rules) -> TuneSlices:
    """Returns the slices of a music21 score, stream or part: of each part the highest voice, repeats played out.

    Grace notes and chord symbols are left out. A part whose repeats make no sense to music21 is taken as written.
    """
    from music21.stream import Part

    parts = list(score.getElementsByClass(Part)) or [score]
    return _slices([bar for part in parts for bar in [*_part_bars(part), _BREAK]], rules)


_BREAK = _Bar((), 0, 1)
"""No slice goes over this: its length is not the one that it should have."""


def _written(bar: Bar, tokens: list[str], altered: dict[int, int]) -> _Bar:
    notes, now = [], 0
    for event in bar.events:
        after = now + _ticks(event.duration, to_a_quarter=2)
        pitches = [midi_pitch(tokens[i], altered[i]) for i in event.pitches if i in altered]
        if pitches:
            notes.append((now, after, max(pitches)))
        now = after
    return _Bar(tuple(notes), now, _ticks(bar.nominal, to_a_quarter=2))


def _ticks(length: Fraction, to_a_quarter: int = 1) -> int:
    """The ticks of a length of which so many make a quarter."""
    return length.numerator * _TICKS * STEPS_PER_QUARTER // (length.denominator * to_a_quarter)


def _part_bars(part: Stream) -> Iterator[_Bar]:
    from music21.harmony import ChordSymbol
    from music21.repeat import ExpanderException
    from music21.stream import Measure

    if not part.getElementsByClass(Measure):
        part = cast("Stream", part.makeMeasures())
    with suppress(ExpanderException):
        part = part.expandRepeats()
    edges = [*(bar.offset for bar in part.getElementsByClass(Measure)), part.highestTime]
    sounding = cast("Stream", cast("Stream", part.toSoundingPitch()).stripTies())
    for bar, (start, stop) in zip(sounding.getElementsByClass(Measure), pairwise(edges), strict=True):
        notes = [
            (
                _ticks(Fraction(note.offset)),
                _ticks(Fraction(note.offset + note.quarterLength)),
                max(pitch.midi for pitch in note.pitches),
            )
            for note in bar.flatten().notes
            if note.pitches and not note.duration.isGrace and not isinstance(note, ChordSymbol)
        ]
        yield _Bar(tuple(notes), _ticks(Fraction(stop - start)), _ticks(Fraction(bar.barDuration.quarterLength)))


def _slices(written: Sequence[_Bar], rules: Rules) -> TuneSlices:
    """Windows at every bar line, of full bars only, the distinct ones in which a note begins."""
    bars = list(_joined(written))
    usable = np.array([_usable(bar, rules) for bar in bars], bool)
    edges = np.array([0, *accumulate(-(-bar.length // _TICKS) for bar in bars)])
    line = _line(bars, edges)
    starts, stops = edges[:-1], edges[:-1] + rules.steps
    unusable = np.concatenate([[0], np.cumsum(~usable)])
    beyond = np.minimum(np.searchsorted(edges, stops), len(bars))  # the first bar that a window does not reach
    first = np.flatnonzero((stops <= edges[-1]) & (unusable[beyond] == unusable[:-1]))
    windows = from_first_note(line[starts[first][:, None] + np.arange(rules.steps)])
    distinct = {row.tobytes(): i for i, row in reversed(list(enumerate(windows))) if row.any()}
    kept = sorted(distinct.values())
    return TuneSlices(windows[kept], first[kept] + 1, "" if kept else _why_none(line, usable))


def _joined(bars: Sequence[_Bar]) -> Iterator[_Bar]:
    """The bars, halves that a repeat sign parts made whole, and those divided that run on for want of a bar line."""
    place = 0
    while place < len(bars):
        bar, after = bars[place], bars[place + 1] if place + 1 < len(bars) else _BREAK
        place += 1
        count, rest = divmod(bar.length, bar.nominal)
        if bar.length and after.length and bar.length + after.length == bar.nominal == after.nominal:
            notes = tuple((start + bar.length, stop + bar.length, pitch) for start, stop, pitch in after.notes)
            yield _Bar((*bar.notes, *notes), bar.nominal, bar.nominal)
            place += 1
        elif count > 1 and not rest:
            for part in range(count):
                begin = part * bar.nominal
                notes = [(a - begin, b - begin, pitch) for a, b, pitch in bar.notes if 0 <= a - begin < bar.nominal]
                yield _Bar(tuple(notes), bar.nominal, bar.nominal)
        else:
            yield bar


def _usable(bar: _Bar, rules: Rules) -> bool:
    whole = bar.length == bar.nominal and bar.nominal % _TICKS == 0
    return whole and (bar.nominal == STEPS_PER_BAR * _TICKS or rules.meters == "all")


def _line(bars: Sequence[_Bar], edges: np.ndarray) -> np.ndarray:
    """All bars one after the other on the grid, `[steps]`; rounded like MIDI, and no note shorter than a step."""
    rows = [
        (edge + _rounded(start), edge + max(_rounded(stop), _rounded(start) + 1), pitch)
        for bar, edge in zip(bars, edges.tolist(), strict=False)
        for start, stop, pitch in bar.notes
    ]
    start, end, pitch = np.array(rows, np.int64).reshape(-1, 3).T
    there = (pitch >= LOWEST) & (pitch <= HIGHEST) & (start < edges[-1])
    return one_voice(start[there], end[there], pitch[there], int(edges[-1]))


def _rounded(ticks: int) -> int:
    """The nearest step, halves up."""
    return (ticks + _TICKS // 2) // _TICKS


def _why_none(line: np.ndarray, usable: np.ndarray) -> str:
    if not line.any():
        return "no_notes"
    return "too_short" if usable.any() else "meter"
