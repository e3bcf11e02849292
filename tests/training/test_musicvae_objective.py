import copy
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from folkrnn.errors import UserError
from folkrnn.models.melody_tensors import valid_steps
from folkrnn.training.musicvae_objective import (
    beta_at,
    clip_gradients,
    elbo,
    kl_divergence,
    learning_rate_at,
    reconstruction_loss,
    sampling_probability_at,
)
from folkrnn.weights.magenta import load, to_magenta
from folkrnn.weights.tensor_bundle import write_bundle

RECIPES = {
    "cat-mel_2bar_small": ("inverse_sigmoid", 1000, 0.2, 0.99999),
    "cat-mel_2bar_big": ("inverse_sigmoid", 1000, 0.5, 0.99999),
    "hierdec-mel_16bar": ("constant", 0, 0.2, 0),
    "flat-mel_16bar": ("constant", 0, 0.2, 0),
}
"""Magenta's sampling schedule and rate, largest β and its rate (facts on MusicVAE, section 1)."""

TINY = {"cat-mel_2bar_tiny": (32, 1, 0.99999), "hierdec-mel_4bar_tiny": (64, 4, 0)}
"""Steps, segments and rate of β."""


def random_batch(count=6, steps=5, latents=4):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, steps, 90, generator=generator)
    melodies = torch.randint(0, 90, (count, steps), generator=generator)
    lengths = torch.arange(count) % (steps + 1)
    mu, sigma = torch.randn(2, count, latents, generator=generator)
    return logits, melodies, valid_steps(lengths, steps), mu, sigma.abs() + 0.1


@pytest.mark.parametrize("config", RECIPES)
def test_schedules_are_magentas_at_every_step(test_data, config):
    table = json.loads((test_data / "magenta_parity" / "schedules.json").read_text())
    assert table["columns"] == ["global_step", "sampling_probability", "beta", "learning_rate"]
    schedule, rate, max_beta, beta_rate = RECIPES[config]
    for step, probability, beta, learning_rate in table["rows"][config]:
        assert sampling_probability_at(step, schedule, rate) == pytest.approx(probability, abs=2e-7)
        assert beta_at(step, max_beta, beta_rate) == pytest.approx(beta, abs=2e-8)
        assert learning_rate_at(step) == pytest.approx(learning_rate, rel=1e-6)


def test_schedules_at_points_of_the_facts_sheet():
    assert beta_at(50_000, 0.2, 0.99999) == pytest.approx(0.078777, abs=1e-6)
    assert [beta_at(step, 0.2, 0) for step in (0, 1, 10_000)] == [0, 0.2, 0.2]
    assert learning_rate_at(10_000) == pytest.approx(3.7e-4, rel=0.02)
    assert [round(sampling_probability_at(step, "inverse_sigmoid", 1000), 3) for step in (5000, 7000)] == [0.129, 0.523]
    assert sampling_probability_at(10**9, "inverse_sigmoid", 1000) == 1
    assert sampling_probability_at(3, "exponential", 0.5) == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("schedule", "rate"), [("constant", 2), ("exponential", 1.0), ("inverse_sigmoid", 0.5), ("linear", 0.5)]
)
def test_schedules_that_give_no_probability_are_refused(schedule, rate):
    with pytest.raises(UserError, match=schedule):
        sampling_probability_at(1, schedule, rate)


def trained(name, folder, place):
    """A tiny checkpoint's model and what Magenta computes while it trains it."""
    steps, segments, beta_rate = TINY[name]
    with np.load(folder / "oracle.npz") as file:
        oracle = {key: torch.from_numpy(np.asarray(file[key])) for key in file.files}
    weights = load(place, max_seq_len=steps, segments=segments)

    def loss(model, step):
        melodies, lengths = oracle["tokens"].long(), oracle["lengths_decoder"].long()
        mu, sigma = model.encode(melodies, lengths)
        logits = model.decode(mu + sigma * oracle["eps"], melodies)
        return elbo(logits, melodies, valid_steps(lengths, steps, segments), mu, sigma, beta_at(step, 0.2, beta_rate))

    return weights.model, oracle, loss


@pytest.mark.parametrize("name", TINY)
def test_every_term_of_the_loss_is_magentas(test_data, name):
    folder = test_data / "magenta_parity" / name
    model, oracle, loss = trained(name, folder, folder)
    step = json.loads((folder / "meta.json").read_text())["global_step"]
    with torch.no_grad():
        terms = loss(model, step)
    assert torch.allclose(terms.reconstruction, oracle["r_loss"], rtol=1e-5)
    assert torch.allclose(terms.kl_cost, oracle["kl_cost"], rtol=1e-5)
    assert torch.allclose(terms.kl / math.log(2), oracle["kl_bits"], rtol=1e-5)
    assert terms.beta == pytest.approx(float(oracle["beta"]), abs=1e-8)
    assert float(terms.loss) == pytest.approx(float(oracle["loss"]), rel=1e-6)
    assert learning_rate_at(step) == pytest.approx(float(oracle["learning_rate"]), rel=1e-6)


