"""The rules by which latents are called music neurons, and one of them pitch, one rhythm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analyses.measures.music_neurons import kind_scores, name_neurons
from folkrnn.observation.music_neurons import RULES, Thresholds, agreement, kl_divergence, music_neurons, neuron_table


def planted(music: int = 10, neurons: int = 50, melodies: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """μ and σ in which every fifth neuron carries music."""
    rng = np.random.default_rng(0)
    chosen = np.arange(neurons) % (neurons // music) == 0
    sigma = np.where(chosen, 0.2, 0.99) + 0.005 * rng.standard_normal((melodies, neurons))
    return np.where(chosen, 1.0, 0.01) * rng.standard_normal((melodies, neurons)), sigma


@given(st.floats(-3, 3), st.floats(0.05, 3))
def test_the_divergence_is_that_of_two_gaussians(mu: float, sigma: float) -> None:
    p, q = (torch.distributions.Normal(torch.tensor(m), torch.tensor(s)) for m, s in ((mu, sigma), (0.0, 1.0)))
    expected = float(torch.distributions.kl_divergence(p, q))
    assert kl_divergence(np.array(mu), np.array(sigma)) == pytest.approx(expected, abs=1e-4)


def test_every_rule_finds_planted_music_neurons() -> None:
    mu, sigma = planted()
    table = neuron_table(mu, sigma)
    for rule in RULES:
        assert set(table.loc[table[f"by_{rule}"], "neuron"]) == set(range(0, 50, 5)), rule
    assert (agreement(table) == 1).all(axis=None)


def test_neurons_stand_in_order_of_mean_sigma() -> None:
    table = neuron_table(*planted())
    assert table["mean_sigma"].is_monotonic_increasing
    assert sorted(table["neuron"]) == list(range(50))


def test_the_rules_differ_where_the_split_is_not_clean() -> None:
    mu, sigma = planted()
    mu[:, 7] = 0.5 * np.random.default_rng(1).standard_normal(len(mu))
    table = neuron_table(mu, sigma)
    assert set(music_neurons(mu, sigma, "variance")) - set(music_neurons(mu, sigma, "sigma")) == {7}
    assert agreement(table).loc["sigma", "variance"] == pytest.approx(10 / 11)


def test_thresholds_are_obeyed() -> None:
    mu, sigma = planted()
    assert len(music_neurons(mu, sigma, "sigma", Thresholds(sigma_below=0.1))) == 0
    assert len(music_neurons(mu, sigma, "kl", Thresholds(kl_above=-1.0))) == 50


STRENGTH = pd.DataFrame(
    {3: [0.9, 0.8, 0.1, 0.2, 0.3], 8: [0.1, 0.1, 0.7, 0.9, 0.8], 1: [0.2, 0.2, 0.2, 0.1, 0.6], 4: [1, 1, 1, 1, 1]},
    index=["P12", "P6", "R15", "r17", "M4"],
)


def test_the_pitch_neuron_has_most_to_do_with_pitch_and_the_rhythm_neuron_with_rhythm() -> None:
    named = name_neurons(STRENGTH, [3, 8, 1])
    assert (named.pitch, named.rhythm, named.melody) == (3, 8, (1,))


def test_only_music_neurons_are_named_and_only_those_with_a_preference() -> None:
    assert name_neurons(STRENGTH, [4]) == name_neurons(STRENGTH, [])
    assert name_neurons(STRENGTH, [8]).pitch is None


def test_the_sign_of_a_correlation_does_not_count_and_what_is_not_a_number_is_left_out() -> None:
    signed = STRENGTH * np.array([-1, 1, 1, -1, 1])[:, None]
    signed.loc["P13"] = np.nan
    pd.testing.assert_frame_equal(kind_scores(signed), kind_scores(STRENGTH))
