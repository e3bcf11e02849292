"""Melodies out of a MIDI performance, by exactly Magenta's rules (facts on MusicVAE, section 5.2).

The numbers in comments are those of the rules. Everything is done for all instruments at once, on arrays.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from folkrnn.melodies.grid import FIRST_ON, HIGHEST, LOWEST, OFF, STEPS_PER_BAR, STEPS_PER_QUARTER, from_first_note
from folkrnn.melodies.read import Performance, Unreadable, read_midi
from folkrnn.melodies.rules import MAX_BARS, Rules


@dataclass(frozen=True)
class Melody:
    """One melody before slicing: where it stands and its classes `[steps]`, whole bars."""

    piece: int
    """Which stretch between changes of tempo or meter, from 0."""
    instrument: int
    start: int
    """Step of its first bar line, from the beginning of the piece."""
    bar: int
    """Steps in a bar of its meter."""
    classes: np.ndarray


@dataclass(frozen=True)
class Extraction:
    """What one file yields: N slices in order, repeats among them, each with the melody that it is cut from."""

    slices: np.ndarray
    """Classes, uint8 `[N, T]`."""
    melody: np.ndarray
    """Index of the melody of each slice, `[N]`."""
    offset: np.ndarray
    """Step of that melody at which the slice begins, `[N]`."""
    melodies: list[Melody]
    reason: str = ""
    """Why there are no slices, a key of REASONS; empty where there are some."""
    detail: str = ""

    def distinct(self) -> np.ndarray:
        """Returns indices of the slices that no earlier one of the same piece equals (rule 9)."""
        seen: set[tuple[int, bytes]] = set()
        kept = []
        for i, (row, melody) in enumerate(zip(self.slices, self.melody.tolist(), strict=True)):
            key = (self.melodies[melody].piece, row.tobytes())
            if key not in seen:
                seen.add(key)
                kept.append(i)
        return np.array(kept, np.int64)

    def some(self, limit: int | None, rng: np.random.Generator) -> np.ndarray:
        """Returns indices of distinct slices, at random at most `limit` of a piece and of the whole (rule 10).

        So does Magenta in training; in evaluation it takes whichever a Python set yields first.
        """
        kept = self.distinct()
        if limit is None:
            return kept
        pieces = np.array([self.melodies[m].piece for m in self.melody[kept].tolist()], np.int64)
        order = np.argsort(pieces, kind="stable")
        edges = np.flatnonzero(np.diff(pieces[order])) + 1
        of_pieces = [_sample(some, limit, rng) for some in np.split(kept[order], edges)]
        return _sample(np.concatenate([np.empty(0, np.int64), *of_pieces]), limit, rng)


def extract_bytes(data: bytes, rules: Rules) -> Extraction:
    """Returns what a MIDI file yields; an unreadable one yields nothing, and the reason."""
    try:
        return extract(read_midi(data), rules)
    except Unreadable as error:
        return nothing(rules, "unreadable", str(error))


def extract(performance: Performance, rules: Rules) -> Extraction:
    """Returns the melodies of a performance and their slices. Never raises."""
    here = performance
    admitted, why = _admitted(here, rules)
    if why:
        return nothing(rules, why)
    cuts = _cuts(here)
    bar_of = np.array([_bar_steps(beats, unit, rules) for beats, unit in _in_force(here.meters, cuts[:-1], (4, 4))])
    tempo_of = np.array([tempo for (tempo,) in _in_force(here.tempos, cuts[:-1], (120.0,))])
    piece = np.searchsorted(cuts[1:-1], here.start, side="right")
    admitted &= bar_of[piece] > 0
    if not admitted.any():
        return nothing(rules, "meter", _meters_named(here))
    start, end = _quantised(here, cuts, piece, tempo_of)
    voice = _voices(here, piece, rules)
    # 6: by voice, start, and the highest first; where these are the same, as they began before quantising
    order = np.lexsort((here.start, (voice * (start.max() + 1) + start) * 128 - here.pitch))
    order = order[admitted[order]]
    notes = (start[order], end[order], here.pitch[order], voice[order], piece[order], here.instrument[order])
    melodies = _melodies(*notes, bar_of, rules)
    if not melodies:
        return nothing(rules, "polyphony")
    return _sliced(melodies, rules)


def _admitted(here: Performance, rules: Rules) -> tuple[np.ndarray, str]:
    """Which notes count (3), and the rule that leaves none of them."""
    admitted = np.ones(len(here), bool)
    tests = (
        ("no_notes", admitted),
        ("drums_only", ~here.drum),
        ("programs", _of_programs(here, rules)),
        ("pitch_range", _in_range(here)),
    )
    for reason, test in tests:
        admitted &= test
        if not admitted.any():
            return admitted, reason
    return admitted, ""


def _of_programs(here: Performance, rules: Rules) -> np.ndarray:
    return here.program < (128 if rules.programs is None else rules.programs)


def _in_range(here: Performance) -> np.ndarray:
    return (here.pitch >= LOWEST) & (here.pitch <= HIGHEST)


def _voices(here: Performance, piece: np.ndarray, rules: Rules) -> np.ndarray:
    """A number for the instrument of each note in its piece, ascending in the order in which Magenta takes them.

    That is the order of a Python set of the instruments' numbers: of small ones the natural order, of others one that
    depends on which comes first.
    """
    several = here.instrument.max() + 1
    if several <= 8:
        return piece * several + here.instrument
    place = np.zeros((piece.max() + 1, several), np.int64)
    heard = np.flatnonzero(_of_programs(here, rules) & _in_range(here))
    heard = heard[np.argsort(here.start[heard], kind="stable")]
    numbers = here.instrument[heard].tolist()
    edges = np.searchsorted(piece[heard], np.arange(len(place) + 1)).tolist()
    for i, (first, last) in enumerate(pairwise(edges)):
        for rank, instrument in enumerate(set(numbers[first:last])):
            place[i, instrument] = rank
    return piece * several + place[piece, here.instrument]


def _cuts(here: Performance) -> list[float]:
    """The times at which pieces begin, and the end of the last note (2)."""
    total = here.end.max().item()
    changes = sorted([*((time, (beats, unit)) for time, beats, unit in here.meters), *here.tempos], key=lambda c: c[0])
    cuts, meter, tempo = [0.0], (4, 4), 120.0
    for time, value in changes:
        if time >= total or value in (meter, tempo):
            continue
        if isinstance(value, tuple):
            meter = value
        else:
            tempo = value
        if time > cuts[-1]:
            cuts.append(time)
    return [*cuts, total]


def _in_force(changes: Sequence[tuple], times: Sequence[float], otherwise: tuple) -> list[tuple]:
    """What the last change up to each of `times` says, from `changes` by time."""
    since = [change[0] for change in changes]
    values = [otherwise, *(change[1:] for change in changes)]
    return [values[bisect_right(since, time)] for time in times]


def _bar_steps(beats: int, unit: int, rules: Rules) -> int:
    """Sixteenths in a bar of a meter that the rules admit, else 0 (4)."""
    steps, rest = divmod(beats * STEPS_PER_QUARTER * 4, unit)
    return steps if not rest and (steps == STEPS_PER_BAR or rules.meters == "all") else 0


def _quantised(here: Performance, cuts: list[float], piece: np.ndarray, tempo_of: np.ndarray) -> tuple[np.ndarray, ...]:
    """First and last step of each note in its piece, at which it is cut (2, 5)."""
    edges = np.array(cuts)
    since, until = edges[piece], edges[piece + 1]
    steps_per_second = STEPS_PER_QUARTER * tempo_of[piece] / 60.0
    start = ((here.start - since) * steps_per_second + 0.5).astype(np.int64)
    end = ((np.minimum(here.end, until) - since) * steps_per_second + 0.5).astype(np.int64)
    return start, np.where(end == start, start + 1, end)


def _melodies(
    start: np.ndarray,
    end: np.ndarray,
    pitch: np.ndarray,
    voice: np.ndarray,
    piece: np.ndarray,
    instrument: np.ndarray,
    bar_of: np.ndarray,
    rules: Rules,
) -> list[Melody]:
    """The monophonic lines of all voices (6, 7), from notes by voice, start and falling pitch."""
    new_voice = np.concatenate([[True], voice[1:] != voice[:-1]])
    lower = np.concatenate([[False], start[1:] == start[:-1]]) & ~new_voice
    in_chord = np.concatenate([lower[1:], [False]])[~lower]
    start, end, pitch, voice, piece, instrument, new_voice = (
        a[~lower] for a in (start, end, pitch, voice, piece, instrument, new_voice)
    )
    bar = bar_of[piece]
    begins = new_voice.copy()
    begins[1:] |= start[1:] - end[:-1] >= np.maximum(bar[1:], STEPS_PER_BAR)
    melody = np.cumsum(begins) - 1
    first = np.flatnonzero(begins)
    last = np.concatenate([first[1:], [len(start)]]) - 1
    bar = bar[first]
    origin = start[first] // bar * bar
    length = -(-(end[last] - origin) // bar) * bar
    length = np.minimum(length, MAX_BARS * STEPS_PER_BAR // bar * bar)

    # all lines one after the other; what lies beyond the cut of its line is not written
    base = np.cumsum(length) - length
    line = np.zeros(base[-1] + length[-1], np.uint8)
    shift, stop = (base - origin)[melody], (origin + length)[melody]
    interrupted = np.concatenate([end[:-1] >= start[1:], [False]])
    interrupted[last] = False
    ends = ~interrupted & (end < stop)
    line[(end + shift)[ends]] = OFF
    sounds = start < stop
    line[(start + shift)[sounds]] = pitch[sounds] - LOWEST + FIRST_ON

    kept = range(len(first))
    if rules.polyphony == "skip":
        kept = np.flatnonzero(~_from_a_chord_on(melody[in_chord], voice[first])).tolist()
    columns = [a.tolist() for a in (piece[first], instrument[first], origin, bar, base, base + length)]
    rows = list(zip(*columns, strict=True))
    found = (rows[m] for m in kept)
    return [Melody(piece, source, origin, bar, line[start:stop]) for piece, source, origin, bar, start, stop in found]


def _from_a_chord_on(holding: np.ndarray, voice: np.ndarray) -> np.ndarray:
    """Which melodies are among those `holding` a chord, or follow one that is in the same voice (`voice` of each)."""
    chords = np.zeros(len(voice), np.int64)
    chords[holding] = 1
    so_far = np.cumsum(chords)
    before_voice = (so_far - chords)[np.searchsorted(voice, voice)]
    return so_far > before_voice


def _sliced(melodies: list[Melody], rules: Rules) -> Extraction:
    """Windows of the melodies at every bar line, complete ones only (8)."""
    steps = rules.steps
    counts = [max((len(m.classes) - steps) // m.bar + 1, 0) for m in melodies]
    if not any(counts):
        longest = max(len(m.classes) for m in melodies)
        empty = nothing(rules, "too_short", f"the longest melody has {longest} steps of {steps}")
        return Extraction(empty.slices, empty.melody, empty.offset, melodies, empty.reason, empty.detail)
    melody = np.repeat(np.arange(len(melodies)), counts)
    offset = np.concatenate([np.arange(count) * m.bar for count, m in zip(counts, melodies, strict=True)])
    lengths = [len(m.classes) for m in melodies]
    base = np.cumsum(lengths) - np.array(lengths)
    line = np.concatenate([m.classes for m in melodies])
    windows = line[(base[melody] + offset)[:, None] + np.arange(steps)]
    return Extraction(from_first_note(windows), melody, offset, melodies)


def nothing(rules: Rules, reason: str, detail: str = "") -> Extraction:
    """Returns the extraction of a file that yields nothing."""
    none = np.empty(0, np.int64)
    return Extraction(np.empty((0, rules.steps), np.uint8), none, none, [], reason, detail)


def _meters_named(here: Performance) -> str:
    names = dict.fromkeys(f"{beats}/{unit}" for _, beats, unit in here.meters)
    return f"it is in {', '.join(names)}" if names else "nothing sounds in 4/4"


def _sample(indices: np.ndarray, limit: int, rng: np.random.Generator) -> np.ndarray:
    """At most `limit` of `indices`, in their order."""
    if len(indices) <= limit:
        return indices
    return indices[np.sort(rng.choice(len(indices), limit, replace=False))]
