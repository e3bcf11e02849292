"""A work goes to a process that is being started, signed by the one that starts it, and nowhere else."""

import io
import pickle
import pickletools
import tempfile
from pathlib import Path

import cloudpickle
import pytest
import torch
from small_network import applied, network

from folkrnn.interventions import activations
from folkrnn.parallel import predicting
from folkrnn.parallel.predicting import Sent, _Pickler, _private, _received, _signature


def test_a_work_is_not_pickled_but_for_a_process_that_is_being_started():
    for dumps in (pickle.dumps, cloudpickle.dumps):
        with pytest.raises(TypeError, match="being started, and nowhere else"):
            dumps(Sent("anything"))


@pytest.mark.parametrize("spoil", [lambda key: b"", lambda key: key[:-1], lambda key: bytes(len(key))])
def test_a_work_without_the_key_of_the_process_is_not_read(spoil, monkeypatch):
    monkeypatch.setattr(cloudpickle, "loads", lambda _: pytest.fail("it was read"))
    content = pickle.dumps("anything")
    with pytest.raises(ValueError, match="did not come from"):
        _received(content, spoil(_signature(content)))


def test_a_work_that_was_changed_on_its_way_is_not_read(monkeypatch):
    monkeypatch.setattr(cloudpickle, "loads", lambda _: pytest.fail("it was read"))
    content = pickle.dumps("anything")
    with pytest.raises(ValueError, match="did not come from"):
        _received(content + b".", _signature(content))


def test_an_edited_model_arrives_as_it_was_without_torch_load():
    model = applied(network(), activations.noise("l2.h", 0.3)).model
    sent = _sent(model)
    named = {value for _, value, _ in pickletools.genops(sent) if isinstance(value, str)}
    assert not {"_load_from_bytes", "load"} & named
    found = _received(sent, _signature(sent))
    tokens = torch.randint(2, 137, (3, 12), generator=torch.Generator().manual_seed(1))
    assert torch.equal(model(tokens), found(tokens))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_a_tensor_keeps_type_and_strides(dtype):
    tensor = torch.arange(24).reshape(4, 6).to(dtype).T[1:, ::2]
    sent = _sent(tensor)
    found = _received(sent, _signature(sent))
    assert (found.dtype, found.stride(), found.shape) == (dtype, tensor.stride(), tensor.shape)
    assert torch.equal(found, tensor)
    assert _received(sent, _signature(sent)).data_ptr() != tensor.data_ptr()
    empty = _sent(torch.empty(0, 3, dtype=dtype))
    assert _received(empty, predicting._signature(empty)).shape == (0, 3)


def _sent(work):
    content = io.BytesIO()
    _Pickler(content).dump(work)
    return content.getvalue()


def test_what_torch_leaves_of_a_failed_process_lies_where_nobody_else_writes(tmp_path):
    before = tempfile.gettempdir()
    with _private(tmp_path), tempfile.NamedTemporaryFile(prefix="pytorch-errorfile-") as file:
        assert Path(file.name).parent == tmp_path
    assert tempfile.gettempdir() == before
