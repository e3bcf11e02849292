"""Steps in memory that stays where it is are those of an engine."""

from __future__ import annotations

import pytest
import torch

from folkrnn.models.captured import Captured, height
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import At

cuda = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"))
devices = pytest.mark.parametrize("device", ["cpu", cuda])


def network(device: str, cell: str = "lstm") -> FolkRNN:
    torch.manual_seed(0)
    return FolkRNN(units=48, cell=cell, initial_state="learned").eval().to(device)


def played(engine, model, rows, steps=12):
    """Logits of some steps, each with the likeliest token of the one before."""
    state, tokens, found = model.initial_state(rows), torch.arange(rows, device=model.device), []
    for _ in range(steps):
        logits, state = engine.step(tokens, state)
        found.append(logits.clone())
        tokens = logits.argmax(-1)
    return torch.stack(found)


@devices
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_captured_steps_are_those_of_the_engine_for_any_number_of_rows(device, cell):
    model = network(device, cell)
    captured = Captured(model.engine())
    for rows in (32, 16, 64, 32):
        torch.testing.assert_close(
            played(captured, model, rows), played(model.engine(), model, rows), rtol=0, atol=1e-6
        )


@devices
def test_a_parameter_that_is_written_to_counts_from_the_next_step_on(device):
    model = network(device)
    captured = Captured(model.engine())
    before = played(captured, model, 16)
    with torch.no_grad():
        model.softmax_bias[3] += 5
        model.layers[0].weight_hh.mul_(1.5)
    after = played(captured, model, 16)
    assert (after - before).abs().max() > 1
    torch.testing.assert_close(after, played(model.engine(), model, 16), rtol=0, atol=1e-6)


def test_who_looks_sees_the_engines_own_step():
    model = network("cpu")
    seen = []
    captured = Captured(model.engine())
    captured.step(torch.arange(16), model.initial_state(16), At(["l3.h"], lambda _, value: seen.append(value) or value))
    assert len(seen) == 1


def test_rows_are_padded_to_powers_of_two():
    assert [height(rows) for rows in (1, 16, 17, 32, 33, 4096)] == [16, 16, 32, 32, 64, 4096]
