"""MIDI files: read back by an independent parser, and the same as abc2midi hears."""

from __future__ import annotations

import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.notation.midi import grid, tempo, to_midi
from folkrnn.notation.notes import notes
from folkrnn.vocabulary import V2

soup = st.lists(st.sampled_from(V2.tokens), max_size=80)
TUNE = "M:6/8 K:Cdor |: C > D E (3 F G A B | [ C E ] 3 z 3 |1 ^F 6 :| |2 G 6 |".split()


def read_midi(data: bytes) -> tuple[int, list[tuple[int, bytes]], list[tuple[Fraction, Fraction, int]]]:
    """Ticks per quarter, meta events by tick, and notes as (onset, duration, pitch) in eighths."""
    assert data[:8] == b"MThd\x00\x00\x00\x06"
    form, tracks, ticks = struct.unpack(">HHH", data[8:14])
    assert (form, tracks) == (0, 1)
    assert data[14:18] == b"MTrk"
    track = data[22:]
    assert len(track) == struct.unpack(">I", data[18:22])[0]
    place = now = 0
    meta, heard, sounding = [], [], {}
    while place < len(track):
        delta = 0
        while track[place] & 0x80:
            delta = (delta << 7) | (track[place] & 0x7F)
            place += 1
        delta = (delta << 7) | track[place]
        now += delta
        place += 1
        status = track[place]
        if status == 0xFF:
            length = track[place + 2]
            meta.append((now, track[place + 1 : place + 3 + length]))
            place += 3 + length
        elif status == 0xC0:
            place += 2
        else:
            pitch = track[place + 1]
            if status == 0x90:
                assert pitch not in sounding, "a note begins while it sounds"
                sounding[pitch] = now
            else:
                start = sounding.pop(pitch)
                heard.append((Fraction(2 * start, ticks), Fraction(2 * (now - start), ticks), pitch))
            place += 3
    assert not sounding
    assert meta[-1][1] == b"\x2f\x00"
    return ticks, meta, sorted(heard)


def test_every_note_is_exact():
    _, _, heard = read_midi(to_midi(TUNE))
    assert heard == sorted((note.onset, note.duration, note.pitch) for note in notes(TUNE))


def test_tempo_meter_and_key_are_told():
    _, meta, _ = read_midi(to_midi(TUNE, quarters_per_minute=120))
    assert [event for _, event in meta] == [
        b"\x51\x03\x07\xa1\x20",  # 500,000 microseconds a quarter
        b"\x58\x04\x06\x03\x24\x08",  # 6/8
        b"\x59\x02\xfe\x00",  # two flats
        b"\x2f\x00",
    ]


def test_the_tempo_fits_the_meter_where_none_is_asked_for():
    assert tempo(TUNE) == 165
    assert tempo(["M:4/4", "K:Cmaj"]) > tempo(["M:2/4", "K:Cmaj"])
    assert to_midi(TUNE) == to_midi(TUNE, quarters_per_minute=165)


def test_a_tempo_is_positive():
    with pytest.raises(UserError, match="quarters_per_minute=0"):
        to_midi(TUNE, quarters_per_minute=0)


def test_the_grid_divides_every_tuplet():
    tune = "M:4/4 K:Cmaj (7 C D E F G A B (9 C C C C C C C C C (5 C C C C C /8".split()
    assert grid(notes(tune)) % (7 * 9 * 5 * 16) == 0
    _, _, heard = read_midi(to_midi(tune))
    assert [onset for onset, _, _ in heard] == [note.onset for note in notes(tune)]


@given(soup)
def test_any_string_of_tokens_makes_a_midi_file(tokens: list[str]):
    _, _, heard = read_midi(to_midi(tokens))
    expected = notes(tokens)
    assert [pitch for _, _, pitch in heard] == [note.pitch for note in expected]
    assert [float(onset) for onset, _, _ in heard] == pytest.approx([float(n.onset) for n in expected], abs=1e-3)


def test_symusic_reads_the_same_notes():
    symusic = pytest.importorskip("symusic")
    score = symusic.Score.from_midi(to_midi(TUNE))
    heard = sorted((Fraction(2 * note.start, score.tpq), note.pitch) for note in score.tracks[0].notes)
    assert heard == sorted((note.onset, note.pitch) for note in notes(TUNE))
    assert (score.time_signatures[0].numerator, score.time_signatures[0].denominator) == (6, 8)
    assert score.key_signatures[0].key == -2
