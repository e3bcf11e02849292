"""Hostile files: refused in one line; nothing executed, written elsewhere, or allocated beyond the size of the file."""

from __future__ import annotations

import gzip
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from python2_pickles import original, python2

from folkrnn.config.build import build
from folkrnn.datasets import parsing
from folkrnn.datasets.parsing import read_text
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.notation.abc import read_abc
from folkrnn.notation.tokenise import tokenise
from folkrnn.observation.input_tunes import read_transcriptions
from folkrnn.vocabulary import V2, Vocabulary
from folkrnn.weights import folder, lasagne
from folkrnn.weights.sources import checkpoint

TINY = Vocabulary(("<s>", "</s>", "c", "|"))
LIMIT = 64 * 2**20
"""Bytes that reading a hostile file of a few kB may take."""


def tiny():
    torch.manual_seed(0)
    return FolkRNN(len(TINY), 3, 1)


def refused(path, says, read=checkpoint):
    """Asserts that the file is refused in one line that says so, without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=says) as refusal:
            read(str(path))
        assert tracemalloc.get_traced_memory()[1] < LIMIT
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refusal.value)


def lightning(path, state=None, **extra):
    torch.save({"state_dict": {f"model.{k}": v for k, v in (state or tiny().state_dict()).items()}, **extra}, path)
    return path


def test_a_checkpoint_of_ours_is_read_with_the_vocabulary_that_it_carries(tmp_path):
    found = checkpoint(str(lightning(tmp_path / "x.ckpt", folkrnn={"vocabulary": list(TINY.tokens)})))
    assert found.vocabulary == TINY
    assert torch.equal(found.model.softmax_weight, tiny().softmax_weight)


def test_a_checkpoint_without_a_vocabulary_takes_the_one_beside_it_or_says_which_it_assumes(tmp_path, caplog):
    refused(lightning(tmp_path / "x.ckpt"), "4 outputs but its vocabulary has 137")
    assert "137 tokens of folk-rnn v2" in caplog.text
    (tmp_path / folder.VOCABULARY).write_text(json.dumps(TINY.tokens))
    assert checkpoint(str(tmp_path / "x.ckpt")).vocabulary == TINY


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "..\\out"])
def test_an_archive_with_places_outside_itself_is_not_opened(tmp_path, name):
    file = lightning(tmp_path / "x.ckpt")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, b"x")
    refused(file, "lies outside")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.ckpt"]


def test_an_archive_that_unpacks_to_more_than_it_holds_is_not_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\0" * 2**24)
    refused(tmp_path / "x.ckpt", "compressed")


def test_an_archive_that_lies_about_a_size_is_not_opened(tmp_path):
    data = bytearray(lightning(tmp_path / "x.ckpt").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 2**32 - 2)
    (tmp_path / "x.ckpt").write_bytes(data)
    refused(tmp_path / "x.ckpt", "claims more|not a whole")


def test_torchs_old_format_which_allocates_what_it_claims_is_not_read(tmp_path):
    torch.save({"state_dict": tiny().state_dict()}, tmp_path / "x.ckpt", _use_new_zipfile_serialization=False)
    refused(tmp_path / "x.ckpt", "zip archives")


def test_a_tensor_that_repeats_what_is_stored_is_refused_before_it_is_unfolded(tmp_path):
    state = tiny().state_dict()
    state["softmax_weight"] = torch.zeros(1).expand(4, 10**9)
    refused(lightning(tmp_path / "x.ckpt", state), "claims larger tensors")


@pytest.mark.parametrize("state", [{1: torch.zeros(2)}, {"a": 3}, {"a": torch.zeros(2, dtype=torch.int64)}])
def test_a_state_that_holds_other_things_is_refused(tmp_path, state):
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    refused(tmp_path / "x.ckpt", "no tensor|no floating-point")


class Foreign:
    """A class that a checkpoint must not bring."""


def test_foreign_classes_in_a_checkpoint_are_refused(tmp_path):
    refused(lightning(tmp_path / "x.ckpt", hyper_parameters=Foreign()), "plain tensors")


def header(claim, data=b"\0" * 16, size=None):
    """A safetensors file with that header."""
    text = json.dumps(claim).encode() if not isinstance(claim, bytes) else claim
    return struct.pack("<Q", len(text) if size is None else size) + text + data


LYING = {
    "a header of 10 GB": header({}, size=10**10),
    "a header of all there is": header({}, size=2**64 - 1),
    "no JSON": header(b"{"),
    "nested without end": header(b"[" * 10_000),
    "10 GB in 16 bytes": header({"a": {"dtype": "F32", "shape": [2_500_000_000], "data_offsets": [0, 10**10]}}),
    "more shape than bytes": header({"a": {"dtype": "F32", "shape": [2_500_000_000], "data_offsets": [0, 16]}}),
    "an overflowing shape": header({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}}),
    "backward offsets": header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}),
    "an unknown type": header({"a": {"dtype": "X", "shape": [4], "data_offsets": [0, 16]}}),
    "the same bytes twice": header(
        {n: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for n in ("softmax_weight", "b")}
    ),
}


@pytest.mark.parametrize("data", LYING.values(), ids=LYING)
def test_a_safetensors_file_with_a_lying_header_is_refused(tmp_path, data):
    (tmp_path / "x.safetensors").write_bytes(data)
    refused(tmp_path / "x.safetensors", "not a whole safetensors|does not hold a FolkRNN")


def test_shapes_that_claim_a_model_of_terabytes_are_refused_before_it_is_made(tmp_path):
    units = 1_000_000
    tensors = {"softmax_weight": torch.zeros(2, units, dtype=torch.float16)}
    tensors["layers.0.weight_hh"] = torch.zeros(4 * units, 0, dtype=torch.float16)
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / folder.VOCABULARY).write_text(json.dumps(["<s>", "</s>"]))
    with pytest.raises(UserError, match="not a FolkRNN"):
        checkpoint(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": 1}', "[1, 2]", '["a", "a"]', '["a"]', "\ud800"])
def test_a_vocabulary_that_is_none_is_refused(tmp_path, text):
    folder.save(tmp_path, tiny(), TINY, "")
    (tmp_path / folder.VOCABULARY).write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(tmp_path, "vocabulary|not JSON|not UTF-8")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "subprocess.run",
        "folkrnn.config.build.importlib.import_module",
        "torch.load",
        "pickle.loads",
    ],
)
def test_a_config_with_a_target_outside_the_project_is_not_built(target):
    for node in (
        {"_target_": target, "command": "true"},
        {"_target_": "folkrnn.weights.sources.checkpoint", "path": {"_target_": target, "command": "true"}},
    ):
        with pytest.raises(UserError, match=r"not allowed|inside another") as refusal:
            build(node, "weights")
        assert "\n" not in str(refusal.value)


MILLION = "c" * 1_000_000


def test_a_million_notes_on_one_line_are_refused_as_transcription_and_left_out_of_corpora(tmp_path):
    with pytest.raises(UserError, match="1,000,000 characters"):
        read_transcriptions(MILLION, V2)
    with pytest.raises(UserError, match=r"length|characters"):
        read_transcriptions(f"X:1\nM:4/4\nL:1/8\nK:C\n{MILLION}\n", V2)
    (tune,) = read_abc(f"X:1\nM:4/4\nL:1/8\nK:C\n{MILLION}\n")
    assert tokenise(tune).reason == "length"
    with pytest.raises(UserError, match=r"tokens|characters"):
        read_transcriptions("M:4/4 K:Cmaj " + "c " * 40_000, V2)


def test_a_packed_text_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(parsing, "LARGEST", 2**20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"c" * 2**25))
    refused(tmp_path / "bomb.gz", "more than 1 MiB", lambda path: read_text(Path(path)))


def damaged(data):
    """Strategies for the data with some bytes changed, cut or repeated."""
    places = st.integers(0, len(data) - 1)
    changes = st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)

    def apply(changes, cut, twice):
        changed = bytearray(data)
        for place, value in changes:
            changed[place] = value
        return bytes(changed[:cut] if cut else changed + changed[:twice] if twice else changed)

    return st.builds(apply, changes, st.none() | places, st.none() | places)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small model in each form that is read: name of the file → its content."""
    place = tmp_path_factory.mktemp("whole")
    folder.save(place, tiny(), TINY, "# a card", torch.float32)
    return {
        "x.ckpt": lightning(place / "x.ckpt", folkrnn={"vocabulary": list(TINY.tokens)}).read_bytes(),
        "model.safetensors": (place / "model.safetensors").read_bytes(),
        "vocabulary.json": (place / "vocabulary.json").read_bytes(),
        "x.pkl": python2(original(tiny(), TINY, losses=3)),
    }


@pytest.mark.parametrize("name", ["x.ckpt", "model.safetensors", "vocabulary.json", "x.pkl"])
def test_a_damaged_file_of_any_kind_is_read_or_refused(whole, tmp_path, name):
    for other, data in whole.items():
        (tmp_path / other).write_bytes(data)
    file = tmp_path / name

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(damaged(whole[name]))
    def holds(data):
        file.write_bytes(data)
        try:
            lasagne.load(file) if name == "x.pkl" else checkpoint(str(file if name == "x.ckpt" else tmp_path))
        except UserError as refusal:
            assert "\n" not in str(refusal)

    holds()
