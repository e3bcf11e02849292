"""Planted neurons are found, named and drawn; chance is not called a relation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analyses.feature_correlation import FeatureCorrelation, mean_off_diagonal
from analyses.measures.jsymbolic import describe, feature_values, telling
from analyses.neuron_regression import NeuronRegression
from folkrnn.datasets.irish import music21_corpus
from folkrnn.datasets.melodies import SONGS, MelodyCorpus, melodies, random_notes, twinkle
from folkrnn.errors import UserError
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.latents import LatentObservation

PITCH, RHYTHM, STEPWISE = 3, 7, 5
"""Neurons of `planted` that are functions of the mean pitch, the note density and the share of steps."""


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return MusicVAE(encoder=[16], decoder=[16], z_size=12).eval()


@pytest.fixture(scope="module")
def corpus():
    return melodies(path=str(music21_corpus(SONGS) / "miscFolk"))


def observed(model: MusicVAE, corpus: MelodyCorpus, rows: np.ndarray) -> LatentObservation:
    titles, tempi = [corpus.title(i) for i in rows], corpus.quarters_per_minute[rows]
    return LatentObservation(model, corpus.classes[rows], titles, corpus, 0, tempi, rows)


@pytest.fixture(scope="module")
def planted(model, corpus):
    """Latents of which three are functions of features, neither straight nor all monotone, and nine are noise."""
    rng = np.random.default_rng(0)
    found = observed(model, corpus, np.sort(rng.choice(len(corpus), 700, replace=False)))
    mu, sigma = 0.01 * rng.standard_normal((700, 12)), np.full((700, 12), 0.99)
    for neuron, number, curve in ((PITCH, "P12", np.tanh), (RHYTHM, "R15", np.exp), (STEPWISE, "M11", np.square)):
        x = feature_values(found)[number].to_numpy()
        mu[:, neuron] = curve((x - np.nanmean(x)) / np.nanstd(x)) + 0.1 * rng.standard_normal(700)
        sigma[:, neuron] = 0.1 * neuron
    found.__dict__["latents"] = (np.nan_to_num(mu), sigma)
    return found


@pytest.fixture(scope="module")
def findings(planted):
    return FeatureCorrelation()(planted)


def test_planted_neurons_are_named_after_what_they_follow(findings):
    metrics = findings.metrics
    assert (metrics["pitch_neuron"], metrics["pitch_rank"]) == (PITCH, 1)
    assert (metrics["rhythm_neuron"], metrics["rhythm_rank"]) == (RHYTHM, 3)
    best = findings.tables["by_neuron"].set_index("neuron")
    assert best.loc[[PITCH, RHYTHM, STEPWISE], "best_1"].tolist() == ["P12", "R15", "M11"]
    assert best.loc[[PITCH, RHYTHM], "named"].tolist() == ["pitch", "rhythm"]
    neurons = findings.tables["by_feature"].set_index("feature")
    assert neurons.loc[["P12", "R15", "M11"], "neuron_1"].tolist() == [PITCH, RHYTHM, STEPWISE]


def test_a_relation_without_direction_is_found_all_the_same(findings):
    pairs = findings.tables["pairs"].set_index(["feature", "neuron"])
    assert pairs.loc[("M11", STEPWISE), "phik"] > 0.8
    assert pairs.loc[("M11", STEPWISE), "significant"]


def test_planted_relations_are_significant_and_noise_is_not(findings):
    pairs = findings.tables["pairs"].set_index(["feature", "neuron"])["significant"]
    assert all(pairs.loc[pair] for pair in (("P12", PITCH), ("R15", RHYTHM), ("R17", RHYTHM)))
    assert findings.metrics["significant_share_noise"] == 0
    assert findings.metrics["significant_share_music"] > 0.1


def test_latents_of_shuffled_melodies_show_nothing(planted, model, corpus):
    shuffled = observed(model, corpus, planted.rows)
    mixed = np.random.default_rng(1).permutation(700)
    shuffled.__dict__["latents"] = tuple(part[mixed] for part in planted.latents)
    assert not FeatureCorrelation()(shuffled).tables["pairs"]["significant"].any()


def test_every_registered_feature_is_in_the_table_used_or_with_a_reason(findings):
    table = findings.tables["features"].set_index("feature")
    assert len(table) == 72
    assert (table["used"] == (table["left_out_because"] == "")).all()
    assert table["used"].sum() == findings.metrics["features_used"] == len(findings.tables["phik"])
    assert table.loc["R24", "left_out_because"] == "the same as R22 for every melody here"
    assert table.loc["R30", "left_out_because"] == "the same for every melody here: 120"
    assert "no scalar" in table.loc["M1", "left_out_because"]


def test_features_undefined_for_some_melodies_are_correlated_over_the_others(planted, findings):
    defined = feature_values(planted)["M8"].notna()
    assert 0 < (~defined).sum() < 700
    assert np.isfinite(findings.tables["phik"].set_index("feature").loc["M8"].astype(float)).all()
    assert findings.tables["features"].set_index("feature").loc["M8", "defined"] == defined.mean()


def test_the_register_is_a_block_among_the_features(findings):
    among = findings.tables["features_phik"].set_index("feature")
    np.testing.assert_allclose(among.to_numpy(), among.to_numpy().T)
    assert np.diag(among).tolist() == [1.0] * len(among)
    metrics = findings.metrics
    assert metrics["within_register"] > metrics["within_pitch"] > metrics["between_kinds"] > 0
    assert np.isnan(mean_off_diagonal(among, ["P12"]))


def test_the_same_observation_gives_the_same_numbers(planted, findings):
    assert FeatureCorrelation()(planted).metrics == findings.metrics


def test_fewer_neurons_may_be_looked_at(planted):
    few = FeatureCorrelation(shown=2)(planted)
    assert few.tables["by_neuron"]["neuron"].tolist() == [PITCH, STEPWISE]
    assert np.isnan(few.metrics["rhythm_neuron"])


def test_tempi_that_differ_make_the_tempo_a_feature(model):
    corpus = random_notes(60)
    values = feature_values(observed(model, corpus, np.arange(60)))
    assert "R30" in telling(values)
    np.testing.assert_allclose(values["R30"], corpus.quarters_per_minute)


@pytest.mark.parametrize("analysis", [FeatureCorrelation(shuffles=2), NeuronRegression(resamples=3)])
def test_an_untrained_model_is_drawn_too(model, analysis):
    corpus = random_notes(40)
    found = analysis(observed(model, corpus, np.arange(40)))
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
    for figure in found.figures.values():
        figure.drawing.canvas.draw()


def test_where_no_neuron_carries_music_none_is_named(planted, model, corpus):
    silent = observed(model, corpus, planted.rows)
    silent.__dict__["latents"] = (planted.mu, np.full((700, 12), 0.99))
    found = FeatureCorrelation(shuffles=2)(silent)
    assert np.isnan([found.metrics["pitch_rank"], found.metrics["rhythm_rank"]]).all()
    assert "named" not in found.figures
    assert NeuronRegression(resamples=2)(silent).tables["fits"]["role"].unique().tolist() == ["first", "second"]


@pytest.mark.parametrize("analysis", [FeatureCorrelation(), NeuronRegression()])
def test_one_melody_has_no_correlations(model, analysis):
    with pytest.raises(UserError, match=r"in the 1 melodies.*sampling\.tunes"):
        analysis(observed(model, twinkle(), np.zeros(1, int)))


@pytest.mark.parametrize("analysis", [FeatureCorrelation(shuffles=2), NeuronRegression(resamples=3)])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_few_melodies_are_enough_to_run(model, corpus, analysis, count):
    found = analysis(observed(model, corpus, np.arange(0, 100 * count, 100)))
    assert found.tables
    if isinstance(analysis, FeatureCorrelation):
        assert not found.tables["pairs"]["significant"].any()


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"shuffles": 0}, {"shown": 0}])
def test_settings_without_meaning_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        FeatureCorrelation(**wrong)


def test_a_neuron_follows_its_feature_and_no_other(planted):
    found = NeuronRegression(resamples=20)(planted)
    fits = found.tables["fits"].set_index(["role", "feature"])
    assert list(found.figures) == ["rhythm", "pitch"]
    assert fits.loc[("pitch", "P12"), "explained_by_curve"] > 0.9
    assert fits.loc[("rhythm", "R15"), "explained_by_curve"] > fits.loc[("rhythm", "R15"), "explained_by_line"] > 0.3
    assert found.metrics["rhythm/explained_rhythm"] > 5 * found.metrics["rhythm/explained_pitch"]
    assert abs(found.metrics["pitch/explained_shuffled"]) < 0.05
    curve = found.tables["curves"].query(f"neuron == {PITCH} and feature == 'P12'")
    z = (curve["x"] - feature_values(planted)["P12"].mean()) / feature_values(planted)["P12"].std(ddof=0)
    dense = z.abs() < 1.5
    assert (curve["y"] - np.tanh(z))[dense].abs().max() < 0.15
    assert (curve["low"] <= curve["high"]).mean() > 0.95


def test_neurons_and_features_may_be_chosen(planted):
    found = NeuronRegression(neurons=[STEPWISE], features=["M11", "R15"], resamples=3)(planted)
    assert list(found.figures) == [f"neuron_{STEPWISE}"]
    fits = found.tables["fits"].set_index("feature")
    assert fits.loc["M11", "explained_by_curve"] > 0.5 > 0.3 > fits.loc["M11", "explained_by_line"]


def test_melodies_without_the_feature_are_left_out(planted):
    found = NeuronRegression(neurons=[PITCH], features=["M8"], resamples=3)(planted)
    assert found.tables["fits"]["melodies"].item() == feature_values(planted)["M8"].notna().sum() < 700


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": ["R151"]}, "did you mean"),
        ({"kinds": ["rythm"]}, "rhythm"),
        ({"span": 0.0}, "span"),
        ({"per_kind": 0}, "per_kind"),
    ],
)
def test_what_does_not_exist_is_refused_at_once(settings, message):
    with pytest.raises(UserError, match=message):
        NeuronRegression(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"neurons": [12]}, "0 to 11"), ({"features": ["R30"]}, "R30 tells nothing here: the same for every melody")],
)
def test_what_this_observation_lacks_is_refused(planted, settings, message):
    with pytest.raises(UserError, match=message):
        NeuronRegression(**settings)(planted)


def test_the_description_of_no_melodies_uses_nothing(planted):
    assert not describe(feature_values(planted).iloc[:0])["used"].any()
