"""A trained model in a store of its own, played by `mlflow.pyfunc` and read back as weights."""

import mlflow
import pandas as pd
import pytest
import torch

from folkrnn.errors import UserError
from folkrnn.melodies.twinkle import twinkle
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.sampling import Sampling, generate
from folkrnn.tracking import open_store, start_run
from folkrnn.tracking.models import file_model, weights
from folkrnn.tracking.pyfunc import player
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
        other.log_text("# a card", "weights/README.md")
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
    with pytest.raises(UserError, match=says) as refusal:
        read(filed, **options)
    assert "\n" not in str(refusal.value)


def test_a_run_without_weights_and_a_store_that_is_not_there_are_refused(filed, tmp_path):
    with pytest.raises(UserError, match="keeps no weights"):
        read(filed, run=filed[2])
    with pytest.raises(UserError, match="no tracking store"):
        weights(run="x", folder=str(tmp_path))


def test_an_unknown_column_is_refused(filed):
    with pytest.raises(UserError, match="no such column: tune"):
        player(read(filed, run=filed[1])).predict(pd.DataFrame([{"tune": 1}]))


@pytest.fixture(scope="module")
def melodist(tmp_path_factory):
    """(what `mlflow.pyfunc` loads, the model): a MusicVAE of a few units for melodies of two bars."""
    home = tmp_path_factory.mktemp("melodies")
    torch.manual_seed(0)
    model = MusicVAE(encoder=[8], decoder=[8], z_size=4, max_seq_len=32).eval()
    store = open_store(None, "folkrnn", home)
    with start_run(store, "a training", home / "runs" / "a") as run:
        folder.save(run.folder / "weights", model, None, "# a card", torch.float32)
        file_model(run, run.folder / "weights")
    mlflow.set_tracking_uri(store.uri)
    return mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model"), model


def test_pyfunc_encodes_melodies_and_writes_them_back_as_we_do(melodist):
    loaded, model = melodist
    melodies = [twinkle().tolist(), twinkle(4)[32:].tolist()]
    found = loaded.predict(pd.DataFrame({"melody": melodies}))
    with torch.no_grad():
        mu, _ = model.encode(torch.tensor(melodies))
    assert torch.equal(torch.tensor(found["latents"].tolist()), mu)
    assert found["melody"].tolist() == model.generate(mu).tolist()
    again = loaded.predict(pd.DataFrame({"latents": found["latents"]}))
    assert again["melody"].tolist() == found["melody"].tolist()


def test_a_row_with_nothing_is_a_draw_from_the_prior_and_a_temperature_draws_the_steps(melodist):
    loaded, model = melodist
    found = loaded.predict(pd.DataFrame([{"seed": 3}, {"seed": 3, "temperature": 1.5}, {"seed": 4}]))
    z = torch.cat([model.prior(1, seed) for seed in (3, 3, 4)])
    assert torch.equal(torch.tensor(found["latents"].tolist()), z)
    assert found["melody"][0] == model.generate(z[:1])[0].tolist()
    assert found["melody"][1] == model.generate(z[1:2], temperature=1.5, seed=3)[0].tolist()


def test_the_example_of_melodies_is_twinkle_and_can_be_played(melodist):
    loaded, _ = melodist
    assert loaded.metadata.signature.inputs.input_names() == ["melody", "latents", "temperature", "seed"]
    assert loaded.input_example["melody"][0] == twinkle().tolist()
    assert len(loaded.predict(loaded.input_example)) == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"melody": [0] * 31}, "32 classes from 0 to 89"),
        ({"melody": [90] * 32}, "32 classes from 0 to 89"),
        ({"latents": [0.0] * 3}, "4 numbers"),
        ({"latents": [float("nan")] * 4}, "4 numbers"),
        ({"latents": [0.0] * 4, "melody": [0] * 32}, "not both"),
    ],
)
def test_melodies_and_latents_that_do_not_fit_are_refused(melodist, row, says):
    with pytest.raises(UserError, match=says):
        melodist[0].predict(pd.DataFrame([row]))
