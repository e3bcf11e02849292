"""Interventions on latents: what reaches the decoder, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from folkrnn.errors import UserError
from folkrnn.interventions import composition
from folkrnn.interventions import latents as edits
from folkrnn.interventions.intervention import RunContext
from folkrnn.models.musicvae import MusicVAE


@pytest.fixture(scope="module")
def lively() -> MusicVAE:
    model = MusicVAE(encoder=(10,), decoder=(9, 12), z_size=6, max_seq_len=16).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return model


MELODIES = torch.from_numpy(np.random.default_rng(1).integers(0, 89, (9, 16)))


def latents_of(model: MusicVAE, melodies: torch.Tensor = MELODIES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with torch.no_grad():
        return melodies.numpy(), *(part.numpy() for part in model.encode(melodies))


def applied(model: MusicVAE, *interventions: edits.EditLatents):
    named = {f"i{k}": intervention for k, intervention in enumerate(interventions)}
    classes, mu, sigma = latents_of(model)
    here = RunContext(None, latents=lambda: (classes, mu, sigma))
    composition.check(named, model, here)
    changed, _ = composition.apply(composition.resolve(named, model, here), model, here)
    with torch.no_grad():
        new = tuple(part.numpy() for part in changed.encode(MELODIES))
    return changed, (mu, sigma), new


def test_a_clamp_holds_neurons_without_spread_and_no_others(lively):
    _, (mu, sigma), (new_mu, new_sigma) = applied(lively, edits.latent_clamp([1, 4], 0.5))
    assert (new_mu[:, [1, 4]] == 0.5).all()
    assert (new_sigma[:, [1, 4]] == 0).all()
    assert np.array_equal(np.delete(new_mu, [1, 4], 1), np.delete(mu, [1, 4], 1))
    assert np.array_equal(np.delete(new_sigma, [1, 4], 1), np.delete(sigma, [1, 4], 1))


def test_noise_neurons_are_those_of_large_sigma(lively):
    sigma = applied(lively)[1][1].mean(0)
    threshold = float(np.sort(sigma)[3])
    _, (mu, _), (new_mu, _) = applied(lively, edits.latent_zero_noise(threshold))
    noisy = sigma >= threshold
    assert (new_mu[:, noisy] == 0).all()
    assert np.array_equal(new_mu[:, ~noisy], mu[:, ~noisy])


def test_a_swap_exchanges_neurons_of_neighbours(lively):
    _, (mu, _), (new_mu, _) = applied(lively, edits.latent_swap(2))
    assert np.array_equal(new_mu[[0, 1, 6, 7], 2], mu[[1, 0, 7, 6], 2])
    assert new_mu[8, 2] == mu[8, 2]
    assert np.array_equal(np.delete(new_mu, 2, 1), np.delete(mu, 2, 1))


def test_a_melody_gets_the_same_neurons_whatever_batch_it_is_encoded_in(lively):
    changed, _, (whole, _) = applied(lively, edits.latent_swap([2, 5]))
    for some in ([3], [8, 1, 0], [4, 4]):
        assert np.allclose(changed.encode(MELODIES[some])[0].detach().numpy(), whole[some], atol=1e-6)
    unknown = MELODIES[:2].flip(1)
    assert torch.equal(changed.encode(unknown)[0], lively.encode(unknown)[0])


def test_a_melody_that_is_observed_twice_counts_once(lively):
    twice = torch.cat([MELODIES[:1], MELODIES])
    resolved = edits.latent_swap(2).resolved(lively, RunContext(None, latents=lambda: latents_of(lively, twice)))
    one, other = (made.encode(MELODIES)[0] for made in (resolved.edit(lively, None)[0], lively))
    assert torch.equal(one[[0, 1], 2], other[[1, 0], 2])


def test_a_swap_of_one_melody_is_refused(lively):
    for some in (MELODIES[:1], MELODIES[[3, 3]]):
        with pytest.raises(UserError, match="two melodies"):
            edits.latent_swap(2).resolved(lively, RunContext(None, latents=lambda some=some: latents_of(lively, some)))


def test_the_control_of_chosen_neurons_is_as_many_random_ones(lively):
    for make in (edits.latent_clamp([1, 4], 0.5), edits.latent_swap([0, 5])):
        resolved = composition.resolve({"it": make}, lively, RunContext(None, latents=lambda: latents_of(lively)))
        draws = [composition.matched(resolved, draw, 1)["it"] for draw in range(40)]
        assert all(len(set(draw.neurons)) == 2 and draw.how == make.how for draw in draws)
        assert {neuron for draw in draws for neuron in draw.neurons} == set(range(6))
        assert composition.matched(resolved, 3, 1)["it"] == draws[3]


def test_the_control_of_an_attribute_is_as_long_a_step_elsewhere(lively):
    resolved = edits.latent_attribute().resolved(lively, RunContext(None, latents=lambda: latents_of(lively)))
    other = resolved.matched(1).vector
    assert not np.array_equal(other, resolved.vector)
    assert np.array_equal(np.sort(other), np.sort(resolved.vector))


def test_an_attribute_vector_is_the_difference_of_the_extreme_quarters(lively):
    _, (mu, sigma), (new_mu, new_sigma) = applied(lively, edits.latent_attribute("density", 2.0))
    order = np.argsort((MELODIES.numpy() >= 2).mean(1), kind="stable")
    wanted = 2 * (mu[order[-2:]].mean(0) - mu[order[:2]].mean(0))
    assert np.allclose(new_mu - mu, wanted, atol=1e-5)
    assert np.array_equal(new_sigma, sigma)


def test_what_is_written_and_traced_comes_from_the_changed_latents(lively):
    changed, _, (new_mu, _) = applied(lively, edits.latent_clamp([0, 1, 2], 3.0))
    wanted = lively.generate(torch.from_numpy(new_mu), steps=16)
    assert torch.equal(changed.reconstruct(MELODIES), wanted)
    assert not torch.equal(lively.reconstruct(MELODIES), wanted)
    traced = changed.trace(MELODIES, ["mu", "z", "dec.l2.h", "sigma[1]"])
    plain = lively.trace(MELODIES, ["dec.l2.h"], z=torch.from_numpy(new_mu))
    assert np.allclose(traced["mu"], new_mu)
    assert np.allclose(traced["z"], new_mu)
    assert (traced["sigma[1]"] == 0).all()
    assert torch.allclose(traced["dec.l2.h"], plain["dec.l2.h"], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: edits.latent_clamp([6]), "neurons 0 to 5"),
        (lambda: edits.latent_swap(-1), "neurons 0 to 5"),
        (lambda: edits.latent_clamp(0, float("inf")), "finite"),
        (lambda: edits.latent_attribute("densty"), "did you mean density"),
    ],
)
def test_what_does_not_exist_is_refused_with_the_bounds_named(lively, make, says):
    with pytest.raises(UserError, match=says):
        applied(lively, make())


def test_a_folkrnn_intervention_does_not_fit_a_musicvae(lively):
    from folkrnn.interventions.distributions import suppress

    with pytest.raises(UserError, match="changes folkrnn; these weights are of a musicvae"):
        composition.check({"it": suppress("|")}, lively, RunContext(None))
