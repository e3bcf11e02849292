"""The figures of the latents paper, on a small model and on latents that are planted."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.attribute_vectors import AttributeVectors, attribute_vector, least_squares
from analyses.latent_correlation import LatentCorrelation, correlation, independence, pairs_of
from analyses.latent_example import LatentExample
from analyses.latent_interpolation import LatentInterpolation
from analyses.latent_overview import LatentOverview
from analyses.measures.random_halves import with_random_pitches, with_random_rhythms
from analyses.neuron_regression import in_turn
from analyses.real_vs_random import SETS, RealVsRandom
from analyses.reconstruction_curve import ReconstructionCurve
from folkrnn.datasets.melodies import random_notes
from folkrnn.errors import UserError
from folkrnn.interventions.statistics import column_auc, either_way
from folkrnn.melodies.grid import FIRST_ON
from folkrnn.melodies.twinkle import twinkle
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation

ALL = (
    LatentCorrelation(shuffles=2, resamples=100),
    RealVsRandom(resamples=100),
    ReconstructionCurve(melodies=6, orders=1, resamples=100, kept=(0, 2, 12)),
    AttributeVectors(resamples=100),
    LatentInterpolation(points=3, pairs=3, resamples=100),
    LatentOverview(shown=10),
    LatentExample(melody="twinkle", draws=3),
)
COUNT = 120


@pytest.fixture(scope="module")
def seen() -> LatentObservation:
    torch.manual_seed(0)
    model = MusicVAE(encoder=[24], decoder=[16], z_size=12).eval()
    rng = np.random.default_rng(9)  # not the seed of the notes
    drawn = random_notes(COUNT)
    onsets, register = drawn.classes >= FIRST_ON, rng.integers(10, 70, (COUNT, 1))
    near = np.where(onsets, register + rng.integers(0, 5, drawn.classes.shape), 0).astype(np.uint8)
    corpus = dataclasses.replace(drawn, classes=near)
    found = LatentObservation(model, corpus.classes, [corpus.title(i) for i in range(COUNT)], corpus)
    # planted: the first neuron tells of pitch, the second of rhythm, the third less of rhythm; the others are noise
    mu = 0.02 * rng.standard_normal((COUNT, 12))
    mu[:, 0] = (register[:, 0] - 40) / 17
    mu[:, 1] = (onsets.sum(1) - 16) / 9
    mu[:, 2] = mu[:, 1] + 0.5 * rng.standard_normal(COUNT)
    sigma = np.full((COUNT, 12), 0.98)
    sigma[:, :3] = (0.1, 0.2, 0.3)
    found.__dict__["latents"] = (mu.astype(np.float32), sigma.astype(np.float32))
    return found


@pytest.mark.parametrize("analysis", ALL, ids=lambda analysis: type(analysis).__name__)
def test_an_analysis_draws_counts_and_says_what_it_did(analysis: Any, seen: LatentObservation) -> None:
    found = analysis(seen)
    assert found.figures
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
    assert found.metrics
    for name in found.metrics:
        if name.endswith("_low"):
            whole = name.removesuffix("_low")
            assert found.metrics[name] <= found.metrics[whole] + 1e-9 <= found.metrics[f"{whole}_high"] + 2e-9


def test_planted_correlations_are_found_and_shuffling_takes_them_away(seen: LatentObservation) -> None:
    found = LatentCorrelation(shuffles=5, resamples=5)(seen)
    assert found.metrics["music/largest_abs_r"] > 0.5
    assert found.metrics["music/mean_abs_r_shuffled"] < 0.5 * found.metrics["music/mean_abs_r"]
    first = found.tables["pairs"].iloc[0]
    assert 3 in (first["first_place"], first["second_place"])


def test_a_correlation_matrix_is_numpys_and_weights_count_a_row_several_times() -> None:
    rng = np.random.default_rng(1)
    values, times = rng.standard_normal((50, 4)), rng.integers(0, 3, 50)
    np.testing.assert_allclose(correlation(values), np.corrcoef(values.T), atol=1e-12)
    repeated = np.repeat(values, times, axis=0)
    np.testing.assert_allclose(correlation(values, times.astype(float)), np.corrcoef(repeated.T), atol=1e-12)
    assert np.isnan(correlation(np.ones((5, 1)))).all()


def test_each_pair_is_in_one_group() -> None:
    groups = [pairs_of(name, 6, 2) for name in ("music", "noise", "between")]
    assert (sum(group.astype(int) for group in groups) == np.triu(np.ones((6, 6), int), 1)).all()


def test_independent_variables_have_independence_1_and_copies_have_1_over_their_number() -> None:
    assert independence(np.eye(5)) == pytest.approx(1)
    assert independence(np.ones((5, 5))) == pytest.approx(1 / 5)


def test_the_pitch_and_the_rhythm_neuron_are_marked_where_they_were_planted(seen: LatentObservation) -> None:
    neurons = RealVsRandom(resamples=5)(seen).tables["neurons"].set_index("neuron")
    assert neurons.loc[0, "named"] == "pitch"
    assert neurons.loc[1, "named"] == "rhythm"
    kinds = LatentOverview(shown=10)(seen).tables["kinds"].set_index("neuron")["kind"]
    assert (kinds[0], kinds[1]) == ("pitch", "rhythm")


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(2)
    values, label = rng.integers(0, 5, (40, 3)).astype(float), np.arange(40) < 15
    up, down = values[label], values[~label]
    pairs = (up[:, None] > down[None]) + 0.5 * (up[:, None] == down[None])
    np.testing.assert_allclose(column_auc(values, label), pairs.mean((0, 1)))
    np.testing.assert_allclose(either_way(np.array([0.2, 0.9])), [0.8, 0.9])


def test_half_random_melodies_keep_the_other_half() -> None:
    rng = np.random.default_rng(3)
    real, random = np.repeat(twinkle()[None], 30, 0), random_notes(30).classes
    pitched = with_random_pitches(real, random, rng)
    assert ((pitched >= FIRST_ON) == (real >= FIRST_ON)).all()
    assert len(np.unique(pitched)) > len(np.unique(real))
    moved = with_random_rhythms(real, rng)
    onsets = [row[row >= FIRST_ON].tolist() for row in moved]
    song = real[0][real[0] >= FIRST_ON].tolist()
    assert all(pitches == (song * 5)[: len(pitches)] for pitches in onsets)


def test_all_neurons_reconstruct_what_the_model_does_and_none_what_the_prior_mean_does(seen: LatentObservation) -> None:
    analysis = ReconstructionCurve(melodies=6, orders=2, resamples=5, kept=(0, 12))
    curve = analysis(seen).tables["curve"]
    melodies, _ = analysis.chosen(seen)
    mu = seen.encoded(melodies)[0]
    for k, z in ((0, np.zeros_like(mu)), (12, mu)):
        expected = (seen.decoded(z) == melodies).mean()
        np.testing.assert_allclose(curve.loc[curve["kept"] == k, "steps"], expected)


def test_enough_neurons_are_those_after_which_nothing_falls_below_the_share() -> None:
    curve = pd.DataFrame({"ranking": "sigma", "kept": [0, 1, 2, 4, 8], "onsets": [0.1, 0.96, 0.5, 0.95, 1.0]})
    assert ReconstructionCurve().enough(curve, "sigma", "onsets") == 4


def test_an_attribute_vector_points_where_it_was_planted() -> None:
    rng = np.random.default_rng(4)
    mu = rng.standard_normal((2000, 6))
    feature = mu @ np.array([1.0, -2.0, 0, 0, 0, 0])
    for direction in (attribute_vector(feature, mu, 0.1), least_squares(feature, mu)):
        unit = direction / np.linalg.norm(direction)
        assert unit @ np.array([1, -2, 0, 0, 0, 0]) / np.sqrt(5) > 0.99


def test_an_attribute_vector_of_a_feature_with_one_common_value_sets_the_rest_against_it() -> None:
    mu = np.array([[0.0], [0.0], [0.0], [0.0], [5.0]])
    assert attribute_vector(np.array([0, 0, 0, 0, 1.0]), mu, 0.1)[0] == pytest.approx(5)
    assert attribute_vector(np.array([1, 1, 1, 1, 0.0]), mu, 0.1)[0] == pytest.approx(-5)


def test_single_neurons_that_are_features_beat_random_directions(seen: LatentObservation) -> None:
    summary = AttributeVectors(resamples=5)(seen).tables["summary"].set_index("way")
    assert summary.loc["neuron", "rho"] > summary.loc["random", "rho"]


def test_a_path_begins_and_ends_with_what_comes_back_of_its_ends(seen: LatentObservation) -> None:
    analysis = LatentInterpolation(first=3, last=5, points=3, pairs=2, resamples=5)
    path = analysis(seen).arrays["path"]["classes"]
    np.testing.assert_array_equal(path[0], seen.reconstruction(3))
    np.testing.assert_array_equal(path[-1], seen.reconstruction(5))
    assert len(path) == 3


def test_the_arc_keeps_its_length_where_the_line_is_shorter() -> None:
    starts, ends = np.eye(4, dtype=np.float32)[:2], np.eye(4, dtype=np.float32)[2:]
    analysis = LatentInterpolation(points=5)
    np.testing.assert_allclose(np.linalg.norm(analysis.latents(starts, ends, "arc"), axis=-1), 1, atol=1e-6)
    assert np.linalg.norm(analysis.latents(starts, ends, "line"), axis=-1)[:, 2] == pytest.approx(np.sqrt(0.5))


def test_twinkle_is_followed_whatever_is_observed(seen: LatentObservation) -> None:
    found = LatentExample(melody="twinkle", draws=4)(seen)
    np.testing.assert_array_equal(found.arrays["melodies"]["original"], twinkle())
    first = LatentExample(melody="twinkle", draws=1)(seen).arrays["melodies"]["from_z"]
    np.testing.assert_array_equal(found.arrays["melodies"]["from_z"][0], first[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: LatentExample(melody="tinkle"),
        lambda: LatentInterpolation(points=2),
        lambda: ReconstructionCurve(kept=()),
        lambda: AttributeVectors(extreme=0.7),
        lambda: RealVsRandom(first=0),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any) -> None:
    with pytest.raises(UserError):
        make()


def test_a_quantity_that_cannot_be_judged_has_no_row_and_the_caption_says_so() -> None:
    rows = [
        {"set": name, "quantity": quantity, "auc": value, "low": value, "high": value}
        for name in SETS[1:]
        for quantity, value in (("excited music neurons", 0.7), ("μ of all noise neurons", float("nan")))
    ]
    analysis, table = RealVsRandom(), pd.DataFrame(rows)
    (axes,) = analysis.draw_separability(table).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["excited music neurons"]
    assert "Without μ of all noise neurons: half of the melodies are too few" in analysis.caption_separability(table, 5)
    assert "Without" not in analysis.caption_separability(table.dropna(), 5)


def test_every_neuron_has_its_strongest_features_drawn() -> None:
    assert in_turn([["P1", "P2", "P3"], ["P3", "P1", "P2"]], 2) == ["P1", "P3"]
    assert in_turn([["P1", "P2"], ["P1", "P2"]], 4) == ["P1", "P2"]


def test_the_draw_that_is_shown_is_one_that_varies_the_melody_where_any_does():
    original = np.array([1, 2, 3])
    draws = np.stack([original, original, [1, 2, 4], original])
    assert LatentExample().varied(draws, original) == 2
    assert LatentExample().varied(draws[:2], original) == 0
