import numpy as np
import pytest
import torch

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation import summary as module
from folkrnn.observation.summary import summarise


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return FolkRNN(units=48).eval()


def tunes(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 137, rng.integers(3, 40)) for _ in range(count)]


def test_the_streamed_moments_are_those_of_all_values_at_once(model):
    some = tunes(90)
    found = summarise(model, some)
    assert found.rows == sum(len(t) - 1 for t in some)
    for site in ("l1.f", "l2.c", "l3.h"):
        values = np.concatenate([model.trace(torch.from_numpy(t[:-1]), site)[site].double().numpy() for t in some])
        unit = found.units[site]
        np.testing.assert_allclose(unit["mean"], values.mean(0), atol=1e-6)
        np.testing.assert_allclose(unit["std"], values.std(0), atol=1e-5)
        np.testing.assert_allclose(unit["largest"], values.max(0), atol=1e-6)
        np.testing.assert_allclose(unit["sparse"], (np.abs(values) < 0.07).mean(0), atol=2e-3)
        low, high = (0.1, 0.9) if site == "l1.f" else (-0.8, 0.8)
        np.testing.assert_allclose(unit["low"] + unit["high"], ((values < low) | (values > high)).mean(0), atol=2e-3)


def test_memory_for_blocks_does_not_change_counts(model, monkeypatch):
    some = tunes(70)
    whole = summarise(model, some, "l3.h").units["l3.h"]
    monkeypatch.setattr(module, "BLOCK", 128)
    small = summarise(model, some, "l3.h").units["l3.h"]
    for name in ("sparse", "low", "high", "largest", "smallest"):
        np.testing.assert_array_equal(whole[name], small[name])
    np.testing.assert_allclose(whole["mean"], small["mean"], rtol=1e-6, atol=1e-9)


def test_the_summary_does_not_depend_on_threads_or_order(model):
    some = tunes(50)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = summarise(model, some, "l*.h")
        torch.set_num_threads(2)
        two = summarise(model, some, "l*.h")
    finally:
        torch.set_num_threads(before)
    assert one.table() == two.table()


def test_units_that_never_act_are_dead_and_closed_gates_are_closed():
    model = FolkRNN(units=16).eval()
    with torch.no_grad():
        layer = model.layers[2]
        layer.bias[3 * 16 : 3 * 16 + 5] = -60.0  # five output gates of layer 3 stay shut
    found = summarise(model, tunes(20))
    assert found.row("l3.h")["dead_units"] == 5
    assert found.row("l3.o")["dead_units"] == 5
    assert found.row("l3.o")["closed"] >= 5 / 16
    assert found.row("l2.h")["dead_units"] == 0
