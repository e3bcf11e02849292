"""The controls: an untrained model that reads the same, and the same model that reads tunes out of order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.controls import Shuffled, Untrained
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2


@pytest.fixture
def observation():
    torch.manual_seed(0)
    model = FolkRNN(units=16, layers=2)
    model.reset_parameters(torch.Generator().manual_seed(99))
    seen = Observation(model, V2, [input_tune(ids_of(name, V2), V2, name) for name in TUNES], seed=5)
    seen.trace(0, "l2.h")
    return seen


def test_an_untrained_model_has_the_same_shape_and_reads_the_same_tunes(observation):
    control = Untrained()(observation, observation.model)
    assert control.model.shape == observation.model.shape
    assert [t.title for t in control.transcriptions] == list(TUNES)
    assert not np.allclose(control.trace(0, "l2.h"), observation.trace(0, "l2.h"))


def test_the_untrained_model_follows_from_the_seed_and_leaves_the_other_as_it_was(observation):
    before = observation.model.softmax_weight.clone()
    one, other = (Untrained()(observation, observation.model) for _ in range(2))
    torch.testing.assert_close(one.model.softmax_weight, other.model.softmax_weight, rtol=0, atol=0)
    torch.testing.assert_close(before, observation.model.softmax_weight, rtol=0, atol=0)


def test_shuffled_tunes_hold_the_same_tokens_with_header_and_markers_in_place(observation):
    control = Shuffled()(observation, observation.model)
    assert control.model is observation.model
    for own, mixed in zip(observation.transcriptions, control.transcriptions, strict=True):
        assert sorted(own.ids) == sorted(mixed.ids)
        np.testing.assert_array_equal(own.ids[:3], mixed.ids[:3])
        assert own.ids[-1] == mixed.ids[-1] == V2.end
        assert (own.ids != mixed.ids).any()


def test_shuffled_tunes_are_traced_anew(observation):
    control = Shuffled()(observation, observation.model)
    assert not np.allclose(control.trace(0, "l2.h")[5:], observation.trace(0, "l2.h")[5:])


def test_the_steps_of_a_melody_are_shuffled_each_on_its_own():
    from folkrnn.datasets.melodies import twinkle
    from folkrnn.models.musicvae import MusicVAE
    from folkrnn.observation.latents import LatentObservation

    model = MusicVAE(encoder=(8,), decoder=(8,), z_size=4)
    data = twinkle()
    seen = LatentObservation(model, data.classes[:1], [data.title(0)], data, 3)
    control = Shuffled()(seen, model)
    np.testing.assert_array_equal(np.sort(control.classes, 1), np.sort(seen.classes, 1))
    assert Untrained()(seen, model).latents[0].shape == seen.mu.shape
