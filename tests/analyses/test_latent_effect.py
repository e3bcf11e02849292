"""The comparison of an intervention on latents with its control, on melodies and latents that are planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analyses.latent_effect import LatentEffect
from analyses.measures.melody_quantities import WORDS, melody_sums
from folkrnn.datasets.melodies import random_notes
from folkrnn.errors import UserError
from folkrnn.interventions import activations, composition
from folkrnn.interventions import latents as edits
from folkrnn.interventions.intervention import RunContext
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation

COUNT = 30


@pytest.fixture(scope="module")
def control() -> LatentObservation:
    model = MusicVAE(encoder=(12,), decoder=(12,), z_size=6, max_seq_len=32).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    corpus = random_notes(COUNT, 2, 3)
    return LatentObservation(model, corpus.classes, [f"No. {k}" for k in range(COUNT)], corpus)


def seen(control: LatentObservation, edit: edits.EditLatents, draws: int = 2) -> LatentObservation:
    context = RunContext(None, latents=lambda: (control.classes, *control.latents))
    resolved = composition.resolve({"it": edit}, control.model, context)
    made = [composition.apply(resolved, control.model, context)[0]]
    made += [
        composition.apply(composition.matched(resolved, k, 1), control.model, context)[0]
        for k in range(draws)
        if composition.matched(resolved, k, 1)
    ]
    changed, *matched = (replace(control, model=model, _once={}) for model in made)
    return replace(changed, control=control, matched=tuple(matched))


ANALYSIS = LatentEffect(shown=2, resamples=50)


def test_an_intervention_of_no_size_has_exactly_no_effect(control):
    found = ANALYSIS(seen(control, edits.latent_clamp([])))
    for name in WORDS:
        assert found.metrics[f"difference_{name}"] == found.metrics[f"{name}_falls"] == 0
    assert found.metrics["kept_onsets"] == 1
    assert found.metrics["kl"] == found.metrics["moved"] == 0
    assert "matched_kl" not in found.metrics


def test_an_edit_of_the_decoder_diverges_though_no_latent_moves(control):
    found = ANALYSIS(seen(control, activations.clamp("dec.l1.h[0:6]", 0.5)))
    assert found.metrics["moved"] == 0
    assert found.metrics["kl"] > 0.01


def test_all_neurons_clamped_write_one_melody(control):
    observation = seen(control, edits.latent_clamp(list(range(6)), 0.3))
    found = ANALYSIS(observation)
    written = found.arrays["written"]["changed"]
    assert (written == written[0]).all()
    assert found.metrics["kl"] > 0.05
    assert found.metrics["kl_low"] < found.metrics["kl"] < found.metrics["kl_high"]
    assert found.metrics["matched_kl"] == pytest.approx(found.metrics["kl"], rel=1e-5)  # all there are
    assert found.metrics["kept_onsets"] < 1
    assert set(found.figures) == {"differences", "melodies"}


def test_the_divergence_is_that_of_the_distributions_that_the_decoder_gives(control):
    observation = seen(control, edits.latent_clamp([2], 2.0))
    found = ANALYSIS(observation)
    written = torch.from_numpy(found.arrays["written"]["control"]).long()
    P, Q = (
        control.model.trace(written, ["probs"], z=torch.from_numpy(side.mu))["probs"].double().numpy()
        for side in (control, observation)
    )
    assert found.metrics["kl"] == pytest.approx((P * np.log(P / Q)).sum(-1).mean(), rel=1e-4)


def test_without_an_intervention_there_is_nothing_to_compare(control):
    with pytest.raises(UserError, match="with intervention="):
        ANALYSIS(control)


def test_a_melody_is_measured_as_by_hand():
    written = np.zeros((1, 32), np.uint8)
    written[0, [0, 4, 8, 16, 20]] = [41, 43, 1, 41, 50]  # MIDI pitches 60, 62, off, 60, 69
    melody = np.zeros_like(written)
    melody[0, [0, 4, 12, 16]] = [41, 44, 41, 41]
    found = dict(zip(WORDS, melody_sums(written, melody, written)[0].tolist(), strict=True))
    assert found["exact_onsets"] == [2, 4]
    assert found["kept_onsets"] == [4, 4]
    assert found["onsets"] == [4, 2]
    assert found["silence"] == [8, 32]
    assert found["as_bar_before"] == [14, 16]
    assert found["pitch"] == [60 + 62 + 60 + 69, 4]
    assert found["range"] == [9, 1]
    assert found["step_size"] == [2 + 2 + 9, 3]
    assert found["stepwise"] == [2, 3]
