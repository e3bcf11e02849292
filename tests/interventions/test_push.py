"""A push of the hidden state moves one token's value before the softmax, and no other's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear
from small_network import applied, network, play

from folkrnn.errors import UserError
from folkrnn.interventions import composition, push
from folkrnn.interventions.box import BoundedPush
from folkrnn.vocabulary import V2

TOKENS = torch.from_numpy(np.array(V2.encode("<s> M:4/4 K:Cmaj G A | B 2 |")))


def wide():
    """More units than tokens: V has full row rank."""
    return network(units=160)


def test_the_solution_of_least_norm_moves_one_logit_by_delta():
    model, n = wide(), V2.index["A,"]
    done = applied(model, push.push_hidden("A,", 1.5, "minimum_norm"))
    moved = done.model.trace(TOKENS, "logits")["logits"] - model.trace(TOKENS, "logits")["logits"]
    assert np.allclose(moved, 1.5 * torch.eye(137)[n], atol=1e-4)
    assert done.effects[0].metrics["residual"] < 1e-9


def test_at_another_temperature_delta_is_what_the_divided_value_gains_and_the_box_is_that_of_what_is_added():
    model, n = wide(), V2.index["A,"]
    done = applied(model, push.push_hidden("A,", 1.5, "minimum_norm"), temperature=2.0)
    moved = done.model.trace(TOKENS, "logits")["logits"] - model.trace(TOKENS, "logits")["logits"]
    assert np.allclose(moved / 2.0, 1.5 * torch.eye(137)[n], atol=1e-4)
    (effect,) = done.effects
    assert effect.metrics["largest_entry"] == pytest.approx(effect.tables["units"]["push"].abs().max())
    cold = applied(model, push.push_hidden("A,", 1.5, "minimum_norm"))
    assert effect.metrics["largest_entry"] == pytest.approx(2 * cold.effects[0].metrics["largest_entry"])


def test_the_sparse_solution_is_within_its_residual_and_uses_fewer_units():
    model = wide()
    done = applied(model, push.push_hidden("A,", 1.0, residual=0.5))
    metrics = done.effects[0].metrics
    moved = done.model.trace(TOKENS, "logits")["logits"] - model.trace(TOKENS, "logits")["logits"]
    distance = (moved - torch.eye(137)[V2.index["A,"]]).norm(dim=1)
    assert metrics["residual"] <= 0.5
    assert np.allclose(distance, metrics["residual"], atol=1e-4)
    assert 0 < metrics["nonzero_units"] < 160


@pytest.mark.parametrize("residual", [-0.5, 0.0, 1.0, 1.5])
def test_a_residual_lies_between_none_and_that_of_no_push(residual):
    with pytest.raises(UserError, match="residual is"):
        applied(network(), push.push_hidden("A,", 1.0, residual=residual))


def test_the_push_of_least_norm_has_the_least_norm():
    matrix = wide().softmax_weight.detach().double().numpy()
    least = push.minimum_norm(matrix, 5)
    silent = np.linalg.svd(matrix)[2][137:]  # directions that move no logit
    assert np.allclose(matrix @ least, np.eye(137)[5], atol=1e-9)
    assert np.allclose(silent @ least, 0, atol=1e-9)


def test_a_push_beyond_the_box_is_refused_clipped_or_told():
    model = wide()
    with pytest.raises(UserError, match="outside the box of ±1"):
        applied(model, push.push_hidden("A,", 500.0, "minimum_norm", box="refuse"))
    told = applied(model, push.push_hidden("A,", 500.0, "minimum_norm"))
    assert told.effects[0].metrics["inside_box"] == 0
    clipped = applied(model, push.push_hidden("A,", 500.0, "minimum_norm", box="clip", where="recurrence"))
    assert clipped.model.trace(TOKENS, "l3.h")["l3.h"].abs().max() == 1
    counts = []
    for done in (told, clipped):
        (effect,) = composition.with_steps(done.model, done.effects, play(done.model)[:2])
        counts.append(effect.metrics["units_outside"])
    assert counts[0] > 0
    assert counts[1] == 0


def test_a_model_with_more_tokens_than_units_cannot_move_one_alone():
    with pytest.raises(UserError, match="raise residual"):
        applied(network(), push.push_hidden("A,", residual=0.01))


@pytest.mark.parametrize("delta", [-4.656, 0.5, 2.0])
def test_a_push_that_is_solved_for_never_leaves_the_box_and_is_the_best_that_stays_in_it(delta):
    rng = np.random.default_rng(3)
    columns, n = rng.normal(0, 1, (40, 25)), 7
    h = torch.from_numpy(np.tanh(2 * rng.normal(size=(20, 25)))).float()
    solve = BoundedPush(columns, n, delta)
    found = (solve(h)).double().numpy()
    states = h.double().numpy()
    assert np.abs(states + found).max() <= 1 + 1e-5
    assert found @ columns[n] == pytest.approx(np.full(20, delta), abs=0.02)
    others = np.delete(np.arange(40), n)
    for state, step in zip(states, found, strict=True):
        weighted = columns * np.where(np.arange(40) == n, 100, 1)[:, None]
        wanted = 100 * delta * np.eye(40)[n]
        best = lsq_linear(weighted, wanted, (-1 - state - 1e-9, 1 - state + 1e-9)).x
        least = np.linalg.norm(columns[others] @ best)
        assert np.linalg.norm(columns[others] @ step) <= 1.15 * least + 0.05 * abs(delta)


def test_where_the_box_leaves_no_room_as_much_is_reached_as_it_allows():
    columns = np.eye(3)
    h = torch.tensor([[0.9, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    found = BoundedPush(columns, 0, 5.0)(h)
    assert found[:, 0].tolist() == pytest.approx([0.1, 2.0], abs=1e-5)


def test_a_solved_push_says_what_is_reached_and_that_no_unit_left_the_box():
    model = wide()
    done = applied(model, push.push_hidden("A,", -2.0, residual=0.3, box="solve"))
    tunes = play(done.model)
    (effect,) = composition.with_steps(done.model, done.effects, tunes)
    steps = effect.tables["steps"]
    assert effect.metrics["units_outside"] == 0
    assert steps["ln_alpha"].mean() == pytest.approx(steps["ln_alpha_asked"].mean(), abs=0.35)
    assert steps["others_moved"].mean() < 0.2
