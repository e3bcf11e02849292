"""A trained model in a store of its own, played by `mlflow.pyfunc` and read back as weights."""

import mlflow
import pandas as pd
import pytest
import torch

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.refusal import Refusal
from folkrnn.sampling import Sampling, generate
from folkrnn.tracking import open_store, start_run
from folkrnn.tracking.models import file_model, weights
from folkrnn.vocabulary import V2
from folkrnn.weights import folder


@pytest.fixture(scope="module")
def filed(tmp_path_factory):
    """(store, run id, the model): a run that keeps a model of eight units, and one that keeps none."""
    home = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    model = FolkRNN(units=8, layers=1, initial_state="learned").eval()
    store = open_store(None, "folkrnn", home)
    with start_run(store, "a training", home / "runs" / "a") as run:
        folder.save(run.folder / "weights", model, V2, "# a card", torch.float32)
        for file in sorted((run.folder / "weights").iterdir()):
            run.log_file(file)
        file_model(run, run.folder / "weights")
    with start_run(store, "no training", home / "runs" / "b") as other:
        other.log_text("# a card", "weights/card.md")
    mlflow.set_tracking_uri(store.uri)
    store.client.create_registered_model("jigs")
    store.client.create_model_version("jigs", f"runs:/{run.run_id}/model", run.run_id)
    store.client.set_registered_model_alias("jigs", "best", 1)
    return store, run.run_id, other.run_id, model


def read(filed, **options):
    store = filed[0]
    return weights(uri=store.uri, folder=str(store.folder), **options)


def test_pyfunc_plays_the_model_as_we_do(filed):
    _, run_id, _, model = filed
    player = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    asked = pd.DataFrame([{"prime": "M:6/8 K:Cdor", "tunes": 3, "seed": 7, "max_tokens": 30}])
    tunes = player.predict(asked)
    expected = generate(model, V2, Sampling(3, prime=("M:6/8", "K:Cdor"), max_tokens=30), 7)
    assert tunes["tokens"].tolist() == [" ".join(tune.tokens(V2)) for tune in expected]
    assert tunes["abc"].str.contains("M:6/8").all()


def test_the_model_has_a_signature_and_its_example_can_be_played(filed):
    player = mlflow.pyfunc.load_model(f"runs:/{filed[1]}/model")
    assert player.metadata.signature.inputs.input_names() == ["prime", "tunes", "temperature", "seed", "max_tokens"]
    assert len(player.predict(player.input_example)) == 2


def test_no_pickle_and_no_code_travels_with_the_model(filed):
    names = {file.name for file in (filed[0].folder / "runs" / "a" / "model").rglob("*")}
    assert "MLmodel" in names
    assert not {name for name in names if name.endswith((".pkl", ".py", ".pth"))}


def test_a_run_gives_its_weights_back(filed):
    found = read(filed, run=filed[1])
    assert torch.equal(found.model.softmax_weight, filed[3].softmax_weight)
    assert found.vocabulary == V2
    assert found.digest == folder.digest(filed[3])
    assert filed[1] in found.source


@pytest.mark.parametrize("name", ["jigs@best", "jigs/1"])
def test_a_registered_model_is_found_by_alias_and_version(filed, name):
    assert read(filed, name=name).digest == folder.digest(filed[3])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "either"),
        ({"run": "x", "name": "jigs@best"}, "either"),
        ({"run": "0" * 32}, "not found"),
        ({"name": "jigs"}, "jigs@ALIAS"),
        ({"name": "jigs@worst"}, "worst"),
        ({"name": "reels/1"}, "reels"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(filed, options, says):
    with pytest.raises(Refusal, match=says) as refusal:
        read(filed, **options)
    assert "\n" not in str(refusal.value)


def test_a_run_without_weights_and_a_store_that_is_not_there_are_refused(filed, tmp_path):
    with pytest.raises(Refusal, match="keeps no weights"):
        read(filed, run=filed[2])
    with pytest.raises(Refusal, match="no tracking store"):
        weights(run="x", folder=str(tmp_path))


def test_an_unknown_column_is_refused(filed):
    from folkrnn.tracking.models import Player

    with pytest.raises(Refusal, match="no such column: tune"):
        Player(read(filed, run=filed[1])).predict(pd.DataFrame([{"tune": 1}]))
