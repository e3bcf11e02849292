"""Local regression on variables with ties, and its bootstrap band."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.nonparametric.smoothers_lowess import lowess

from analyses.measures.loess import POINTS, SPAN, band, curve, explained, places, widened


def noisy(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, n)
    return x, np.sin(x) + 0.2 * rng.standard_normal(n)


@pytest.mark.parametrize("rounds", [0, 3])
def test_without_ties_it_is_the_curve_of_statsmodels(rounds):
    x, y = noisy()
    expected = lowess(y, x, frac=SPAN, it=rounds, delta=0.01 * np.ptp(x))
    np.testing.assert_allclose(curve(x, y, expected[:, 0], rounds=rounds), expected[:, 1])


@settings(max_examples=30, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5), st.integers(2, 12), st.integers(0, 99), st.sampled_from([0, 3]))
def test_a_line_is_its_own_curve_however_many_points_share_an_x(slope, height, values, seed, rounds):
    x = np.r_[np.arange(values), np.random.default_rng(seed).integers(0, values, 60)].astype(float)
    at = places(x)
    np.testing.assert_allclose(curve(x, slope * x + height, at, rounds=rounds), slope * at + height, atol=1e-6)


def test_where_one_value_is_commoner_than_the_span_the_curve_is_no_single_melody():
    # of 300 points 270 share x = 0: statsmodels alone answers with one of the data there
    rng = np.random.default_rng(1)
    x, y = np.r_[np.zeros(270), np.arange(1, 31)], rng.standard_normal(300)
    with np.errstate(invalid="ignore"):
        alone = lowess(y, x, frac=SPAN, it=0, is_sorted=True)
    assert alone[0].tolist() == [0, y[0]]
    assert widened(x) > 0.9
    assert curve(x, y, np.zeros(1)).item() == pytest.approx(y[:270].mean(), abs=0.1)


def test_the_span_stays_where_nothing_is_that_common():
    assert widened(np.arange(30.0)) == SPAN
    assert widened(np.ones(30)) == 1


def test_rounds_against_outliers_leave_them_aside():
    x, y = noisy()
    y[::40] += 50
    at = np.linspace(-2, 2, 9)
    truth = curve(*noisy(), at)
    assert abs(curve(x, y, at, rounds=3) - truth).max() < 0.1 < 0.5 < abs(curve(x, y, at) - truth).max()


def test_the_order_of_the_points_does_not_matter():
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 5, 200).astype(float), rng.standard_normal(200)
    mixed = rng.permutation(200)
    np.testing.assert_array_equal(curve(x, y, np.arange(5)), curve(x[mixed], y[mixed], np.arange(5)))


def test_a_curve_is_given_at_distinct_values_and_no_more_than_enough_places():
    assert places(np.array([3.0, 1, 3, 2])).tolist() == [1, 2, 3]
    assert len(places(np.linspace(0, 1, 5000))) == POINTS


def test_nothing_is_told_beyond_the_data_or_of_a_constant():
    x, y = noisy()
    assert np.isnan(curve(x, y, np.array([-9.0, 9.0]))).all()
    assert np.isnan(curve(np.ones(20), y[:20], np.ones(1))).all()
    assert np.isnan(curve(np.zeros(0), np.zeros(0), np.ones(1))).all()
    low, high = band(np.ones(20), y[:20], np.ones(1), np.arange(20), np.random.default_rng(0), 10)
    assert np.isnan([low, high]).all()


def test_the_band_holds_the_truth_about_as_often_as_it_says():
    at, held = np.linspace(-2, 2, 5), []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-3, 3, 150)
        y = 2 * x + rng.standard_normal(150)  # a line: LOESS has no bias
        low, high = band(x, y, at, np.arange(150), rng, 60)
        held.append((low <= 2 * at) & (2 * at <= high))
    assert 0.86 < np.mean(held) < 0.99


def test_points_of_one_source_count_as_one():
    x, y = noisy(80)
    copies = [np.repeat(values, 10) for values in (x, y)]
    at = np.linspace(-2, 2, 9)
    apart = band(*copies, at, np.arange(800), np.random.default_rng(0), 100)
    together = band(*copies, at, np.repeat(np.arange(80), 10), np.random.default_rng(0), 100)
    alone = band(x, y, at, np.arange(80), np.random.default_rng(0), 100)
    widths = [float(np.mean(high - low)) for low, high in (apart, together, alone)]
    assert widths[0] < 0.5 * widths[1]
    assert widths[1] == pytest.approx(widths[2], rel=0.15)


def test_what_a_curve_explains():
    x, y = noisy(2000)
    assert explained(y, y) == 1
    assert explained(y, np.full(len(y), y.mean())) == pytest.approx(0)
    assert explained(y, np.sin(x)) == pytest.approx(1 - 0.04 / y.var(), abs=0.02)
    assert np.isnan(explained(np.ones(5), np.ones(5)))
