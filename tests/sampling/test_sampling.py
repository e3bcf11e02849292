from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from reference import legacy_sampler, softmax

from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.rng import draw, probabilities
from folkrnn.sampling import Sampling, generate, replay_uniforms, resume_uniforms
from folkrnn.vocabulary import V2

without_bf16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="this processor does not multiply bf16"
)


@pytest.fixture(scope="module")
def model():
    """An untrained network of full width whose distributions are peaked enough for tunes to differ and end."""
    torch.manual_seed(0)
    model = FolkRNN().eval()
    with torch.no_grad():
        model.softmax_weight.mul_(3)
        model.softmax_bias[V2.end] = 2.0
    return model


def ids(tunes):
    return [t.ids.tolist() for t in tunes]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_sampling_is_batch_invariant_with_any_number_of_threads(model, threads):
    found = {}
    for count in (1, 2):
        threads(count)
        for size in (1, 7, 64, 256):
            found[count, size] = ids(generate(model, V2, Sampling(tunes=70, max_tokens=10, batch_size=size), seed=4))
    first = found[1, 1]
    assert len({tuple(tune) for tune in first}) > 60
    assert all(tunes == first for tunes in found.values())


@pytest.mark.parametrize("size", [7, 64, 256])
def test_captured_steps_write_the_same_tunes(model, size):
    plain = generate(model, V2, Sampling(tunes=70, max_tokens=40, batch_size=size), seed=4)
    captured = generate(model, V2, Sampling(tunes=70, max_tokens=40, batch_size=size, captured=True), seed=4)
    assert len({len(tune) for tune in ids(plain)}) > 1
    assert ids(captured) == ids(plain)
    assert all(np.array_equal(a.probability, b.probability) for a, b in zip(captured, plain, strict=True))


def test_a_tune_keeps_its_stream_when_more_tunes_are_asked_for(model):
    few = ids(generate(model, V2, Sampling(tunes=3, max_tokens=30), seed=9))
    many = ids(generate(model, V2, Sampling(tunes=20, max_tokens=30), seed=9))
    assert many[:3] == few


def test_the_legacy_stream_equals_a_plain_numpy_sampler_token_for_token(model):
    prime = V2.encode("M:6/8 K:Cdor")
    found = generate(model, V2, Sampling(tunes=4, rng="legacy", prime=("M:6/8", "K:Cdor"), temperature=0.8), seed=42)
    assert ids(found) == list(legacy_sampler(model, V2.start, V2.end, 42, 4, prime, 0.8))


def test_the_legacy_webapp_begins_anew_for_each_tune_and_draws_through_the_prime(model):
    twice = ids(generate(model, V2, Sampling(tunes=2, rng="legacy_webapp"), seed=1))
    assert twice[0] == twice[1]
    primed = generate(model, V2, Sampling(tunes=1, rng="legacy_webapp", prime=("M:6/8", "K:Cdor")), seed=1)[0]
    uniforms = np.random.RandomState(1).random_sample(len(primed.ids) - 1)
    np.testing.assert_array_equal(primed.uniform[2:], uniforms[2:])


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=without_bf16)])
def test_a_replay_reproduces_its_tune_on_any_model(model, precision):
    for name in ("fig1", "swing_swang_swung"):
        tune = ids_of(name, V2)
        sampling = Sampling(tunes=3, precision=precision)
        streams = replay_uniforms(model, V2, [tune], sampling, seed=5)
        replayed = generate(model, V2, sampling, 5, uniforms=streams)
        assert [t.tokens(V2) for t in replayed] == [V2.decode(tune)] * 3
        assert not np.array_equal(replayed[0].uniform, replayed[1].uniform)


def test_a_tune_is_resumed_from_where_it_left_its_replay(model):
    sampling, tune = Sampling(tunes=4, max_tokens=140), ids_of("fig1", V2)
    streams = replay_uniforms(model, V2, [tune], sampling, seed=5)
    replayed = generate(model, V2, sampling, 5, uniforms=streams)[0].ids
    others = [np.append(replayed[:length], V2.index[token]) for length, token in [(5, "=f'"), (40, "|"), (1, "z")]]
    resumed = resume_uniforms(model, [*others, replayed], sampling, 5, streams)
    tunes = generate(model, V2, sampling, 5, uniforms=resumed)
    for k, (other, found) in enumerate(zip(others, tunes, strict=False)):
        assert found.ids[: len(other)].tolist() == other.tolist()
        assert np.array_equal(found.uniform[len(other) - 1 :], streams(k)[len(other) - 1 : len(found.ids) - 1])
    assert tunes[3].ids.tolist() == replayed.tolist()