@pytest.mark.parametrize("name", TINY)
def test_gradients_and_six_steps_of_adam_are_magentas(test_data, tmp_path, name):
    folder = test_data / "magenta_parity" / name
    with np.load(folder / "weights.npz") as file:
        write_bundle(tmp_path / "x", {key: (0.3 * file[key]).astype(np.float32) for key in file.files})
    model, oracle, loss = trained(name, folder, tmp_path / "x")
    first = json.loads((folder / "meta.json").read_text())["global_step"]
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), eps=1e-8)
    for k in range(6):
        optimiser.param_groups[0]["lr"] = learning_rate_at(first + k)
        optimiser.zero_grad()
        terms = loss(model, first + k)
        terms.loss.backward()
        if k == 0:
            assert_gradients(model, folder)
        norm = clip_gradients(model.parameters())
        optimiser.step()
        assert float(terms.loss.detach()) == pytest.approx(float(oracle["train_losses"][k]), rel=1e-4)
        assert float(norm) == pytest.approx(float(oracle["train_grad_norms"][k]), rel=1e-4)


def assert_gradients(model, folder):
    slopes = copy.deepcopy(model)
    with torch.no_grad():
        for parameter, mine in zip(slopes.parameters(), model.parameters(), strict=True):
            parameter.copy_(mine.grad)
    found = to_magenta(slopes)
    with np.load(folder / "gradients.npz") as oracle:
        assert found.keys() == set(oracle.files)
        for name in oracle.files:
            forget = slice(len(found[name]) // 2, len(found[name]) * 3 // 4)
            if name.endswith("lstm_cell/bias"):
                found[name][forget] += 1  # exporting takes off the 1 of a forget bias, which a slope has not
            np.testing.assert_allclose(found[name], oracle[name], atol=1e-4, err_msg=name)


def test_reconstruction_is_summed_over_time_not_averaged():
    logits, melodies, valid, *_ = random_batch()
    loss = reconstruction_loss(logits, melodies, valid)
    for n in range(len(melodies)):
        each = [-logits[n, t].log_softmax(-1)[melodies[n, t]] for t in range(5) if valid[n, t]]
        assert float(loss[n]) == pytest.approx(float(sum(each)), rel=1e-5)
    assert loss[0] == 0
    assert loss[5] > 5 * math.log(90) * 0.5


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(0.05, 4))
def test_the_divergence_is_the_one_between_normals_whose_sigma_is_a_standard_deviation(mean, deviation):
    mu, sigma = torch.full((1, 3), mean, dtype=torch.float64), torch.full((1, 3), deviation, dtype=torch.float64)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mu, sigma), normal(0.0, 1.0)).sum()
    assert float(kl_divergence(mu, sigma)) == pytest.approx(float(expected), rel=1e-9, abs=1e-12)


def test_free_bits_apply_to_the_whole_divergence():
    logits, melodies, valid, mu, sigma = random_batch()
    kl = kl_divergence(mu, sigma)
    bits = float(kl.median()) / math.log(2)
    terms = elbo(logits, melodies, valid, mu, sigma, 0.3, free_bits=bits)
    assert torch.allclose(terms.kl_cost, (kl - kl.median()).clamp(min=0))
    assert (terms.kl_cost == 0).any()
    assert (terms.kl_cost > 0).any()
    assert torch.equal(terms.kl, kl)
    assert torch.allclose(terms.loss, terms.reconstruction.mean() + 0.3 * terms.kl_cost.mean())


def parameters_with(*slopes):
    parameters = [nn.Parameter(torch.zeros(len(slope))) for slope in slopes]
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = torch.tensor(slope)
    return [*parameters, nn.Parameter(torch.zeros(2))]


def test_gradients_are_scaled_by_their_global_norm_and_dropped_when_they_explode():
    small = parameters_with([0.3], [0.4])
    assert float(clip_gradients(small)) == pytest.approx(0.5)
    assert small[0].grad.tolist() == pytest.approx([0.3])
    large = parameters_with([3.0], [4.0])
    assert float(clip_gradients(large)) == pytest.approx(5.0)
    assert [parameter.grad.item() for parameter in large[:2]] == pytest.approx([0.6, 0.8], rel=1e-5)
    for broken in (10_000.0, math.inf, math.nan):
        exploded = parameters_with([broken], [0.0])
        clip_gradients(exploded)
        assert [parameter.grad.item() for parameter in exploded[:2]] == [0, 0]
