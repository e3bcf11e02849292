"""MIDI files for tests, written event by event."""

from __future__ import annotations

from collections.abc import Iterable

Event = tuple[int, bytes]
"""A tick since the start, and a message."""


def on(tick: int, pitch: int, channel: int = 0, velocity: int = 90) -> Event:
    return tick, bytes((0x90 | channel, pitch, velocity))


def off(tick: int, pitch: int, channel: int = 0) -> Event:
    return tick, bytes((0x80 | channel, pitch, 0))


def note(start: int, end: int, pitch: int, channel: int = 0) -> list[Event]:
    return [on(start, pitch, channel), off(end, pitch, channel)]


def program(tick: int, number: int, channel: int = 0) -> Event:
    return tick, bytes((0xC0 | channel, number))


def tempo(tick: int, microseconds: int) -> Event:
    return tick, b"\xff\x51\x03" + microseconds.to_bytes(3, "big")


def meter(tick: int, beats: int, exponent: int) -> Event:
    """In 6/8 the exponent is 3."""
    return tick, bytes((0xFF, 0x58, 4, beats, exponent, 24, 8))


def name(tick: int, text: str) -> Event:
    return tick, b"\xff\x03" + bytes([len(text)]) + text.encode()


def midi(*tracks: Iterable[Event], ticks: int = 4, in_order: bool = False) -> bytes:
    """A file of these tracks. `ticks` to a quarter: by default one tick is a sixteenth.

    Events are sorted by tick, those of one tick as given; `in_order` takes them as they are.
    """
    chunks = []
    for track in tracks:
        events = list(track) if in_order else sorted(track, key=lambda event: event[0])
        data, now = b"", 0
        for tick, message in events:
            data += number(tick - now) + message
            now = tick
        data += b"\x00\xff\x2f\x00"
        chunks.append(b"MTrk" + len(data).to_bytes(4, "big") + data)
    head = b"MThd\x00\x00\x00\x06\x00\x01" + len(chunks).to_bytes(2, "big") + ticks.to_bytes(2, "big")
    return head + b"".join(chunks)


def number(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))
