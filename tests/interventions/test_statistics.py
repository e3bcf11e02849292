"""Statistics of units are those of all steps together: a long tune counts for more than a short one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from small_network import SEED, network

from folkrnn.interventions import statistics
from folkrnn.interventions.intervention import RunContext
from folkrnn.interventions.statistics import read_tunes, score
from folkrnn.vocabulary import V2


@pytest.fixture(scope="module")
def model():
    return network(units=8)


@pytest.fixture(scope="module")
def here():
    """A short tune and a long one, that differ in what they hold."""
    tunes = [["M:4/4", "K:Cmaj", "C", "|"], ["M:6/8", "K:Cdor", *["D", "E", "|"] * 20]]
    ids = [np.array([V2.start, *V2.encode(tune), V2.end]) for tune in tunes]
    return RunContext(V2, SEED, control=lambda: ids)


def rule(by):
    return SimpleNamespace(by=by, period=4.0, half_width=0.5, dc=False, token="measure", tunes=2)


@pytest.mark.parametrize("by", ["mean", "largest", "variance", "token"])
def test_a_statistic_of_several_tunes_is_that_of_their_steps_one_after_the_other(model, here, by):
    activations, events = [], []
    for ids, found in read_tunes(model, here.control(), ["l2.h"]):
        activations.append(found["l2.h"])
        events.append(np.isin(ids[1:], V2.of_type("measure")))
    h, event = np.concatenate(activations).astype(float), np.concatenate(events)
    expected = {
        "mean": np.abs(h).mean(0),
        "largest": np.abs(h).max(0),
        "variance": h.var(0),
        "token": np.abs(np.corrcoef(h.T, event)[-1, :-1]),
    }[by]
    np.testing.assert_allclose(score(rule(by), [2], model, here)[2], expected, rtol=1e-4, atol=1e-6)
    each = np.mean([np.abs(part).mean(0) for part in activations], axis=0)
    assert by != "mean" or np.abs(each - expected).max() > 0.01  # else the two tunes could not tell


@pytest.mark.filterwarnings("error")
def test_a_share_of_power_is_the_mean_over_the_tunes_that_have_one_and_nothing_where_none_has():
    found = np.array([[0.2, np.nan, np.nan], [0.6, 0.5, np.nan]])
    assert statistics._over_tunes("period", found, np.ones((2, 1))) == pytest.approx([0.4, 0.5, 0.0])
