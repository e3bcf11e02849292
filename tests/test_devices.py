"""On a GPU the models do what they do on the CPU: on a pretended one that refuses mixed devices, and on a real one."""

from __future__ import annotations

import copy
import warnings
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pretended_device import OnGpu, pretended_device
from small_network import SAMPLING, applied, ids, play
from small_network import network as small_network

import folkrnn.models.recurrent as recurrent
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.interventions import activations, distributions, inputs, push, softmax
from folkrnn.interventions.cuts import cut
from folkrnn.models.captured import Captured
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.controls import Untrained
from folkrnn.observation.latents import Encoding, MelodyTraceWork, Summing
from folkrnn.observation.observation import Observation
from folkrnn.observation.summary import summarise
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.study import device
from folkrnn.training.arithmetic import arithmetic
from folkrnn.training.autoencoder import ModernAutoencoderRecipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.vocabulary import V2

real = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture
def gpu():
    with pretended_device() as place:
        yield place


def network(cell="lstm"):
    torch.manual_seed(0)
    return FolkRNN(units=16, layers=2, cell=cell, initial_state="learned").eval()


def vae(segments=1):
    torch.manual_seed(0)
    conductor = [8] if segments > 1 else []
    return MusicVAE([8, 8], [8], 4, 12, conductor, segments).eval()


def melodies(count=3):
    return torch.randint(0, 90, (count, 12), generator=torch.Generator().manual_seed(1))


def same(found, expected):
    for name, value in expected.items():
        torch.testing.assert_close(found[name].cpu(), value, rtol=0, atol=1e-5)


def test_the_pretended_device_refuses_what_a_gpu_refuses(gpu):
    there, here = torch.ones(3, device=gpu), torch.ones(3)
    assert (there + 1).tolist() == [2, 2, 2]
    assert isinstance(there + 1, OnGpu)
    assert there.device.type == (there * there).device.type == "cuda"
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        here[there.long()]
    with pytest.raises(RuntimeError, match="generator"):
        there.normal_(generator=torch.Generator())
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert there[here.long()].tolist() == [1, 1, 1]
    assert np.array_equal(there.cpu().numpy(), [1, 1, 1])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_activations_on_a_gpu_are_those_of_the_cpu(gpu, cell):
    model, tokens = network(cell), torch.arange(20).view(2, 10)
    sites = ["l*.*", "x", "logits", "probs"]
    expected, moved = model.trace(tokens, sites), copy.deepcopy(model).to(gpu)
    for reconstruct in (True, False):
        same(moved.trace(tokens.to(gpu), sites, reconstruct=reconstruct), expected)


def test_tunes_written_on_a_gpu_are_those_of_the_cpu(gpu):
    model, sampling = network(), Sampling(tunes=5, max_tokens=12, prime=("M:4/4",), batch_size=2)
    expected = generate(model, V2, sampling, 3)
    for one, other in zip(generate(copy.deepcopy(model).to(gpu), V2, sampling, 3), expected, strict=True):
        assert np.array_equal(one.ids, other.ids)


EDITS = {
    "units cut inside for a while": lambda: cut(select="random", fraction=0.3, where="recurrence", steps=[3, 9]),
    "rank for a while": lambda: softmax.truncate_softmax(rank=4, bars=[1, 2]),
    "scale": lambda: softmax.scale_softmax(0.3),
    "displaced": lambda: distributions.displace("A A, C", delta=3.0),
    "suppressed": lambda: distributions.suppress("pitch", steps=[0, 20]),
    "mean": lambda: activations.clamp("l2.h", "mean"),
    "noise": lambda: activations.noise("l*.h", 0.3),
    "patch": lambda: activations.patch("l2.h", "fig1"),
    "push": lambda: push.push_hidden("A,", 4.0, "minimum_norm", where="recurrence"),
    "two-hot": inputs.blend_input,
}


@pytest.mark.parametrize("name", EDITS)
def test_an_intervention_does_on_a_gpu_what_it_does_on_the_cpu(gpu, name):
    few = replace(SAMPLING, tunes=3, batch_size=2, max_tokens=14)
    here = small_network(units=12)
    there = copy.deepcopy(here).to(gpu)
    changed = applied(there, EDITS[name]()).model
    assert ids(play(changed, few)) == ids(play(applied(here, EDITS[name]()).model, few))
    tokens = play(changed, few)[0].ids[:-1]
    assert changed.trace(torch.from_numpy(tokens).to(gpu), ["probs"], tunes=[0])["probs"].device == gpu


