"""Half and double precision train too; what a machine cannot do is refused."""

import math

import numpy as np
import pytest
import torch

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.melodies import MelodyCorpus, MelodySource
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.training.autoencoder import ModernAutoencoderRecipe
from folkrnn.training.fit import MELODIES, TUNES, TrainerSettings, check_trainer_precision, fit
from folkrnn.training.language_model import ModernRecipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import checkpoint, scratch


def scales():
    """Tunes that go up step by step, from any note."""
    notes = [f"{letter}{octave}" for octave in ("", "'") for letter in "cdefgab"]
    bodies = [[*notes[start : start + length]] for start in range(5) for length in range(3, 9)]
    return Corpus("scales", [Tune(("M:4/4", "K:Cmaj", *body)) for body in 6 * bodies])


def walks():
    rng = np.random.default_rng(0)
    classes = np.zeros((200, 12), np.uint8)
    classes[:, ::4] = rng.integers(40, 44, (200, 3))
    sources = [MelodySource(f"walk {i}", "walks", str(i)) for i in range(200)]
    return MelodyCorpus("walks", classes, np.arange(200), np.ones(200, int), sources, np.arange(200))


MODELS = {
    "modern": (TUNES, lambda: FolkRNN(units=32, layers=2), scales, ModernRecipe(batch_size=16, learning_rate=1e-2)),
    "gru": (TUNES, lambda: FolkRNN(units=32, cell="gru"), scales, ModernRecipe(batch_size=16, learning_rate=1e-2)),
    "published": (
        TUNES, lambda: FolkRNN(units=32, layers=2), scales,
        PublishedRecipe(batch_size=16, dropout=0.1, split="families"),
    ),
    "flat": (
        MELODIES, lambda: MusicVAE(encoder=[24], decoder=[24], z_size=8, max_seq_len=12), walks,
        ModernAutoencoderRecipe(batch_size=16, learning_rate=1e-2, transpose=0, warmup_updates=5),
    ),
    "hierarchical": (
        MELODIES,
        lambda: MusicVAE(encoder=[16, 16], conductor=[12], decoder=[16], z_size=6, max_seq_len=12, segments=3), walks,
        ModernAutoencoderRecipe(batch_size=16, learning_rate=1e-2, transpose=0, warmup_updates=5),
    ),
}  # fmt: skip


def trained(place, name, precision, epochs=3):
    loop, model, corpus, recipe = MODELS[name]
    chosen = TrainerSettings(epochs, accelerator="cpu", progress=False, precision=precision)
    first = fit(scratch(model(), 1).model, corpus(), recipe, chosen, 1, place, None, (), loop)
    states = torch.load(place / "last.ckpt", weights_only=True)
    return first, states


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
@pytest.mark.parametrize("name", MODELS)
def test_other_precisions_learn_as_single_precision_does(tmp_path, name, precision):
    single, _ = trained(tmp_path / "single", name, "32-true")
    other, states = trained(tmp_path / "other", name, precision)
    expected = torch.float64 if precision == "64-true" else torch.float32
    for key, value in states["state_dict"].items():
        assert value.dtype == expected, key
        assert bool(torch.isfinite(value).all()), key
    before, _ = trained(tmp_path / "before", name, precision, epochs=1)
    assert other.validation_loss < before.validation_loss
    assert other.validation_loss == pytest.approx(single.validation_loss, rel=0.02 if precision == "64-true" else 0.1)
    loaded = checkpoint(tmp_path / "other" / "best.ckpt").model
    for one, two in zip(loaded.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, two.to(one.dtype))


def test_a_bf16_training_computes_in_bf16(tmp_path):
    """Else the test above would compare single precision with itself."""
    seen = []

    class Watched(ModernRecipe):
        def logits(self, *args):
            found = super().logits(*args)
            seen.append(found.dtype)
            return found

    _, model, corpus, _ = MODELS["modern"]
    chosen = TrainerSettings(1, accelerator="cpu", progress=False, precision="bf16-mixed")
    fit(scratch(model(), 1).model, corpus(), Watched(batch_size=16), chosen, 1, tmp_path)
    assert set(seen) == {torch.bfloat16}


def test_half_precision_without_a_gpu_is_refused():
    with pytest.raises(UserError, match=r"16-mixed needs a GPU.*bf16-mixed"):
        TrainerSettings(accelerator="cpu", precision="16-mixed")


@pytest.mark.parametrize("precision", ["16", "bf16", "32", "bf16-true", "float32"])
def test_a_precision_that_there_is_not_is_refused(precision):
    with pytest.raises(UserError, match=f"trainer.precision={precision}: must be one of 32-true"):
        TrainerSettings(precision=precision)


def test_clipping_gates_while_gradients_are_scaled_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    half = TrainerSettings(accelerator="gpu", precision="16-mixed")
    with pytest.raises(UserError, match="gate_clip"):
        check_trainer_precision(PublishedRecipe(), half)
    check_trainer_precision(PublishedRecipe(gate_clip=None), half)
    check_trainer_precision(ModernRecipe(), half)


def test_the_losses_of_half_precision_logits_are_summed_in_single_precision():
    from folkrnn.training.losses import LOSSES, Size

    logits = torch.zeros(8, 200, 137, dtype=torch.bfloat16)
    targets = torch.zeros(8, 200, dtype=torch.long)
    for name, loss in LOSSES.items():
        each = float(loss(logits, targets, Size(1600, 8)))
        expected = math.log(137) * {"per_token": 1, "per_tune": 200, "per_tune_2015": 200 / 201}[name]
        assert each == pytest.approx(expected, rel=1e-5)
