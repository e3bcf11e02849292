"""φk by our table of the normal's χ², held against the package phik and against what it must be."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analyses.measures.association import beyond_chance, one_of_each, pearson
from analyses.measures.phik import _normal_chi2, binned, phik

N = 2000


@pytest.fixture(scope="module")
def z():
    return np.random.default_rng(0).standard_normal((N, 4))


def variables(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Continuous, discrete, two-valued, heavy-tailed, constant and partly undefined ones, some of them related."""
    rng = np.random.default_rng(1)
    x = [z[:, 0], np.round(2 * z[:, 0]), z[:, 1] ** 2, z[:, 0] > 1, rng.integers(0, 5, N), np.ones(N)]
    x.append(np.where(rng.random(N) < 0.3, np.nan, z[:, 0]))
    y = [z[:, 0] + 0.3 * z[:, 2], z[:, 1] + 0.05 * z[:, 2], z[:, 1] > 0, np.exp(z[:, 0]), z[:, 3]]
    return np.column_stack(x).astype(float), np.column_stack(y).astype(float)


@pytest.mark.parametrize("quantile", [False, True])
def test_the_package_finds_the_same(z, quantile):
    package = pytest.importorskip("phik", reason="the package phik, an oracle, is not installed")
    x, y = variables(z)
    frame = pd.DataFrame(np.c_[x, y]).add_prefix("v")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        square = package.phik_matrix(
            frame, interval_cols=list(frame), bins=10, quantile=quantile, verbose=False, njobs=1
        )
    square = square.reindex(index=frame.columns, columns=frame.columns).to_numpy()
    expected = square[: x.shape[1], x.shape[1] :]
    assert np.isnan(expected[5]).all()
    np.testing.assert_allclose(phik(x, y, quantile=quantile), expected, atol=2e-4)


@pytest.mark.parametrize(("r", "c"), [(2, 2), (10, 10), (3, 7)])
@pytest.mark.parametrize("rho", [0.1, 0.6, 0.95])
def test_the_table_holds_the_chi2_of_a_normal(r, c, rho):
    heights, angles = _normal_chi2(r, c)
    h, k = np.meshgrid(np.linspace(-5, 5, r + 1), np.linspace(-5, 5, c + 1), indexing="ij")

    def chi2(correlation):
        distribution = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], allow_singular=True)
        p, q = np.diff(np.diff(distribution.cdf(np.dstack([h, k])), axis=0), axis=1), np.diff(stats.norm.cdf(h[:, 0]))
        free = q[:, None] * np.diff(stats.norm.cdf(k[0]))
        return ((p - free) ** 2 / free).sum()

    ends = np.minimum.outer(stats.norm.cdf(h[:, 0]), stats.norm.cdf(k[0]))  # at ρ = 1 the lesser of both alone
    certain = np.diff(np.diff(ends, axis=0), axis=1)
    free = np.diff(stats.norm.cdf(h[:, 0]))[:, None] * np.diff(stats.norm.cdf(k[0]))
    expected = np.sqrt(chi2(rho) / ((certain - free) ** 2 / free).sum())
    assert np.interp(np.arcsin(rho), angles, heights) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("rho", [0.3, 0.7, 0.95])
def test_a_normal_pair_has_the_phik_of_its_correlation(rho):
    rng = np.random.default_rng(2)
    x, e = rng.standard_normal((2, 200_000))
    found = phik(x[:, None], (rho * x + np.sqrt(1 - rho**2) * e)[:, None])
    assert found.item() == pytest.approx(rho, abs=0.03)


def test_it_sees_what_has_no_direction(z):
    squared = z[:, :1] ** 2
    assert abs(pearson(z[:, :1], squared).item()) < 0.1
    assert phik(z[:, :1], squared).item() > 0.8


def test_independent_variables_have_none():
    found = phik(*np.random.default_rng(3).standard_normal((2, 40_000, 6)), quantile=True)
    assert found.max() < 0.05
    assert 6 < (found == 0).sum() < 30  # χ² falls below its expectation about half the time


def test_a_variable_determines_itself_and_a_constant_nothing(z):
    x = np.c_[z[:, 0], np.round(z[:, 1]), np.full(N, 3.0), np.full(N, np.nan)]
    found = phik(x, x)
    assert (found[0, 0], found[1, 1]) == (1, 1)
    assert np.isnan(found[2:]).all()
    assert np.isnan(found[:, 2:]).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 50), st.floats(-9, 9))
def test_neither_scale_nor_direction_nor_order_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((150, 2))
    y = np.round(x @ rng.standard_normal((2, 3)) + rng.standard_normal((150, 3)), 1)
    mixed = rng.permutation(150)
    np.testing.assert_allclose(phik(np.round(x, 1), y), phik(np.round(x[mixed], 1), y[mixed]))
    np.testing.assert_allclose(phik(x, y, quantile=True), phik(scale * x + shift, y, quantile=True), atol=1e-12)
    np.testing.assert_allclose(phik(x, y).T, phik(y, x), atol=1e-12)


def test_more_rows_than_are_counted_at_once_change_nothing(z):
    x, y = np.tile(z, (4, 1)), np.tile(z[:, ::-1], (4, 1))
    counts = np.histogram2d(binned(x)[:, 0], binned(y)[:, 3], bins=10)[0]
    assert counts.sum() == len(x) > 4096
    assert phik(x, y)[0, 3] == 1


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows_give_no_number_or_zero(rows):
    found = phik(np.arange(rows)[:, None], np.arange(rows)[:, None])
    assert np.isnan(found).all() if rows < 2 else found.item() in (0.0, 1.0)


def test_pearson_leaves_undefined_rows_out_pair_by_pair(z):
    x, y = variables(z)
    found = pearson(x, y)
    for i, j in np.ndindex(found.shape):
        known = np.isfinite(x[:, i])
        if np.ptp(x[known, i]) == 0:
            assert np.isnan(found[i, j])
        else:
            assert found[i, j] == pytest.approx(np.corrcoef(x[known, i], y[known, j])[0, 1], abs=1e-9)


def test_one_row_of_each_source():
    source = np.repeat(np.arange(50), np.arange(50) + 1)
    rows = one_of_each(source, np.random.default_rng(0))
    assert sorted(source[rows]) == list(range(50))
    assert (rows != one_of_each(source, np.random.default_rng(1))).any()


def test_a_planted_relation_is_beyond_chance_and_nothing_else_is():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((800, 6)), rng.standard_normal((800, 8))
    y[:, 5] += 0.6 * x[:, 2] ** 2
    significant, largest = beyond_chance(x, y, rng)
    assert np.argwhere(significant).tolist() == [[2, 5]]
    assert 0 < largest < 0.5


def test_of_unrelated_tables_few_show_anything_beyond_chance():
    # 5 % of such tables may, by chance; heavy tails are what deceives equally wide bins
    rng = np.random.default_rng(5)
    wrong = [
        beyond_chance(rng.standard_cauchy((200, 5)), rng.standard_normal((200, 6)), rng)[0].any() for _ in range(40)
    ]
    assert sum(wrong) <= 6  # 7 or more of 40 happen with a probability of 0.3 %


def test_constants_are_beyond_nothing():
    significant, _ = beyond_chance(np.ones((30, 2)), np.ones((30, 3)), np.random.default_rng(0))
    assert not significant.any()
