"""What the page of a MusicVAE shows is what the model writes."""

from __future__ import annotations

import numpy as np

from folkrnn.explorer import explore
from folkrnn.explorer.melodies import as_tokens
from folkrnn.melodies.features import features, measure
from folkrnn.melodies.grid import FIRST_ON, to_notes
from folkrnn.notation.notes import notes


def test_melodies_reconstructions_and_sliders_are_what_the_model_writes(melodies):
    core = explore(melodies).packs["core"]
    assert core.manifest["neurons"] == melodies.order[:12].tolist()
    assert core.manifest["moved"] == 5
    np.testing.assert_array_equal(core.arrays["melody"], melodies.classes)
    for k in range(5):
        np.testing.assert_array_equal(core.arrays["reconstruction"][k], melodies.reconstruction(k))
    neuron, value = 2, 7
    z = melodies.mu[4].copy()
    z[core.manifest["neurons"][neuron]] = core.manifest["values"][value]
    np.testing.assert_array_equal(core.arrays["decoded"][4, neuron, value], melodies.decoded(z[None])[0])
    names = [feature.name for feature in features()]
    written = measure(core.arrays["decoded"][4, neuron, value][None], np.array([120.0]))[0]
    told = written[[names.index(name) for name in core.manifest["features"]]]
    np.testing.assert_allclose(core.arrays["features"][4, neuron, value], told, rtol=1e-5)


def test_a_melody_in_tokens_sounds_as_on_the_grid(melodies):
    for classes in melodies.classes:
        tokens = as_tokens(classes)
        assert tokens.count("|") == 2
        played = [(int(note.onset * 2), note.pitch) for note in notes(tokens)]
        begun = [(note.start, note.pitch) for note in to_notes(classes)]
        assert set(begun) <= set(played)
        assert all(start % 16 == 0 for start, _ in set(played) - set(begun)), "only behind a bar line comes one again"


def test_a_melody_without_notes_is_rests():
    assert as_tokens(np.zeros(32, np.uint8)) == ["M:4/4", "K:Cmaj", "z", "8", "|", "z", "8", "|"]
    assert FIRST_ON == 2
