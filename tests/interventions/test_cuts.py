"""What a cut takes away, weight by weight, and what it leaves as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from folkrnn.interventions.cuts import cut
from folkrnn.interventions.intervention import RunContext
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.vocabulary import V2

LAYERS, UNITS, SOME = 3, 8, [1, 6]


@pytest.fixture(scope="module")
def model() -> FolkRNN:
    model = FolkRNN(units=UNITS, layers=LAYERS).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return model


@pytest.mark.parametrize("where", ["output", "recurrence", "both"])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_cut_zeroes_the_columns_that_read_the_units_and_nothing_else(model: FolkRNN, where: str, layer: int):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    changed, _ = cut(where, select="indices", layer=layer, units=SOME).edit(model, RunContext(V2))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    expected = {name: value.clone() for name, value in before.items()}
    above = "softmax_weight" if layer == LAYERS else f"layers.{layer}.weight_ih"
    own = f"layers.{layer - 1}.weight_hh"
    for name, cut_here in ((above, where != "recurrence"), (own, where != "output")):
        if cut_here:
            expected[name][:, SOME] = 0
    found = changed.state_dict()
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_the_energy_of_a_cut_is_the_share_of_the_softmax_layers_squares(model: FolkRNN):
    _, effect = cut("output", select="indices", layer=LAYERS, units=SOME).edit(model, RunContext(V2))
    weight = model.softmax_weight.detach().numpy().astype(np.float64)
    assert effect.metrics["softmax_energy"] == pytest.approx((weight[:, SOME] ** 2).sum() / (weight**2).sum())
    assert effect.metrics["units"] == 2
    assert effect.metrics["fraction"] == 2 / UNITS