def test_the_published_tunes_have_the_lengths_that_the_documents_give():
    assert len(ids_of("fig1", V2)) + 2 == 108
    assert len(ids_of("swing_swang_swung", V2)) - 2 == 144
    assert len(ids_of("seed42", V2)) == 216
    assert set(TUNES) == {"fig1", "swing_swang_swung", "seed42"}


def test_a_prime_stands_at_the_head_of_every_tune_and_is_marked_as_given(model):
    prime = ("M:6/8", "K:Cdor", "G,", "C")
    for tune in generate(model, V2, Sampling(tunes=5, prime=prime, max_tokens=20), seed=0):
        assert tune.tokens(V2)[:4] == list(prime)
        assert tune.origin[:4] == ("given",) * 4
        assert set(tune.origin[4:]) <= {"drawn"}
        assert np.isnan(tune.uniform[:4]).all()
        assert not np.isnan(tune.uniform[4:]).any()


def test_no_tune_exceeds_the_limit_and_those_cut_say_so(model):
    tunes = generate(model, V2, Sampling(tunes=40, max_tokens=12), seed=0)
    for tune in tunes:
        assert len(tune.ids) - 1 <= 12
        assert tune.ended == (tune.ids[-1] == V2.end)
        assert len(tune.tokens(V2)) == len(tune.ids) - 1 - tune.ended
    assert {tune.ended for tune in tunes} == {True, False}


def test_the_recorded_probability_is_the_distributions(model):
    tune = generate(model, V2, Sampling(tunes=1, max_tokens=20, temperature=0.7), seed=3)[0]
    logits = model.trace(torch.from_numpy(tune.ids[:-1]), "logits")["logits"].numpy()
    expected = [softmax(row / 0.7)[token] for row, token in zip(logits, tune.ids[1:], strict=True)]
    np.testing.assert_allclose(tune.probability, expected, rtol=1e-4)


def test_drawn_tokens_follow_the_distribution():
    distribution = probabilities(torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])), 1.0)
    drawn = draw(distribution.expand(20_000, -1), torch.from_numpy(np.random.default_rng(0).random(20_000)))
    counts = np.bincount(drawn.numpy(), minlength=4)
    expected = np.array([0.5, 0.3, 0.15, 0.05]) * 20_000
    assert ((counts - expected) ** 2 / expected).sum() < 16.27  # χ² with 3 degrees of freedom, p = 0.001


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_draw_is_numpys_choice_with_the_same_uniform(distribution_seed, seed):
    distribution = np.random.RandomState(distribution_seed).dirichlet(np.full(137, 0.1))
    expected = np.random.RandomState(seed).choice(np.arange(137), p=distribution)
    uniform = np.random.RandomState(seed).random_sample()
    assert int(draw(torch.from_numpy(distribution)[None], torch.tensor([uniform], dtype=torch.float64))) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"tunes": 0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"max_tokens": 0},
        {"batch_size": 0},
        {"rng": "x"},
        {"precision": "bf16", "rng": "legacy"},
        {"captured": True, "rng": "legacy"},
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Sampling(**wrong)


@pytest.mark.parametrize(
    "fine",
    [
        {"tunes": 1, "batch_size": 1, "max_tokens": 1},
        {"temperature": 1e-3},
        {"max_tokens": 2, "prime": ("M:4/4", "K:Cmaj")},
        {"precision": "bf16", "captured": True},
        {"rng": "legacy"},
        {"rng": "legacy_webapp"},
    ],
)
def test_settings_at_the_ends_of_their_ranges_are_taken(fine):
    assert {name: getattr(Sampling(**fine), name) for name in fine} == fine


def test_by_default_what_is_sampled_is_what_the_configuration_says():
    stated = OmegaConf.load(Path(__file__).parents[2] / "conf" / "config.yaml").sampling
    for name in ("tunes", "temperature", "max_tokens", "rng", "batch_size", "precision"):
        assert stated[name] == getattr(Sampling(), name), name


def test_an_unknown_replay_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="did you mean fig1"):
        ids_of("fig2", V2)
