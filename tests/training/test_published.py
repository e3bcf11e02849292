"""The published recipe against small computations in plain numpy."""

import math

import numpy as np
import pytest
import torch

from folkrnn.datasets.batches import Size, pad
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.initialisation import initialise
from folkrnn.training.gate_clipping import ClipRecord, clipped_logits
from folkrnn.training.lasagne import LasagneRMSprop, decayed, learn_initial_states
from folkrnn.training.losses import LOSSES, LossSums, summed_loss, token_loss
from folkrnn.training.published import PublishedRecipe
from folkrnn.vocabulary import V2


def batch(*lengths):
    rng = np.random.default_rng(0)
    return pad([np.array([V2.start, *rng.integers(0, 50, n), V2.end]) for n in lengths], V2.end)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def clipped_gradients_of_one_layer(parameters, ids, units, limit, scale):
    """Back-propagation through time by hand for one tune: gradients of `scale` × nats, gates clipped at every step."""
    p = parameters
    w, u, b = (p[f"layers.0.{name}"] for name in ("weight_ih", "weight_hh", "bias"))
    v, d = p["softmax_weight"], p["softmax_bias"]
    h, c = p["initial"][0]
    steps = []
    for token in ids[:-1]:
        i, f, g, o = np.split(w[:, token] + u @ h + b, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        new = f * c + i * g
        steps.append((token, h, c, i, f, g, o, new))
        h, c = o * np.tanh(new), new
    grad = {name: np.zeros_like(value) for name, value in p.items()}
    dh, dc, clipped = np.zeros(units), np.zeros(units), 0
    for (token, h, c, i, f, g, o, new), target in zip(reversed(steps), reversed(ids[1:]), strict=True):
        out = o * np.tanh(new)
        distribution = np.exp(v @ out + d)
        distribution /= distribution.sum()
        distribution[target] -= 1
        distribution *= scale
        grad["softmax_weight"] += np.outer(distribution, out)
        grad["softmax_bias"] += distribution
        dh = dh + v.T @ distribution
        dc = dc + dh * o * (1 - np.tanh(new) ** 2)
        pre = np.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * np.tanh(new) * o * (1 - o)]
        )
        clipped += (np.abs(pre) >= limit).sum()
        pre = np.clip(pre, -limit, limit)
        grad["layers.0.weight_ih"][:, token] += pre
        grad["layers.0.weight_hh"] += np.outer(pre, h)
        grad["layers.0.bias"] += pre
        dh, dc = u.T @ pre, dc * f
    grad["initial"][0] = dh, dc
    return grad, clipped


@pytest.mark.parametrize("limit", [0.01, 5.0])
def test_gate_gradients_are_clipped_at_every_step_as_by_hand(limit):
    torch.manual_seed(0)
    model = FolkRNN(units=6, layers=1, dropout=0.0, initial_state="learned").double()
    initialise(model, 2015, torch.Generator().manual_seed(1))
    inputs, targets = batch(12)
    ids = [*inputs[0].tolist(), int(targets[0, -1])]
    parameters = {name: value.detach().numpy().copy() for name, value in model.named_parameters()}
    expected, clipped = clipped_gradients_of_one_layer(parameters, ids, 6, limit, scale=3.0)
    record = ClipRecord()
    (3.0 * summed_loss(clipped_logits(model, inputs, limit, record), targets)).backward()
    for name, value in model.named_parameters():
        assert np.allclose(value.grad.numpy(), expected[name], atol=1e-12), name
    assert record.share == pytest.approx(clipped / (12 + 1) / 24)
    assert (record.share > 0) == (limit < 1)


