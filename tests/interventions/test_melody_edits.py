"""An edit of any site of a MusicVAE: the same in generation, reading and tracing, and in any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from folkrnn.errors import UserError
from folkrnn.interventions import activations, composition
from folkrnn.interventions.intervention import RunContext
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.rng import draw, probabilities, uniforms

SIZES = {
    "flat": {"encoder": (10, 7), "decoder": (9, 12), "z_size": 6, "max_seq_len": 32},
    "hierarchical": {
        "encoder": (8,), "decoder": (9, 7), "conductor": (6, 10), "segments": 2, "z_size": 5, "max_seq_len": 32,
    },
}  # fmt: skip
MELODIES = torch.from_numpy(np.random.default_rng(1).integers(0, 89, (9, 32)))


@pytest.fixture(scope="module", params=SIZES)
def model(request) -> MusicVAE:
    model = MusicVAE(**SIZES[request.param]).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return model


def applied(model: MusicVAE, *interventions: activations.WriteActivation) -> MusicVAE:
    with torch.no_grad():
        latents = MELODIES.numpy(), *(part.numpy() for part in model.encode(MELODIES))
    named, here = {f"i{k}": one for k, one in enumerate(interventions)}, RunContext(None, 3, latents=lambda: latents)
    composition.check(named, model, here)
    return composition.apply(composition.resolve(named, model, here), model, here)[0]


def decoder(model: MusicVAE) -> str:
    return model.decoder.name


def reads(model: MusicVAE, melodies: torch.Tensor = MELODIES) -> dict[str, torch.Tensor]:
    """What encoding and teacher-forced decoding give, without a trace."""
    with torch.no_grad():
        mu, sigma = model.encode(melodies)
        return {"mu": mu, "sigma": sigma, "logits": model.decode(mu, melodies)}


def test_every_site_can_be_held_and_is_traced_as_held(model):
    for site in model.sites.keys() - {"probs"}:
        changed = applied(model, activations.clamp(f"{site}[0,2]", 0.25))
        found = changed.trace(MELODIES, site)[site]
        assert (found[..., [0, 2]] == 0.25).all(), site
        assert not (found[..., [1, 3]] == 0.25).all(), site


@pytest.mark.parametrize(
    "site", ["enc.fw.l1.c", "enc.bw.l1.h", "mu", "z", "x", "{}.x", "{}.l1.i.pre", "{}.l2.c", "logits"]
)
def test_what_is_read_is_what_is_traced(model, site):
    changed = applied(model, activations.clamp(site.format(decoder(model)) + "[1]", 0.4))
    read, traced = reads(changed), changed.trace(MELODIES, ["mu", "sigma", "logits"])
    plain = reads(model)
    for name, value in read.items():
        assert torch.allclose(value, traced[name], atol=1e-5), name
    assert any(not torch.allclose(value, plain[name], atol=1e-3) for name, value in read.items())


@pytest.mark.parametrize("temperature", [None, 0.8])
@pytest.mark.parametrize("site", ["z", "{}.l1.c", "{}.l2.h", "out", "logits"])
def test_melodies_are_written_by_the_edited_steps_that_reading_takes(model, site, temperature):
    changed = applied(model, activations.clamp(site.format(decoder(model)) + "[1,3]", 0.6))
    z = model.prior(20, seed=3)
    melodies = changed.generate(z, temperature=temperature, seed=6)
    with torch.no_grad():
        logits = changed.decode(z, melodies)
    if temperature is None:
        assert torch.equal(logits.argmax(-1), melodies)
        return
    assert not torch.equal(melodies, model.generate(z, temperature=temperature, seed=6))
    stream = uniforms(6, 0, 20, 32)
    drawn = [draw(probabilities(logits[:, t], temperature), stream[:, t]) for t in range(32)]
    assert torch.equal(torch.stack(drawn, dim=1), melodies)


SOMETHING = {
    "noise in the decoder": lambda name: activations.noise(f"{name}.l*.h", 0.3),
    "noise in the encoder": lambda name: activations.noise("enc.*.l1.h", 0.3),
    "noise on z": lambda name: activations.noise("z", 0.5),
    "a bar held": lambda name: activations.clamp(f"{name}.l1.h", 0.5, bars=2),
    "held at the mean": lambda name: activations.clamp(f"{name}.l2.c", "mean"),
    "patched": lambda name: activations.patch(f"{name}.l1.c", source=4),
    "latents patched": lambda name: activations.patch("mu[0:3]", source=4),
}


@pytest.mark.parametrize("name", SOMETHING)
def test_a_melody_does_not_depend_on_the_batch_under_an_edit(model, name):
    changed = applied(model, SOMETHING[name](decoder(model)))
    z = model.prior(30, seed=3)
    together = changed.generate(z, temperature=1.0, seed=4)
    whole = changed.trace(MELODIES, ["mu", "probs"])
    for low, high in ((0, 1), (3, 9)):
        assert torch.equal(changed.generate(z[low:high], temperature=1.0, seed=4, first=low), together[low:high])
        with torch.no_grad():
            mu, _ = changed.encode(MELODIES[low:high], numbers=range(low, high))
        assert torch.allclose(mu, whole["mu"][low:high], atol=1e-6)
        some = changed.trace(MELODIES[low:high], "probs", numbers=range(low, high))["probs"]
        assert torch.allclose(some, whole["probs"][low:high], atol=1e-6)


def test_a_window_of_bars_is_where_the_edit_acts(model):
    name = decoder(model)
    changed = applied(model, activations.clamp(f"{name}.l1.h", 0.5, bars=2))
    found = changed.trace(MELODIES, f"{name}.l1.h")[f"{name}.l1.h"]
    assert (found[:, 16:] == 0.5).all()
    assert not (found[:, :16] == 0.5).any()
    backwards = applied(model, activations.clamp("enc.bw.l1.h", 0.5, steps=[0, 3])).trace(MELODIES, "enc.bw.l1.h")
    assert ((backwards["enc.bw.l1.h"] == 0.5).all(-1) == (torch.arange(32) < 4)).all()


def test_a_melody_patched_into_itself_is_as_it_was(model):
    name = decoder(model)
    changed = applied(model, activations.patch([f"{name}.l1.c", "mu"], source=4))
    for before, after in zip(reads(model).values(), reads(changed).values(), strict=True):
        assert torch.allclose(before[4], after[4], atol=1e-5)
    assert not torch.allclose(reads(model)["logits"][5], reads(changed)["logits"][5], atol=1e-3)


def test_a_mean_is_that_of_the_melodies_observed(model):
    site = f"{decoder(model)}.l2.c"
    held = applied(model, activations.clamp(site, "mean")).trace(MELODIES, site)[site]
    assert torch.allclose(held, model.trace(MELODIES, site)[site].mean((0, 1)).expand_as(held), atol=1e-6)


@pytest.mark.parametrize(
    ("intervention", "says"),
    [
        (lambda: activations.clamp("l1.h", 0.0, after="|"), "names tokens"),
        (lambda: activations.clamp("*.l1.h", 0.0, fraction=0.5), "in the brackets of a site"),
        (lambda: activations.patch("mu", "fig1"), "source="),
        (lambda: activations.patch("mu", source=9), "0 to 8"),
        (lambda: activations.noise("x"), "whole melodies"),
        (lambda: activations.clamp("l9.h"), "no site"),
    ],
)
def test_what_a_musicvae_lacks_is_refused_by_name(model, intervention, says):
    with pytest.raises(UserError, match=says):
        applied(model, intervention())


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_a_small_batch_is_decoded_step_by_step_in_training_too(model, probability):
    name, few = decoder(model), MELODIES[:3]
    changed = applied(model, activations.clamp(f"{name}.l1.h[2]", 0.5))
    plain = changed.decode(torch.zeros(3, model.sizes.z_size), few, generator=torch.Generator().manual_seed(1))
    changed.train()
    with torch.no_grad():
        settings = {"sampling_probability": probability, "generator": torch.Generator().manual_seed(1)}
        found = changed.decode(torch.zeros(3, model.sizes.z_size), few, **settings)
    changed.eval()
    assert found.shape == plain.shape
    assert torch.allclose(found, plain, atol=1e-5) == (probability == 0)
