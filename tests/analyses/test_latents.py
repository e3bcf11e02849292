import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analyses.latent_example import LatentExample
from analyses.latent_spread import LatentSpread, kl_divergence
from folkrnn.datasets.melodies import random_notes, twinkle
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.summary import summarise_streams


@pytest.fixture(scope="module")
def seen():
    torch.manual_seed(0)
    model = MusicVAE(encoder=[24], decoder=[16, 16], z_size=12).eval()
    corpus = random_notes(40)
    return LatentObservation(model, corpus.classes, [corpus.title(i) for i in range(40)], corpus)


@given(st.floats(-3, 3), st.floats(0.05, 3))
def test_the_divergence_is_that_of_two_gaussians(mu, sigma):
    p, q = (torch.distributions.Normal(torch.tensor(m), torch.tensor(s)) for m, s in ((mu, sigma), (0.0, 1.0)))
    expected = float(torch.distributions.kl_divergence(p, q))
    assert kl_divergence(np.array(mu), np.array(sigma)) == pytest.approx(expected, abs=1e-4)


def test_planted_music_neurons_are_counted_alike_by_every_rule():
    rng = np.random.default_rng(0)
    sigma = np.where(np.arange(50) % 5 == 0, 0.2, 0.99) + 0.005 * rng.standard_normal((400, 50))
    mu = np.where(np.arange(50) % 5 == 0, 1.0, 0.01) * rng.standard_normal((400, 50))
    spread = LatentSpread()
    order = np.argsort(sigma.mean(0))
    counts = spread.counts(spread.table(order, mu[:, order], sigma[:, order]))
    assert set(counts.values()) == {10}
    assert set(order[:10]) == set(range(0, 50, 5))


def test_latents_do_not_depend_on_how_the_melodies_are_batched(seen):
    alone = LatentObservation(seen.model, seen.classes[7:8], ["one"], seen.data)
    np.testing.assert_allclose(alone.mu[0], seen.mu[7], atol=1e-6)
    np.testing.assert_array_equal(alone.reconstruction(0), seen.reconstruction(7))


@pytest.mark.parametrize("analysis", [LatentSpread(), LatentExample()])
def test_both_analyses_draw_what_they_count(seen, analysis):
    found = analysis(seen)
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
    assert all(np.isfinite(value) for value in found.metrics.values())


def test_one_melody_is_enough(seen):
    corpus = twinkle()
    one = LatentObservation(seen.model, corpus.classes, ["Twinkle"], corpus)
    assert LatentExample()(one).tables["neurons"].shape == (12, 4)
    assert LatentSpread()(one).tables["neurons"].shape == (12, 4)


def test_the_summary_of_streams_reads_every_row_once(seen):
    parts = [(name, value) for batch in seen.each(["dec.l1.h", "mu"]) for name, value in batch.items()]
    summary = summarise_streams(parts)
    values = np.concatenate([value.reshape(-1, 16) for name, value in parts if name == "dec.l1.h"])
    np.testing.assert_allclose(summary.units["dec.l1.h"]["mean"], values.mean(0), atol=1e-6)
    assert summary.rows == len(values) == 40 * 32
