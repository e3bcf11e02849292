"""Any string of tokens as a small MP3: a plucked string with the breath of a whistle, computed note by note."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from folkrnn.errors import UserError
from folkrnn.notation.midi import tempo
from folkrnn.notation.notes import Note, notes

SAMPLE_RATE = 22050
_KILOBITS = (48, 40, 32, 24)
"""Bit rates to choose from; below 24 kbit/s the sound suffers more than a shorter tune would."""
_FASTEST, _SLOWEST = 160, 8  # the range of kbit/s that libsndfile spreads its compression levels over at this rate
_FADE, _RING, _ATTACK, _RELEASE = 3.0, 0.35, 0.006, 0.09  # seconds
_ECHOES = ((0.031, 0.14), (0.067, 0.10), (0.113, 0.06))
"""Delay in seconds and strength: a small room."""


@dataclass(frozen=True)
class Recording:
    """An MP3 and how much of the tune it holds."""

    mp3: bytes
    seconds: float
    """How long it plays, the last note's ringing included."""
    kilobits: int
    """Bit rate, kbit/s."""
    note: str
    """Says that the tune was cut, and where; "" where it is whole."""


def record(tokens: Sequence[str], quarters_per_minute: float | None = None, most_bytes: int = 300_000) -> Recording:
    """Returns a recording of any string of tokens, repeats played out: MP3, mono, 22.05 kHz, at most `most_bytes`.

    The bit rate is the best that fits; a tune too long even for 24 kbit/s fades out, which `note` says. The same tune
    gives the same bytes. A tune without notes is a moment of silence. `quarters_per_minute` is `midi.tempo(tokens)`
    where it is not given. Raises UserError for a tempo that is not positive and for a limit of less than 20,000 bytes.
    """
    if quarters_per_minute is not None and quarters_per_minute <= 0:
        raise UserError(f"quarters_per_minute={quarters_per_minute}: a tempo is a positive number, say 160")
    if most_bytes < 20_000:
        raise UserError(f"most_bytes={most_bytes}: an MP3 of a tune needs 20,000 bytes or more")
    eighth = 30.0 / (quarters_per_minute or tempo(tokens))
    played = notes(tokens)
    whole = max((float(note.onset + note.duration) for note in played), default=0.0) * eighth + _RING
    longest = (most_bytes - 2_000) * 8 / (1000 * _KILOBITS[-1])
    seconds = min(whole, longest)
    sound = synthesise([note for note in played if float(note.onset) * eighth < seconds], eighth, seconds)
    if seconds < whole:
        fading = min(round(_FADE * SAMPLE_RATE), len(sound))
        sound[len(sound) - fading :] *= np.linspace(1.0, 0.0, fading, dtype=np.float32) ** 2
    kilobits = next(rate for rate in _KILOBITS if rate * 125 * seconds <= most_bytes - 2_000 or rate == _KILOBITS[-1])
    note = "" if seconds == whole else f"fades out after {seconds:.0f} of {whole:.0f} seconds"
    return Recording(_encode(sound, kilobits), seconds, kilobits, note)


def synthesise(played: Sequence[Note], eighth: float, seconds: float) -> np.ndarray:
    """Returns the sound of the notes, float32 `[samples]` within ±0.8, an eighth lasting `eighth` seconds."""
    total = max(round(seconds * SAMPLE_RATE), 1)
    sound = np.zeros(total + round(2 * SAMPLE_RATE), dtype=np.float32)
    for note in played:
        start = round(float(note.onset) * eighth * SAMPLE_RATE)
        samples = round(float(note.duration) * eighth * SAMPLE_RATE)
        tone = _tone(note.pitch, min(samples, 8 * SAMPLE_RATE))
        end = min(start + len(tone), len(sound))
        sound[start:end] += tone[: end - start]
    dry = sound.copy()
    for delay, strength in _ECHOES:
        shift = round(delay * SAMPLE_RATE)
        sound[shift:] += strength * dry[:-shift]
    peak = float(np.abs(sound).max())
    return (0.8 / peak * sound if peak else sound)[:total]


@lru_cache(maxsize=512)
def _tone(pitch: int, samples: int) -> np.ndarray:
    """One note, float32: harmonics that fade the faster the higher they are, over a steady, breathing fundamental."""
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    time = np.arange(samples + round(_RELEASE * SAMPLE_RATE)) / SAMPLE_RATE
    tone = 0.35 * np.sin(2 * np.pi * frequency * time + 0.12 * np.sin(2 * np.pi * 5.2 * time)) * np.exp(-0.9 * time)
    for harmonic in range(1, 8):
        sounding = frequency * harmonic * (1 + 0.0003 * harmonic**2)  # a string is a little stiff
        if sounding > 0.45 * SAMPLE_RATE:
            break
        fading = np.exp(-(1.8 + 1.5 * harmonic + frequency / 400) * time)
        tone += harmonic**-1.3 * fading * np.sin(2 * np.pi * sounding * time)
    tone *= np.minimum(1.0, time / _ATTACK)
    release = np.clip((len(time) - np.arange(len(time))) / (_RELEASE * SAMPLE_RATE), 0.0, 1.0)
    loudness = (220.0 / frequency) ** 0.25  # ears hear high notes louder
    return (loudness * tone * release**1.5).astype(np.float32)


def _encode(sound: np.ndarray, kilobits: int) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    level = (_FASTEST - kilobits) / (_FASTEST - _SLOWEST)
    soundfile.write(
        buffer,
        sound,
        SAMPLE_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=level,
    )
    return buffer.getvalue()
