"""What comes back of melodies that a MusicVAE was not trained on."""

import numpy as np
import pytest
import torch

from analyses.held_out_melodies import HeldOutMelodies, share
from analyses.measures.intervals import cluster_weights
from folkrnn.datasets.melodies import MelodyCorpus, MelodySource, random_notes
from folkrnn.errors import UserError
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation


def observed(corpus, model=None):
    torch.manual_seed(0)
    model = model or MusicVAE([8], [6], 4)
    titles = [corpus.title(i) for i in range(4)]
    return LatentObservation(model.eval(), corpus.classes[:4], titles, corpus)


def silent():
    """A model that never begins a note."""
    model = MusicVAE([8], [6], 4)
    with torch.no_grad():
        model.decoder.output.weight.zero_()
        model.decoder.output.bias.zero_()
        model.decoder.output.bias[0] = 1.0
    return model


def test_a_model_that_never_begins_a_note_does_as_well_as_always_hold():
    found = HeldOutMelodies(resamples=50)(observed(random_notes(400, seed=1), silent())).metrics
    assert found["free_steps"] == pytest.approx(found["always_hold_steps"])
    assert found["forced_steps"] == pytest.approx(found["always_hold_steps"])
    assert found["free_onsets"] == found["forced_onsets"] == found["whole_melodies"] == 0


def test_only_held_out_melodies_are_written_back():
    corpus = random_notes(400, seed=1)
    found = HeldOutMelodies(resamples=50)(observed(corpus))
    assert found.metrics["melodies"] == len(corpus.split[1])
    table = found.tables["collections"]
    assert table["melodies"].sum() == len(corpus.split[1])
    weighted = (table["free_steps"] * table["melodies"]).sum() / table["melodies"].sum()
    assert found.metrics["free_steps"] == pytest.approx(weighted)
    assert found.metrics["free_steps_low"] <= found.metrics["free_steps"] <= found.metrics["free_steps_high"]
    assert set(found.figures) == {"exact"}


def test_the_other_side_is_what_was_trained_on_and_can_be_drawn_from():
    corpus = random_notes(400, seed=1)
    held, drawn = HeldOutMelodies(), HeldOutMelodies(side="trained", most=30)
    assert set(held.chosen(observed(corpus))).isdisjoint(HeldOutMelodies(side="trained").chosen(observed(corpus)))
    chosen = drawn.chosen(observed(corpus))
    assert len(set(chosen)) == 30
    assert set(chosen) <= set(corpus.split[0])
    assert drawn(observed(corpus)).metrics["melodies"] == 30
    with pytest.raises(UserError, match="held_out, trained"):
        HeldOutMelodies(side="both")


def test_always_hold_is_also_said_by_collection():
    found = HeldOutMelodies(resamples=50)(observed(random_notes(400, seed=1), silent()))
    table = found.tables["collections"]
    assert table["always_hold_steps"].to_numpy() == pytest.approx(table["free_steps"].to_numpy())


def test_a_share_counts_what_is_counted_and_nothing_else():
    right = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0]], bool)
    counted = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0]], bool)
    weights = cluster_weights(np.array([0, 0, 1]), 200, np.random.default_rng(0))
    value, low, high = share(right & counted, counted, weights)
    assert value == pytest.approx(4 / 6)
    assert (low, high) == pytest.approx((3 / 5, 1.0))


def test_a_corpus_that_holds_nothing_out_is_refused():
    classes = np.full((4, 32), 5, np.uint8)
    source = [MelodySource("a", "b", "c")]
    corpus = MelodyCorpus("one", classes, np.zeros(4, int), np.ones(4, int), source, np.zeros(1, int))
    if len(corpus.split[1]):
        corpus.__dict__["split"] = (corpus.split[1], corpus.split[0])
    with pytest.raises(UserError, match="too small to hold any melody out"):
        HeldOutMelodies()(observed(corpus))
