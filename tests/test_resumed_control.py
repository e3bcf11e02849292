"""Replays have a second control: the model as it is, going on from where each tune left the replayed one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.families import split
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.families.folkrnn.playing import beginning
from folkrnn.observation.replayed import tunes_of
from folkrnn.study import observe, prepare
from folkrnn.vocabulary import V2

CONF = Path(__file__).parents[1] / "conf"


@pytest.mark.parametrize(
    ("ids", "others", "length"),
    [([5, 1, 2, 3], [5, 1, 7, 3], 3), ([5, 1, 2], [5, 1, 2], 3), ([5, 1, 2, 4], [5, 1, 2], 4), ([5, 1], [5, 1, 2], 2)],
)
def test_the_beginning_of_a_tune_ends_with_the_first_token_that_another_has_not(ids, others, length):
    assert beginning(np.array(ids), np.array(others)).tolist() == ids[:length]


def test_the_unchanged_model_goes_on_from_where_a_replay_was_left():
    overrides = ["sampling.replay=fig1", "sampling.tunes=3", "intervention=suppress_tokens"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plan = prepare(compose("config", overrides=overrides), overrides)
    observation = observe(plan, plan.weights)
    vocabulary = observation.vocabulary
    assert observation.resumed.model is observation.control.model
    for control, changed, resumed in zip(
        observation.control.transcriptions,
        observation.transcriptions,
        observation.resumed.transcriptions,
        strict=True,
    ):
        assert control.tokens(vocabulary) == vocabulary.decode(ids_of("fig1", vocabulary))
        left = len(beginning(changed.ids, control.ids))
        assert resumed.ids[:left].tolist() == changed.ids[:left].tolist() != control.ids[:left].tolist()
        shared = min(len(resumed.ids), len(changed.ids)) - 1
        assert np.array_equal(resumed.uniform[left:shared], changed.uniform[left:shared])
        assert vocabulary.index["|"] in resumed.ids
        assert vocabulary.index["|"] not in changed.ids
    again = observation.null_again.transcriptions
    assert observation.null is observation.resumed
    assert any(a.ids.tolist() != r.ids.tolist() for a, r in zip(again, observation.resumed.transcriptions, strict=True))


def test_replays_go_through_the_published_tune_and_different_tunes_held_out_of_the_training():
    draw = np.random.default_rng(0)
    tunes = [Tune(("M:4/4", "K:Cmaj", *draw.choice(list("CDEFGABcde"), 24))) for _ in range(300)]
    data = Corpus("planted", tunes)
    held = {tuple(data.ids[k]) for k in split(tunes)[1]}
    assert len(held) > 5
    count = len(held) + 1
    found = tunes_of(["fig1", "held_out"], count, 400, V2, data, seed=1)
    assert found[0] == ids_of("fig1", V2)
    assert {(V2.start, *ids, V2.end) for ids in found[1:]} == held
    assert tunes_of("fig1", 4, 400, V2, data, seed=1) == [ids_of("fig1", V2)]
    assert len(tunes_of(["fig1", "held_out"], count - 1, 400, V2, data, seed=1)) == count - 1
    with pytest.raises(UserError, match=f"holds out {len(held)} of at most 400"):
        tunes_of("held_out", count, 400, V2, data, seed=1)
