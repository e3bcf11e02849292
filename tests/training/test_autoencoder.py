"""A MusicVAE learns to write melodies back: by the modern recipe, and by Magenta's."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.callbacks import Callback

from folkrnn.datasets.melodies import MelodyCorpus, MelodySource
from folkrnn.errors import UserError
from folkrnn.melodies.grid import to_notes
from folkrnn.models.melody_tensors import NOTHING
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.recurrent import RecurrentLayer
from folkrnn.observation.music_neurons import neuron_table
from folkrnn.training.autoencoder import AutoencoderTraining, ModernAutoencoderRecipe, remember
from folkrnn.training.fit import MELODIES, TrainerSettings, fit
from folkrnn.training.melody_curves import MelodyCurves, exactness, reconstruction_metrics, silence
from folkrnn.training.musicvae_objective import elbo
from folkrnn.training.musicvae_published import PublishedAutoencoderRecipe
from folkrnn.training.noise import VALIDATION, latents
from folkrnn.weights import folder as weights_folder
from folkrnn.weights.sources import checkpoint, scratch

FLAT = {"encoder": [24], "decoder": [16, 16], "z_size": 10, "max_seq_len": 12}
HIERARCHICAL = {"encoder": [16, 16], "conductor": [12], "decoder": [16], "z_size": 6, "max_seq_len": 12, "segments": 3}
LEARNS = {"encoder": [32], "decoder": [32], "z_size": 16, "max_seq_len": 12}
QUICK = ModernAutoencoderRecipe(
    batch_size=16, learning_rate=2e-2, warmup_updates=10, last_beta=0.01, hidden=0.2, growth=0.3, own=0.0, transpose=0
)
"""After 20 epochs on `walks` every second onset comes back; whoever guesses among its pitches gets every twelfth."""
MODERN = ModernAutoencoderRecipe(batch_size=16, warmup_updates=5, own=0.2)
PUBLISHED = PublishedAutoencoderRecipe(batch_size=16, sampling_rate=3.0)


def walks(count=400, steps=12):
    """Melodies of a rule: a note on every quarter, at random within an octave; each source a family of its own."""
    rng = np.random.default_rng(0)
    classes = np.zeros((count, steps), np.uint8)
    classes[:, ::4] = rng.integers(40, 52, (count, steps // 4))
    sources = [MelodySource(f"walk {i}", "walks", str(i)) for i in range(count)]
    return MelodyCorpus("walks", classes, np.arange(count), np.ones(count, int), sources, np.arange(count))


class Stop(Exception):
    pass


class StopAt(Callback):
    def __init__(self, update):
        self.update = update

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.update:
            raise Stop


def train(place, recipe=MODERN, sizes=FLAT, epochs=2, callbacks=(), seed=1, **settings):
    model = scratch(MusicVAE(**sizes), seed).model
    chosen = TrainerSettings(epochs, accelerator="cpu", progress=False, **settings)
    corpus = walks()
    return fit(model, corpus, recipe.resolved(model), chosen, seed, place, None, callbacks, MELODIES)


def test_the_rate_rises_then_falls_to_its_final_share():
    recipe = ModernAutoencoderRecipe(learning_rate=1.0, warmup_updates=10, final_share=0.1)
    rates = [recipe.rate(update, 110) for update in range(110)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.55)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert recipe.rate(110, 110) == pytest.approx(0.1)


def test_beta_rises_in_a_line_and_stays():
    recipe = ModernAutoencoderRecipe(last_beta=0.4, beta_warmup=0.5)
    assert [recipe.beta(update, 8) for update in range(9)] == pytest.approx([0, 0.1, 0.2, 0.3, *[0.4] * 5])
    assert ModernAutoencoderRecipe(last_beta=0.4, beta_warmup=0).beta(1, 8) == 0.4


def test_melodies_grow_to_their_full_length_but_a_conductors_are_whole_from_the_start():
    recipe = ModernAutoencoderRecipe(shortest=4, growth=0.5)
    steps = [recipe.steps(MusicVAE(**FLAT), update, 48) for update in range(48)]
    assert steps[0] == 4
    assert steps == sorted(steps)
    assert set(steps) == set(range(4, 13))
    assert all(length == 12 for length in steps[24:])
    assert recipe.steps(MusicVAE(**HIERARCHICAL), 0, 48) == 12


@pytest.mark.parametrize("wrong", [
    {"learning_rate": 0}, {"batch_size": 0}, {"hidden": 1.5}, {"own": -0.1}, {"shortest": 0}, {"last_beta": -1},
    {"growth": 2}, {"moved": -1},
])  # fmt: skip
def test_a_recipe_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UserError, match="recipe"):
        ModernAutoencoderRecipe(**wrong)


@pytest.mark.parametrize("sizes", [FLAT, HIERARCHICAL], ids=["flat", "hierarchical"])
def test_memories_span_what_a_layer_runs_over(sizes):
    model = MusicVAE(**sizes)
    remember(model, torch.Generator().manual_seed(1))
    runs = {"encoder": model.sizes.max_seq_len, "decoder": model.sizes.max_seq_len // model.sizes.segments}
    runs["conductor"] = model.sizes.segments
    for name, layer in model.named_modules():
        if isinstance(layer, RecurrentLayer):
            i, f, g, o = layer.bias.detach().chunk(4)
            longest = max(2, runs[name.split(".")[0]] - 1)
            assert torch.equal(i, -f)
            assert bool((f >= 0).all()) and float(f.max()) <= math.log(longest)
            assert not g.any() and not o.any()


def test_what_is_hidden_from_the_decoder_it_does_not_read():
    model = MusicVAE(**FLAT).eval()
    z, melodies = torch.randn(20, 10), torch.randint(0, 90, (20, 12))
    hidden = ModernAutoencoderRecipe(hidden=1.0, own=0.0).logits(model, z, melodies, 0, 1)
    assert torch.allclose(hidden, model.decode(z, torch.full_like(melodies, NOTHING)), atol=1e-6)
    seen = ModernAutoencoderRecipe(hidden=0.0, own=0.0).logits(model, z, melodies, 0, 1)
    assert torch.allclose(seen, model.decode(z, melodies), atol=1e-6)


def test_own_inputs_are_samples_of_the_models_distribution():
    model = MusicVAE(**FLAT).eval()
    with torch.no_grad():
        model.decoder.output.weight.zero_()
        model.decoder.output.bias.fill_(-1e4)
        model.decoder.output.bias[7] = 0.0  # the distribution of every step is class 7
    z, melodies = torch.randn(20, 10), torch.randint(0, 90, (20, 12))
    read = []
    recipe = ModernAutoencoderRecipe(hidden=0.0, own=1.0, growth=0.5)
    decode = model.decode
    model.decode = lambda z, melodies, **_: read.append(melodies) or decode(z, melodies)
    recipe.logits(model, z, melodies, 4, 10)
    assert torch.equal(read.pop(), melodies), "melodies still grow: the true steps"
    recipe.logits(model, z, melodies, 5, 10)
    assert torch.equal(read[0], melodies), "the pass that draws them"
    assert bool((read[1] == 7).all())


@settings(deadline=None)
@given(st.integers(1, 6), st.floats(0, 1))
def test_a_batch_costs_the_same_however_it_is_shared(mine, beta):
    torch.manual_seed(0)
    training = AutoencoderTraining(MusicVAE(**FLAT).eval(), ModernAutoencoderRecipe(free_bits=2.0))
    melodies, lengths = torch.randint(0, 90, (6, 12)), torch.full((6,), 12)
    with torch.no_grad():
        mu, sigma = training.model.encode(melodies, lengths)
        epsilon, uniforms = latents(1, VALIDATION, 0, range(6), 10, 12)
        terms = training._terms(melodies[:mine], lengths[:mine], (epsilon[:mine], uniforms[:mine]), None)
        z = mu[:mine] + sigma[:mine] * epsilon[:mine]
        logits = training.model.decode(z, melodies[:mine])
        valid = torch.ones(mine, 12, dtype=torch.bool)
        found = elbo(logits, melodies[:mine], valid, mu[:mine], sigma[:mine], beta, 2.0)
        nothing = torch.full((1, 12), NOTHING), torch.zeros(1, dtype=torch.long)
        none = training._terms(*nothing, (epsilon[:1], uniforms[:1]), None)
    reconstruction, kl_cost, kl, size = (float(term) / mine for term in terms)
    assert reconstruction + beta * kl_cost == pytest.approx(float(found.loss), rel=1e-4)
    assert kl == pytest.approx(float(found.kl.mean()), rel=1e-4)
    assert size == pytest.approx(float(mu[:mine].abs().sum(1).mean()), rel=1e-4)
    assert [float(term) for term in none] == [0, 0, 0, 0]


def test_published_values_are_those_of_magentas_configs():
    def of(encoder, steps, **more):
        return PublishedAutoencoderRecipe(**more).resolved(MusicVAE([encoder], [8], 4, steps))

    small, long = of(512, 32), of(512, 256)
    assert (small.max_beta, small.beta_rate, small.free_bits) == (0.2, 0.99999, 0)
    assert (small.sampling_rate, small.transpose, small.batch_size) == (1000, 5, 512)
    assert [of(units, 32).max_beta for units in (1023, 1024, 2048)] == [0.2, 0.5, 0.5]
    assert [of(512, steps).free_bits for steps in (63, 64)] == [0, 256]
    assert (long.max_beta, long.beta_rate, long.free_bits) == (0.2, 0, 256)
    assert (long.sampling_rate, long.transpose) == (0, 0)
    assert of(512, 32, max_beta=0.3, free_bits=9.0).max_beta == 0.3
    assert [long.beta(update, 10) for update in (0, 1, 2)] == [0, 0.2, 0.2]
    assert small.rate(0, 10) == pytest.approx(1e-3)
    assert small.rate(10_000, 10) == pytest.approx(3.7e-4, rel=0.02)
    with pytest.raises(UserError):
        PublishedAutoencoderRecipe(batch_size=0)


def test_published_sampling_gives_the_decoder_its_own_steps_ever_more_often():
    model = MusicVAE(**FLAT).eval()
    z, melodies = torch.randn(20, 10), torch.randint(0, 90, (20, 12))
    recipe = PublishedAutoencoderRecipe(sampling_rate=10.0).resolved(model)
    forced = model.decode(z, melodies)
    early = recipe.logits(model, z, melodies, 0, 1)  # p = 1 / 11
    late = recipe.logits(model, z, melodies, 1000, 1)
    same = [float(torch.isclose(found, forced, atol=1e-5).all(-1).float().mean()) for found in (early, late)]
    assert same[0] > 2 * same[1]
    long = PublishedAutoencoderRecipe(sampling_rate=0.0).resolved(model)
    assert torch.allclose(long.logits(model, z, melodies, 10_000, 1), forced, atol=1e-6)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    noted, melodies = [], []
    place = tmp_path_factory.mktemp("learned")
    watch = MelodyCurves(
        ["mu", "dec.l1.h"],
        lambda metrics, step: noted.append((step, dict(metrics))),
        lambda summary, step: noted.append((step, {"sites": sorted(summary.units)})),
        lambda midi, step: melodies.append((step, midi)),
    )
    return train(place, QUICK, LEARNS, epochs=20, callbacks=[watch]), noted, melodies


def test_melodies_come_back_when_written_freely(learned):
    corpus = walks()
    found = reconstruction_metrics(learned[0].model, corpus.classes, corpus.lengths)
    assert found["free_onsets"] > 0.25
    assert found["free_steps"] > 0.75
    assert found["forced_onsets"] > 0.25


def test_what_comes_back_is_noted_after_each_validation_beside_always_hold(learned):
    fitted, noted, melodies = learned
    assert noted[0] == (0, {"baseline/always_hold_steps": 0.75, "baseline/always_hold_onsets": 0.0})
    curves = [metrics for _, metrics in noted if "validation/free_onsets" in metrics]
    assert len(curves) == 20
    names = {f"validation/{kind}_{what}" for kind in ("free", "forced") for what in ("steps", "onsets")}
    names |= {f"validation/active_by_{rule}" for rule in ("sigma", "variance", "kl", "gap")}
    names |= {f"validation/{name}" for name in ("between_share", "excited_noise", "music_kl_share")}
    assert set(curves[-1]) == names
    assert (fitted.updates, {"sites": ["dec.l1.h", "mu"]}) in noted
    assert melodies[-1][0] == fitted.updates
    assert melodies[-1][1][:4] == b"MThd"


def test_exactness_counts_steps_and_onsets_and_nothing_past_the_end():
    melodies = torch.tensor([[5, 0, 6, 1], [7, 0, -1, -1]])
    written = torch.tensor([[5, 0, 7, 1], [8, 0, 0, 0]])
    found = exactness(written, melodies)
    assert found["steps"] == pytest.approx(4 / 6)
    assert found["onsets"] == pytest.approx(1 / 3)
    assert to_notes(melodies[0].numpy())[0].pitch == 24


@pytest.mark.parametrize(
    ("recipe", "sizes"),
    [(MODERN, FLAT), (MODERN, HIERARCHICAL), (PUBLISHED, FLAT)],
    ids=["modern", "hierarchical", "published"],
)
def test_a_training_cut_off_ends_where_an_uninterrupted_one_ends(tmp_path, recipe, sizes):
    whole = train(tmp_path / "whole", recipe, sizes)
    for attempt, update in enumerate((6, 20)):
        with pytest.raises(Stop):
            train(tmp_path / "cut", recipe, sizes, callbacks=[StopAt(update)], save_every_updates=4, resume=attempt > 0)
    resumed = train(tmp_path / "cut", recipe, sizes, resume=True)
    assert (resumed.validation_loss, resumed.updates) == (whole.validation_loss, whole.updates)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    with pytest.raises(UserError, match=r"another configuration.*recipe"):
        train(tmp_path, ModernAutoencoderRecipe(batch_size=16, last_beta=0.3), epochs=1, resume=True)


@pytest.mark.parametrize("sizes", [FLAT, HIERARCHICAL], ids=["flat", "hierarchical"])
def test_what_was_trained_is_loaded_from_checkpoint_and_folder(tmp_path, sizes):
    fitted = train(tmp_path, sizes=sizes, epochs=1)
    weights_folder.save(tmp_path / "weights", fitted.model, None, "# a card", dtype=torch.float32)
    for path in (tmp_path, tmp_path / "best.ckpt", tmp_path / "weights", tmp_path / "weights" / "model.safetensors"):
        found = checkpoint(str(path)).model
        assert found.sizes == fitted.model.sizes
        for name, value in fitted.model.state_dict().items():
            assert torch.equal(found.state_dict()[name], value), (path, name)


def test_mixed_precision_learns_too(tmp_path):
    fitted = train(tmp_path, QUICK, LEARNS, epochs=20, precision="bf16-mixed")
    assert all(p.dtype == torch.float32 for p in fitted.model.parameters())
    corpus = walks()
    assert reconstruction_metrics(fitted.model, corpus.classes, corpus.lengths)["free_onsets"] > 0.2


class Losses(Callback):
    """What each update was said to cost."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, outputs, *_):
        said = trainer.callback_metrics
        self.seen.append(
            [float(outputs["loss"]), *(float(said[f"train/{n}"]) for n in ("reconstruction", "kl", "beta"))]
        )


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_an_update_costs_the_reconstruction_and_beta_times_the_kl(tmp_path, beta):
    losses = Losses()
    recipe = ModernAutoencoderRecipe(batch_size=100, last_beta=beta, free_bits=0.0, own=0.0)
    train(tmp_path, recipe, epochs=1, callbacks=[losses])
    assert losses.seen[0][3] == 0
    assert losses.seen[-1][3] == pytest.approx(beta)
    for loss, reconstruction, kl, said in losses.seen:
        assert kl > 0
        assert loss == pytest.approx(reconstruction + said * kl, rel=1e-4)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    class Poison(Callback):
        def on_train_batch_start(self, trainer, module, *_):
            if trainer.global_step == 3:
                module.model.decoder.output.bias.data[0] = math.nan

    with pytest.raises(UserError, match="training loss is nan at update 3"):
        train(tmp_path, callbacks=[Poison()])


