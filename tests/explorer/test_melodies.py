"""What the page of a MusicVAE shows is what the model writes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from folkrnn.datasets.melodies import random_notes
from folkrnn.explorer import explore, melodies
from folkrnn.melodies.features import features, measure
from folkrnn.melodies.grid import FIRST_ON, to_notes
from folkrnn.models.musicvae import MusicVAE
from folkrnn.notation.notes import notes
from folkrnn.observation.latents import LatentObservation


@pytest.fixture(scope="module")
def seen() -> LatentObservation:
    corpus = random_notes(5, 2, seed=3)
    model = MusicVAE(encoder=[16], decoder=[16], z_size=6, max_seq_len=32).eval()
    model.reset_parameters(torch.Generator().manual_seed(1))
    return LatentObservation(model, corpus.classes, [corpus.title(k) for k in range(5)], corpus)


def test_melodies_reconstructions_and_sliders_are_what_the_model_writes(seen):
    core = explore(seen).packs["core"]
    assert core.manifest["neurons"] == seen.order[:12].tolist()
    assert core.manifest["moved"] == 5
    np.testing.assert_array_equal(core.arrays["melody"], seen.classes)
    for k in range(5):
        np.testing.assert_array_equal(core.arrays["reconstruction"][k], seen.reconstruction(k))
    neuron, value = 2, 7
    z = seen.mu[4].copy()
    z[core.manifest["neurons"][neuron]] = core.manifest["values"][value]
    np.testing.assert_array_equal(core.arrays["decoded"][4, neuron, value], seen.decoded(z[None])[0])
    names = [feature.name for feature in features()]
    written = measure(core.arrays["decoded"][4, neuron, value][None], np.array([120.0]))[0]
    told = written[[names.index(name) for name in core.manifest["features"]]]
    np.testing.assert_allclose(core.arrays["features"][4, neuron, value], told, rtol=1e-5)


def test_a_melody_in_tokens_sounds_as_on_the_grid(seen):
    for classes in seen.classes:
        tokens = melodies.as_tokens(classes)
        assert tokens.count("|") == 2
        played = [(int(note.onset * 2), note.pitch) for note in notes(tokens)]
        begun = [(note.start, note.pitch) for note in to_notes(classes)]
        assert set(begun) <= set(played)
        assert all(start % 16 == 0 for start, _ in set(played) - set(begun)), "only behind a bar line comes one again"


def test_a_melody_without_notes_is_rests():
    assert melodies.as_tokens(np.zeros(32, np.uint8)) == ["M:4/4", "K:Cmaj", "z", "8", "|", "z", "8", "|"]
    assert FIRST_ON == 2
