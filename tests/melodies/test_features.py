"""jSymbolic features, held against music21's own extraction from a score."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from music21.features import DataInstance, jSymbolic

from folkrnn.datasets.irish import music21_corpus
from folkrnn.datasets.melodies import SONGS, melodies, random_notes
from folkrnn.melodies.features import Forms, features, left_out, measure, score
from folkrnn.melodies.grid import CLASSES, QUARTERS_PER_MINUTE, one_voice
from folkrnn.melodies.twinkle import twinkle

NUMBERS = [feature.number for feature in features()]
IN_SECONDS = ("R15", "R17", "R18", "R19", "R20", "R21", "R22", "R23", "R24", "R25", "R30", "R36")
"""Features that depend on the tempo."""


def by_music21(classes: np.ndarray, tempo: float) -> list[float]:
    """Each feature from music21's own reading of a score, whichever of ours has its number; NaN if it raises."""
    instance = DataInstance(score(classes, tempo))
    found = {}
    for extractor in jSymbolic.featureExtractors:
        try:
            found[extractor.id.upper()] = extractor(instance).extract().vector[0]
        except Exception:  # they raise whatever comes up
            found[extractor.id.upper()] = float("nan")
    return [found[number] for number in NUMBERS]


def of(classes: np.ndarray, tempo: float = QUARTERS_PER_MINUTE) -> dict[str, float]:
    return dict(zip(NUMBERS, measure(classes[None], np.array([tempo]))[0].tolist(), strict=True))


@pytest.fixture(scope="module")
def real():
    return melodies(path=str(music21_corpus(SONGS) / "miscFolk"))


def test_real_melodies_measure_to_the_bit_what_music21_measures(real):
    chosen = np.random.default_rng(0).choice(len(real), 250, replace=False)
    expected = [by_music21(classes, QUARTERS_PER_MINUTE) for classes in real.classes[chosen]]
    np.testing.assert_array_equal(measure(real.classes[chosen], real.quarters_per_minute[chosen]), expected)


def test_sixteen_bars_and_other_tempi_do_too():
    long, short = random_notes(3, bars=16), random_notes(60)
    for corpus in (long, short):
        assert len(np.unique(corpus.quarters_per_minute)) > 1
        pairs = zip(corpus.classes, corpus.quarters_per_minute.tolist(), strict=True)
        expected = [by_music21(*pair) for pair in pairs]
        np.testing.assert_array_equal(measure(corpus.classes, corpus.quarters_per_minute), expected)


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, 32, elements=st.sampled_from([0, 0, 0, 0, 0, 1, 2, 40, 41, 41, 45, 52, CLASSES - 1])))
def test_any_array_that_holds_a_note_measures_as_its_score(classes):
    if (classes < 2).all():
        assert np.isnan(list(of(classes).values())).all()
        return
    np.testing.assert_array_equal(list(of(classes).values()), by_music21(classes, QUARTERS_PER_MINUTE))


def test_the_first_two_bars_of_twinkle():
    # C C G G A A G(half): seven notes, one of them twice as long, 4 s at 120
    found = of(twinkle(2))
    assert found["P12"] == pytest.approx(np.mean([60, 60, 67, 67, 69, 69, 67]))
    assert (found["P10"], found["P8"], found["P11"], found["R15"], found["R36"]) == (9, 3, 67, 7 / 4, 4)
    assert (found["R19"], found["R20"], found["R22"]) == (1, 0.5, 0.5)
    assert found["M2"] == pytest.approx((0 + 7 + 0 + 2 + 0 + 2) / 6)
    assert found["M9"] == 0.5


def test_one_note_has_no_intervals():
    found = of(one_voice(*np.array([[0], [32], [60]]), 32))
    undefined = {number for number, value in found.items() if np.isnan(value)}
    assert undefined == {"M2", "M5", "M6", "M7", *(f"M{n}" for n in (10, 11, 12, 13, 14, 15, 17)), *IN_SECONDS[6:10]}


def test_a_repeated_pitch_moves_in_no_direction():
    found = of(one_voice(*np.array([[0, 16], [16, 32], [60, 60]]), 32))
    assert [number for number, value in found.items() if np.isnan(value)] == ["M17"]


def test_without_notes_nothing_is_defined():
    assert np.isnan(measure(np.zeros((1, 32), np.uint8), np.array([120.0]))).all()


def test_without_melodies_there_are_no_rows():
    assert measure(np.zeros((0, 32), np.uint8), np.zeros(0)).shape == (0, len(NUMBERS))


def test_forty_one_features_tell_melodies_of_one_tempo_apart(real):
    both = np.concatenate([real.classes[:300], random_notes(100).classes])
    found = dict(zip(NUMBERS, measure(both, np.full(400, QUARTERS_PER_MINUTE)).T, strict=True))
    constant = {number for number, values in found.items() if len(np.unique(values)) == 1}
    assert constant == {"R21", "R30", "R32", "R33", "R34", "R35", "P22"}
    np.testing.assert_array_equal(found["R24"], found["R22"])
    np.testing.assert_array_equal(found["R25"], found["R23"])
    assert len(found) - len(constant) - 2 == 41


def test_the_tempo_changes_what_is_counted_in_seconds_and_nothing_else(real):
    slow, fast = (measure(real.classes[:50], np.full(50, tempo)) for tempo in (60.0, 480.0))
    changed = {NUMBERS[k] for k in range(len(NUMBERS)) if not np.array_equal(slow[:, k], fast[:, k], equal_nan=True)}
    assert changed == set(IN_SECONDS)


def test_every_extractor_that_music21_registers_is_used_or_left_out_for_a_reason():
    assert [sum(feature.number[0] == letter for feature in features()) for letter in "MRP"] == [17, 16, 17]
    registered = {extractor.id.upper() for extractor in jSymbolic.featureExtractors}
    assert len(registered) == 72
    assert set(NUMBERS) | set(left_out()) == registered
    assert not set(NUMBERS) & set(left_out())
    assert all(left_out().values())
    assert {"M1", "R31", "P19", "P20", "P21", "I1", "T1"} <= set(left_out())


def test_a_form_that_the_grid_does_not_provide_comes_from_music21():
    forms = Forms(twinkle(2), 120.0)
    assert len(forms["flat.notes"]) == 7
    with pytest.raises(AttributeError, match="no such"):
        forms["flat.no_such_form"]
