"""Any string of tokens as a standard MIDI file, exact to the tick.

Written by ourselves from `notes` rather than by verovio: verovio 6.4 dies of some tunes when it plays repeats out, and
from ABC it loses the lengths of chords and of tuplets of nine. The tests hold `notes` against abc2midi and music21.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from folkrnn.errors import UserError
from folkrnn.notation.events import nominal_length
from folkrnn.notation.notes import Note, notes, signature

DEFAULT_TEMPO = 160.0
TEMPI = {"4/4": 180.0, "6/8": 165.0, "9/8": 165.0, "12/8": 165.0, "3/4": 150.0, "2/4": 110.0, "3/2": 180.0}
"""Quarters per minute at which tunes in these meters are commonly danced: reel, jig, slip jig, slide, waltz, polka."""

_SHORTEST_GRID, _FINEST_GRID = 480, 30240  # ticks per quarter; 30240 = 2^5 3^3 5 7 fits in the 15 bits that there are
_FLUTE, _VELOCITY = 73, 84


def to_midi(tokens: Sequence[str], quarters_per_minute: float | None = None) -> bytes:
    """Returns a standard MIDI file (format 0, one track) of any string of tokens, repeats and endings played out.

    `quarters_per_minute` is `tempo(tokens)` where it is not given; a UserError if it is not positive. The ticks of a
    quarter are chosen so that every onset and length is exact. Tempo, time signature and key signature are in it.
    """
    if quarters_per_minute is not None and quarters_per_minute <= 0:
        raise UserError(f"quarters_per_minute={quarters_per_minute}: a tempo is a positive number, say 160")
    played = notes(tokens)
    ticks = grid(played)
    events = [(0, 0, message) for message in _header(tokens, quarters_per_minute or tempo(tokens))]
    for note in played:
        start, stop = (round(time * ticks / 2) for time in (note.onset, note.onset + note.duration))
        events.append((start, 2, bytes((0x90, note.pitch, _VELOCITY))))
        events.append((max(stop, start + 1), 1, bytes((0x80, note.pitch, 0))))
    return midi_file(events, ticks)


def midi_file(events: list[tuple[int, int, bytes]], ticks: int) -> bytes:
    """Returns a standard MIDI file (format 0) of `events` (tick, rank among those of one tick, message).

    Notes end (rank 1) before others begin (rank 2). `ticks` are those of a quarter.
    """
    track, now = bytearray(), 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track += _variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    head = b"MThd" + (6).to_bytes(4, "big") + (0).to_bytes(2, "big") + (1).to_bytes(2, "big") + ticks.to_bytes(2, "big")
    return head + b"MTrk" + len(track).to_bytes(4, "big") + bytes(track)


def tempo(tokens: Sequence[str]) -> float:
    """Returns quarters per minute fit for the meter of a tune."""
    meter = next((token for token in tokens[:2] if nominal_length(token)), "")
    return TEMPI.get(meter.strip("[]").removeprefix("M:"), DEFAULT_TEMPO)


def grid(played: list[Note]) -> int:
    """Returns ticks per quarter, at least 480, that make all onsets and lengths whole; 30240 where none are so fine."""
    denominators = {time.denominator for note in played for time in (note.onset, note.duration)}
    ticks = math.lcm(_SHORTEST_GRID, 2 * math.lcm(*denominators))
    return ticks if ticks < 2**15 else _FINEST_GRID


def _header(tokens: Sequence[str], quarters_per_minute: float) -> list[bytes]:
    """Tempo, time signature, key signature and instrument."""
    messages = [b"\xff\x51\x03" + min(round(60e6 / quarters_per_minute), 2**24 - 1).to_bytes(3, "big")]
    for token in tokens[:2]:
        if nominal_length(token):
            beats, unit = (int(number) for number in token.strip("[]").removeprefix("M:").split("/"))
            if unit & (unit - 1) == 0 and beats < 256:
                messages.append(bytes((0xFF, 0x58, 4, beats, unit.bit_length() - 1, 36 if unit == 8 else 24, 8)))
        elif token.strip("[]").startswith("K:"):
            fifths = min(max(signature(token), -7), 7)
            messages.append(bytes((0xFF, 0x59, 2, fifths % 256, int("min" in token))))
    return [*messages, bytes((0xC0, _FLUTE))]


def _variable_length(number: int) -> bytes:
    """Seven bits a byte, the high bit on all but the last."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))
