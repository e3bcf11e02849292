import json

import pytest
import safetensors.torch
import torch

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.vocabulary import V2
from folkrnn.weights.folder import CARD, PARAMETERS, VOCABULARY, load, save
from folkrnn.weights.sources import checkpoint, pretrained


@pytest.fixture
def kept(tmp_path):
    torch.manual_seed(0)
    save(tmp_path, FolkRNN(units=16, layers=2, cell="gru", initial_state="learned"), V2, "# a card")
    return tmp_path


def test_sizes_cell_and_initial_state_follow_from_the_tensors(kept):
    weights = load(kept)
    assert weights.model.shape == "GRU 2 × 16 over 137 tokens, learned initial state"
    assert weights.vocabulary == V2
    assert weights.card == "# a card"


def test_the_file_holds_the_parameters_and_nothing_else(kept):
    tensors = safetensors.torch.load_file(kept / PARAMETERS)
    assert set(tensors) == {name for name, _ in load(kept).model.named_parameters()}
    assert {value.dtype for value in tensors.values()} == {torch.float16}


def test_half_precision_loses_less_than_a_thousandth(tmp_path):
    model = FolkRNN(units=32)
    save(tmp_path, model, V2, "")
    for mine, read in zip(model.parameters(), load(tmp_path).model.parameters(), strict=True):
        assert torch.allclose(mine, read, rtol=1e-3, atol=1e-6)


def test_the_digest_is_of_the_parameters_alone(kept):
    before = load(kept).digest
    (kept / CARD).write_text("another card")
    assert load(kept).digest == before
    model = load(kept).model
    with torch.no_grad():
        model.softmax_bias[0] += 1
    save(kept, model, V2, "")
    assert load(kept).digest != before


def rewritten(kept, change):
    tensors = safetensors.torch.load_file(kept / PARAMETERS)
    safetensors.torch.save_file(change(tensors), kept / PARAMETERS)
    return kept


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: {"something": torch.zeros(2)}, "does not hold a FolkRNN"),
        (lambda t: t | {"extra": torch.zeros(2)}, "extra"),
        (lambda t: {n: v for n, v in t.items() if n != "layers.1.bias"}, "layers.1.bias"),
        (lambda t: t | {"softmax_bias": torch.zeros(136)}, "softmax_bias"),
        (lambda t: t | {"softmax_bias": torch.full((137,), torch.nan)}, "not finite"),
    ],
)
def test_foreign_or_broken_tensors_are_refused_by_name(kept, change, says):
    with pytest.raises(UserError, match=says):
        load(rewritten(kept, change))


def test_a_file_cut_short_is_refused(kept):
    file = kept / PARAMETERS
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load(kept)


def test_a_vocabulary_of_another_size_is_refused(kept):
    (kept / VOCABULARY).write_text(json.dumps(["<s>", "</s>", "C"]))
    with pytest.raises(UserError, match="137 outputs"):
        load(kept)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="plain tensors"):
        checkpoint(str(tmp_path / "evil.ckpt"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 cut short"])
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "odd.ckpt").write_bytes(content)
    with pytest.raises(UserError) as refusal:
        checkpoint(str(tmp_path / "odd.ckpt"))
    assert "\n" not in str(refusal.value)


def test_missing_weights_are_refused_with_what_to_do():
    with pytest.raises(UserError, match="weights=scratch"):
        pretrained("no_such_model")
    with pytest.raises(UserError, match="no such file"):
        checkpoint("/nowhere")
    with pytest.raises(UserError, match=r"weights\.path"):
        checkpoint(None)
