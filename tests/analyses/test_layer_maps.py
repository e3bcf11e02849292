"""Linear maps between activations: the sums agree with a plain regression, planted maps are found, controls are not."""

import numpy as np
import pytest
import torch
from hypothesis import given as any_of
from hypothesis import settings
from hypothesis import strategies as st

from analyses.layer_maps import LayerMaps, Map, inputs
from analyses.measures.ridge import Products, cross_validated
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.vocabulary import V2


def products(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> Products:
    sums = Products.empty(fold.max() + 1, x.shape[1], y.shape[1])
    for k in range(len(x) // 10):
        rows = slice(10 * k, 10 * k + 10)
        sums.add(int(fold[10 * k]), x[rows], y[rows])
    return sums


@settings(max_examples=25, deadline=None)
@any_of(st.integers(0, 10**6), st.sampled_from([1e-3, 0.1, 1.0]))
def test_the_sums_give_the_same_r2_as_a_ridge_regression_on_the_rows(seed: int, ridge: float):
    rng = np.random.default_rng(seed)
    x, fold = rng.normal(1.5, 2, size=(120, 5)), np.repeat(np.arange(12) % 3, 10)
    y = x @ rng.normal(size=(5, 4)) + 3 + rng.normal(size=(120, 4))
    left, total = np.zeros((3, 4)), np.zeros((3, 4))
    for held in range(3):
        fit, test = fold != held, fold == held
        mean = x[fit].mean(0)
        penalty = ridge * ((x[fit] - mean) ** 2).mean() * fit.sum()
        centred = x[fit] - mean
        w = np.linalg.solve(centred.T @ centred + penalty * np.eye(5), centred.T @ (y[fit] - y[fit].mean(0)))
        left[held] = ((y[test] - y[fit].mean(0) - (x[test] - mean) @ w) ** 2).sum(0)
        total[held] = ((y[test] - y[test].mean(0)) ** 2).sum(0)
    by_unit, by_fold = cross_validated(products(x, y, fold), ridge)
    np.testing.assert_allclose(by_unit, 1 - left.sum(0) / total.sum(0), atol=1e-6)
    np.testing.assert_allclose(by_fold, 1 - left.sum(1) / total.sum(1), atol=1e-6)


def test_a_unit_that_never_moves_has_no_r2():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    y = np.stack([x[:, 0], np.full(60, 0.25)], axis=1)
    by_unit, _ = cross_validated(products(x, y, np.repeat(np.arange(6) % 2, 10)), 1e-4)
    assert by_unit[0] > 0.99 and np.isnan(by_unit[1])


@pytest.fixture(scope="module")
def seen() -> Observation:
    torch.manual_seed(5)
    model = FolkRNN(units=16, layers=2).eval()
    return Observation(model, V2, generate(model, V2, Sampling(tunes=40, max_tokens=60), 1))


def test_the_logits_are_a_linear_map_of_the_top_layer_and_of_nothing_shifted(seen: Observation):
    found = LayerMaps()(seen).metrics
    assert found["logits_from_l2.h"] > 0.999
    assert found["logits_from_l2.h_shifted"] < 0.3


def test_the_layers_own_past_never_tells_less_than_the_layer_below_alone(seen: Observation):
    found = LayerMaps()(seen).metrics
    assert found["l2.h_from_l1.h_and_past"] > found["l2.h_from_l1.h"] - 0.01


def test_the_past_is_the_row_before():
    activations = {"l1.h": np.arange(6.0).reshape(3, 2), "l2.h": np.arange(6.0, 12).reshape(3, 2)}
    read = inputs(Map("l2.h", "l1.h and past"), np.zeros((3, 4)), activations)
    np.testing.assert_array_equal(read, [[0, 1, 0, 0], [2, 3, 6, 7], [4, 5, 8, 9]])


def test_of_one_tune_successive_steps_are_held_out():
    found = LayerMaps()(Observation(FolkRNN(units=8).eval(), V2, [input_tune(ids_of("fig1", V2), V2)]))
    assert set(found.tables["maps"]["rows"]) == {107}
    assert np.isfinite(found.metrics["l2.h_from_l1.h"])
    assert LayerMaps(folds=3).dealt(10) == [(0, slice(0, 3)), (1, slice(3, 6)), (2, slice(6, 10))]


def test_a_tune_too_short_to_cut_up_is_refused():
    one = Observation(FolkRNN(units=8).eval(), V2, [input_tune(V2.encode("M:6/8 K:Cmaj C D E"), V2)])
    with pytest.raises(UserError, match="as many tunes, or a tune of at least 10 tokens"):
        LayerMaps()(one)


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"ridge": -1.0}])
def test_impossible_settings_are_refused(wrong: dict):
    with pytest.raises(UserError):
        LayerMaps(**wrong)
