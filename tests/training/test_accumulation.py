"""A batch that goes through the model in parts makes the update that it makes whole."""

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.melodies import MelodyCorpus, MelodySource
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.training.autoencoder import ModernAutoencoderRecipe
from folkrnn.training.fit import MELODIES, TUNES, TrainerSettings, fit
from folkrnn.training.language_model import ModernRecipe
from folkrnn.training.musicvae_published import PublishedAutoencoderRecipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import scratch


def tunes():
    rng = np.random.default_rng(0)
    bodies = [rng.choice(list("CDEFGAB|"), rng.integers(4, 60)) for _ in range(100)]
    return Corpus("any notes", [Tune(("M:4/4", "K:Cmaj", *body)) for body in bodies])


def melodies():
    classes = np.random.default_rng(0).integers(0, 90, (120, 8)).astype(np.uint8)
    sources = [MelodySource(f"melody {i}", "melodies", str(i)) for i in range(len(classes))]
    return MelodyCorpus("melodies", classes, np.arange(120), np.ones(120, int), sources, np.arange(120))


LANGUAGE = (TUNES, lambda: FolkRNN(units=16, layers=2), tunes)
AUTOENCODER = (MELODIES, lambda: MusicVAE(encoder=[12], decoder=[12], z_size=4, max_seq_len=8), melodies)
RECIPES = {
    "modern": (*LANGUAGE, ModernRecipe(batch_size=10, dropout=0.4, clip_norm=1e-2)),
    "published": (*LANGUAGE, PublishedRecipe(batch_size=10, dropout=0.4, gate_clip=1e-3, split="families")),
    "published, by tune": (*LANGUAGE, PublishedRecipe(batch_size=10, loss="per_tune_2015", split="families")),
    "autoencoder": (*AUTOENCODER, ModernAutoencoderRecipe(batch_size=16, own=0.5, growth=0.0)),
    "published autoencoder": (*AUTOENCODER, PublishedAutoencoderRecipe(batch_size=16, sampling_rate=2.0)),
}


class Gradients(Callback):
    """Keeps the gradients of the first update, before clipping, the losses of all and how many there were."""

    def __init__(self):
        self.first, self.logged = None, []

    def on_before_optimizer_step(self, trainer, module, _):
        if self.first is None:
            self.first = {name: p.grad.double().clone() for name, p in module.named_parameters() if p.grad is not None}

    def on_train_batch_end(self, trainer, *_):
        if trainer.fit_loop._should_accumulate():
            return
        self.logged.append(float(trainer.callback_metrics["train/loss"]))


def trained(place, name, parts, **settings):
    loop, model, corpus, recipe = RECIPES[name]
    network, seen = scratch(model(), 1).model, Gradients()
    if hasattr(recipe, "resolved"):
        recipe = recipe.resolved(network)
    chosen = TrainerSettings(1, accelerator="cpu", progress=False, accumulate=parts, **settings)
    fitted = fit(network, corpus(), recipe, chosen, 1, place, None, [seen], loop)
    return seen, fitted


@pytest.mark.parametrize("name", RECIPES)
def test_gradients_of_parts_are_those_of_the_whole_batch(tmp_path, name):
    whole, one = trained(tmp_path / "whole", name, 1)
    parts, other = trained(tmp_path / "parts", name, 4)
    assert whole.first.keys() == parts.first.keys()
    for key, value in whole.first.items():
        assert (parts.first[key] - value).norm() <= 1e-5 * value.norm() + 1e-12, key
    assert one.updates == other.updates == len(whole.logged)
    np.testing.assert_allclose(parts.logged, whole.logged, rtol=1e-3)
    assert other.validation_loss == pytest.approx(one.validation_loss, rel=1e-3)


def test_more_parts_than_tunes_are_parts_with_nothing_to_predict(tmp_path):
    whole, one = trained(tmp_path / "whole", "modern", 1)
    parts, other = trained(tmp_path / "parts", "modern", 13)
    for key, value in whole.first.items():
        assert (parts.first[key] - value).norm() <= 1e-5 * value.norm() + 1e-12, key
    assert one.updates == other.updates


class Fails(Exception):
    pass


class FailAt(Callback):
    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.global_step == 5 and index % 3 == 1:  # with gradients of one part gathered
            raise Fails


def test_a_training_in_parts_cut_off_amid_a_batch_ends_where_an_uninterrupted_one_ends(tmp_path):
    loop, model, corpus, recipe = RECIPES["modern"]

    def train(place, resume, callbacks=()):
        chosen = TrainerSettings(
            2, accelerator="cpu", progress=False, accumulate=3, resume=resume, save_every_updates=2
        )
        return fit(scratch(model(), 1).model, corpus(), recipe, chosen, 1, place, None, callbacks, loop)

    with pytest.raises(Fails):
        train(tmp_path / "cut", False, [FailAt()])
    assert torch.load(tmp_path / "cut" / "last.ckpt", weights_only=True)["global_step"] == 4
    resumed, whole = train(tmp_path / "cut", True), train(tmp_path / "whole", False)
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_number_of_parts_is_another_training_to_resume(tmp_path):
    trained(tmp_path, "modern", 1)
    with pytest.raises(UserError, match=r"trainer\.accumulate was 1 and is 2"):
        trained(tmp_path, "modern", 2, resume=True)
