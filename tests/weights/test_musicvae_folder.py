"""Weights of a MusicVAE on disk: sizes from the tensors, lengths from the metadata, anything else refused."""

import pytest
import safetensors.torch
import torch

from folkrnn.errors import UserError
from folkrnn.models.musicvae import MusicVAE
from folkrnn.weights import folder
from folkrnn.weights.musicvae_folder import musicvae_of

SIZES = {
    "flat": {"encoder": [6], "decoder": [5, 4], "z_size": 3, "max_seq_len": 32},
    "deep": {"encoder": [6, 7], "decoder": [5], "z_size": 3, "max_seq_len": 16, "depth": 12},
    "hierarchical": {
        "encoder": [6],
        "conductor": [4, 3],
        "decoder": [5, 5],
        "z_size": 2,
        "max_seq_len": 64,
        "segments": 4,
    },
}


def model(kind="flat"):
    torch.manual_seed(0)
    return MusicVAE(**SIZES[kind])


@pytest.mark.parametrize("kind", SIZES)
def test_a_folder_gives_back_what_was_saved(tmp_path, kind):
    saved = model(kind)
    folder.save(tmp_path, saved, None, "# card", torch.float32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    loaded = folder.load(tmp_path)
    assert loaded.model.sizes == saved.sizes
    assert loaded.vocabulary is None
    assert loaded.card == "# card"
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)


def test_half_precision_is_read_as_single(tmp_path):
    saved = model()
    folder.save(tmp_path, saved, None, "")
    loaded = folder.load(tmp_path).model
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())


@pytest.mark.parametrize(("lengths", "says"), [
    ({}, "does not say its max_seq_len and segments"),
    ({"max_seq_len": "32"}, "does not say"),
    ({"max_seq_len": "many", "segments": "1"}, "does not say"),
    ({"max_seq_len": "32", "segments": "3"}, "segments"),
])  # fmt: skip
def test_lengths_that_are_none_are_refused(lengths, says):
    with pytest.raises(UserError, match=says):
        musicvae_of(model().state_dict(), lengths, "here")


@pytest.mark.parametrize("damage", [
    lambda tensors: tensors.pop("decoder.output.bias"),
    lambda tensors: tensors.update({"decoder.output.bias": torch.zeros(3)}),
    lambda tensors: tensors.update(extra=torch.zeros(3)),
    lambda tensors: tensors.update({"encoder.mu.weight": torch.zeros(9, 12)}),
    lambda tensors: tensors.pop("decoder.layers.0.weight_hh"),
])  # fmt: skip
def test_tensors_that_do_not_fit_are_refused(tmp_path, damage):
    saved = model()
    tensors = {name: value.clone() for name, value in saved.state_dict().items()}
    damage(tensors)
    (tmp_path / "model.safetensors").write_bytes(safetensors.torch.save(tensors, saved.metadata()))
    with pytest.raises(UserError, match=r"another shape, lacks or is extra|at least one layer"):
        folder.load(tmp_path)


def test_values_that_are_not_finite_are_refused(tmp_path):
    saved = model()
    with torch.no_grad():
        saved.encoder.sigma.bias[0] = float("nan")
    folder.save(tmp_path, saved, None, "")
    with pytest.raises(UserError, match="not finite"):
        folder.load(tmp_path)
