"""Who follows and who announces, on planted activations."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from analyses.measures.lags import lag_correlation
from analyses.timing import Timing
from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.vocabulary import V2

TOKENS = ["<s>", *TUNES["swing_swang_swung"].split(), "</s>"]
LINES = np.array([token in ("|", "|:", ":|") for token in TOKENS], dtype=float)
ROWS = len(TOKENS) - 1


@dataclass
class Planted(Observation):
    """An observation whose one activation is given instead of a model's."""

    activation: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def trace(self, k: int, site: str) -> np.ndarray:
        return self.activation

    def each(self, sites) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        yield 0, dict.fromkeys(sites, self.activation)


def planted(columns: list[np.ndarray]) -> Planted:
    model = FolkRNN(units=len(columns), layers=1).eval()
    return Planted(model, V2, [input_tune(ids_of("swing_swang_swung", V2), V2)], activation=np.stack(columns, axis=1))


@pytest.mark.parametrize("lag", [-2, 0, 1, 3])
def test_a_unit_that_fires_at_a_lag_of_the_bar_line_is_found_there(lag):
    event = np.zeros(100, dtype=bool)
    event[[9, 18, 27, 40, 52, 61, 77, 90]] = True
    values = np.zeros((99, 1))
    for place in np.flatnonzero(event):
        if 0 <= place - lag < 99:
            values[place - lag] = -1.0
    profile = lag_correlation(values, event, 4)[:, 0]
    assert np.nanargmax(np.abs(profile)) - 4 == lag
    assert profile[lag + 4] == pytest.approx(-1.0)


def test_a_unit_that_announces_bar_lines_has_a_lead_of_one_and_one_that_follows_none():
    for shift, lead, announcing in ((1, 1.0, 1.0), (0, 0.0, 0.0)):
        found = Timing(sites=["l1.h"])(planted([LINES[shift : shift + ROWS]] * 3)).metrics
        assert (found["l1.h/lead"], found["l1.h/announcing"], found["l1.h/responding"]) == (lead, announcing, 1.0)


def test_the_share_that_announces_is_of_the_units_that_respond():
    noise = np.random.default_rng(1).normal(size=(ROWS, 5))
    columns = [LINES[1 : ROWS + 1], -LINES[:ROWS], LINES[:ROWS], *(0.01 * noise.T)]
    found = Timing(sites=["l1.h"], threshold=0.6)(planted(columns))
    assert found.metrics["l1.h/responding"] == pytest.approx(3 / 8)
    assert found.metrics["l1.h/announcing"] == pytest.approx(1 / 3)
    assert (found.lists["l1.h/just_before"], found.lists["l1.h/just_after"]) == (["0"], ["1", "2"])
    assert found.tables["units"]["r"][:3].tolist() == pytest.approx([1.0, -1.0, 1.0])


def test_a_constant_unit_neither_follows_nor_announces():
    found = Timing(sites=["l1.h"])(planted([np.ones(ROWS), LINES[:ROWS]]))
    units = found.tables["units"]
    assert np.isnan(units["best_lag"][0]) and not units["responds"][0]
    assert units["best_lag"][1] == 0


def test_over_many_tunes_no_unit_responds_to_tokens_shifted_round():
    torch.manual_seed(4)
    model = FolkRNN(units=16, layers=1).eval()
    observation = Observation(model, V2, generate(model, V2, Sampling(tunes=60, max_tokens=80), 3))
    found = Timing(event="measure", threshold=0.15)(observation).metrics
    assert found["l1.h/responding"] > 0
    assert found["l1.h/responding_control"] == 0


def test_a_tune_of_one_token_is_drawn_and_says_nothing():
    found = Timing()(Observation(FolkRNN(units=8).eval(), V2, [input_tune([], V2)]))
    assert np.isnan(found.metrics["l3.h/lead"]) and np.isnan(found.metrics["l3.h/announcing"])
    assert all(figure.drawing.axes for figure in found.figures.values())


@pytest.mark.parametrize("wrong", [{"event": "mesure"}, {"reach": 0}, {"threshold": 1.0}])
def test_impossible_settings_are_refused(wrong: dict):
    with pytest.raises(UserError):
        Timing(**wrong)
