"""The grid of sixteenths and its 90 classes (facts on MusicVAE, section 5.1), to notes and back, and to MIDI.

A melody is an array of classes `[T]`, uint8: 0 goes on with what was (a note held or silence), 1 ends the note, and
class c ≥ 2 begins the MIDI pitch c + 19, so that 2 is A0 and 89 is C8. Every array but a model's output is *tidy*: no
note is ended where none sounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from folkrnn.errors import UserError
from folkrnn.notation.midi import midi_file

HOLD, OFF, FIRST_ON, CLASSES = 0, 1, 2, 90
LOWEST, HIGHEST = 21, 108
"""MIDI pitches of the classes 2 and 89: the keys of a piano."""

STEPS_PER_QUARTER, STEPS_PER_BAR = 4, 16
QUARTERS_PER_MINUTE = 120.0
"""The tempo at which decoded melodies are played and measured: a step lasts an eighth of a second."""

_VELOCITY, _PROGRAM, _TICKS = 80, 0, 480


@dataclass(frozen=True, slots=True)
class GridNote:
    """One note: `start` and `end` in steps, `pitch` a MIDI number."""

    start: int
    end: int
    pitch: int


def one_voice(start: np.ndarray, end: np.ndarray, pitch: np.ndarray, steps: int) -> np.ndarray:
    """Returns the classes `[steps]` of notes in any order, given as arrays; nothing is checked.

    One voice: a note is cut short by the next one, and of those that start together the highest is kept. A note may
    last beyond the end.
    """
    order = np.lexsort((-pitch, start))
    start, end, pitch = start[order], end[order], pitch[order]
    highest = np.ones(len(start), bool)
    highest[1:] = start[1:] != start[:-1]
    start, end, pitch = start[highest], end[highest], pitch[highest]
    classes = np.zeros(steps, np.uint8)
    silent = end < np.append(start[1:], steps)
    classes[end[silent]] = OFF
    classes[start] = pitch - LOWEST + FIRST_ON
    return classes


def to_notes(classes: np.ndarray) -> list[GridNote]:
    """Returns the notes of `classes [T]` by start; the last one lasts to the end of the grid if nothing ends it.

    Any array is read, a note that ends twice too.
    """
    values = np.asarray(classes)
    events = np.flatnonzero(values).tolist()
    return [
        GridNote(start, end, int(values[start]) - FIRST_ON + LOWEST)
        for start, end in pairwise([*events, len(values)])
        if values[start] >= FIRST_ON
    ]


def tidy(classes: np.ndarray) -> np.ndarray:
    """Returns `classes [..., T]` without the note-offs that end nothing, those before the first note among them."""
    steps = np.arange(classes.shape[-1])
    last_event = np.maximum.accumulate(np.where(classes > HOLD, steps, -1), axis=-1)
    before = np.concatenate([np.full_like(last_event[..., :1], -1), last_event[..., :-1]], axis=-1)
    sounding = (before >= 0) & (np.take_along_axis(classes, np.maximum(before, 0), -1) >= FIRST_ON)
    return np.where((classes == OFF) & ~sounding, np.uint8(HOLD), classes)


def from_first_note(classes: np.ndarray) -> np.ndarray:
    """Returns `classes [..., T]` without the note-offs before the first note, which end notes before it."""
    return classes * np.maximum.accumulate(classes >= FIRST_ON, axis=-1)


def transposed(classes: np.ndarray, semitones: int | np.ndarray) -> np.ndarray:
    """Returns `classes [..., T]` moved by semitones, one number or one for each melody (`[...]`).

    As in Magenta's augmentation, notes that leave the piano's keys fall away and leave silence.
    """
    shift = np.asarray(semitones, np.int16)[..., None]
    moved = np.where(classes >= FIRST_ON, classes.astype(np.int16) + shift, classes)
    lost = (classes >= FIRST_ON) & ((moved < FIRST_ON) | (moved >= CLASSES))
    moved = np.where(lost, OFF, moved).astype(np.uint8)
    # each melody by itself: what one loses must not change another of its batch
    return np.where(lost.any(-1, keepdims=True), tidy(moved), moved) if lost.any() else moved


def one_hot(classes: np.ndarray, lengths: np.ndarray | None = None) -> np.ndarray:
    """Returns `classes [..., T]` as bool `[..., T, 90]`; rows at or past `lengths [...]` are all False."""
    rows = np.eye(CLASSES, dtype=bool)[classes]
    if lengths is not None:
        rows &= (np.arange(classes.shape[-1]) < np.asarray(lengths)[..., None])[..., None]
    return rows


def melody_to_midi(
    classes: np.ndarray,
    quarters_per_minute: float = QUARTERS_PER_MINUTE,
    velocity: int = _VELOCITY,
    program: int = _PROGRAM,
) -> bytes:
    """Returns `classes [T]` as a standard MIDI file of one track in 4/4; by default as Magenta decodes them.

    Raises UserError for a tempo that is not positive.
    """
    if quarters_per_minute <= 0:
        raise UserError(f"quarters_per_minute={quarters_per_minute}: a tempo is a positive number, say 120")
    microseconds = min(round(60e6 / quarters_per_minute), 2**24 - 1)
    events = [
        (0, 0, b"\xff\x51\x03" + microseconds.to_bytes(3, "big")),
        (0, 0, b"\xff\x58\x04\x04\x02\x18\x08"),  # 4/4
        (0, 0, bytes((0xC0, program))),
    ]
    step = _TICKS // STEPS_PER_QUARTER
    for note in to_notes(classes):
        events.append((note.start * step, 2, bytes((0x90, note.pitch, velocity))))
        events.append((note.end * step, 1, bytes((0x80, note.pitch, 0))))
    return midi_file(events, _TICKS)
