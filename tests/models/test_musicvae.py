import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from analyses.measures.arcs import interpolate, slerp
from folkrnn.errors import UserError
from folkrnn.models.melody_tensors import valid_steps
from folkrnn.models.musicvae import MusicVAE
from folkrnn.models.rng import draw, probabilities, uniforms

FLAT = {"encoder": (10, 7), "decoder": (9, 12), "z_size": 6, "max_seq_len": 12}
HIERARCHICAL = {"encoder": (8,), "decoder": (9, 7), "conductor": (6, 10), "segments": 3, "z_size": 5, "max_seq_len": 12}
KINDS = pytest.mark.parametrize("sizes", [FLAT, HIERARCHICAL], ids=["flat", "hierarchical"])


def lively(sizes, seed=0):
    """A small model with parameters large enough for everything to depend on everything."""
    model = MusicVAE(**sizes).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return model


def some(count, steps=12, seed=1):
    return torch.randint(0, 90, (count, steps), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("sizes", "total"),
    [
        ({"z_size": 256}, 4_423_770),
        ({"encoder": [2048], "decoder": [2048] * 3}, 134_571_098),
        (
            {
                "encoder": [2048] * 2,
                "decoder": [1024] * 2,
                "conductor": [1024] * 2,
                "segments": 16,
                "max_seq_len": 256,
            },
            176_061_530,
        ),
        ({"encoder": [2048] * 2, "decoder": [2048] * 3, "max_seq_len": 256}, 235_250_778),
        ({}, 5_472_858),
    ],
)
def test_magentas_models_and_ours_have_their_numbers_of_parameters(sizes, total):
    with torch.device("meta"):
        model = MusicVAE(**sizes)
    assert sum(parameter.numel() for parameter in model.parameters()) == total


def test_initial_values_are_magentas():
    model = MusicVAE(encoder=(64,), decoder=(48,), z_size=128)
    layer = model.encoder.layers[0].fw
    limit = math.sqrt(6 / (90 + 64 + 4 * 64))
    for weight in (layer.weight_ih, layer.weight_hh):
        assert 0.98 * limit < weight.abs().max() <= limit
        assert abs(weight.std() / limit - 1 / math.sqrt(3)) < 0.02
    assert layer.bias.tolist() == [0.0] * 64 + [1.0] * 64 + [0.0] * 128
    for linear in (model.encoder.mu, model.encoder.sigma, model.decoder.initial):
        assert abs(linear.weight.std() - 0.001) < 5e-5
        assert not linear.bias.any()
    mu, sigma = model.eval().encode(some(20))
    assert mu.abs().max() < 0.01
    assert (sigma - math.log(2)).abs().max() < 0.01


