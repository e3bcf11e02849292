import io
import json
import math
import tarfile

import musicvae_reference as reference
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.models.melody_tensors import valid_steps
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.musicvae_sizes import Sizes
from folkrnn.refusal import Refusal
from folkrnn.training.musicvae_objective import reconstruction_loss
from folkrnn.weights.magenta import CONFIGS, load, save, shapes, to_magenta
from folkrnn.weights.tensor_bundle import write_bundle

FLAT = Sizes((10, 7), (9, 12), 6, 32)
HIERARCHICAL = Sizes((8,), (9, 7), 5, 48, (6, 10), 3)
KINDS = pytest.mark.parametrize("sizes", [FLAT, HIERARCHICAL, Sizes((5,), (4,), 3, 8)], ids=str)

TINY = {
    "cat-mel_2bar_tiny": Sizes((64,), (48, 48), 32, 32),
    "hierdec-mel_4bar_tiny": Sizes((32,), (24,), 24, 64, (24,), 4),
}


def drawn(sizes, seed=0):
    """Magenta's variables of a model of these sizes, biases included, large enough for any mistake to show."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes(sizes).items()}


def kept(tmp_path, variables, name="model.ckpt-7"):
    write_bundle(tmp_path / name, variables)
    return tmp_path / name


def loaded(tmp_path, sizes, seed=0):
    variables = drawn(sizes, seed)
    return variables, load(kept(tmp_path, variables), max_seq_len=sizes.max_seq_len, segments=sizes.segments).model


def rounding(name):
    """What adding 1 to a forget bias and taking it off again may cost, the sum being below 4; other values keep all."""
    return 2**-23 if name.endswith("bias") else 0


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
    with pytest.raises(Refusal, match=says) as refusal:
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
            with pytest.raises(Refusal, match=rf"(encoder|decoder)/.*it is {name}: use model={small[name][0]}"):
                load(place, expect=sizes)


def test_a_checkpoint_of_no_named_config_says_its_sizes(tmp_path):
    says = r"encoder/mu/kernel is \[14, 6\], not \[20, 512\].*its sizes are encoder 10-7, decoder 9-12, z 6, or"
    with pytest.raises(Refusal, match=says):
        load(kept(tmp_path, drawn(FLAT)), expect=Sizes((10,), (9, 12), 512))


# archives and folders


def archive(path, *members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for member in members:
            info, content = member if isinstance(member, tuple) else (member, b"")
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def parts(tmp_path, sizes=FLAT):
    prefix = kept(tmp_path / "parts", drawn(sizes), "m.ckpt")
    return [(file.name, file.read_bytes()) for file in sorted(prefix.parent.iterdir())]


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


UNSAFE = {
    "a path upwards": ("../evil.index", "outside the archive"),
    "a path upwards in the middle": ("a/../../evil", "outside the archive"),
    "an absolute path": ("/etc/evil", "outside the archive"),
    "a path upwards for Windows": ("..\\evil", "outside the archive"),
    "a drive": ("C:evil", "outside the archive"),
    "a symbolic link": (special("m.index", tarfile.SYMTYPE, "/etc/passwd"), "a link to '/etc/passwd'"),
    "a hard link": (special("m.index", tarfile.LNKTYPE, "m.ckpt.index"), "a link to"),
    "a device": (special("m.index", tarfile.CHRTYPE), "neither a plain file"),
    "a pipe": (special("m.index", tarfile.FIFOTYPE), "neither a plain file"),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_archives_with_unsafe_members_are_refused_and_nothing_is_written(tmp_path, kind):
    member, says = UNSAFE[kind]
    path = archive(tmp_path / "x.tar", *parts(tmp_path), member)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Refusal, match=says):
        load(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_may_hold_folders_and_other_files(tmp_path):
    inside = [(f"some/folder/{name}", content) for name, content in parts(tmp_path)]
    path = archive(tmp_path / "x.tar", special("some", tarfile.DIRTYPE), ("README", b"hello"), *inside)
    assert load(path).model.sizes == FLAT


def test_archives_that_are_not_whole_plain_or_one_checkpoint_are_refused(tmp_path):
    members = parts(tmp_path)
    whole = archive(tmp_path / "whole.tar", *members).read_bytes()
    (tmp_path / "short.tar").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.tar").write_bytes(b"hello" * 300)
    archive(tmp_path / "packed.tgz", *members, mode="w:gz")
    archive(tmp_path / "two.tar", *members, ("again.index", b"x"))
    archive(tmp_path / "none.tar", ("README", b"x"))
    archive(tmp_path / "alone.tar", next(member for member in members if member[0].endswith(".index")))
    for name, says in {
        "short": "cut short",
        "junk": "not a whole",
        "two": "2 checkpoints",
        "none": "0 checkpoints",
        "alone": "data file 0, which is missing",
    }.items():
        with pytest.raises(Refusal, match=says):
            load(tmp_path / f"{name}.tar")
    with pytest.raises(Refusal, match="decompress it first"):
        load(tmp_path / "packed.tgz")


@settings(max_examples=100, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 9000),
)
def test_damaged_archives_are_refused_or_read(tmp_path_factory, flips, cut):
    folder = tmp_path_factory.mktemp("fuzz")
    path = archive(folder / "x.tar", *parts(folder, Sizes((1,), (1,), 1, 8)))
    content = bytearray(path.read_bytes())
    for place, mask in flips:
        content[place % len(content)] ^= mask
    path.write_bytes(content[: max(0, len(content) - max(0, cut - 5000))])
    try:
        assert load(path).model.sizes.encoder == (1,)
    except Refusal as refusal:
        assert str(path) in str(refusal)


def test_a_folder_with_several_checkpoints_goes_by_its_checkpoint_file(tmp_path):
    for step, seed in (("1", 1), ("2", 2)):
        kept(tmp_path, drawn(FLAT, seed), f"model.ckpt-{step}")
    with pytest.raises(Refusal, match=r"2 checkpoints \(model.ckpt-1, model.ckpt-2\)"):
        load(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/another/machine/model.ckpt-1"\n')
    assert load(tmp_path).digest == load(tmp_path / "model.ckpt-1").digest != load(tmp_path / "model.ckpt-2").digest


def test_what_is_not_there_is_said_with_what_may_be_meant(tmp_path):
    kept(tmp_path, drawn(FLAT), "model.ckpt-50000")
    with pytest.raises(Refusal, match=r"model\.ckpt-50000"):
        load(tmp_path / "model.ckpt-5000")
    with pytest.raises(Refusal, match="no Magenta checkpoint"):
        load("/nowhere/x.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refusal, match="holds no checkpoint"):
        load(tmp_path / "empty")


# Magenta.js


def manifest(folder, variables, kind=None, shard=1000, config=None):
    """Writes a Magenta.js checkpoint, quantised to `kind` if given; returns what each variable then is."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, octets, stored = [], b"", {}
    for name, value in variables.items():
        weight = {"name": name, "shape": list(value.shape), "dtype": "float32"}
        if kind is not None and name.endswith("kernel"):
            low, scale = float(value.min()), float(np.ptp(value)) / np.iinfo(kind).max
            steps = np.round((value - low) / scale).astype(kind)
            weight["quantization"] = {"min": low, "scale": scale, "dtype": kind}
            octets, stored[name] = octets + steps.tobytes(), (steps * scale + low).astype(np.float32)
        else:
            octets, stored[name] = octets + value.tobytes(), value
        weights.append(weight)
    paths = []
    for count, start in enumerate(range(0, len(octets), shard)):
        paths.append(f"group1-shard{count + 1}")
        (folder / paths[-1]).write_bytes(octets[start : start + shard])
    (folder / "weights_manifest.json").write_text(json.dumps([{"paths": paths, "weights": weights}]))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return stored


