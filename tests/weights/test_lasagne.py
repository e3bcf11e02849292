import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from python2_pickles import lasagne_arrays, original, python2, webapp

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.vocabulary import V2, Vocabulary
from folkrnn.weights import folder, lasagne
from folkrnn.weights.sources import pickle as from_pickle
from folkrnn.weights.sources import pretrained

SMALL = Vocabulary(("c", "</s>", "|", "M:4/4", "<s>", "K:Cmaj", "d"))


def model(cell="lstm", layers=2, units=5, start="learned", vocabulary=SMALL, seed=0):
    torch.manual_seed(seed)
    made = FolkRNN(len(vocabulary), units, layers, cell=cell, initial_state=start)
    if start == "learned":
        torch.nn.init.normal_(made.initial)
    return made.eval()


def written(path, content, dump=python2):
    path.write_bytes(dump(content))
    return path


def same(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped model in the original layout, with 7,020 iterations of losses: (weights, its pickle)."""
    weights = pretrained()
    place = tmp_path_factory.mktemp("pickle") / "folkrnn.pkl"
    return weights, written(place, original(weights.model, weights.vocabulary, losses=7020))


def test_the_original_layout_has_the_45_arrays_of_the_facts(shipped):
    shapes = [array.shape for array in pickle.loads(shipped[1].read_bytes(), encoding="latin1")["param_values"]]
    layer = [(512, 512), (512, 512), (512,)] * 4 + [(1, 512)] * 2
    first = [(137, 512), (512, 512), (512,)] * 4 + [(1, 512)] * 2
    assert shapes == [(137, 137), *first, *layer, *layer, (512, 137), (137,)]


def test_the_shipped_model_comes_back_from_a_python_2_pickle_to_the_bit(shipped):
    weights, file = shipped
    read = from_pickle(str(file))
    same(read.model, weights.model)
    assert read.vocabulary == weights.vocabulary
    assert read.digest == weights.digest
    assert read.model.parameter_counts()["weights"] == 5_599_881


def test_losses_inside_the_pickle_become_the_training_curve(shipped):
    curve = from_pickle(str(shipped[1])).curve
    assert curve.unit == "tune"
    assert curve.training[:, 0].tolist() == list(range(1, 7021))
    assert 100 <= curve.training[:, 1].min() < curve.training[:, 1].max() <= 101
    # validated after 999, 1,999, … updates (facts sheet section 2.5)
    assert curve.validation[:, 0].tolist() == [999 + 1000 * k for k in range(7)]
    assert curve.updates_per_epoch == 3510


def test_losses_of_a_resumed_training_count_on(tmp_path):
    content = original(model(), SMALL, losses=2000) | {"iters_since_start": 5001}
    curve = from_pickle(str(written(tmp_path / "x.pkl", content))).curve
    assert curve.training[[0, -1], 0].tolist() == [3001, 5000]
    assert curve.validation[:, 0].tolist() == [3999, 4999]


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(["lstm", "gru"]),
    st.integers(1, 4),
    st.integers(1, 7),
    st.permutations(SMALL.tokens),
    st.sampled_from(["python 2", "protocol 0", "protocol 3", "protocol 4", "protocol 5"]),
    st.booleans(),
)
def test_any_cell_depth_width_order_and_protocol_comes_back(
    tmp_path_factory, cell, layers, units, tokens, protocol, app
):
    vocabulary = Vocabulary(tuple(tokens))
    made = model(cell, layers, units, vocabulary=vocabulary)
    content = (webapp if app else original)(made, vocabulary)
    data = python2(content) if protocol == "python 2" else pickle.dumps(content, int(protocol[-1]))
    place = tmp_path_factory.mktemp("any") / "x.pkl"
    place.write_bytes(data)
    read = lasagne.load(place)
    same(read.model, made)
    assert read.vocabulary == vocabulary


def lasagne_reads(arrays, cell, layers, ids):
    """Probabilities `[T, V]` by the equations of the authors' samplers, on arrays in their order."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    arrays = [a.astype(np.float64) for a in arrays]
    step = 14 if cell == "lstm" else 10
    h = [arrays[step * (k + 1)] for k in range(layers)]
    c = [arrays[step * (k + 1) - 1] for k in range(layers)]
    distributions = []
    for token in ids:
        x = arrays[0][token]
        for k in range(layers):
            p = arrays[1 + k * step :]
            if cell == "lstm":
                i, f, o = (sigmoid(x @ p[n] + h[k] @ p[n + 1] + p[n + 2]) for n in (0, 3, 9))
                c[k] = f * c[k] + i * np.tanh(x @ p[6] + h[k] @ p[7] + p[8])
                h[k] = o * np.tanh(c[k])
            else:
                u, r = (sigmoid(x @ p[n] + h[k] @ p[n + 1] + p[n + 2]) for n in (0, 3))
                h[k] = u * np.tanh(x @ p[6] + r * (h[k] @ p[7]) + p[8]) + (1 - u) * h[k]
            x = h[k]
        z = (x @ arrays[-2] + arrays[-1]).squeeze()
        distributions.append(np.exp(z) / np.exp(z).sum())
    return np.array(distributions)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("embedding", ["one-hot", "learned"])
def test_the_model_read_computes_what_the_authors_samplers_compute(tmp_path, cell, embedding):
    made = model(cell, layers=3)
    arrays = lasagne_arrays(made)
    if embedding == "learned":
        rng = np.random.default_rng(1)
        arrays[0] = rng.normal(size=(len(SMALL), 3)).astype(np.float32)
        for n in (1, 4, 7, 10) if cell == "lstm" else (1, 4, 7):
            arrays[n] = rng.normal(size=(3, 5)).astype(np.float32)
    content = original(made, SMALL) | {"param_values": arrays}
    read = lasagne.load(written(tmp_path / "x.pkl", content))
    ids = [4, 3, 5, 0, 6, 2, 0, 1]
    distribution = read.model.trace(torch.tensor(ids), "probs")["probs"].numpy()
    np.testing.assert_allclose(distribution, lasagne_reads(arrays, cell, 3, ids), atol=1e-6)
    assert ("learned embedding" in read.card) == (embedding == "learned")


def test_double_precision_arrays_are_read_too(tmp_path):
    made = model()
    content = original(made, SMALL)
    content["param_values"] = [array.astype(np.float64) for array in content["param_values"]]
    same(lasagne.load(written(tmp_path / "x.pkl", content)).model, made)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_export_and_import_give_the_same_weights(tmp_path, cell):
    made = model(cell)
    curve = lasagne.load(written(tmp_path / "a.pkl", original(made, SMALL, losses=1500))).curve
    weights = folder.Weights(made, SMALL, "ours", folder.digest(made), curve=curve)
    lasagne.save(tmp_path / "x.pkl", weights)
    read = lasagne.load(tmp_path / "x.pkl")
    same(read.model, made)
    assert read.vocabulary == SMALL
    np.testing.assert_array_equal(read.curve.training, curve.training)
    np.testing.assert_array_equal(read.curve.validation, curve.validation)
    folder.save(tmp_path / "folder", read.model, read.vocabulary, read.card, torch.float32, read.curve)
    again = folder.load(tmp_path / "folder")
    same(again.model, made)
    assert again.curve.training.shape == curve.training.shape


@pytest.mark.filterwarnings("ignore:numpy.core")
def test_what_is_exported_is_read_by_pythons_own_pickle_as_the_authors_scripts_read_it(tmp_path):
    made = model()
    lasagne.save(tmp_path / "x.pkl", folder.Weights(made, SMALL, "ours", folder.digest(made)))
    content = pickle.loads((tmp_path / "x.pkl").read_bytes(), encoding="latin1")
    assert content["token2idx"] == SMALL.index
    for mine, theirs in zip(content["param_values"], lasagne_arrays(made), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert b"numpy._core" not in (tmp_path / "x.pkl").read_bytes()  # a name that Python 2's numpy has not got


def test_a_musicvae_has_no_place_in_a_pickle_of_folk_rnn(tmp_path):
    with pytest.raises(UserError, match="Magenta"):
        lasagne.save(tmp_path / "x.pkl", folder.Weights(MusicVAE(encoder=(8,), decoder=(8,), z_size=4), None, "", ""))


def changed(**changes):
    return original(model(), SMALL) | changes


ARRAYS = lasagne_arrays(model())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2], "no pickle of folk-rnn: it holds list"),
        ({"a": 1}, "it holds 'a'"),
        (changed(token2idx={"<s>": 0, "</s>": 2}), "from 0 without gaps"),
        (changed(token2idx={"<s>": 0, "</s>": 0}), "from 0 without gaps"),
        (changed(token2idx=[1]), "no map"),
        (changed(param_values="x"), "no list of arrays"),
        (changed(param_values=[np.zeros(3, np.int32)] * 31), "no list of arrays"),
        (changed(param_values=ARRAYS[:-1]), "no softmax layer"),
        (changed(param_values=ARRAYS[:5] + ARRAYS[6:]), "three layers of LSTM make 45 arrays"),
        (changed(param_values=[*ARRAYS[:2], ARRAYS[2][:3], *ARRAYS[3:]]), r"array 2 is \[3, 5\], not \[5, 5\]"),
        (changed(param_values=[*ARRAYS[:3], ARRAYS[3] * np.nan, *ARRAYS[4:]]), "not finite"),
        (changed(losses_train=["x"]), "no number"),
        (changed(losses_train=3), "no list of losses"),
        (changed(token2idx=dict(V2.index)), "no folk-rnn over 137 tokens"),
    ],
)
def test_what_is_no_folk_rnn_is_refused_in_one_line(tmp_path, content, says):
    with pytest.raises(UserError, match=says) as refusal:
        lasagne.load(written(tmp_path / "x.pkl", content))
    assert "\n" not in str(refusal.value)


def test_a_card_says_what_the_pickle_says_of_itself(tmp_path):
    card = lasagne.load(written(tmp_path / "x.pkl", original(model(), SMALL))).card
    assert "config5-wrepeats-20160112-222521" in card
    assert "7 tokens, its own" in card


def test_blob_is_gits_id_of_the_file(tmp_path):
    weights = lasagne.load(written(tmp_path / "x.pkl", original(model(), SMALL)))
    assert len(weights.blob) == 40
    assert weights.blob != replace(weights, blob="").blob
