"""The shipped MusicVAE is what its card says."""

import numpy as np
import pytest
import torch

from folkrnn.datasets.melodies import melodies, twinkle
from folkrnn.training.melody_curves import reconstruction_metrics
from folkrnn.weights.sources import SHIPPED, pretrained

FOLDER = SHIPPED / "musicvae_2bar"


@pytest.fixture(scope="module")
def shipped():
    return pretrained("musicvae_2bar")


@pytest.fixture(scope="module")
def found(shipped):
    corpus = melodies(collections="irish")
    held_out = np.sort(np.random.default_rng(1).choice(corpus.split[1], 768, replace=False))
    return reconstruction_metrics(shipped.model, corpus.classes[held_out], corpus.lengths[held_out])


def test_it_has_the_size_that_it_is_said_to_have(shipped):
    assert shipped.model.parameter_counts() == {"weights": 5_472_858}
    assert shipped.model.sizes.z_size == 512
    assert (FOLDER / "model.safetensors").stat().st_size <= 12e6
    assert shipped.vocabulary is None
    assert shipped.curve is not None and shipped.curve.unit == "melody"
    assert all(torch.isfinite(p).all() for p in shipped.model.parameters())


def test_held_out_melodies_come_back_when_written_freely(found):
    assert found["free_steps"] >= 0.90
    assert found["free_onsets"] >= 0.80


def test_latents_are_music_or_noise_and_have_not_collapsed(found):
    assert found["between_share"] < 0.05
    assert 20 <= found["active_by_kl"] <= 64
    assert 20 <= found["active_by_sigma"] <= 64


def test_noise_neurons_are_silent_in_real_melodies(found):
    # an untrained network has none: all its 512 latents have a small σ
    assert found["active_by_sigma"] <= 64
    assert found["excited_noise"] <= 60
    assert found["music_kl_share"] >= 0.90


def test_twinkle_comes_back_note_for_note(shipped):
    song = twinkle()
    assert reconstruction_metrics(shipped.model, song.classes, song.lengths)["free_steps"] == 1.0


def test_the_card_states_terms_and_the_command():
    card = (FOLDER / "README.md").read_text()
    for words in ("experiment=train_musicvae_shipped", "experiment=finetune_musicvae", "Essen", "public domain"):
        assert words in card
