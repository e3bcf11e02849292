from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from midi_bytes import Event, meter, midi, name, note, off, on, program, tempo

from folkrnn.melodies.extract import extract_bytes
from folkrnn.melodies.read import Unreadable, read_midi
from folkrnn.melodies.rules import Rules


def heard(data: bytes) -> list[tuple[int, int, int]]:
    """(first, last step, pitch) of all notes, in a file without tempo and with four ticks to a quarter."""
    played = read_midi(data)
    return [
        (round(a * 8), round(b * 8), p)
        for a, b, p in zip(played.start.tolist(), played.end.tolist(), played.pitch.tolist(), strict=True)
    ]


def test_a_note_lasts_from_its_on_to_its_off():
    assert heard(midi(note(2, 5, 60))) == [(2, 5, 60)]


def test_one_off_ends_all_notes_of_its_pitch():
    assert heard(midi([on(0, 60), on(2, 60), off(4, 60), off(8, 60)])) == [(0, 4, 60), (2, 4, 60)]


def test_an_off_spares_the_note_that_begins_with_it_if_it_ends_another():
    assert heard(midi([on(0, 60), on(4, 60), off(4, 60), off(6, 60)])) == [(0, 4, 60), (4, 6, 60)]
    assert heard(midi([on(0, 60), on(4, 60), on(4, 60), off(4, 60), off(6, 60)])) == [
        (0, 4, 60),
        (4, 6, 60),
        (4, 6, 60),
    ]


def test_a_note_without_length_or_without_end_is_none():
    assert heard(midi([on(0, 60), off(0, 60), off(4, 60), on(5, 62)])) == []


def test_an_on_without_velocity_is_an_off():
    assert heard(midi([on(0, 60), on(4, 60, velocity=0)])) == [(0, 4, 60)]


def test_offs_of_other_channels_and_tracks_end_nothing():
    assert heard(midi([on(0, 60), off(2, 60, channel=1), off(4, 60)], [off(1, 60)])) == [(0, 4, 60)]


def test_instruments_are_numbered_as_their_first_notes_end():
    played = read_midi(midi([*note(0, 8, 60, channel=1), *note(0, 4, 70)], [name(0, "Flute"), *note(0, 1, 50)]))
    assert played.pitch.tolist() == [70, 60, 50]
    assert played.instrument.tolist() == [0, 1, 2]
    assert played.names == ["", "", "Flute"]


def test_a_note_belongs_to_the_program_in_which_it_ends():
    played = read_midi(midi([program(0, 5), on(0, 60), program(2, 40), off(4, 60), *note(4, 8, 62)]))
    assert played.program.tolist() == [40, 40]
    assert played.instrument.tolist() == [0, 0]


def test_the_tenth_channel_is_drums():
    played = read_midi(midi([*note(0, 4, 36, channel=9), *note(0, 8, 60)]))
    assert played.drum.tolist() == [True, False]


def test_tempo_and_meter_of_other_tracks_do_not_count():
    played = read_midi(midi([tempo(0, 600_000), meter(0, 3, 2)], [tempo(0, 250_000), meter(0, 6, 3), *note(0, 4, 60)]))
    assert played.tempos == [(0.0, pytest.approx(100))]
    assert played.meters == [(0.0, 3, 4)]
    assert played.end.tolist() == [pytest.approx(0.6)]


def test_the_last_tempo_at_the_start_counts_and_repeats_do_not():
    played = read_midi(
        midi([tempo(0, 400_000), tempo(0, 500_000), tempo(4, 500_000), tempo(8, 250_000), *note(4, 12, 60)])
    )
    assert played.tempos == [(0.0, 120.0), (1.0, 240.0)]
    assert (played.start.tolist(), played.end.tolist()) == ([0.5], [1.25])


def test_running_status_long_deltas_and_system_exclusive_are_read():
    events = (
        b"\x00\xf0\x03\x01\x02\xf7"
        + b"\x81\x00\x90\x3c\x40"
        + b"\x04\x3e\x40"
        + b"\x04\xff\x01\x01x"
        + b"\x00\x3c\x00\x00\x3e\x00"
    )
    data = b"MThd\0\0\0\6\0\0\0\1\0\4MTrk" + len(events).to_bytes(4, "big") + events
    assert heard(data) == [(128, 136, 60), (132, 136, 62)]