def test_the_summary_of_activations_on_a_gpu_is_that_of_the_cpu(gpu):
    here = network()
    tunes = [tune.ids for tune in generate(here, V2, Sampling(tunes=3, max_tokens=12), 3)]
    expected, found = summarise(here, tunes), summarise(copy.deepcopy(here).to(gpu), tunes)
    for site, unit in expected.units.items():
        np.testing.assert_allclose(found.units[site]["mean"], unit["mean"], atol=1e-5)


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("count", [3, 20])
def test_lengths_on_the_cpu_go_with_melodies_on_a_gpu(gpu, segments, count):
    model = vae(segments)
    sites = list(model.sites)
    lengths = torch.tensor([12, 12, 0] * 7)[:count]
    expected = model.trace(melodies(count), sites, lengths=lengths)
    moved = copy.deepcopy(model).to(gpu)
    same(moved.trace(melodies(count).to(gpu), sites, lengths=lengths), expected)
    one = moved.trace(melodies()[0].to(gpu), "mu", lengths=torch.tensor(12))
    same(one, model.trace(melodies()[0], "mu", lengths=torch.tensor(12)))


@pytest.mark.parametrize("segments", [1, 3])
def test_uniforms_on_the_cpu_go_with_a_decoder_on_a_gpu(gpu, segments):
    model = vae(segments)
    z, uniforms = torch.randn(3, 4), torch.rand(3, 12, 2)
    expected = model.decode(z, melodies(), sampling_probability=0.5, uniforms=uniforms)
    moved = copy.deepcopy(model).to(gpu)
    found = moved.decode(z.to(gpu), melodies().to(gpu), sampling_probability=0.5, uniforms=uniforms)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-5)
    previous, condition = melodies().to(gpu), torch.zeros(3, moved.decoder.initial.in_features, device=gpu)
    assert moved.decoder.stepped(previous, condition, 0.5, uniforms=uniforms).device == gpu


def test_melodies_written_on_a_gpu_are_those_of_the_cpu(gpu):
    model, z = vae(3), torch.randn(3, 4)
    for temperature in (None, 0.7):
        expected = model.generate(z, temperature=temperature)
        assert torch.equal(copy.deepcopy(model).to(gpu).generate(z.to(gpu), temperature=temperature), expected)


@pytest.mark.parametrize(
    ("make", "recipe"),
    [(network, PublishedRecipe()), (vae, ModernAutoencoderRecipe()), (lambda: vae(3), ModernAutoencoderRecipe())],
)
def test_a_recipe_prepares_a_model_alike_wherever_it_is(gpu, make, recipe):
    here, there = make(), make().to(gpu)
    for model in (here, there):
        recipe.prepare(model)
        recipe.draw_initial(model, 1)
    assert {value.device for value in there.parameters()} == {gpu}
    same(there.state_dict(), here.state_dict())


def test_the_untrained_control_is_the_same_wherever_the_model_is(gpu):
    def seen(model):
        return Observation(model, V2, [input_tune([5, 6], V2)], Corpus("one", [Tune(("M:4/4", "K:Cmaj", "C"))]), 7)

    here, there = network(), network().to(gpu)
    expected = Untrained()(seen(here), here).model
    found = Untrained()(seen(there), there).model
    assert found.device == gpu
    same(found.state_dict(), expected.state_dict())
    assert not torch.equal(found.softmax_weight.cpu(), here.softmax_weight)


def test_every_work_of_an_observation_says_which_model_it_moves_to_its_gpu():
    """Without it several GPUs refuse the work, and speak of an intervention where there is none."""
    model = vae()
    tracing = MelodyTraceWork(model, ("mu",))
    for work in (Encoding(model), tracing, Summing(tracing)):
        assert work.model is model


@pytest.mark.parametrize(("devices", "expected"), [([3], 3), ([2, 1], 2), (1, 0), ("auto", 0), (2, 0)])
def test_the_model_plays_on_the_first_of_the_devices_that_train(monkeypatch, devices, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    config = SimpleNamespace(trainer=SimpleNamespace(accelerator="gpu", devices=devices))
    assert device(config) == torch.device("cuda", expected)


def test_steps_are_captured_on_the_device_of_the_model(monkeypatch):
    """Streams and graphs belong to the current device: that of the model need not be it."""
    current, used = [0], []

    @contextmanager
    def on(place):
        before, current[0] = current[0], torch.device(place).index
        yield
        current[0] = before

    @contextmanager
    def noted(*_):
        used.append(current[0])
        yield

    def stream():
        used.append(current[0])
        return SimpleNamespace(wait_stream=lambda _: None)

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "Stream", stream)
    monkeypatch.setattr(torch.cuda, "current_stream", stream)
    monkeypatch.setattr(torch.cuda, "stream", noted)
    monkeypatch.setattr(torch.cuda, "graph", noted)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
    with pretended_device(2) as place:
        model = network().to(place)
        Captured(model.engine()).step(torch.zeros(16, dtype=torch.long, device=place), model.initial_state(16))
    assert set(used) == {2}


