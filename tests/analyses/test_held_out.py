import numpy as np
import pytest
import torch

from analyses.held_out import HeldOut
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.families import split
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.refusal import Refusal
from folkrnn.sampling import given
from folkrnn.vocabulary import V2


def corpus(number):
    rng = np.random.default_rng(0)
    return Corpus("random", [Tune(("M:4/4", "K:Cmaj", *rng.choice(list("CDEFGAB"), 20))) for _ in range(number)])


def test_a_uniform_model_costs_ln_137_on_every_held_out_token():
    model = FolkRNN(units=8).eval()
    with torch.no_grad():
        model.softmax_weight.zero_()
    found = HeldOut(resamples=20)(Observation(model, V2, [given([], V2)], corpus(200)))
    assert found.metrics["nats_per_token"] == pytest.approx(np.log(137), rel=1e-6)
    assert found.metrics["nats_per_token_low"] == pytest.approx(np.log(137), rel=1e-6)


def test_the_cost_is_that_of_each_held_out_tune_read_alone():
    torch.manual_seed(0)
    model, data = FolkRNN(units=16).eval(), corpus(200)
    table = HeldOut(resamples=20)(Observation(model, V2, [given([], V2)], data)).tables["tunes"]
    assert table["tune"].tolist() == split(data.tunes)[1]
    for k, nats in zip(table["tune"][:3], table["nats"][:3], strict=True):
        law = model.trace(torch.from_numpy(data.ids[k][:-1]), "probs")["probs"].numpy()
        assert nats == pytest.approx(-np.log(law[np.arange(len(law)), data.ids[k][1:]]).sum(), rel=1e-5)


def test_a_corpus_too_small_to_hold_out_is_refused():
    with pytest.raises(Refusal, match="too small"):
        HeldOut()(Observation(FolkRNN(units=8).eval(), V2, [given([], V2)], corpus(1)))