def test_the_same_seed_draws_the_same_parameters():
    first, second = MusicVAE(**FLAT), MusicVAE(**FLAT)
    for model in (first, second):
        model.reset_parameters(torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_encoder_equals_torchs_packed_bidirectional_lstm():
    model = lively(FLAT | {"encoder": (8, 8)})
    oracle = nn.LSTM(90, 8, 2, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for k, layer in enumerate(model.encoder.layers):
            for part, suffix in ((layer.fw, ""), (layer.bw, "_reverse")):
                getattr(oracle, f"weight_ih_l{k}{suffix}").copy_(part.weight_ih)
                getattr(oracle, f"weight_hh_l{k}{suffix}").copy_(part.weight_hh)
                getattr(oracle, f"bias_ih_l{k}{suffix}").copy_(part.bias)
                getattr(oracle, f"bias_hh_l{k}{suffix}").zero_()
        melodies, lengths = some(20), torch.tensor([1, 2, 12, 11, 7] * 4)
        x = nn.functional.one_hot(melodies, 90).float()
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = oracle(packed)
        code = model.encoder.code(x, lengths)
    assert (code - torch.cat([h[2], h[3]], dim=-1)).abs().max() < 1e-6


@KINDS
def test_what_lies_past_a_melodys_end_is_never_read(sizes):
    model = lively(sizes)
    melodies, lengths = some(18), torch.arange(18) % 12 + 1
    other = torch.where(torch.arange(12) < lengths.unsqueeze(1), melodies, some(18, seed=9))
    cut = torch.where(torch.arange(12) < lengths.unsqueeze(1), melodies, -1)
    with torch.no_grad():
        mu, sigma = model.encode(melodies, lengths)
        for same in (model.encode(other, lengths), model.encode(cut), model.encode(cut, lengths)):
            assert torch.equal(same[0], mu)
            assert torch.equal(same[1], sigma)


def test_a_melody_of_no_steps_has_the_latents_of_the_zero_state():
    model = lively(FLAT)
    mu, sigma = model.encode(some(2), torch.tensor([0, 12]))
    assert torch.equal(mu[0], model.encoder.mu.bias)
    assert torch.allclose(sigma[0], nn.functional.softplus(model.encoder.sigma.bias))


@KINDS
def test_one_hot_rows_say_the_same_as_classes(sizes):
    model, melodies = lively(sizes), some(17)
    melodies[3, 8:] = -1
    rows = (melodies.unsqueeze(-1) == torch.arange(90)).bool()
    with torch.no_grad():
        assert torch.equal(model.encode(rows)[0], model.encode(melodies)[0])
        assert torch.equal(model.encode(rows.float())[0], model.encode(melodies)[0])
        z = model.prior(17, seed=0)
        assert torch.equal(model.decode(z, rows), model.decode(z, melodies))


class Seen:
    """Collects what is visited, in order, per site."""

    def __init__(self):
        self.values = {}

    def __call__(self, site, value):
        self.values.setdefault(site, []).append(value)
        return value


@KINDS
def test_traced_and_hooked_values_are_the_same_for_every_site(sizes):
    model, melodies = lively(sizes), some(20)
    lengths = None if sizes is HIERARCHICAL else torch.full((20,), 12)
    seen = Seen()
    with torch.no_grad():
        mu, sigma = model.encode(melodies, lengths, hook=seen)
        logits = model.decode(mu, melodies, hook=seen)
        assert (logits - model.decode(mu, melodies)).abs().max() < 1e-5
    traced = model.trace(melodies, list(model.sites))
    assert set(traced) == set(model.sites)
    assert seen.values.keys() == traced.keys() - {"probs"}
    for site, values in seen.values.items():
        stacked = values[0] if site in ("x", "mu", "sigma", "z") else torch.stack(values, dim=1)
        stacked = stacked.flip(1) if site.startswith("enc.bw") else stacked
        assert (stacked - traced[site]).abs().max() < 1e-5, site
    assert torch.equal(traced["probs"], traced["logits"].softmax(-1))
    assert (traced["mu"] - mu).abs().max() < 1e-6
    assert (traced["sigma"] - sigma).abs().max() < 1e-6


@KINDS
def test_every_site_has_the_width_that_sites_says(sizes):
    model = lively(sizes)
    for site, value in model.trace(some(3), list(model.sites)).items():
        assert value.shape[-1] == model.sites[site], site
        middle = {"x": (12,), "mu": (), "sigma": (), "z": ()}.get(site, (3,) if site.startswith("cond") else (12,))
        assert value.shape[1:-1] == middle, site


@KINDS
def test_the_cells_identities_hold_in_every_layer(sizes):
    model = lively(sizes)
    activations = model.trace(some(4), [site for site in model.sites if ".l" in site])
    for layer in {site.rsplit(".", 1)[0] for site in activations if site.endswith(".h")}:
        gates = {gate: activations[f"{layer}.{gate}"] for gate in "ifgoch"}
        assert torch.allclose(gates["h"], gates["o"] * gates["c"].tanh(), atol=1e-6)
        steps = range(10, -1, -1) if layer.startswith("enc.bw") else range(1, gates["c"].shape[1])
        before = 1 if layer.startswith("enc.bw") else -1
        for t in steps:
            if layer.startswith("core") and t % 4 == 0:
                continue  # the core decoder starts anew on each segment
            c = gates["f"][:, t] * gates["c"][:, t + before] + gates["i"][:, t] * gates["g"][:, t]
            assert torch.allclose(gates["c"][:, t], c, atol=1e-6)


def test_one_melody_is_traced_without_a_batch_and_units_can_be_chosen():
    model, melody = lively(FLAT), some(1)[0]
    alone = model.trace(melody, ["dec.l2.h[0,3]", "mu"])
    many = model.trace(melody.unsqueeze(0), ["dec.l2.h", "mu"])
    assert torch.equal(alone["dec.l2.h[0,3]"], many["dec.l2.h"][0][:, [0, 3]])
    assert torch.equal(alone["mu"], many["mu"][0])


def test_rows_past_a_melodys_end_are_zero_in_encoder_traces():
    traced = lively(FLAT).trace(some(2), "enc.*.l*.*", lengths=torch.tensor([5, 12]))
    assert not any(value[0, 5:].any() for value in traced.values())
    assert all(value[0, :5].any() and value[1, 5:].any() for value in traced.values())


@KINDS
def test_a_write_changes_what_follows_and_nothing_before(sizes):
    model = lively(sizes)
    melodies, z = some(16), model.prior(16, seed=2)
    site = next(site for site in model.sites if site.endswith("l1.c") and site[:4] in ("dec.", "core"))
    count = iter(range(1000))

    def clamp(name, value):
        return torch.full_like(value, 2.0) if name == site and next(count) == 6 else value

    with torch.no_grad():
        plain, changed = model.decode(z, melodies), model.decode(z, melodies, hook=clamp)
    assert torch.allclose(plain[:, :6], changed[:, :6], atol=1e-5)
    assert ((plain[:, 6] - changed[:, 6]).abs().amax(-1) > 1e-3).all()


@KINDS
@pytest.mark.parametrize("temperature", [None, 0.7])
def test_a_melody_is_the_same_in_any_batch(sizes, temperature):
    model = lively(sizes)
    z = model.prior(40, seed=3)
    together = model.generate(z, temperature=temperature, seed=4)
    for low, high in ((0, 1), (3, 9), (10, 40)):
        apart = model.generate(z[low:high], temperature=temperature, seed=4, first=low)
        assert torch.equal(apart, together[low:high])


def test_latents_and_logits_do_not_depend_on_the_batch():
    model, melodies = lively({"max_seq_len": 12, "z_size": 64}), some(33)
    with torch.no_grad():
        mu, sigma = model.encode(melodies)
        logits = model.decode(mu, melodies)
        for low, high in ((0, 1), (2, 7), (4, 33)):
            alone = model.encode(melodies[low:high])
            assert torch.equal(alone[0], mu[low:high])
            assert torch.equal(alone[1], sigma[low:high])
            assert torch.equal(model.decode(mu[low:high], melodies[low:high]), logits[low:high])


def test_more_melodies_than_go_at_once_are_generated_in_parts(monkeypatch):
    model = lively(FLAT)
    z = model.prior(50, seed=3)
    whole = model.generate(z, temperature=1.0, seed=1)
    monkeypatch.setattr("folkrnn.models.musicvae.LIVE", 20)
    assert torch.equal(model.generate(z, temperature=1.0, seed=1), whole)
    assert model.generate(z[:0]).shape == (0, 12)


@KINDS
def test_each_step_is_drawn_from_the_distribution_that_teacher_forcing_gives_it(sizes):
    model = lively(sizes)
    z = model.prior(20, seed=3)
    melodies = model.generate(z, temperature=1.3, seed=6)
    with torch.no_grad():
        logits = model.decode(z, melodies)
    stream = uniforms(6, 0, 20, 12)
    drawn = [draw(probabilities(logits[:, t], 1.3), stream[:, t]) for t in range(12)]
    assert torch.equal(torch.stack(drawn, dim=1), melodies)


@KINDS
def test_greedy_decoding_is_the_limit_of_low_temperature(sizes):
    model = lively(sizes)
    z = model.prior(20, seed=3)
    greedy = model.generate(z)
    with torch.no_grad():
        assert torch.equal(model.decode(z, greedy).argmax(-1), greedy)
    assert torch.equal(model.generate(z, temperature=1e-6), greedy)


def test_reconstruction_decodes_the_mean():
    model, melodies = lively(FLAT), some(5, 8)
    with torch.no_grad():
        mu, _ = model.encode(melodies)
    assert torch.equal(model.reconstruct(melodies), model.generate(mu, steps=8))


def test_the_conductors_input_weights_do_not_matter():
    model, melodies = lively(HIERARCHICAL), some(16)
    z = model.prior(16, seed=0)
    with torch.no_grad():
        before = model.decode(z, melodies)
        model.conductor.layers[0].weight_ih.fill_(100.0)
        assert torch.equal(model.decode(z, melodies), before)


def test_only_the_last_step_of_a_segment_reaches_the_next():
    model, melodies = lively(HIERARCHICAL), some(16)
    z = model.prior(16, seed=0)
    earlier, last = melodies.clone(), melodies.clone()
    earlier[:, :3] = (earlier[:, :3] + 1) % 90
    last[:, 3] = (last[:, 3] + 1) % 90
    with torch.no_grad():
        plain = model.decode(z, melodies)
        assert torch.equal(model.decode(z, earlier)[:, 4:], plain[:, 4:])
        after = model.decode(z, last)
    assert torch.equal(after[:, :4], plain[:, :4])
    assert ((after[:, 4] - plain[:, 4]).abs().amax(-1) > 1e-4).all()
    assert torch.equal(after[:, 8:], plain[:, 8:])


@KINDS
def test_without_sampling_stepped_inputs_are_the_true_ones(sizes):
    model, melodies = lively(sizes), some(16)
    z = model.prior(16, seed=0)
    with torch.no_grad():
        rare = model.decode(z, melodies, sampling_probability=1e-12)
        assert (rare - model.decode(z, melodies)).abs().max() < 1e-5


@KINDS
def test_with_certain_sampling_only_first_inputs_are_true(sizes):
    model, melodies = lively(sizes), some(16)
    z = model.prior(16, seed=0)
    each = 12 // sizes.get("segments", 1)
    other = (melodies + 1) % 90
    other[:, each - 1 :: each] = melodies[:, each - 1 :: each]

    def sampled(of):
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            return model.decode(z, of, sampling_probability=1.0, generator=generator)

    first = sampled(melodies)
    assert torch.equal(sampled(other), first)
    with torch.no_grad():
        forced = model.decode(z, melodies)
    assert torch.allclose(first[:, ::each], forced[:, ::each], atol=1e-5)
    assert (first - forced).abs().amax() > 0.1


def test_scheduled_sampling_replaces_inputs_as_often_as_it_says_and_by_the_models_distribution():
    model = MusicVAE(encoder=(4,), decoder=(4,), z_size=2, max_seq_len=40)
    with torch.no_grad():
        model.decoder.output.weight.zero_()
        model.decoder.output.bias.fill_(-100.0)
        model.decoder.output.bias[7] = 0.0  # its own sample is always class 7
    inputs = []

    def keep(site, value):
        if site == "dec.x":
            inputs.append(value)
        return value

    previous, generator = torch.zeros(200, 40, dtype=torch.long), torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.decoder.stepped(previous, model.prior(200, 0), 0.3, generator, keep)
    replaced = torch.stack(inputs, dim=1)[:, :, 7]
    assert not replaced[:, 0].any()
    assert abs(replaced[:, 1:].mean() - 0.3) < 0.02


def test_gradients_reach_every_parameter_with_and_without_scheduled_sampling():
    for sizes in (FLAT, HIERARCHICAL):
        for probability in (0.0, 0.5):
            model = lively(sizes).train()
            logits, mu, sigma = model(some(8), sampling_probability=probability)
            (logits.square().mean() + mu.sum() + sigma.sum()).backward()
            idle = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
            # a zero goes in there, whatever the weight
            assert idle == (["conductor.layers.0.weight_ih"] if sizes is HIERARCHICAL else [])


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4),
    st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4),
    st.integers(2, 7),
)
def test_interpolation_starts_and_ends_at_its_ends_and_is_finite(start, end, count):
    a, b = torch.tensor(start), torch.tensor(end)
    points = interpolate(a, b, count)
    assert points.shape == (count, 4)
    assert torch.isfinite(points).all()
    assert torch.allclose(points[0], a, atol=1e-4)
    assert torch.allclose(points[-1], b, atol=1e-4)


