"""What was learned is told from what was drawn, on planted parameters."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.gate_parameters import GateParameters
from analyses.measures.learned import matrices, scale, subtracted
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.initialisation import initialise
from folkrnn.observation.controls import Untrained
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune as read
from folkrnn.training.lasagne import learn_initial_states
from folkrnn.vocabulary import V2
from folkrnn.weights.initial import Initial

INITIAL = Initial(seed=4)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 1.2), st.floats(0.0, 0.4), st.integers(0, 2**32 - 1))
def test_the_share_that_is_left_of_the_initial_values_is_found_whatever_moved_a_part_of_them(d, moved, seed):
    rng = np.random.default_rng(seed)
    W0 = rng.normal(size=(40, 40))
    added = np.where(rng.random((40, 40)) < moved, rng.normal(0.3, 2, (40, 40)), 0)
    assert scale(d * W0 + added, W0) == pytest.approx(d, abs=0.05)
    assert scale(d * W0, W0) == pytest.approx(d)


def test_the_share_is_found_while_less_than_half_was_moved_the_same_way():
    rng = np.random.default_rng(0)
    W0 = rng.normal(size=(60, 60))
    moved = rng.random((60, 60)) < 0.4
    for way in (-3, 3):
        assert scale(np.where(moved, way * W0, 0.6 * W0), W0) == pytest.approx(0.6)


def trained(rank: int = 2) -> tuple[FolkRNN, FolkRNN]:
    """A model whose matrices are 0.87 of the initial ones and something of low rank in a few columns; and the latter.

    What the first layer adds to input and recurrent matrices lies in the same few directions.
    """
    model = INITIAL.model_like(FolkRNN(units=48, layers=1))
    rng = torch.Generator().manual_seed(0)
    common = torch.randn(48, rank, generator=rng)
    added = copy.deepcopy(model)
    with torch.no_grad():
        for name, part in matrices(added):
            part.zero_()
            if name != "softmax":
                columns = torch.randperm(part.shape[1], generator=rng)[:16]
                part[:, columns] = common @ torch.randn(rank, 16, generator=rng)
        for (_, part), (_, extra) in zip(matrices(model), matrices(added), strict=True):
            part.mul_(0.87).add_(extra)
    return model, added


def test_what_training_added_is_found_and_how_much_is_initial():
    model, added = trained()
    found = subtracted(model, INITIAL.model_like(model))
    for (name, part), (_, extra) in zip(matrices(found.model), matrices(added), strict=True):
        assert torch.allclose(part, extra, atol=1e-4), name
    assert found.table["d"].to_numpy() == pytest.approx(0.87, abs=1e-4)
    assert found.metrics()["softmax/initial_share"] == pytest.approx(1)
    assert 0 < found.metrics()["l1.xi/initial_share"] < 0.9


def test_what_was_learned_shares_directions_that_the_initial_values_hide():
    model, _ = trained()
    observation = Observation(model, V2, [read(ids_of("fig1", V2), V2)], seed=1, initial=INITIAL)
    found = GateParameters(shuffles=19, least_count=0)(observation).metrics
    assert found["l1_input_recurrent_overlap"] < 2
    assert found["learned/l1_input_recurrent_overlap"] > 10
    without = GateParameters(shuffles=19, least_count=0)(replace(observation, initial=None)).metrics
    assert not [name for name in without if name.startswith("learned")]


def test_of_an_untrained_network_nothing_was_learned():
    model, _ = trained()
    observation = Observation(model, V2, [read(ids_of("fig1", V2), V2)], seed=1, initial=INITIAL)
    assert Untrained()(observation, model).initial is None


@pytest.mark.parametrize("init", ["model", "2015", "2016"])
def test_a_card_says_how_to_draw_the_initial_parameters_again(init):
    initial = Initial(7, init)
    assert Initial.read(f"# name\n\n- **Data**: x\n{initial.line()}") == initial
    model = FolkRNN(units=8, layers=2)
    learn_initial_states(model)
    model.reset_parameters(torch.Generator().manual_seed(7))
    if init != "model":
        initialise(model, int(init), torch.Generator().manual_seed(7))
    again = initial.model_like(FolkRNN(units=8, layers=2, initial_state="learned"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])


@pytest.mark.parametrize("card", ["", "seed=1 init=model", "- **Initial parameters**: `seed=1 init=eval`"])
def test_a_card_that_says_nothing_known_of_it_says_nothing(card):
    assert Initial.read(card) is None