NOTES = [(0, 4, 60), (4, 8, 62)]
LIVE = {
    "clock": b"\xf8",
    "start": b"\xfa",
    "continue": b"\xfb",
    "stop": b"\xfc",
    "active sensing": b"\xfe",
    "time code": b"\xf1\x23",
    "song position": b"\xf2\x10\x20",
    "song": b"\xf3\x05",
    "tuning": b"\xf6",
}


def track(events: bytes) -> bytes:
    events += b"\x00\xff\x2f\x00"
    return b"MThd\0\0\0\6\0\0\0\1\0\4MTrk" + len(events).to_bytes(4, "big") + events


@pytest.mark.parametrize("message", LIVE.values(), ids=LIVE.keys())
@pytest.mark.parametrize("place", range(5))
def test_messages_of_a_live_stream_between_events_are_passed_over(message: bytes, place: int):
    events = [on(0, 60), off(4, 60), on(4, 62), off(8, 62)]
    assert heard(midi([*events[:place], (events[min(place, 3)][0], message), *events[place:]], in_order=True)) == NOTES


@pytest.mark.parametrize("message", [m for m in LIVE.values() if m[0] >= 0xF8])
def test_real_time_messages_leave_the_running_status(message: bytes):
    live = b"\x00" + message
    running = (b"\x00\x90\x3c\x40", b"\x04\x3c\x00", b"\x00\x3e\x40", b"\x04\x3e\x00")
    assert heard(track(live + live.join(running) + live)) == NOTES


@pytest.mark.parametrize("message", [m for m in LIVE.values() if m[0] < 0xF8])
def test_common_messages_end_the_running_status(message: bytes):
    with pytest.raises(Unreadable, match="must begin"):
        heard(track(b"\x00\x90\x3c\x40\x00" + message + b"\x04\x3c\x00"))


def test_real_time_messages_inside_an_event_are_passed_over():
    assert heard(track(b"\x00\xc0\xf8\x05\x00\x90\xfe\x3c\xf8\xf8\x40\x04\x80\x3c\xf8\x00")) == [(0, 4, 60)]
    assert heard(track(b"\x00\xb0\x07\xf8\x40\x00\x90\x3c\x40\x04\x3c\xf8\x00")) == [(0, 4, 60)]
    assert heard(track(b"\x00\xf2\xf8\x10\x20\x00\x90\x3c\x40\x04\x3c\x00")) == [(0, 4, 60)]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("change", [lambda k: tempo(8 * k, 500_000 + k), lambda k: meter(64 * k, 4, 2 + k % 2)])
def test_a_change_at_every_beat_takes_time_in_proportion(change):
    """A step that looks at all changes for each of them takes over a minute of these."""
    count = 16_000
    events = [event for k in range(count) for event in (change(k), *note(8 * k, 8 * k + 4, 50 + k % 30))]
    found = extract_bytes(midi(events), Rules())
    assert found.reason == "too_short" or len(found.some(5, np.random.default_rng(0))) == 5
    assert len(read_midi(midi(events))) == count


def test_chunks_of_other_kinds_are_passed_over():
    data = midi(note(0, 4, 60))
    assert heard(data[:14] + b"XFIH\0\0\0\2ab" + data[14:]) == [(0, 4, 60)]


SOUND = midi([tempo(0, 500_000), meter(0, 4, 2), program(0, 3), *note(0, 4, 60), *note(4, 8, 62)])