def test_without_a_limit_the_gradients_are_those_of_the_fused_kernels_for_any_depth_and_mix_of_lengths():
    torch.manual_seed(0)
    model = FolkRNN(units=8, layers=3, dropout=0.0, initial_state="learned").double()
    initialise(model, 2016, torch.Generator().manual_seed(1))
    inputs, targets = batch(5, 11, 8)
    fused = torch.autograd.grad(summed_loss(model(inputs), targets), list(model.parameters()))
    stepped = clipped_logits(model, inputs, None, ClipRecord())
    assert torch.allclose(stepped, model(inputs), atol=1e-12)
    by_steps = torch.autograd.grad(summed_loss(stepped, targets), list(model.parameters()))
    for one, other in zip(fused, by_steps, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_the_gates_of_a_gru_are_not_clipped():
    with pytest.raises(UserError, match="GRU"):
        PublishedRecipe().prepare(FolkRNN(units=4, cell="gru"))


def test_rmsprop_has_epsilon_inside_the_root():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimiser = LasagneRMSprop([weight])
    w, r = weight.detach().numpy().astype(float), np.zeros(3)
    for gradient in ([1e-5, 0.3, 20.0], [2e-5, -0.1, 0.0], [0.0, 1.0, -3.0]):
        g = np.array(gradient)
        r = 0.9 * r + 0.1 * g * g
        w = w - 0.003 * g / np.sqrt(r + 1e-6)
        weight.grad = torch.tensor(gradient)
        optimiser.step()
    assert np.allclose(weight.detach().numpy(), w, rtol=1e-6)


def test_where_gradients_are_small_a_step_is_gradient_descent_at_rate_three():
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.tensor([1e-6])
    LasagneRMSprop([weight]).step()
    assert weight.item() == pytest.approx(-3e-6, rel=1e-3)


def test_the_losses_are_the_authors_two_and_the_mean_over_tokens():
    inputs, targets = batch(5, 9)
    torch.manual_seed(0)
    model = FolkRNN(units=8).eval()
    with torch.no_grad():
        logits = model(inputs)
        losses = {name: float(loss(logits, targets, Size(16, 2))) for name, loss in LOSSES.items()}
    distribution = np.exp(logits.numpy().astype(float))
    distribution /= distribution.sum(-1, keepdims=True)
    nats = [-np.log([distribution[b, t, targets[b, t]] for t in range(n + 1)]) for b, n in enumerate((5, 9))]
    assert losses["per_tune"] == pytest.approx((nats[0].sum() + nats[1].sum()) / 2, rel=1e-5)
    assert losses["per_token"] == pytest.approx((nats[0].sum() + nats[1].sum()) / 16, rel=1e-5)
    assert losses["per_token"] == pytest.approx(float(token_loss(logits, targets)), rel=1e-6)
    assert losses["per_tune_2015"] == pytest.approx((nats[0].sum() / 7 + nats[1].sum() / 11) / 2, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_losses_of_several_processes_add_up_to_that_of_one(name):
    inputs, targets = batch(5, 9, 3, 7)
    model = FolkRNN(units=8).eval()
    size = Size(int((targets >= 0).sum()), 4)
    with torch.no_grad():
        whole, *parts = (LOSSES[name](model(inputs[k]), targets[k], size) for k in (slice(None), [0, 2], [1, 3]))
    assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-5)


def test_the_values_of_a_batch_are_the_means_over_its_parts_and_known_with_the_last():
    sums = LossSums()
    for values in ([1.0, 2.0, 6.0], [4.0, 4.0, 1.0]):  # a batch begins anew
        *early, last = (sums.add(part, 3, {"loss": torch.tensor(value)}) for part, value in enumerate(values))
        assert early == [{}, {}]
        assert float(last["loss"]) == pytest.approx(3.0)


def test_the_parameters_of_2015_are_normal_and_forget_biases_zero():
    model = FolkRNN(units=64, layers=2, initial_state="learned")
    initialise(model, 2015, torch.Generator().manual_seed(0))
    for layer in model.layers:
        for matrix in (layer.weight_ih, layer.weight_hh):
            assert float(matrix.detach().std()) == pytest.approx(0.1, rel=0.02)
        assert not layer.bias.any()


def test_the_parameters_of_2016_are_uniform_and_orthogonal_and_forget_biases_five():
    model = FolkRNN(units=64, layers=2, initial_state="learned")
    initialise(model, 2016, torch.Generator().manual_seed(0))
    for layer, inputs in zip(model.layers, (137, 64), strict=True):
        bound = math.sqrt(6 / (inputs + 64))
        weights = layer.weight_ih.detach().numpy()
        assert np.abs(weights).max() <= bound
        assert np.abs(weights).max() > 0.99 * bound
        assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
        for gate in np.split(layer.weight_hh.detach().numpy(), 4):
            assert np.allclose(gate @ gate.T, np.eye(64), atol=1e-5)
        assert layer.bias.detach().numpy().tolist() == [0.0] * 64 + [5.0] * 64 + [0.0] * 128


@pytest.mark.parametrize("era", [2015, 2016])
def test_both_eras_share_the_softmax_and_the_initial_states(era):
    model = FolkRNN(units=200, layers=2)
    learn_initial_states(model)
    initialise(model, era, torch.Generator().manual_seed(0))
    softmax = model.softmax_weight.detach().numpy()
    assert np.allclose(softmax @ softmax.T, np.eye(137), atol=1e-5)
    assert not model.softmax_bias.any()
    h0, c0 = model.initial.detach().numpy().transpose(1, 0, 2)
    assert np.linalg.norm(h0, axis=1) == pytest.approx([1.0, 1.0], rel=1e-5)
    assert not c0.any()
    assert model.parameter_counts()["with_initial_states"] == sum(p.numel() for p in model.parameters())


def test_the_learning_rate_stays_unless_the_decay_is_to_be_effective():
    published, effective = PublishedRecipe(), PublishedRecipe(lr_decay="effective")
    assert {published.rate(update, 35_100, 351) for update in (0, 20_000, 35_000)} == {0.003}
    assert effective.rate(22 * 351 - 1, 35_100, 351) == 0.003  # the epoch with index 21
    assert effective.rate(22 * 351, 35_100, 351) == pytest.approx(0.003 * 0.97)
    assert decayed(0.003, 100) == pytest.approx(0.0002705, rel=1e-3)


def test_a_choice_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(UserError, match="as_published, effective"):
        PublishedRecipe(lr_decay="none")
    with pytest.raises(UserError, match="gate_clip=-5: must be a number above 0"):
        PublishedRecipe(gate_clip=-5)


@pytest.mark.parametrize(
    "wrong", [{"rho": 1.0}, {"rho": -0.1}, *({name: 0} for name in ("learning_rate", "batch_size"))]
)
def test_a_number_out_of_its_range_is_refused(wrong):
    assert PublishedRecipe(rho=0.0).rho == 0
    with pytest.raises(UserError, match=f"recipe.{next(iter(wrong))}=.*must be a"):
        PublishedRecipe(**wrong)
