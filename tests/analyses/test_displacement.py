"""The displacement distribution: identities of any distribution, and the numbers printed in the paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analyses.measures.displacement import displaced, displacement, factor
from folkrnn.errors import UserError

probabilities = st.floats(1e-6, 1 - 1e-6)
EPSILON = float(np.finfo(float).eps)


def distribution_of(values: np.ndarray) -> np.ndarray:
    e = np.exp(values - values.max())
    return e / e.sum()


def test_the_papers_example_almost_quadruples_a_token_of_five_percent_or_leaves_a_quarter() -> None:
    assert factor(1.54, 0.05) == pytest.approx(3.9423, abs=5e-5)
    assert factor(-1.54, 0.05) == pytest.approx(0.2231, abs=5e-5)
    assert displacement(0.01, 0.05) == pytest.approx(-4.656, abs=5e-4)


@given(probabilities, st.floats(-12, 12))
@example(1 - 1e-6, 11.0)
def test_the_factor_of_a_displacement_gives_the_displacement_back(p: float, delta: float) -> None:
    """As well as α can say it: six roundings of αp, of half an ε each, are that much of 1 − αp, whose log is taken."""
    others = (1 - p) * np.exp(-delta) / (p + (1 - p) * np.exp(-delta))  # 1 − αp
    roundings = 3 * EPSILON / others + 64 * EPSILON  # and those of the three logarithms, none beyond 30
    assert displacement(factor(delta, p), p) == pytest.approx(delta, abs=roundings)


@given(probabilities, st.floats(1e-6, 1 - 1e-6))
def test_the_displacement_of_a_factor_gives_the_factor_back(p: float, share: float) -> None:
    alpha = share / p
    assert factor(displacement(alpha, p), p) == pytest.approx(alpha, rel=1e-6)


@given(st.integers(0, 9), st.floats(-8, 8), st.floats(0.3, 3.0), st.integers(0, 10_000))
def test_moving_one_value_scales_its_token_by_alpha_and_all_others_alike(
    n: int, delta: float, temperature: float, seed: int
) -> None:
    values = np.random.default_rng(seed).normal(size=10) / temperature
    distribution, moved = distribution_of(values), distribution_of(values + delta * np.eye(10)[n])
    alpha = factor(delta, distribution[n])
    others = np.arange(10) != n
    np.testing.assert_allclose(moved[n], alpha * distribution[n], rtol=1e-10)
    lost = 16 * EPSILON * (1 / moved[others].sum() + 1 / distribution[others].sum())  # by subtracting from 1
    np.testing.assert_allclose(
        moved[others], (1 - alpha * distribution[n]) / (1 - distribution[n]) * distribution[others], rtol=1e-10 + lost
    )


@given(st.integers(0, 10_000))
def test_any_displacement_is_the_softmax_of_the_displaced_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, delta = rng.normal(size=(3, 7)), 4 * rng.normal(size=7)
    expected = [distribution_of(row + delta) for row in values]
    np.testing.assert_allclose(
        displaced(np.array([distribution_of(row) for row in values]), delta), expected, rtol=1e-10
    )


def test_displacing_all_tokens_alike_changes_nothing() -> None:
    distribution = distribution_of(np.arange(5.0))
    np.testing.assert_allclose(displaced(distribution, np.full(5, 3.0)), distribution)


def test_a_displacement_of_any_size_gives_a_distribution() -> None:
    distribution = np.array([0.5, 0.25, 0.25])
    np.testing.assert_allclose(displaced(distribution, np.array([0.0, 800.0, 800.0])), [0, 0.5, 0.5], atol=1e-300)
    np.testing.assert_allclose(displaced(distribution, np.array([0.0, -np.inf, -800.0])), [1, 0, 0], atol=1e-300)


def test_the_limits_of_alpha_are_infinite_displacements() -> None:
    assert displacement(0.0, 0.2) == -np.inf
    assert displacement(5.0, 0.2) == np.inf
    assert factor(-np.inf, 0.2) == 0
    assert factor(np.inf, 0.2) == pytest.approx(5)


@pytest.mark.parametrize(("alpha", "p"), [(-0.1, 0.5), (2.1, 0.5), (1.0, 0.0), (1.0, 1.0), (1.0, 1.5)])
def test_what_no_probability_can_become_is_refused(alpha: float, p: float) -> None:
    with pytest.raises(UserError):
        displacement(alpha, p)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_value_of_an_array_that_cannot_be_is_refused_wherever_it_stands(place: int) -> None:
    fine = np.full(3, 0.5)
    for alpha in (-0.1, 2.1):
        with pytest.raises(UserError, match="alpha"):
            displacement(np.where(np.arange(3) == place, alpha, 1.0), fine)
    for p in (0.0, 1.0):
        with pytest.raises(UserError, match="probability"):
            factor(1.0, np.where(np.arange(3) == place, p, fine))