def test_slerp_keeps_to_the_sphere_at_even_angles():
    a, b = torch.eye(5)[0] * 3, torch.eye(5)[1] * 3
    points = interpolate(a, b, 5)
    assert torch.allclose(points.norm(dim=-1), torch.full((5,), 3.0), atol=1e-6)
    angles = torch.atan2(points[:, 1], points[:, 0])
    assert torch.allclose(angles, torch.linspace(0, math.pi / 2, 5), atol=1e-6)
    assert torch.equal(slerp(a, a, 0.3), a)
    many = torch.stack([a, b, a + b])
    rows = [slerp(one, other, 0.3) for one, other in zip(many, many.roll(1, 0), strict=True)]
    assert torch.equal(slerp(many, many.roll(1, 0), 0.3), torch.stack(rows))


def test_draws_from_prior_and_posterior_belong_to_their_melody():
    model = MusicVAE(**FLAT)
    assert torch.equal(model.prior(10, seed=1)[4:], model.prior(6, seed=1, first=4))
    z = model.prior(4000, seed=1)
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02
    mu, sigma = torch.full((3, 6), 2.0), torch.full((3, 6), 0.5)
    noise = (model.posterior(mu, sigma, seed=1) - mu) / sigma
    assert torch.allclose(noise[1:], (model.posterior(mu[:2], sigma[:2], seed=1, first=1) - 2.0) / 0.5)
    assert not torch.allclose(noise, model.prior(3, seed=1))


