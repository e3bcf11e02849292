"""Each rule (facts on MusicVAE, section 5.2) alone, all against Magenta's own extraction, any file without an error."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from midi_bytes import Event, meter, midi, note, off, on, program, tempo

from folkrnn.errors import UserError
from folkrnn.melodies.extract import Extraction, extract_bytes
from folkrnn.melodies.rules import REASONS, Rules, magenta_rules

C = 60 - 19
"""The class of middle C."""


def melodies(events: Iterable[Event], rules: Rules | None = None) -> list[list[int]]:
    """The unsliced melodies of one track in which a tick is a sixteenth."""
    return [m.classes.tolist() for m in extract_bytes(midi(events), rules or Rules()).melodies]


def slices(events: Iterable[Event], rules: Rules | None = None) -> list[list[int]]:
    return extract_bytes(midi(events), rules or Rules()).slices.tolist()


def bar(*events: tuple[int, int]) -> list[int]:
    """A bar of sixteen steps with these (step, class)."""
    classes = [0] * 16
    for step, value in events:
        classes[step] = value
    return classes


def test_a_note_is_cut_by_the_next_whatever_its_pitch():
    assert melodies([*note(0, 12, 72), *note(4, 8, 60)]) == [bar((0, C + 12), (4, C), (8, 1))]


def test_of_notes_that_begin_together_the_highest_is_heard():
    assert melodies([*note(0, 4, 64), *note(0, 2, 67), *note(0, 16, 60)]) == [bar((0, C + 7), (2, 1))]


def test_a_melody_begins_on_the_bar_line_before_its_first_note():
    (melody,) = extract_bytes(midi(note(20, 24, 60)), Rules()).melodies
    assert (melody.start, melody.classes.tolist()) == (16, bar((4, C), (8, 1)))


def test_its_last_note_off_is_written_only_before_the_end_of_the_bar():
    assert melodies(note(0, 16, 60)) == [bar((0, C))]
    assert melodies(note(0, 15, 60)) == [bar((0, C), (15, 1))]


def test_silence_of_fifteen_steps_goes_on_and_of_sixteen_ends_the_melody():
    assert len(melodies([*note(0, 1, 60), *note(16, 17, 60)])) == 1
    assert len(melodies([*note(0, 1, 60), *note(17, 18, 60)])) == 2


def test_a_melody_holds_at_most_a_hundred_bars():
    assert [len(m) for m in melodies(note(0, 5000, 60))] == [1600]


def test_slices_begin_at_every_bar_and_are_whole():
    melody = [*note(0, 4, 60), *note(16, 20, 62), *note(32, 36, 64)]
    assert slices(melody) == [
        bar((0, C), (4, 1)) + bar((0, C + 2), (4, 1)),
        bar((0, C + 2), (4, 1)) + bar((0, C + 4), (4, 1)),
    ]


def test_a_note_held_in_from_before_is_lost_and_so_is_its_end():
    assert slices([*note(0, 20, 60), *note(30, 46, 62)])[1] == bar((14, C + 2)) + bar((14, 1))


def test_a_slice_inside_a_long_note_is_kept_empty():
    assert slices(note(0, 64, 60)) == [bar((0, C)) + bar(), bar() + bar(), bar() + bar()]


def test_repeats_of_a_slice_are_told_apart_by_piece():
    twice = [*note(0, 4, 60), *note(16, 20, 60), *note(32, 36, 60)]
    once_more = [(tick + 48, message) for tick, message in twice]
    found = extract_bytes(midi([*twice, tempo(48, 400_000), *once_more]), Rules())
    assert len({row.tobytes() for row in found.slices}) == 1
    assert [found.melodies[m].piece for m in found.melody] == [0, 0, 1, 1]
    assert found.distinct().tolist() == [0, 2]


def test_a_change_of_tempo_begins_a_new_piece_in_which_bars_count_anew():
    found = extract_bytes(midi([*note(0, 4, 60), tempo(8, 250_000), *note(8, 12, 62)]), Rules())
    assert [(m.piece, m.start, m.classes.tolist()) for m in found.melodies] == [
        (0, 0, bar((0, C), (4, 1))),
        (1, 0, bar((0, C + 2), (4, 1))),
    ]


def test_a_note_is_cut_where_the_tempo_changes():
    assert melodies([*note(0, 12, 60), tempo(8, 250_000)]) == [bar((0, C), (8, 1))]


def test_naming_the_same_tempo_or_meter_again_changes_nothing():
    assert len(melodies([meter(0, 4, 2), *note(0, 4, 60), tempo(8, 500_000), meter(8, 4, 2), *note(8, 12, 60)])) == 1


@pytest.mark.parametrize(("beats", "exponent"), [(4, 2), (2, 1), (8, 3), (1, 0)])
def test_bars_of_four_quarters_are_taken_however_written(beats, exponent):
    assert len(melodies([meter(0, beats, exponent), *note(0, 4, 60)])) == 1


@pytest.mark.parametrize(("beats", "exponent"), [(3, 2), (6, 3), (2, 2), (9, 3), (12, 3), (5, 2)])
def test_other_meters_give_nothing_by_magenta_s_rule(beats, exponent):
    found = extract_bytes(midi([meter(0, beats, exponent), *note(0, 40, 60)]), Rules())
    assert (found.reason, found.detail) == ("meter", f"it is in {beats}/{2**exponent}")


def test_with_all_meters_slices_begin_on_bar_lines_of_their_own():
    jig = [meter(0, 6, 3), *(event for k in range(30) for event in note(2 * k, 2 * k + 2, 60 + k))]
    found = extract_bytes(midi(jig), Rules(meters="all"))
    assert found.offset.tolist() == [0, 12, 24]  # 60 steps: five bars of twelve
    assert found.slices[:, ::2].tolist() == [list(range(C + k, C + k + 16)) for k in (0, 6, 12)]
    assert not found.slices[:, 1::2].any()


def test_in_short_bars_too_it_takes_sixteen_silent_steps_to_end_a_melody():
    polka = [meter(0, 2, 2), *note(0, 1, 60), *note(16, 17, 60), *note(33, 34, 60)]
    found = extract_bytes(midi(polka), Rules(meters="all"))
    assert [(m.start, len(m.classes)) for m in found.melodies] == [(0, 24), (32, 8)]


def test_a_bar_that_is_no_whole_number_of_sixteenths_is_never_taken():
    assert extract_bytes(midi([meter(0, 5, 5), *note(0, 40, 60)]), Rules(meters="all")).reason == "meter"


def test_the_rules_for_two_bars_admit_pianos_to_guitars_and_those_for_sixteen_all():
    data = midi([program(0, 32), *note(0, 300, 60)])
    assert extract_bytes(data, magenta_rules(2)).reason == "programs"
    assert extract_bytes(data, magenta_rules(16)).reason == ""


def test_notes_beyond_the_keys_of_a_piano_are_dropped():
    assert melodies([*note(0, 8, 20), *note(4, 8, 21), *note(6, 8, 109)]) == [bar((4, 2), (8, 1))]


def test_times_are_rounded_to_the_nearest_step_and_halves_up():
    def rounded(tick: int) -> int:
        """Where a note lands that begins at `tick`, of which ten make a step."""
        (melody,) = extract_bytes(midi(note(tick, tick + 20, 60), ticks=40), Rules()).melodies
        return int(np.flatnonzero(melody.classes == C)[0])

    assert [rounded(tick) for tick in (0, 4, 5, 14, 15)] == [0, 0, 1, 1, 2]


def test_a_note_shorter_than_a_step_gets_one():
    data = midi(note(0, 1, 60), ticks=40)
    assert extract_bytes(data, Rules()).melodies[0].classes.tolist() == bar((0, C), (1, 1))


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", "unreadable", "empty"),
        (b"MThd nonsense that goes on", "unreadable", ""),
        (midi([]), "no_notes", ""),
        (midi([on(0, 60)]), "no_notes", ""),
        (midi(note(0, 40, 36, channel=9)), "drums_only", ""),
        (midi([program(0, 73), *note(0, 40, 60)]), "programs", ""),
        (midi([*note(0, 40, 20), *note(0, 40, 109)]), "pitch_range", ""),
        (midi([meter(0, 3, 2), *note(0, 40, 60)]), "meter", "3/4"),
        (midi(note(0, 16, 60)), "too_short", "16 steps of 32"),
    ],
)
def test_a_file_that_yields_nothing_says_why(data, reason, detail):
    found = extract_bytes(data, Rules())
    assert found.slices.shape == (0, 32)
    assert found.reason == reason
    assert detail in found.detail
    assert reason in REASONS


def test_chords_can_be_refused():
    line = [*note(0, 4, 60), *note(16, 20, 62)]
    chords = [*note(64, 68, 60), *note(64, 68, 64), *note(80, 84, 60), *note(128, 132, 60)]
    rules = Rules(polyphony="skip")
    assert len(melodies([*line, *chords])) == 3
    assert [len(m) for m in melodies([*line, *chords], rules)] == [32]  # nor is what follows the chord taken
    assert extract_bytes(midi(chords), rules).reason == "polyphony"


@pytest.mark.parametrize(("name", "value"), [("meters", "3/4"), ("polyphony", "lowest"), ("bars", 0)])
def test_rules_that_there_are_not_are_refused(name, value):
    with pytest.raises(UserError, match=name):
        Rules(**{name: value})


def many() -> Extraction:
    pitches = np.random.default_rng(0).integers(40, 90, 40)
    line = [event for k, pitch in enumerate(pitches.tolist()) for event in note(16 * k, 16 * k + 16, pitch)]
    return extract_bytes(midi([*line, tempo(320, 400_000)]), Rules())


def test_at_most_so_many_slices_of_a_file_are_kept_and_the_seed_decides_which():
    found = many()
    some = found.some(5, np.random.default_rng(1))
    assert len(set(some.tolist())) == 5
    assert set(some.tolist()) <= set(found.distinct().tolist())
    assert (some == found.some(5, np.random.default_rng(1))).all()
    assert (some != found.some(5, np.random.default_rng(2))).any()
    assert (found.some(None, np.random.default_rng(1)) == found.distinct()).all()


def test_each_piece_gives_at_most_so_many_before_all_do():
    found = many()
    draws = [found.some(5, np.random.default_rng(k)) for k in range(200)]
    pieces = np.array([[found.melodies[m].piece for m in found.melody[draw]] for draw in draws])
    assert {0, 1} == set(pieces.ravel().tolist())
    assert 0.4 < pieces.mean() < 0.6  # five of either go into the last draw


def files(folder: Path) -> list[Path]:
    return sorted((folder / "melody_parity/midi").glob("*.mid"))


def test_magenta_and_note_seq_find_the_same_in_every_file(test_data):
    compared = 0
    for file in files(test_data):
        oracle = np.load(test_data / "melody_parity/oracle" / f"{file.stem}.npz")
        for config, bars in (("mel_2bar", 2), ("mel_16bar", 16)):
            found = extract_bytes(file.read_bytes(), magenta_rules(bars))
            meta = [[m.piece, m.start, len(m.classes)] for m in found.melodies]
            assert meta == oracle[f"{config}_melody_meta"].tolist(), file.stem
            assert found.slices.tolist() == oracle[f"{config}_ordered"].tolist(), file.stem
            assert sorted(found.slices[found.distinct()].tolist()) == oracle[f"{config}_unique"].tolist(), file.stem
            assert bool(found.reason) == (len(found.slices) == 0)
            compared += 1
    assert compared == 2 * 45


def test_note_seq_reads_the_same_notes_to_the_last_bit(test_data):
    from folkrnn.melodies.read import read_midi

    for file in files(test_data):
        oracle = np.load(test_data / "melody_parity/oracle" / f"{file.stem}.npz")
        played = read_midi(file.read_bytes())
        columns = (played.instrument, played.program, played.drum, played.pitch, played.velocity)
        assert np.stack(columns, 1).tolist() == oracle["notes"].tolist(), file.stem
        assert np.stack([played.start, played.end], 1).tolist() == oracle["note_times"].tolist(), file.stem
        assert played.tempos == [tuple(row) for row in oracle["tempos"].tolist()], file.stem
        assert played.meters == [tuple(row) for row in oracle["time_signatures"].tolist()], file.stem


soup = st.lists(
    st.one_of(
        st.builds(on, st.integers(0, 200), st.integers(0, 127), st.sampled_from([0, 1, 9]), st.sampled_from([0, 90])),
        st.builds(off, st.integers(0, 200), st.integers(0, 127), st.sampled_from([0, 1, 9])),
        st.builds(lambda a, n, p: note(a, a + n, p), st.integers(0, 200), st.integers(0, 60), st.integers(50, 70)),
        st.builds(tempo, st.integers(0, 200), st.integers(1, 2**24 - 1)),
        st.builds(meter, st.integers(0, 200), st.integers(1, 20), st.integers(0, 8)),
        st.builds(program, st.integers(0, 200), st.integers(0, 127)),
    ).map(lambda event: event if isinstance(event, list) else [event]),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(soup, min_size=1, max_size=3),
    st.sampled_from([2, 16]),
    st.sampled_from(["4/4", "all"]),
    st.sampled_from(["highest", "skip"]),
)
def test_any_soup_of_notes_yields_whole_tidy_slices_or_a_reason(tracks, bars, meters, polyphony):
    data = midi(*([event for events in track for event in events] for track in tracks))
    found = extract_bytes(data, Rules(bars, None, meters, polyphony))
    assert found.reason in {"", *REASONS}
    assert bool(found.reason) == (len(found.slices) == 0)
    assert found.slices.shape[1] == 16 * bars
    assert (found.slices < 90).all()
    for melody in found.melodies:
        assert len(melody.classes) % melody.bar == 0
        assert 0 < len(melody.classes) <= 1600
        assert (melody.classes[: melody.bar] >= 2).any()
    for row in found.slices.tolist():
        events = [value for value in row if value]
        assert events[:1] != [1]
        assert all(not (a == b == 1) for a, b in itertools.pairwise(events))
