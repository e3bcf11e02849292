"""MIDI files as Magenta hears them (facts on MusicVAE, section 5.2, rule 1): notes in seconds, by instrument.

Read by ourselves, at about a microsecond an event: which melody comes out depends on choices that are not the MIDI
standard's but pretty_midi's, and symusic (0.6) makes other ones and keeps too little to undo them.

- One note-off ends all notes of that pitch and channel that began earlier; symusic ends the first and loses the others.
- A note belongs to the program in force when it ends; an instrument is a (track, channel, program) in the order in
  which their first notes end.
- Tempi and meters count in the first track only; a tempo at tick 0 replaces those before it.

A key signature that makes no sense, for which Magenta gives a file up, is passed over. So are messages of a live
stream that a recorder left in a track: clock, start, stop, active sensing and the like, between events or inside one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

_NOTE_OFF, _NOTE_ON, _PROGRAM_CHANGE, _PRESSURE = 0x80, 0x90, 0xC0, 0xD0
_SYSEX, _ESCAPE, _META = 0xF0, 0xF7, 0xFF
_LOWEST_REAL_TIME, _REAL_TIME = 0xF8, (0xF8, 0xFA, 0xFB, 0xFC, 0xFE)
"""Clock, start, continue, stop, active sensing: a byte each, which leaves the running status as it is."""
_COMMON = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0}
"""Time code, song position, song, tuning: how many bytes of data follow; the running status ends."""
_NAME, _TEMPO, _METER = 0x03, 0x51, 0x58
_DRUMS = 9
_HIGHEST_INT32 = 2**31 - 1
_LARGEST = 2**28 - 1
"""What a number of variable length may be (MIDI 1.0)."""


class Unreadable(ValueError):
    """Raised for what is not a whole, sound MIDI file; its text says what is wrong and where."""


@dataclass(frozen=True)
class Performance:
    """The N notes of a file, those of an instrument together in the order in which they end, and its tempi and meters.

    Times are seconds; all arrays are `[N]`.
    """

    start: np.ndarray
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray
    program: np.ndarray
    """General MIDI program, from 0."""
    instrument: np.ndarray
    """Numbers from 0."""
    drum: np.ndarray
    """Whether it sounds on channel 10, that of the drums."""
    tempos: list[tuple[float, float]]
    """(time, quarters per minute), the first at 0, by time."""
    meters: list[tuple[float, int, int]]
    """(time, beats, unit) by time; none where the file names none."""
    names: list[str]
    """The track name of each instrument, "" where it has none."""

    def __len__(self) -> int:
        return len(self.pitch)


@dataclass
class _Track:
    began: array
    """For each note, packed from the right: program (7 bits), pitch (7), channel (4), velocity (7) and first tick."""
    ended: array
    """For each note its last tick."""
    meta: list[tuple[int, int, bytes]]
    """Tick, kind, data."""


def read_midi(data: bytes) -> Performance:
    """Returns the notes of a standard MIDI file. Raises Unreadable where it is none, cut short, or damaged."""
    try:
        ticks, tracks = _tracks(data)
        scales = _tempo_scales(tracks[0].meta, ticks)
        meters = _meters(tracks[0].meta, scales)
    except IndexError:
        raise Unreadable("an event breaks off") from None
    number = np.repeat(np.arange(len(tracks)), [len(track.ended) for track in tracks])
    packed = np.concatenate([np.frombuffer(track.began, np.int64) for track in tracks])
    end = np.concatenate([np.frombuffer(track.ended, np.int64) for track in tracks])
    start, velocity, key, program = packed >> 25, packed >> 18 & 127, packed >> 7 & 2047, packed & 127
    channel, pitch = key >> 7, key & 127
    instrument, first = _instruments(number, channel, program)
    order = np.argsort(instrument, kind="stable")
    names = [_name(track.meta) for track in tracks]
    return Performance(
        start=_seconds(start, scales)[order],
        end=_seconds(end, scales)[order],
        pitch=pitch[order],
        velocity=velocity[order],
        program=program[order],
        instrument=instrument[order],
        drum=channel[order] == _DRUMS,
        tempos=[(time, 60.0 / (scale * ticks)) for _, scale, time in scales],
        meters=meters,
        names=[names[number[i]] for i in first],
    )


def _tracks(data: bytes) -> tuple[int, list[_Track]]:
    """Ticks per quarter, and the tracks."""
    data = _unwrapped(data)
    if len(data) < 14 or data[:4] != b"MThd":
        raise Unreadable(_other_form(data))
    place = 8 + int.from_bytes(data[4:8], "big")
    count, ticks = int.from_bytes(data[10:12], "big"), int.from_bytes(data[12:14], "big")
    if not 0 < ticks < 0x8000:
        raise Unreadable("it counts time in frames of film, not in quarters" if ticks else "no ticks to a quarter")
    found: list[_Track] = []
    while len(found) < count:
        kind, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "big")
        place += 8 + length
        if place > len(data):
            raise Unreadable(f"it breaks off in track {len(found) + 1} of {count}")
        if kind == b"MTrk":  # the standard asks to pass over chunks of other kinds
            try:
                found.append(_track(data[place - length : place]))
            except StopIteration:
                raise Unreadable(f"an event breaks off at the end of track {len(found) + 1}") from None
            except OverflowError:
                raise Unreadable(f"track {len(found) + 1} goes on for ever") from None
    if not found:
        raise Unreadable("it has no tracks")
    return ticks, found


def _unwrapped(data: bytes) -> bytes:
    """The standard MIDI file in a RIFF file of the kind RMID: its chunk `data`, which others may precede."""
    if data[:4] != b"RIFF" or data[8:12] != b"RMID":
        return data
    place = 12
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == b"data":
            # the length is the writer's word, and often 0 or short: the tracks inside know their own
            return data[place + 8 :]
        place += 8 + length + length % 2
    raise Unreadable("it is RIFF of the kind RMID, without the MIDI file that belongs in it")


def _other_form(data: bytes) -> str:
    """What a file is that is no standard MIDI file."""
    if data[:4] == b"RIFF" and len(data) >= 12:
        return f"it is a RIFF file of the kind {data[8:12].decode('latin-1').strip()}, not MIDI"
    if data[:2] == b"\x1f\x8b" or data[:4] == b"PK\3\4":
        return "it is a compressed file: unpack it"
    return "it does not begin like a MIDI file" if data else "it is empty"


def _track(data: bytes) -> _Track:
    """One pass over the events, the hot loop of reading. Raises StopIteration where the last one breaks off."""
    track = _Track(array("q"), array("q"), [])
    write_began, write_ended = track.began.append, track.ended.append
    programs = [0] * 16
    sounding: dict[int, int] = {}  # channel and pitch to start and velocity of a note
    others: dict[int, list[int]] = {}  # of notes that began while it sounded: rare
    stop_sounding = sounding.pop
    now = status = kind = channel = 0
    events = iter(data)
    following = events.__next__
    for byte in events:
        if byte < 0x80:
            now += byte
        else:
            now += _number(byte, following)
        first = following()
        if first & 0x80:
            if first != status:
                if first >= _SYSEX:
                    if first not in _REAL_TIME:
                        _system_event(first, events, now, track)
                        if first != _META:
                            status = kind = 0
                    continue
                status, kind, channel = first, first & 0xF0, first & 0x0F
            first = following()
            if first >= _LOWEST_REAL_TIME:
                first = _next_data(first, following)
        if _NOTE_OFF <= kind <= _NOTE_ON:
            velocity = following()
            if velocity >= _LOWEST_REAL_TIME:
                velocity = _next_data(velocity, following)
            if (first | velocity) & 0x80:
                raise Unreadable(f"{first:02x} {velocity:02x} is no note")
            key = channel << 7 | first
            if velocity and kind == _NOTE_ON:
                if key in sounding:
                    others.setdefault(key, []).append(now << 7 | velocity)
                else:
                    sounding[key] = now << 7 | velocity
                continue
            note = stop_sounding(key, None)
            if note is None:
                continue
            if key in others:
                for other in _ended([note, *others.pop(key)], now, key, sounding, others):
                    write_began(other << 18 | key << 7 | programs[channel])
                    write_ended(now)
            elif note >> 7 != now:
                write_began(note << 18 | key << 7 | programs[channel])
                write_ended(now)
        elif kind == _PROGRAM_CHANGE:
            programs[channel] = first & 0x7F
        elif kind != _PRESSURE:
            _next_data(following(), following)
            if not kind:
                raise Unreadable(f"{first:02x} stands where an event must begin")
    return track


def _next_data(byte: int, following: Callable[[], int]) -> int:
    """`byte`, or the next one that is no real-time message inside an event."""
    while byte in _REAL_TIME:
        byte = following()
    return byte


def _ended(notes: list[int], now: int, key: int, sounding: dict[int, int], others: dict[int, list[int]]) -> list[int]:
    """Which of several notes of one pitch a note-off ends; those that began with it sound on if it ends any."""
    before = [note for note in notes if note >> 7 != now]
    just_begun = [note for note in notes if note >> 7 == now]
    if before and just_begun:
        sounding[key], others[key] = just_begun[0], just_begun[1:]
    return before


def _number(byte: int, following: Callable[[], int]) -> int:
    """A number in bytes of seven bits each, all but the last with the high bit, of which the first is read."""
    number = byte & 0x7F
    while byte & 0x80:
        byte = following()
        number = number << 7 | byte & 0x7F
        if number > _LARGEST:
            raise Unreadable("a number of more than four bytes")
    return number


def _system_event(status: int, events: Iterator[int], now: int, track: _Track) -> None:
    """Files a meta event or passes over a system message, status read, up to its last byte."""
    if status in _COMMON:
        for _ in range(_COMMON[status]):
            _next_data(next(events), events.__next__)
        return
    if status not in (_SYSEX, _ESCAPE, _META):
        raise Unreadable(f"{status:02x} is a message that no file may hold")
    kind = next(events) if status == _META else 0
    length = _number(next(events), events.__next__)
    data = bytes(islice(events, length))
    if len(data) < length:
        raise StopIteration
    if kind in (_NAME, _TEMPO, _METER):
        track.meta.append((now, kind, data))


def _tempo_scales(meta: list[tuple[int, int, bytes]], ticks: int) -> list[tuple[int, float, float]]:
    """From which tick on a tick lasts how many seconds, and the time of that tick."""
    scales = [(0, 60.0 / (120.0 * ticks))]
    for tick, kind, data in meta:
        if kind != _TEMPO:
            continue
        microseconds = data[0] << 16 | data[1] << 8 | data[2]
        if not microseconds:
            raise Unreadable("a tempo without end")
        # in this order of operations the floating-point numbers are pretty_midi's, and the steps Magenta's
        scale = 60.0 / ((6e7 / microseconds) * ticks)
        if tick == 0:
            scales = [(0, scale)]
        elif scale != scales[-1][1]:
            scales.append((tick, scale))
    timed, now = [], 0.0
    for i, (tick, scale) in enumerate(scales):
        if i:
            now += scales[i - 1][1] * (tick - scales[i - 1][0])
        timed.append((tick, scale, now))
    return timed


def _seconds(ticks: np.ndarray, scales: list[tuple[int, float, float]]) -> np.ndarray:
    """The times of ticks, float64."""
    if len(scales) == 1:
        return ticks * scales[0][1]
    since, scale, time = (np.array(column) for column in zip(*scales, strict=True))
    part = np.searchsorted(since, ticks, side="right") - 1
    return time[part] + scale[part] * (ticks - since[part])


def _meters(meta: list[tuple[int, int, bytes]], scales: list[tuple[int, float, float]]) -> list[tuple[float, int, int]]:
    found = []
    for tick, kind, data in meta:
        if kind == _METER:
            beats, unit, _, _ = data[0], 2 ** data[1], data[2], data[3]  # all four bytes must be there
            if not beats or unit > _HIGHEST_INT32:
                raise Unreadable(f"a meter of {beats}/2^{data[1]}")
            found.append((tick, beats, unit))
    times = _seconds(np.array([tick for tick, _, _ in found], np.int64), scales).tolist()
    return [(time, beats, unit) for time, (_, beats, unit) in zip(times, found, strict=True)]


def _instruments(track: np.ndarray, channel: np.ndarray, program: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The instrument of each note, and the first note of each instrument."""
    keys, first, number = np.unique((track * 16 + channel) * 128 + program, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys))
    return rank[number], first[order]


def _name(meta: list[tuple[int, int, bytes]]) -> str:
    return next((data.decode("latin-1").strip() for _, kind, data in meta if kind == _NAME), "")