def test_a_lasso_falls_evenly_to_nothing():
    assert [ModernAutoencoderRecipe(lasso=0.4).lasso_of(update, 4) for update in range(5)] == pytest.approx(
        [0.4, 0.3, 0.2, 0.1, 0]
    )
    assert PUBLISHED.lasso_of(3, 8) == 0


def test_under_a_lasso_latents_that_say_little_fall_silent(tmp_path):
    melodies = torch.from_numpy(walks().classes.astype(np.int64))
    means = {}
    for lasso in (0.0, 0.3):
        model = train(tmp_path / str(lasso), replace(QUICK, lasso=lasso), LEARNS, epochs=6).model
        with torch.no_grad():
            means[lasso] = model.encode(melodies)[0].abs().mean(0)
    assert (means[0.3] < 0.1).sum() > (means[0.0] < 0.1).sum()


def test_the_silence_of_noise_neurons_is_counted_over_a_median_melody():
    sigma = np.tile([0.1, 1.0, 1.0, 1.0], (3, 1))
    mu = np.array([[2.0, 0.2, -0.3, 0.0], [2.0, 0.2, 0.05, 0.0], [-2.0, 0.0, 0.0, 0.0]])
    found = silence(neuron_table(mu, sigma), mu)
    assert found["excited_noise"] == 1
    noise = 0.5 * (0.2**2 + 0.3**2 + 0.2**2 + 0.05**2) / 3
    music = 0.5 * (4 + 0.1**2 - 1 - 2 * np.log(0.1))
    assert found["music_kl_share"] == pytest.approx(music / (music + noise))
