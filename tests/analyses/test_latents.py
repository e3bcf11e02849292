import numpy as np
import pytest
import torch

from analyses.latent_example import LatentExample
from analyses.latent_spread import LatentSpread
from folkrnn.datasets.melodies import random_notes, twinkle
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.summary import summarise_activations


@pytest.fixture(scope="module")
def seen():
    torch.manual_seed(0)
    model = MusicVAE(encoder=[24], decoder=[16, 16], z_size=12).eval()
    corpus = random_notes(40)
    return LatentObservation(model, corpus.classes, [corpus.title(i) for i in range(40)], corpus)


def test_counts_of_music_neurons_come_with_an_interval_over_tunes(seen):
    rules = LatentSpread(resamples=50)(seen).tables["rules"]
    assert (rules["low"] <= rules["neurons"]).all()
    assert (rules["neurons"] <= rules["high"]).all()


def test_the_share_of_the_divergence_in_music_neurons_is_a_share(seen):
    found = LatentSpread(sigma_below=2.0, resamples=5)(seen)
    assert found.metrics["kl_in_music_neurons"] == pytest.approx(1)
    assert found.metrics["music_neurons_by_sigma"] == 12


def test_latents_are_the_means_and_deviations_that_the_encoder_gives(seen):
    mu, sigma = seen.model.encode(torch.from_numpy(seen.classes.astype(np.int64)))
    np.testing.assert_allclose(seen.mu, mu.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(seen.sigma, sigma.detach().numpy(), atol=1e-6)


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
    assert len(LatentSpread()(one).tables["neurons"]) == 12


def test_the_summary_of_activations_reads_every_row_once(seen):
    parts = [(name, value) for batch in seen.each(["dec.l1.h", "mu"]) for name, value in batch.items()]
    summary = summarise_activations(parts)
    values = np.concatenate([value.reshape(-1, 16) for name, value in parts if name == "dec.l1.h"])
    np.testing.assert_allclose(summary.units["dec.l1.h"]["mean"], values.mean(0), atol=1e-6)
    assert summary.rows == len(values) == 40 * 32
