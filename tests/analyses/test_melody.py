"""What is heard of a tune, on tunes whose answers can be read off the page."""

from __future__ import annotations

import pytest
from music21.analysis.discrete import KrumhanslKessler

from analyses.measures.melody import MAJOR, MINOR, QUANTITIES, fits_minor, pitch_classes, sums
from analyses.tune_statistics import MelodySums
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.notation.notes import Note, notes
from folkrnn.vocabulary import V2


def published(name: str) -> list[str]:
    return V2.decode(ids_of(name, V2))


def played(tokens: str) -> list[Note]:
    return notes(tokens.split(), unfold=False)


def share(tokens: list[str] | str, quantity: str) -> float:
    over, under = sums(tokens.split() if isinstance(tokens, str) else tokens)[quantity]
    return over / under


def test_every_quantity_is_counted_in_the_order_in_which_it_is_named():
    assert list(sums(published("fig1"))) == list(QUANTITIES)


@pytest.mark.parametrize("name", ["fig1", "swing_swang_swung"])
def test_both_published_tunes_end_both_parts_on_the_tonic(name):
    assert sums(published(name))["parts_ending_on_tonic"] == (2.0, 2.0)


def test_part_fives_tune_has_its_highest_note_in_the_turn_and_a_cadence_in_the_middle_of_it():
    assert share(published("swing_swang_swung"), "highest_in_turn") == 1.0
    assert sums(published("swing_swang_swung"))["mid_part_cadences"] == (1.0, 2.0)


def test_the_papers_first_figure_begins_both_parts_on_the_tonic():
    assert sums(published("fig1"))["starting_on_tonic"] == (2.0, 2.0)


def test_a_scale_moves_by_step_and_a_broken_chord_by_leap():
    scale, chord = "M:4/4 K:Cmaj C D E F G A B c |", "M:4/4 K:Cmaj C E G c e c G E |"
    assert (share(scale, "stepwise"), share(scale, "arpeggiated")) == (1.0, 0.0)
    assert (share(chord, "stepwise"), share(chord, "arpeggiated")) == (0.0, 1.0)


def test_a_bar_comes_again_or_is_varied_but_not_both():
    found = sums("M:4/4 K:Cmaj C D E F G A B c | C D E F G A B c | C D E F G G G G | c 8 |".split())
    assert found["repetition"] == (1.0, 3.0)  # the last bar is too short to be looked for
    assert found["variation"] == (1.0, 3.0)


@pytest.mark.parametrize(
    ("bar", "varies"),
    [("C D E F g g g g", True), ("C D E g g g g g", False), ("C D E F g g g g g", False), ("C D E F 4", True)],
)
def test_a_bar_varies_another_from_half_of_the_tokens_of_the_longer_one(bar, varies):
    assert sums(f"M:4/4 K:Cmaj C D E F G A B c | {bar} |".split())["variation"] == (float(varies), 2.0)


def test_how_well_pitch_classes_fit_a_key_is_as_krumhansl_and_kessler_measured():
    weights = KrumhanslKessler().getWeights
    assert list(MAJOR) == weights("major")
    assert list(MINOR) == weights("minor")


def test_time_is_counted_in_eighths_per_pitch_class():
    time = pitch_classes(played("M:4/4 K:Cmin C 4 E 2 e 2 |"))
    assert (time[0], time[3]) == (4.0, 4.0)


def test_a_tune_on_the_notes_of_a_minor_fits_it_and_one_on_c_e_g_does_not():
    assert fits_minor(pitch_classes(played("M:4/4 K:Cmaj A 4 A, 4 | E 2 c 2 A 4 |")))
    assert not fits_minor(pitch_classes(played("M:4/4 K:Cmaj C 4 G 4 | E 4 c 4 |")))


@pytest.mark.parametrize("tokens", [[], ["M:4/4", "K:Cmaj"], "M:4/4 K:Cmaj | |: :| |1 |2".split(), ["C"]])
def test_a_tune_with_hardly_a_note_counts_nothing_it_does_not_have(tokens):
    assert all(over <= max(under, 0) or name == "range" for name, (over, under) in sums(tokens).items())
    assert MelodySums.of([tokens]).pitch_use.sum() == pytest.approx(float("C" in tokens))


def test_the_use_of_pitches_is_no_distance_from_itself_and_one_from_other_pitches():
    one, other = (MelodySums.of([f"M:4/4 K:Cmaj {note} 8 |".split()]) for note in "CD")
    assert one.distance(one) == 0
    assert one.distance(other) == 1