@pytest.fixture
def flattened(monkeypatch):
    """The layers whose weights were put side by side, in order, by the kernel that a CPU lacks."""
    found = []
    monkeypatch.setattr(torch, "_use_cudnn_rnn_flatten_weight", lambda: True)
    monkeypatch.setattr(torch.backends.cudnn, "is_acceptable", lambda _: True)
    monkeypatch.setattr(recurrent, "get_cudnn_mode", lambda name: name)
    monkeypatch.setattr(torch, "_cudnn_rnn_flatten_weight", lambda weights, *how: found.append((weights, how)))
    return found


def test_weights_are_put_side_by_side_when_they_come_to_a_gpu_and_not_at_each_call(gpu, flattened):
    model = network().to(gpu)
    assert len(flattened) == 2
    weights, how = flattened[1]
    layer = model.layers[1]
    assert all(
        one is other
        for one, other in zip(
            weights, [layer.weight_ih, layer.weight_hh, layer.bias, layer._no_second_bias], strict=True
        )
    )
    assert how == (4, 16, "LSTM", 16, 0, 1, True, False)
    model.trace(torch.zeros(1, 5, dtype=torch.long, device=gpu))
    assert len(flattened) == 2
    copy.deepcopy(model)
    assert len(flattened) == 4
    model.cpu()
    assert len(flattened) == 4


@pytest.fixture
def kernels(monkeypatch):
    """What the fused kernel was called with: type of its input, whether autocast and TF32 were on."""
    found, kernel = [], torch.lstm

    def noted(x, *rest):
        found.append((x.dtype, torch.is_autocast_enabled("cuda"), torch.backends.cudnn.allow_tf32))
        return kernel(x, *rest)

    monkeypatch.setattr(torch, "lstm", noted)
    return found


@contextmanager
def autocast(dtype):
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", dtype)
    torch.set_autocast_enabled("cuda", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", False)
        torch.set_autocast_dtype("cuda", before)


def test_autocast_to_bf16_computes_recurrent_layers_in_bf16_on_a_gpu(gpu, kernels):
    model = network().to(gpu).train()
    with autocast(torch.bfloat16):
        hidden = model.hidden(torch.zeros(1, 5, dtype=torch.long, device=gpu))
    assert {value.dtype for value in hidden} == {torch.bfloat16}
    assert {(dtype, on) for dtype, on, _ in kernels} == {(torch.bfloat16, False)}
    hidden[-1].float().sum().backward()
    assert model.layers[0].weight_hh.grad.dtype == torch.float32


def test_tf32_is_for_training_alone(gpu, kernels):
    model, tokens = network().to(gpu), torch.zeros(1, 5, dtype=torch.long, device=gpu)
    model.trace(tokens)
    model.train().hidden(tokens)
    with arithmetic(rounded=False, deterministic=False):
        model.hidden(tokens)
    assert [allowed for _, _, allowed in kernels] == [False] * 2 + [True] * 2 + [False] * 2
    assert torch.backends.cudnn.allow_tf32


def test_sums_are_taken_in_the_same_order_while_that_is_asked_for(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with arithmetic(rounded=True, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    with arithmetic(rounded=True, deterministic=False):
        assert not torch.are_deterministic_algorithms_enabled()


@real
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_on_a_real_gpu_the_three_executions_agree_without_remarks(cell):
    model, tokens = network(cell), torch.arange(120).view(4, 30)
    expected = model.trace(tokens, ["l*.*", "probs"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reconstruct in (True, False):
            same(model.cuda().trace(tokens.cuda(), ["l*.*", "probs"], reconstruct=reconstruct), expected)


@real
def test_on_a_real_gpu_bf16_is_bf16():
    model = network().cuda().train()
    with torch.autocast("cuda", torch.bfloat16):
        hidden = model.hidden(torch.zeros(2, 9, dtype=torch.long, device="cuda"))
    assert {value.dtype for value in hidden} == {torch.bfloat16}