@pytest.mark.parametrize("kind", [None, "uint8", "uint16"])
def test_magenta_js_checkpoints_are_loaded_quantised_or_not(tmp_path, kind):
    stored = manifest(tmp_path / "js", drawn(FLAT), kind)
    for place in (tmp_path / "js", tmp_path / "js" / "weights_manifest.json"):
        found = to_magenta(load(place).model)
        assert found.keys() == stored.keys()
        for name, value in stored.items():
            assert np.abs(found[name] - value).max() <= rounding(name), name


def test_magenta_js_says_how_long_melodies_are(tmp_path):
    config = {"type": "MusicVAE", "dataConverter": {"type": "MelodyConverter", "args": {"numSteps": 64}}}
    manifest(tmp_path / "four", drawn(FLAT), config=config)
    four = load(tmp_path / "four")
    assert (four.model.sizes.max_seq_len, four.assumed) == (64, "")
    config["dataConverter"]["args"] = {"numSteps": 48, "numSegments": 3}
    manifest(tmp_path / "segments", drawn(HIERARCHICAL), config=config)
    assert load(tmp_path / "segments").model.sizes == HIERARCHICAL


def changed(folder, change):
    file = folder / "weights_manifest.json"
    groups = json.loads(file.read_text())
    change(groups[0])
    file.write_text(json.dumps(groups))
    return folder


