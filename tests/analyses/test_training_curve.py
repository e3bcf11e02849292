"""Training curves, on losses whose turning points are planted."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from analyses.training_curve import TrainingCurve, shipped
from folkrnn import pretrained
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2
from folkrnn.weights.curve import Curve, from_csv, to_csv

PLANTED = Curve.of(
    [(k, 5 - 0.01 * k) for k in range(1, 401)],
    [(100, 3.0), (200, 2.0), (300, 1.5), (400, 1.8)],
    updates_per_epoch=100,
    baselines={"uniform": 4.92, "5gram": 2.0},
)


def observation(curve: Curve | None) -> Observation:
    torch.manual_seed(0)
    return Observation(FolkRNN(units=8), V2, [input_tune(ids_of("fig1", V2), V2)], curve=curve)


def test_the_best_validation_and_what_comes_after_it_are_found():
    found = TrainingCurve()(observation(PLANTED)).metrics
    assert (found["best_validation"], found["best_epoch"], found["best_update"]) == (1.5, 3.0, 300.0)
    assert found["perplexity"] == pytest.approx(np.exp(1.5))
    assert found["rise_after_best"] == pytest.approx(0.3)
    assert found["overfitting_epoch"] == 3.0
    assert found["below_5gram"] == pytest.approx(0.5)


def test_a_training_that_never_gets_worse_does_not_overfit():
    curve = Curve.of([], [(1, 3.0), (2, 2.0)], baselines={"uniform": 4.92})
    assert "overfitting_epoch" not in TrainingCurve()(observation(curve)).metrics


def test_losses_per_tune_are_divided_by_the_tokens_of_a_tune():
    curve = Curve.of([], [(999, 170.0)], unit="tune", updates_per_epoch=351)
    found = TrainingCurve(tokens_per_tune=170.0)(observation(curve)).metrics
    assert found["best_validation"] == pytest.approx(1.0)


def test_two_trainings_stand_side_by_side():
    found = TrainingCurve(beside=shipped(), tokens_per_tune=170.0)(observation(PLANTED))
    assert len(found.figures["losses"].drawing.axes) == 1 + len(shipped())
    assert found.tables["trainings"]["training"].tolist() == ["these weights", "an LSTM on 26,273 tunes"]
    assert found.metrics["best_validation"] == 1.5  # metrics are those of these weights


def test_baselines_of_one_corpus_are_not_drawn_beside_a_training_on_another():
    found = TrainingCurve(beside=shipped(), tokens_per_tune=170.0)(observation(PLANTED))
    mine, other = found.figures["losses"].drawing.axes
    assert [text.get_text() for text in mine.texts] == ["uniform", "5gram"]
    assert not other.texts
    assert "the validation tunes, and so the baselines, are not known" in found.figures["losses"].caption


def test_a_curve_survives_its_file():
    again = from_csv(to_csv(PLANTED), "x")
    np.testing.assert_allclose(again.training, PLANTED.training, rtol=1e-5)
    np.testing.assert_allclose(again.validation, PLANTED.validation)
    assert again.baselines == PLANTED.baselines
    assert (again.unit, again.updates_per_epoch) == ("token", 100)


@hypothesis.given(st.lists(st.integers(1, 10**12), min_size=1, unique=True), st.integers(1, 10**9))
def test_no_update_of_a_long_training_is_rounded_away(updates, per_epoch):
    points = [(update, 1.5) for update in sorted(updates)]
    again = from_csv(to_csv(Curve.of(points, points, updates_per_epoch=per_epoch)), "x")
    assert again.training[:, 0].tolist() == again.validation[:, 0].tolist() == sorted(updates)
    assert again.updates_per_epoch == per_epoch


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "# nats per token; x updates per epoch\n", "# nats per bar; 3 updates\n"]
)
def test_what_is_no_curve_is_refused_with_what_one_is(text):
    with pytest.raises(UserError, match="training curve"):
        from_csv(text, "file")


def test_without_a_curve_it_says_where_to_get_one():
    with pytest.raises(UserError, match="weights=scratch"):
        TrainingCurve()(observation(None))
    with pytest.raises(UserError):
        TrainingCurve(beside=["nowhere"])


def test_the_shipped_weights_carry_the_curve_that_their_card_states():
    weights = pretrained()
    best = TrainingCurve()(observation(weights.curve)).metrics
    assert f"{best['best_validation']:.3f}" in weights.card
    assert best["best_epoch"] == pytest.approx(17, abs=0.1)
