"""Intervals over tunes: a tune is drawn whole, with all its steps."""

import numpy as np
import pytest

from analyses.measures.intervals import cluster_weights, mean_interval, ratio_interval, ratio_intervals

RESAMPLES = 4000


def rng():
    return np.random.default_rng(0)


def test_a_ratio_is_that_of_the_sums_so_that_long_tunes_count_for_more():
    total, steps = np.array([1.0, 90.0]), np.array([10.0, 100.0])
    assert ratio_interval(total, steps, 10, rng())[0] == pytest.approx(91 / 110)
    assert ratio_intervals(total[:, None], steps[:, None], 10, rng())[0, 0] == pytest.approx(91 / 110)
    assert mean_interval(total / steps, 10, rng())[0] == pytest.approx(0.5)


@pytest.mark.parametrize("steps", [1, 100])
def test_an_interval_of_a_ratio_is_as_wide_as_so_many_tunes_allow_however_many_steps_they_have(steps):
    """Of 50 tunes half have it at each step and half at none: the error is that of 50 coins, never of 5,000."""
    total = np.repeat([0.0, steps], 25)
    weight = np.full(50, float(steps))
    expected = 1.96 * np.sqrt(0.25 / 50)
    for value, low, high in (
        ratio_interval(total, weight, RESAMPLES, rng()),
        tuple(ratio_intervals(total[:, None], weight[:, None], RESAMPLES, rng())[0]),
        mean_interval(total / weight, RESAMPLES, rng()),
    ):
        assert value == pytest.approx(0.5)
        assert high - low == pytest.approx(2 * expected, rel=0.1)


def test_tunes_without_steps_change_nothing_but_the_number_that_is_drawn():
    value, low, high = ratio_interval(np.array([3.0, 0.0, 0.0]), np.array([4.0, 0.0, 0.0]), 50, rng())
    assert (value, low, high) == (0.75, 0.75, 0.75)
    assert np.isnan(ratio_interval(np.zeros(3), np.zeros(3), 50, rng())).all()


def test_one_tune_has_a_value_and_no_interval():
    one = np.array([3.0])
    assert ratio_interval(one, np.array([4.0]), 50, rng())[0] == 0.75
    assert np.isnan(ratio_interval(one, np.array([4.0]), 50, rng())[1:]).all()
    assert np.isnan(ratio_intervals(one[:, None], one[:, None], 50, rng())[0, 1:]).all()
    assert np.isnan(mean_interval(one, 50, rng())[1:]).all()


@pytest.mark.filterwarnings("error")
def test_a_mean_leaves_out_what_is_no_number_and_is_none_where_nothing_is_left():
    assert np.isnan(mean_interval(np.array([]), 50, rng())).all()
    assert np.isnan(mean_interval(np.array([np.nan, np.inf]), 50, rng())).all()
    values = np.array([1.0, 2.0, 4.0])
    assert mean_interval(np.array([1.0, np.nan, 2.0, 4.0]), 50, rng()) == mean_interval(values, 50, rng())


def test_melodies_of_one_tune_are_drawn_together():
    groups = np.array([7, 3, 7, 7, 3, 1])
    weights = cluster_weights(groups, 200, rng())
    for group in (7, 3, 1):
        mine = weights[:, groups == group]
        assert (mine == mine[:, :1]).all()
    firsts = weights[:, [0, 1, 5]]
    assert (firsts.sum(1) == 3).all()
    assert len(np.unique(firsts, axis=0)) > 3


def test_the_interval_of_a_ratio_lies_about_the_ratio_where_long_and_short_tunes_differ():
    """Every step of short tunes has it and none of the long ones: the mean over tunes would be one half."""
    total, steps = np.repeat([1.0, 0.0], 25), np.repeat([1.0, 99.0], 25)
    for value, low, high in (
        ratio_interval(total, steps, RESAMPLES, rng()),
        tuple(ratio_intervals(total[:, None], steps[:, None], RESAMPLES, rng())[0]),
    ):
        assert value == pytest.approx(0.01)
        assert 0.004 < low < 0.01 < high < 0.03


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("total", [0.0, 3.0])
def test_a_ratio_to_nothing_is_no_number_and_warns_of_nothing(total):
    nothing = np.zeros(4)
    assert np.isnan(ratio_interval(np.full(4, total), nothing, 10, rng())).all()