def set_to(key, value, name=None):
    def change(group):
        (group if name is None else group["weights"][0] if name == 0 else group["weights"][0][name])[key] = value

    return change


ODD = {
    "a shard above": (set_to("paths", ["../secret"]), "does not lie beside it"),
    "an absolute shard": (set_to("paths", ["/etc/passwd"]), "does not lie beside it"),
    "the folder itself": (set_to("paths", [".."]), "does not lie beside it"),
    "a shard that is missing": (set_to("paths", ["group9"]), "missing"),
    "a shard that is no name": (set_to("paths", [7]), "does not lie beside it"),
    "fewer bytes": (set_to("paths", []), "past the end of its shards"),
    "ten gigabytes": (set_to("shape", [2_500_000_000 // 2, 2], 0), "past the end of its shards"),
    "a negative shape": (set_to("shape", [-1], 0), "which no weight can have"),
    "a shape in words": (set_to("shape", ["3"], 0), "which no weight can have"),
    "an odd type": (set_to("dtype", "string", 0), "float32, int32"),
    "an odd quantisation": (set_to("quantization", {"dtype": "uint4"}, 0), "uint8, uint16"),
    "no scale": (set_to("quantization", {"dtype": "uint8", "min": 0}, 0), "finite"),
    "no list": (set_to("weights", {}), "list of weights"),
    "a name twice": (set_to("name", "encoder/mu/bias", 0), "twice"),
    "no name": (set_to("name", None, 0), "no name"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_manifests_are_refused_in_one_line(tmp_path, kind):
    change, says = ODD[kind]
    manifest(tmp_path / "js", drawn(FLAT))
    (tmp_path / "secret").write_bytes(bytes(100_000))
    with pytest.raises(Refusal, match=says) as refusal:
        load(changed(tmp_path / "js", change))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "{}", "[7]", "null"])
def test_files_that_are_no_manifest_are_refused(tmp_path, text):
    manifest(tmp_path / "js", drawn(FLAT))
    (tmp_path / "js" / "weights_manifest.json").write_text(text)
    with pytest.raises(Refusal, match=r"weights_manifest\.json"):
        load(tmp_path / "js")


@pytest.mark.parametrize(
    ("config", "says"), [({"type": "MusicRNN"}, "MusicVAE"), ({"chordEncoder": "Major"}, "chords")]
)
def test_models_of_another_kind_in_magenta_js_are_refused(tmp_path, config, says):
    manifest(tmp_path / "js", drawn(FLAT), config=config)
    with pytest.raises(Refusal, match=says):
        load(tmp_path / "js")
