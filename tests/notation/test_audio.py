"""MP3 of tunes: decoded again, they last as long and sound as high as they should."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.notation.audio import SAMPLE_RATE, record, synthesise
from folkrnn.notation.notes import Note, notes
from folkrnn.vocabulary import V2

soundfile = pytest.importorskip("soundfile")
TUNE = "M:6/8 K:Cdor |: C > D E (3 F G A B | [ C E ] 3 z 3 |1 ^F 6 :| |2 G 6 |".split()


def decode(mp3: bytes) -> np.ndarray:
    sound, rate = soundfile.read(io.BytesIO(mp3))
    assert (rate, sound.ndim) == (SAMPLE_RATE, 1)
    return sound


def test_the_recording_lasts_as_long_as_the_tune():
    end = max(note.onset + note.duration for note in notes(TUNE))
    recording = record(TUNE, quarters_per_minute=120)
    assert recording.seconds == pytest.approx(float(end) * 0.25 + 0.35)
    assert len(decode(recording.mp3)) / SAMPLE_RATE == pytest.approx(recording.seconds, abs=0.1)
    assert recording.note == ""


def test_half_the_tempo_takes_twice_the_time():
    fast, slow = record(TUNE, quarters_per_minute=200), record(TUNE, quarters_per_minute=100)
    assert slow.seconds - 0.35 == pytest.approx(2 * (fast.seconds - 0.35))


def test_the_same_tune_gives_the_same_bytes():
    assert record(TUNE).mp3 == record(TUNE).mp3


@pytest.mark.parametrize("pitch", [48, 69, 84])
def test_a_note_has_its_pitch(pitch: int):
    sound = synthesise([Note(0, 4, pitch, 0)], eighth=0.25, seconds=1.0)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 8 * len(sound)))
    loudest = np.argmax(spectrum) * SAMPLE_RATE / (8 * len(sound))
    assert 12 * np.log2(loudest / 440) + 69 == pytest.approx(pitch, abs=0.2)


def test_a_rest_is_quiet_and_notes_are_not():
    sound = decode(record("M:4/4 K:Cmaj C z 7 C".split(), quarters_per_minute=60).mp3)
    loudness = [np.abs(sound[int(t * SAMPLE_RATE) : int((t + 0.4) * SAMPLE_RATE)]).mean() for t in (0.05, 2.5, 4.05)]
    assert loudness[1] < 0.01 * min(loudness[0], loudness[2])


def test_no_recording_is_larger_than_300_kb():
    tune = ["M:4/4", "K:Cmaj", "|:", *["C", "E", "G", "c", "|"] * 200, ":|"]
    recording = record(tune)
    assert len(recording.mp3) <= 300_000
    assert recording.kilobits == 24
    assert recording.note == f"fades out after 99 of {1600 * 30 / 180 + 0.35:.0f} seconds"
    sound = decode(recording.mp3)
    assert np.abs(sound[-SAMPLE_RATE // 10 :]).max() < 0.02


def test_a_tune_of_usual_length_is_whole_and_not_at_the_lowest_rate():
    tune = ["M:4/4", "K:Cmaj", *["|:", *["C", "E", "G", "c", "c", "G", "E", "C", "|"] * 8, ":|"] * 2]
    recording = record(tune)
    assert len(recording.mp3) <= 300_000
    assert recording.kilobits == 48
    assert recording.note == ""


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(V2.tokens), max_size=60))
def test_any_string_of_tokens_is_recorded(tokens: list[str]):
    recording = record(tokens)
    assert len(recording.mp3) <= 300_000
    sound = decode(recording.mp3)
    assert np.isfinite(sound).all()
    assert (np.abs(sound).max() > 0.1) == bool(notes(tokens))


def test_impossible_wishes_are_refused():
    with pytest.raises(UserError, match="tempo"):
        record(TUNE, quarters_per_minute=-1)
    with pytest.raises(UserError, match="most_bytes=10"):
        record(TUNE, most_bytes=10)
