"""Sigmoid, tanh and the LSTM's equations give each number what they would give it alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.models.pointwise import allocate, sigmoid, tanh
from folkrnn.models.recurrent import lstm_equations


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@given(st.floats(-30, 30, width=32), st.integers(1, 40))
def test_tanh_is_that_of_double_precision_to_two_parts_in_ten_million(value, length):
    x = torch.full((length,), value)
    exact = x.double().tanh()
    assert ((tanh(x).double() - exact).abs() <= 2e-7 * exact.abs()).all()


def test_tanh_lets_gradients_through():
    x = torch.tensor([0.5], requires_grad=True)
    tanh(x).sum().backward()
    assert x.grad.item() == pytest.approx(1 - torch.tensor(0.5).tanh().item() ** 2)


@pytest.mark.parametrize("units", [512, 128, 100, 33])
@pytest.mark.parametrize("activation", [sigmoid, tanh])
def test_an_activation_is_the_same_to_the_bit_wherever_it_stands_and_with_any_number_of_threads(
    activation, units, threads
):
    wide = torch.randn(256, 4 * units) * 4
    apart = wide[:, units : 2 * units]
    whole = activation(apart)
    for count in (1, 2, 3, 5):
        threads(count)
        for rows in (1, 17, 19, 33, 130, 200, 256):
            assert torch.equal(activation(apart[:rows]), whole[:rows])
            assert torch.equal(activation(apart[:rows].contiguous()), whole[:rows])


def test_sigmoid_is_that_of_torch_to_2e_7_from_end_to_end():
    x = torch.cat([torch.linspace(-120, 120, 4001), torch.tensor([-torch.inf, torch.inf])])
    assert (sigmoid(x) - x.double().sigmoid()).abs().max() < 2e-7
    out = torch.empty_like(x)
    assert sigmoid(x, out) is out
    assert torch.equal(out, sigmoid(x))
    x = torch.randn(5, requires_grad=True)
    sigmoid(x).sum().backward()
    assert torch.allclose(x.grad, x.sigmoid() * (1 - x.sigmoid()))


@given(st.integers(1, 20), st.integers(1, 40), st.sets(st.sampled_from(["i", "f.pre", "g", "o", "c", "tanhc", "h"])))
def test_the_equations_in_one_are_those_that_a_visitor_sees_one_by_one_to_the_bit(rows, units, wanted):
    pre, c, seen = torch.randn(rows, 4 * units) * 3, torch.randn(rows, units), {}

    def look(activation, value):
        seen[activation] = value.clone()
        return value

    visited = lstm_equations(pre, c, look)
    into = {activation: torch.empty(rows, units) for activation in wanted}
    assert all(torch.equal(a, b) for a, b in zip(lstm_equations(pre, c, into=into), visited, strict=True))
    assert all(torch.equal(value, seen[activation]) for activation, value in into.items())


def test_room_for_activations_is_single_precision_of_the_shape_asked_for():
    room = allocate(3, 5, 7, device=torch.device("cpu"))
    assert room.shape == (3, 5, 7)
    assert room.dtype == torch.float32
    assert room.is_contiguous()
