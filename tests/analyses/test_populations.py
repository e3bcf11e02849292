"""Figures over many tunes: they are there where there are many, and show the interval that the metrics state."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.activations import Activations
from analyses.drawings import population
from analyses.gramians import Gramians
from analyses.posterior import Posterior
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate
from folkrnn.vocabulary import V2


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return FolkRNN(units=12, layers=2).eval()


def observe(model: FolkRNN, tunes: int) -> Observation:
    return Observation(model, V2, generate(model, V2, Sampling(tunes=tunes, max_tokens=40), 5))


@pytest.mark.parametrize(
    ("analysis", "names"),
    [
        (Posterior(resamples=20), {"population"}),
        (Activations(site="l2.*", resamples=20), {"population_states", "population_gates"}),
        pytest.param(Gramians(resamples=20), {"population_distributions", "population_layers"}, marks=pytest.mark.slow),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_several_tunes_are_drawn_and_those_of_one_are_not(model, analysis, names):
    many, one = analysis(observe(model, 4)), analysis(observe(model, 1))
    assert names <= many.figures.keys()
    assert not names & one.figures.keys()
    for name in names:
        many.figures[name].drawing.draw_without_rendering()
        assert "4 tunes" in many.figures[name].caption


def test_the_mean_and_its_interval_are_written_where_they_lie():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0, np.nan]})
    shown = population.of("a", table, {"a": 2.0, "a_low": 1.5, "a_high": 2.5}, {"": "a"})
    figure = population.distributions([shown])
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "2 (1.5 to 2.5)"
    assert sum(bar.get_height() for bar in axes.patches if hasattr(bar, "get_height")) >= 3


@pytest.mark.parametrize("values", [[0.0, 1.0], [2.0, 7.0, 3.0], [0.1, 0.1 + 1e-12], [-3.5, 900.25], [0.0, 1e4]])
def test_every_value_lies_in_a_bin_and_whole_numbers_in_the_middle_of_one(values):
    values = np.array(values)
    shown = population.TuneValues("a", {"": values}, {"": (values.mean(), np.nan, np.nan)})
    figure = population.distributions([shown])
    bars = [bar for bar in figure.axes[0].patches if hasattr(bar, "get_x")]
    assert sum(bar.get_height() for bar in bars) == len(values)
    assert len(bars) <= population.BINS + 1


def test_a_quantity_that_no_tune_has_is_said_to_be_none():
    shown = population.of("a", pd.DataFrame({"a": [np.nan, np.nan]}), {}, {"": "a"})
    figure = population.distributions([shown])
    assert any("no tune" in text.get_text() for axes in figure.axes for text in axes.texts)


def test_a_number_that_all_tunes_have_alike_is_said_and_not_drawn() -> None:
    known = population.TuneValues("units", {"": np.full(5, 3.0)}, {"": (3.0, 3.0, 3.0)})
    (axes, *_) = population.distributions([known]).axes
    assert [text.get_text() for text in axes.texts] == ["3 in each of 5 tunes"]
    assert not axes.patches
