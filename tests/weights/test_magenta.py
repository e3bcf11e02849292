import json
import math

import musicvae_reference as reference
import numpy as np
import pytest
import torch
from magenta_samples import FLAT, HIERARCHICAL, drawn, kept, rounding

from folkrnn.errors import UserError
from folkrnn.models.melody_tensors import valid_steps
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.musicvae_sizes import Sizes
from folkrnn.training.musicvae_objective import reconstruction_loss
from folkrnn.weights.magenta import CONFIGS, load, save, shapes, to_magenta

KINDS = pytest.mark.parametrize("sizes", [FLAT, HIERARCHICAL, Sizes((5,), (4,), 3, 8)], ids=str)

TINY = {
    "cat-mel_2bar_tiny": Sizes((64,), (48, 48), 32, 32),
    "hierdec-mel_4bar_tiny": Sizes((32,), (24,), 24, 64, (24,), 4),
}


def loaded(tmp_path, sizes, seed=0):
    variables = drawn(sizes, seed)
    return variables, load(kept(tmp_path, variables), max_seq_len=sizes.max_seq_len, segments=sizes.segments).model


def some(count, steps):
    return torch.randint(0, 90, (count, steps), generator=torch.Generator().manual_seed(1))


# what Magenta's own code computes


@pytest.fixture(params=list(TINY), ids=list(TINY))
def parity(request, test_data):
    """A real checkpoint's model, and what Magenta computes from it."""
    folder = test_data / "magenta_parity" / request.param
    with np.load(folder / "oracle.npz") as file:
        oracle = {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    return load(folder, expect=TINY[request.param]).model, oracle, folder


def masked(oracle, lengths):
    tokens = oracle["tokens"].long()
    return torch.where(torch.arange(tokens.shape[1]) < oracle[lengths].unsqueeze(1), tokens, -1)


@pytest.mark.parametrize("lengths", ["full", "varied"])
def test_the_encoder_computes_what_magentas_does(parity, lengths):
    model, oracle, _ = parity
    with torch.no_grad():
        for melodies, told in (
            (oracle["tokens"], oracle[f"lengths_{lengths}"]),
            (masked(oracle, f"lengths_{lengths}"),) * 2,
        ):
            mu, sigma = model.encode(melodies, told if told.dim() == 1 else None)
            assert (mu - oracle[f"mu_{lengths}"]).abs().max() < 5e-7
            assert (sigma - oracle[f"sigma_{lengths}"]).abs().max() < 5e-7
        x = torch.nn.functional.one_hot(oracle["tokens"].long(), 90).float()
        code = model.encoder.code(x, oracle[f"lengths_{lengths}"].long())
        assert (code - oracle[f"enc_state_{lengths}"]).abs().max() < 5e-7


def test_the_decoder_computes_what_magentas_does(parity):
    model, oracle, _ = parity
    z, melodies = oracle["z_fixed"], masked(oracle, "lengths_decoder")
    valid = valid_steps(oracle["lengths_decoder"], melodies.shape[1], model.sizes.segments)
    with torch.no_grad():
        logits = model.decode(z, melodies)
        assert (logits - oracle["tf_logits"])[valid].abs().max() < 1e-4
        loss = reconstruction_loss(logits, melodies, valid)
        assert (loss / oracle["tf_r_loss"] - 1).abs().max() < 1e-5
        if model.conductor is not None:
            assert (model.conditions(z) - oracle["conductor_embeddings"]).abs().max() < 5e-7


def test_free_decoding_writes_what_magentas_does(parity):
    model, oracle, _ = parity
    z, expected = oracle["z_fixed"], oracle["greedy_tokens"].long()
    assert torch.equal(model.generate(z), expected)
    assert torch.equal(model.generate(z, temperature=1e-6), expected)
    with torch.no_grad():
        assert (model.decode(z, expected) - oracle["greedy_logits"]).abs().max() < 1e-4


def test_exported_variables_are_magentas_again(parity):
    model, _, folder = parity
    variables = to_magenta(model)
    with np.load(folder / "weights.npz") as oracle:
        assert variables.keys() == set(oracle.files)
        for name in oracle.files:
            assert np.abs(variables[name] - oracle[name]).max() <= rounding(name), name


def test_the_published_forms_of_a_checkpoint_hold_the_same_model(test_data):
    folder = test_data / "magenta_parity" / "cat-mel_2bar_tiny"
    names = [
        "cat-mel_2bar_tiny.tar",
        "",
        "model.ckpt-50000",
        "model.ckpt-50000.index",
        "model.ckpt-50000.data-00000-of-00001",
    ]
    found = [load(folder / name) for name in names]
    assert len({weights.digest for weights in found}) == 1
    assert {weights.step for weights in found} == {50_000}
    assert {weights.unexpected for weights in found} == {()}
    assert "32 steps" in found[0].assumed


def test_the_four_published_configs_have_exactly_the_variables_of_our_models(test_data):
    published = json.loads((test_data / "magenta_parity" / "full_config_variables.json").read_text())
    assert published.keys() == CONFIGS.keys()
    for name, (_, sizes) in CONFIGS.items():
        expected = {key: tuple(shape) for key, shape in published[name]["variables"].items() if key != "global_step"}
        assert shapes(sizes) == expected
        assert sum(map(math.prod, expected.values())) + 1 == published[name]["parameters_incl_global_step"]


# an independent network at any size and depth


@KINDS
def test_encoder_and_decoder_equal_an_independent_numpy_network(tmp_path, sizes):
    variables, model = loaded(tmp_path, sizes)
    steps = sizes.max_seq_len
    melodies, z = some(3, steps), model.prior(3, seed=0)
    lengths = torch.tensor([steps, steps - 3, 1])
    with torch.no_grad():
        mu, sigma = model.encode(melodies, lengths)
        logits = model.decode(z, melodies)
    for n, (melody, length) in enumerate(zip(melodies.numpy(), lengths.tolist(), strict=True)):
        expected = reference.encode(variables, melody, length)
        np.testing.assert_allclose(mu[n], expected[0], atol=2e-5)
        np.testing.assert_allclose(sigma[n], expected[1], atol=2e-5)
        np.testing.assert_allclose(
            logits[n], reference.decode(variables, z[n].numpy(), melody, sizes.segments), atol=2e-5
        )


def test_the_conductor_equals_an_independent_numpy_network(tmp_path):
    variables, model = loaded(tmp_path, HIERARCHICAL)
    z = model.prior(1, seed=0)
    with torch.no_grad():
        np.testing.assert_allclose(model.conditions(z)[0], reference.embeddings(variables, z[0].numpy(), 3), atol=1e-5)


@pytest.mark.parametrize("mistake", reference.MISTAKES_OF_THE_ENCODER)
def test_frequent_mistakes_in_an_encoder_would_be_seen(tmp_path, mistake):
    variables, model = loaded(tmp_path, FLAT)
    melody = some(1, 32)
    with torch.no_grad():
        mu, sigma = model.encode(melody, torch.tensor([9]))
    wrong = reference.encode(variables, melody[0].numpy(), 9, mistake)
    assert max(np.abs(wrong[0] - mu[0].numpy()).max(), np.abs(wrong[1] - sigma[0].numpy()).max()) > 0.01


@pytest.mark.parametrize("mistake", reference.MISTAKES_OF_THE_DECODER + reference.MISTAKES_OF_SEGMENTS)
def test_frequent_mistakes_in_a_decoder_would_be_seen(tmp_path, mistake):
    sizes = Sizes((4,), (9, 7), 10, 48, (6, 10), 3) if mistake in reference.MISTAKES_OF_SEGMENTS else FLAT
    variables, model = loaded(tmp_path, sizes)
    melody, z = some(1, sizes.max_seq_len), model.prior(1, seed=0)
    with torch.no_grad():
        logits = model.decode(z, melody)[0].numpy()
    wrong = reference.decode(variables, z[0].numpy(), melody[0].numpy(), sizes.segments, mistake)
    assert np.abs(wrong - logits).max() > 0.01


# sizes, names, refusals


@KINDS
def test_a_saved_model_is_loaded_as_it_was(tmp_path, sizes):
    torch.manual_seed(0)
    model = MusicVAE(**vars(sizes))
    save(tmp_path / "model.ckpt", model, step=123)
    again = load(tmp_path, max_seq_len=sizes.max_seq_len, segments=sizes.segments)
    assert again.model.sizes == sizes
    assert again.step == 123
    for (name, mine), read in zip(model.named_parameters(), again.model.parameters(), strict=True):
        assert (mine - read).abs().max() <= rounding(name), name


def test_optimiser_slots_are_ignored_and_other_variables_named(tmp_path):
    variables = drawn(FLAT)
    slots = {f"{name}/Adam{nth}": value for name, value in variables.items() for nth in ("", "_1")}
    others = {"beta1_power": np.float32(0.9), "global_step": np.int64(5), "ema_decay": np.float32(0.1)}
    extra = {name: np.asarray(value) for name, value in others.items()}
    found = load(kept(tmp_path, variables | slots | extra))
    assert found.unexpected == ("ema_decay",)
    assert found.step == 5


BROKEN = {
    "missing": (lambda v: {n: a for n, a in v.items() if n != "encoder/mu/bias"}, "encoder/mu/bias is missing"),
    "another shape": (lambda v: v | {"encoder/sigma/bias": np.zeros(5, np.float32)}, r"is \[5\], not \[6\]"),
    "a layer more": (lambda v: v | {"encoder/cell_7/x/kernel": np.zeros(5, np.float32)}, "encoder/cell_7/x/kernel"),
    "not finite": (lambda v: v | {"encoder/mu/bias": np.full(6, np.nan, np.float32)}, "not finite"),
    "whole numbers": (lambda v: v | {"encoder/mu/bias": np.zeros(6, np.int32)}, "floating-point"),
    "foreign": (
        lambda v: {"dense/kernel": np.zeros(3, np.float32)},
        r"does not hold a MusicVAE for melodies \(it holds dense/kernel",
    ),
    "empty": (lambda v: {}, "it holds nothing"),
    "drums": (
        lambda v: {n.replace("decoder/", "core_decoder_0/decoder/"): a for n, a in v.items()},
        "one decoder per instrument",
    ),
    "hierarchical encoder": (
        lambda v: {n.replace("encoder/cell", "encoder/hierarchical_level_0/cell"): a for n, a in v.items()},
        "hierarchical encoder",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_checkpoints_that_are_no_melody_model_are_refused_by_name(tmp_path, kind):
    change, says = BROKEN[kind]
    with pytest.raises(UserError, match=says) as refusal:
        load(kept(tmp_path, change(drawn(FLAT))))
    assert "\n" not in str(refusal.value)


def shrunk(monkeypatch):
    """Magenta's configs at a hundredth of their widths, to have checkpoints of all four."""
    small = {
        name: (
            ours,
            Sizes(
                *(tuple(width // 128 for width in units) for units in (sizes.encoder, sizes.decoder)),
                sizes.z_size // 64,
                sizes.max_seq_len,
                tuple(width // 128 for width in sizes.conductor),
                sizes.segments,
            ),
        )
        for name, (ours, sizes) in CONFIGS.items()
    }
    monkeypatch.setattr("folkrnn.weights.magenta.CONFIGS", small)
    return small


@pytest.mark.parametrize("name", CONFIGS)
def test_a_checkpoint_is_known_by_its_shapes_and_says_which_config_fits(tmp_path, monkeypatch, name):
    small = shrunk(monkeypatch)
    place = kept(tmp_path, drawn(small[name][1]))
    found = load(place)
    assert found.config == name
    assert found.model.sizes == small[name][1]
    assert found.assumed == ""
    for other, (_, sizes) in small.items():
        if other != name:
            with pytest.raises(UserError, match=rf"(encoder|decoder)/.*it is {name}: use model={small[name][0]}"):
                load(place, expect=sizes)


def test_a_checkpoint_of_no_named_config_says_its_sizes(tmp_path):
    says = r"encoder/mu/kernel is \[14, 6\], not \[20, 512\].*its sizes are encoder 10-7, decoder 9-12, z 6, or"
    with pytest.raises(UserError, match=says):
        load(kept(tmp_path, drawn(FLAT)), expect=Sizes((10,), (9, 12), 512))