@pytest.mark.parametrize("before", [b"", b"DISP\3\0\0\0abc\0", b"LIST\4\0\0\0INFO"])
@pytest.mark.parametrize("behind", [b"", b"DLS \2\0\0\0ab"])
@pytest.mark.parametrize("stated", [len(SOUND), 0])
def test_a_file_wrapped_in_riff_is_unwrapped(before, behind, stated):
    inside = b"RMID" + before + b"data" + stated.to_bytes(4, "little") + SOUND + behind
    assert heard(b"RIFF" + len(inside).to_bytes(4, "little") + inside) == heard(SOUND)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (bytes(40), "does not begin"),
        (b"RIFF" + bytes(4) + b"RMIDLIST" + bytes(4), "RMID, without the MIDI file"),
        (b"RIFF" + bytes(4) + b"RMIDdata" + bytes(4), "does not begin|empty"),
        (b"RIFF" + bytes(4) + b"WAVEfmt " + bytes(20), "RIFF file of the kind WAVE"),
        (b"\x1f\x8b" + bytes(20), "compressed"),
        (b"MThd\0\0\0\6\0\1\0\0\0\4", "no tracks"),
        (SOUND[:12] + b"\xe7\x28" + SOUND[14:], "frames"),
        (SOUND[:12] + b"\0\0" + SOUND[14:], "no ticks"),
        (SOUND[:10] + b"\0\2" + SOUND[12:], "breaks off in track 2 of 2"),
        (midi([(0, b"\x3c\x40")]), "must begin"),
        (midi([(0, b"\xf4\x00")]), "no file may hold"),
        (midi([(0, b"\x90\x90\x40")]), "is no note"),
        (midi([tempo(0, 0)]), "tempo"),
        (midi([(2**35, b"\xc0\x01")]), "more than four bytes"),
        (midi([*((k << 27, b"\xc0\x01") for k in range(2**12)), *note(2**39, 2**39 + 1, 60)]), "for ever"),
        (midi([(0, b"\xff\x51\x01\x07")]), "breaks off"),
        (midi([meter(0, 0, 2)]), "meter"),
        (midi([meter(0, 4, 200)]), "meter"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(data, why):
    with pytest.raises(Unreadable, match=why):
        read_midi(data)


@pytest.mark.parametrize("length", range(len(SOUND)))
def test_a_file_cut_short_anywhere_is_unreadable(length):
    with pytest.raises(Unreadable):
        read_midi(SOUND[:length])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_unreadable(data):
    damaged = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(SOUND) - 1))] = data.draw(st.integers(0, 255))
    try:
        played = read_midi(bytes(damaged))
    except Unreadable:
        return
    assert (played.end > played.start).all()
    assert ((played.pitch >= 0) & (played.pitch < 128)).all()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
@example(b"\x00\xff\x51\x83\xff\xff\xff\x7f")
def test_no_bytes_of_a_track_do_more_than_make_it_unreadable(track):
    try:
        read_midi(b"MThd\0\0\0\6\0\0\0\1\0\4MTrk" + len(track).to_bytes(4, "big") + track)
    except Unreadable as error:
        assert str(error)


def well_formed(draw: random.Random) -> list[Event]:
    """Notes of several channels, none of which begins while its pitch sounds."""
    events = [program(0, draw.randrange(128), channel) for channel in (0, 1, 9)]
    for channel in (0, 1, 9):
        for pitch in draw.sample(range(30, 90), 12):
            now = 0
            for _ in range(draw.randrange(6)):
                start = now + draw.randrange(1, 30)
                now = start + draw.randrange(1, 30)
                events += note(start, now, pitch, channel)
    return events


@pytest.mark.parametrize("seed", range(5))
def test_of_well_formed_files_symusic_reads_the_same(seed):
    symusic = pytest.importorskip("symusic")
    draw = random.Random(seed)
    data = midi([tempo(0, 400_000), meter(0, 4, 2), *well_formed(draw)], well_formed(draw), ticks=4)
    ours = read_midi(data)
    theirs = symusic.Score.from_midi(data)
    columns = (ours.start * 10, ours.end * 10, ours.pitch, ours.velocity, ours.program, ours.drum)
    expected = [
        (n.time, n.end, n.pitch, n.velocity, track.program, track.is_drum)
        for track in theirs.tracks
        for n in track.notes
    ]
    rows = zip(*(np.rint(column).astype(int).tolist() for column in columns), strict=True)
    assert sorted(rows) == sorted(expected)
    assert len(theirs.tracks) == ours.instrument.max() + 1