def test_valid_steps_stand_at_the_front_of_melodies_or_segments():
    assert valid_steps(torch.tensor([0, 2, 4]), 4).int().tolist() == [[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]
    assert valid_steps(torch.tensor([[1, 2], [0, 1]]), 4, 2).int().tolist() == [[1, 0, 1, 1], [0, 0, 1, 0]]
    assert valid_steps(torch.tensor([0, 4]), 4, 2).int().tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]
    with pytest.raises(UserError, match="0 or 4 steps"):
        valid_steps(torch.tensor([3]), 4, 2)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"encoder": []}, "encoder"),
        ({"decoder": [0]}, "decoder"),
        ({"encoder": 512}, "list"),
        ({"z_size": 0}, "z_size"),
        ({"z_size": 1.5}, "z_size"),
        ({"segments": 2}, "conductor"),
        ({"conductor": [4], "segments": 5}, "divide"),
    ],
)
def test_sizes_that_make_no_sense_are_refused_by_name(wrong, says):
    with pytest.raises(UserError, match=says):
        MusicVAE(**wrong)


@pytest.mark.parametrize(
    ("melodies", "says"),
    [
        (torch.full((1, 12), 90), "0 to 89"),
        (torch.full((1, 12), -2), "0 to 89"),
        (torch.zeros(1, 13, dtype=torch.long), "1 to 12"),
        (torch.zeros(1, 13, 90), "1 to 12"),
        (torch.zeros(1, 12), "classes"),
        (torch.zeros(1, 12, 91), "classes"),
        (torch.zeros(12, dtype=torch.long), "classes"),
    ],
)
def test_what_is_no_melody_is_refused(melodies, says):
    with pytest.raises(UserError, match=says):
        MusicVAE(**FLAT).encode(melodies)


def test_lengths_and_temperatures_that_cannot_be_are_refused():
    model = MusicVAE(**FLAT)
    for lengths in (torch.tensor([13]), torch.tensor([-1]), torch.tensor([3, 3])):
        with pytest.raises(UserError, match="lengths"):
            model.encode(some(1), lengths)
    with pytest.raises(UserError, match="temperature"):
        model.generate(model.prior(1, 0), temperature=0.0)
    with pytest.raises(UserError, match="exactly 12"):
        MusicVAE(**HIERARCHICAL).generate(torch.zeros(1, 5), steps=8)
    with pytest.raises(UserError, match="at least"):
        interpolate(torch.zeros(2), torch.ones(2), 1)
    with pytest.raises(UserError, match=r"core\.l1"):
        model.trace(some(1), "core.l1.h")


def test_the_shape_says_in_words_how_a_model_is_built():
    assert MusicVAE(**FLAT).shape == "flat MusicVAE, encoder 10-7, decoder 9-12, z 6, 12 steps of 90 classes"
    assert MusicVAE(**HIERARCHICAL).shape == (
        "hierarchical MusicVAE, encoder 8, conductor 6-10, core decoder 9-7, z 5, 3 segments of 4 steps of 90 classes"
    )
