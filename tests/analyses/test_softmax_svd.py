"""The decomposition of the softmax layer: its identities, planted spectra, and measure steps that lie apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given as for_all
from hypothesis import strategies as st

from analyses.drawings.softmax import spectrum
from analyses.measures.columns import softmax_parameters
from analyses.measures.directions import left_metrics, state_metrics
from analyses.measures.separability import Steps, auc, auc_interval, best_plane, gaussian_scores, plane_auc
from analyses.softmax_svd import SVD, SoftmaxSVD, decompose
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2

matrices = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000)).map(
    lambda sizes: np.random.default_rng(sizes[2]).normal(size=sizes[:2])
)


def observed(tunes: int = 3, **options) -> Observation:
    torch.manual_seed(5)
    network = FolkRNN(units=options.pop("units", 24), layers=options.pop("layers", 2), **options).eval()
    names = ("fig1", "swing_swang_swung", "seed42")[:tunes]
    return Observation(network, V2, [input_tune(ids_of(name, V2), V2) for name in names], seed=1)


def truncated(svd: SVD, components: int) -> np.ndarray:
    return (svd.left[:, :components] * svd.values[:components]) @ svd.right[:, :components].T


@for_all(matrices)
def test_the_terms_add_up_to_the_matrix_and_the_squares_of_sigma_to_its_energy(W: np.ndarray) -> None:
    svd = decompose(W)
    np.testing.assert_allclose(truncated(svd, len(svd.values)), W, atol=1e-10)
    assert (svd.values**2).sum() == pytest.approx((W**2).sum())


@for_all(matrices)
def test_singular_vectors_are_orthonormal_and_map_onto_each_other(W: np.ndarray) -> None:
    svd = decompose(W)
    np.testing.assert_allclose(svd.left.T @ svd.left, np.eye(len(svd.values)), atol=1e-10)
    np.testing.assert_allclose(svd.right.T @ svd.right, np.eye(len(svd.values)), atol=1e-10)
    np.testing.assert_allclose(W @ svd.right, svd.left * svd.values, atol=1e-10)


@for_all(matrices)
def test_the_error_of_a_truncation_is_the_next_singular_value(W: np.ndarray) -> None:
    svd = decompose(W)
    for k in range(len(svd.values)):
        assert np.linalg.norm(W - truncated(svd, k), 2) == pytest.approx(svd.values[k])


@for_all(matrices)
def test_the_largest_entry_of_each_left_vector_is_positive(W: np.ndarray) -> None:
    left = decompose(W).left
    assert (left[np.abs(left).argmax(0), np.arange(left.shape[1])] > 0).all()


def test_a_full_truncation_leaves_every_distribution_as_it_is() -> None:
    network = observed().model
    W, _ = softmax_parameters(network)
    h = torch.randn(40, 24)
    before = network.read_out(h).softmax(-1)
    with torch.no_grad():
        network.softmax_weight.copy_(torch.from_numpy(truncated(decompose(W), 24)))
    torch.testing.assert_close(network.read_out(h).softmax(-1), before, atol=1e-6, rtol=1e-5)


def planted(values: list[float], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    left, _ = np.linalg.qr(rng.normal(size=(137, len(values))))
    right, _ = np.linalg.qr(rng.normal(size=(24, len(values))))
    return (left * values) @ right.T


def test_a_planted_spectrum_is_reported() -> None:
    seen = observed()
    with torch.no_grad():
        seen.model.softmax_weight.copy_(torch.from_numpy(planted([60.0, 20.0, 16.0, 4.0, 1.0])))
    found = SoftmaxSVD(resamples=5, random_planes=3).metrics(
        *softmax_parameters(seen.model), decompose(softmax_parameters(seen.model)[0])
    )
    assert found["sigma_1"] == pytest.approx(60, rel=1e-5)
    assert found["ratio"] == pytest.approx(3, rel=1e-5)
    assert found["above_threshold"] == 3


def test_the_left_vector_that_tells_tokens_apart_best_is_the_one_that_was_planted() -> None:
    left = np.random.default_rng(0).normal(size=(137, 5))
    left[list(V2.of_type("mode")), 2] -= 9
    left[list(V2.of_type("measure")), 4] += 9
    found = left_metrics(left, V2)
    assert (found["mode_left"], found["measure_left"]) == (3, 5)
    assert found["mode_left_auc"] == found["measure_left_auc"] == 1


def test_how_far_states_point_along_the_first_vector_is_their_cosine_with_it() -> None:
    h = np.array([[3.0, 4.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 5.0], [4.0, 3.0, 0.0]])
    found = state_metrics(h, np.eye(3))
    assert found["first_cosine_mean"] == pytest.approx((0.6 + 1 + 0 + 0.8) / 4)
    assert found["first_cosine_least"] == 0
    assert found["first_is_largest"] == 0.5


def test_a_lost_rank_is_seen() -> None:
    assert decompose(planted([3.0, 2.0, 1.0])).rank == 3
    assert decompose(np.random.default_rng(0).normal(size=(137, 24))).rank == 24


def test_what_raises_all_tokens_alike_is_what_the_softmax_ignores() -> None:
    speaking = planted([2.0, 1.0]) - planted([2.0, 1.0]).mean(0)
    silent = np.linalg.svd(speaking)[2][-1]  # a direction of h that moves no token against another
    W = speaking + 5 * np.outer(np.ones(137), silent)
    svd = decompose(W)
    metrics = SoftmaxSVD().metrics(W, np.zeros(137), svd)
    assert metrics["first_left_constant"] == pytest.approx(1)
    assert metrics["first_left_same_sign"] == 1
    assert metrics["ratio_centred"] < metrics["ratio"]
    # the first push is at least σ₁/√V for its strongest token (part 3 of the blog)
    assert metrics["first_push_largest"] >= metrics["sigma_1"] / np.sqrt(137) - 1e-9


def test_steps_whose_next_token_is_a_measure_token_are_told_apart_where_that_was_planted() -> None:
    seen = observed(tunes=3)
    analysis = SoftmaxSVD(components=6, plane=(2, 4), resamples=50, random_planes=20)
    svd = decompose(planted([6.0, 5.0, 4.0, 3.0, 2.0, 1.0]))
    rng = np.random.default_rng(0)
    measure = np.isin(range(137), V2.of_type("measure"))
    positive = np.concatenate([measure[t.ids[1:]] for t in seen.transcriptions])
    h = rng.normal(size=(len(positive), 24)) + positive[:, None] * 2.5 * (svd.right[:, 1] - svd.right[:, 3])
    tune = np.repeat(range(3), [len(t.ids) - 1 for t in seen.transcriptions])
    steps = Steps(analysis.project(h, svd), positive, tune, tune % 2 == 0)
    planes = analysis.planes(steps, rng)
    assert planes["asked"].auc > 0.98
    assert planes["best"].components == (2, 4)
    assert planes["random"].auc < planes["asked"].auc


def test_the_steps_of_a_tune_are_marked_by_the_token_that_they_make() -> None:
    seen = observed(tunes=1)
    steps = SoftmaxSVD(components=4).steps(seen, decompose(softmax_parameters(seen.model)[0]), "l2.h")
    tokens = seen.tokens(0)
    assert [tokens[t + 1] for t in np.flatnonzero(steps.positive)] == [t for t in tokens if t in ("|", ":|", "|:")]
    assert len(steps.projections) == 107


def test_projections_on_all_right_vectors_keep_the_length_of_a_state() -> None:
    seen = observed(units=24)
    svd = decompose(softmax_parameters(seen.model)[0])
    h = seen.trace(0, "l2.h")
    along = SoftmaxSVD(components=24).project(h, svd)
    np.testing.assert_allclose(np.linalg.norm(along, axis=1), np.linalg.norm(h, axis=1), rtol=1e-4)


def test_separation_is_complete_half_or_none_as_planted() -> None:
    positive = np.arange(100) % 2 == 0
    assert auc(positive.astype(float), positive) == 1
    assert auc(-positive.astype(float), positive) == 0
    assert auc(np.zeros(100), positive) == 0.5
    assert np.isnan(auc(np.zeros(100), np.ones(100, bool)))


@for_all(st.integers(0, 1000))
def test_the_auc_is_the_share_of_pairs_in_the_right_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = rng.integers(0, 6, 30).astype(float), rng.random(30) < 0.4
    if not 0 < positive.sum() < 30:
        return
    up, down = scores[positive][:, None], scores[~positive]
    assert auc(scores, positive) == pytest.approx(((up > down) + 0.5 * (up == down)).mean())
    times = rng.integers(0, 3, 30).astype(float)
    again = np.repeat(np.arange(30), times.astype(int))
    if 0 < positive[again].sum() < len(again):
        assert auc(scores, positive, times) == pytest.approx(auc(scores[again], positive[again]))


def test_the_interval_holds_the_auc_and_needs_two_tunes() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(600) < 0.3
    scores, group = rng.normal(size=600) + positive, np.repeat(range(12), 50)
    low, high = auc_interval(scores, positive, group, 200, rng)
    assert low < auc(scores, positive) < high
    assert np.isnan(auc_interval(scores, positive, np.zeros(600, int), 200, rng)[0])


def test_unequal_spread_alone_separates_too() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(2000) % 2 == 0
    x = rng.normal(size=(2000, 2)) * np.where(positive, 0.1, 3.0)[:, None]
    assert auc(gaussian_scores(x[:1000], positive[:1000], x[1000:]), positive[1000:]) > 0.98


def test_noise_does_not_look_separable_on_tunes_not_used_for_choosing() -> None:
    rng = np.random.default_rng(0)
    tune = np.repeat(range(40), 100)
    steps = Steps(rng.normal(size=(4000, 30)), rng.random(4000) < 0.13, tune, tune % 2 == 0)
    chosen = plane_auc(steps, best_plane(steps), 200, rng)
    assert chosen.low < 0.5 < chosen.high


@pytest.mark.parametrize(
    "options", [{"units": 1, "layers": 1}, {"units": 4}, {"units": 150, "layers": 1}, {"cell": "gru", "layers": 3}]
)
def test_any_size_and_cell_is_drawn(options: dict) -> None:
    found = SoftmaxSVD(resamples=5, random_planes=3)(observed(**options))
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
    assert found.metrics["rank"] == min(137, options.get("units", 24))


def test_a_plane_beyond_the_components_is_not_a_number() -> None:
    found = SoftmaxSVD(plane=(5, 15), resamples=5, random_planes=3)(observed(units=10))
    assert np.isnan(found.metrics["plane_auc"])
    assert np.isfinite(found.metrics["best_plane_auc"])


def test_a_tune_of_no_tokens_is_drawn_too() -> None:
    seen = observed(tunes=1)
    seen.transcriptions = [input_tune([], V2)]
    assert np.isnan(SoftmaxSVD(resamples=5, random_planes=3)(seen).metrics["plane_auc"])


@pytest.mark.parametrize("options", [{"type": "measures"}, {"plane": (0, 3)}, {"plane": (3, 3)}])
def test_what_cannot_be_asked_is_refused(options: dict) -> None:
    with pytest.raises(UserError):
        SoftmaxSVD(**options)


def test_the_threshold_is_drawn_only_where_a_singular_value_exceeds_it():
    for largest, lines in ((20.0, 2), (14.0, 1)):
        axes = spectrum(np.array([largest, 3.0, 1.0]), 15.0).axes
        assert [len(panel.lines) for panel in axes] == [lines] * 2
        assert all(panel.get_ylim()[1] < 2 * largest for panel in axes)
