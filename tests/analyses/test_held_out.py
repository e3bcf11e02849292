import numpy as np
import pytest
import torch

from analyses.held_out import HeldOut
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.families import split
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2


def corpus(number):
    rng = np.random.default_rng(0)
    return Corpus("random", [Tune(("M:4/4", "K:Cmaj", *rng.choice(list("CDEFGAB"), 20))) for _ in range(number)])


def test_a_uniform_model_costs_ln_137_on_every_held_out_token():
    model = FolkRNN(units=8).eval()
    with torch.no_grad():
        model.softmax_weight.zero_()
    found = HeldOut(resamples=20)(Observation(model, V2, [input_tune([], V2)], corpus(200)))
    assert found.metrics["nats_per_token"] == pytest.approx(np.log(137), rel=1e-6)
    assert found.metrics["nats_per_token_low"] == pytest.approx(np.log(137), rel=1e-6)


def test_the_cost_is_that_of_each_held_out_tune_read_alone():
    torch.manual_seed(0)
    model, data = FolkRNN(units=16).eval(), corpus(200)
    table = HeldOut(resamples=20)(Observation(model, V2, [input_tune([], V2)], data)).tables["tunes"]
    assert table["tune"].tolist() == split(data.tunes)[1]
    for k, nats in zip(table["tune"][:3], table["nats"][:3], strict=True):
        distribution = model.trace(torch.from_numpy(data.ids[k][:-1]), "probs")["probs"].numpy()
        assert nats == pytest.approx(
            -np.log(distribution[np.arange(len(distribution)), data.ids[k][1:]]).sum(), rel=1e-5
        )


def test_a_corpus_too_small_to_hold_out_is_refused():
    with pytest.raises(UserError, match="too small"):
        HeldOut()(Observation(FolkRNN(units=8).eval(), V2, [input_tune([], V2)], corpus(1)))


def test_copied_bars_are_counted_apart_from_new_ones():
    model = FolkRNN(units=8).eval()
    with torch.no_grad():
        model.softmax_weight.zero_()
        model.softmax_bias[V2.index["C"]] = 5.0
    rng = np.random.default_rng(0)
    middle = [" ".join(rng.choice("D E F G A B d e f g a b".split(), 4, replace=False)) for _ in range(200)]
    tunes = [Tune(("M:2/4", "K:Cmaj", *f"C C C C | {bar} | C C C C |".split())) for bar in middle]
    found = HeldOut(resamples=20)(Observation(model, V2, [input_tune([], V2)], Corpus("bars", tunes)))
    likely, unlikely = np.log(np.exp(5) + 136) - 5, np.log(np.exp(5) + 136)
    assert found.metrics["copied_nats"] == pytest.approx(likely, rel=1e-5)
    assert found.metrics["new_nats"] == pytest.approx((likely + unlikely) / 2, rel=1e-5)
    assert found.metrics["copying_gain_low"] == pytest.approx((unlikely - likely) / 2, rel=1e-5)


def test_a_collection_without_repetition_says_so():
    found = HeldOut(resamples=20)(Observation(FolkRNN(units=8).eval(), V2, [input_tune([], V2)], corpus(200)))
    assert "copied_nats" not in found.metrics
    assert "No held-out tune repeats a bar" in found.figures["costs"].caption
