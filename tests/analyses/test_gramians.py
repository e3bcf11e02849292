"""Gramians, distances and passages: the identities of the facts sheet (section 7, numbers 6 and 7), planted repeats."""

import numpy as np
import pytest
import torch
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from analyses.drawings import gramians as gramian_figures
from analyses.gramians import Gramians
from analyses.measures import activation_pairs, centred, similarity
from analyses.measures.passages import repeats, reversals
from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.vocabulary import V2

FIG1 = ["<s>", *TUNES["fig1"].split(), "</s>"]
WORDS = st.lists(st.sampled_from("CDEF|"), min_size=0, max_size=24)


@pytest.fixture(scope="module")
def fig1():
    torch.manual_seed(2)
    return Observation(FolkRNN(units=24).eval(), V2, [input_tune(ids_of("fig1", V2), V2)])


@pytest.fixture(scope="module")
def found(fig1):
    return Gramians()(fig1)


def distributions(seed: int, steps: int = 12, tokens: int = 9) -> np.ndarray:
    weights = np.random.default_rng(seed).gamma(0.2, size=(steps, tokens))
    return weights / weights.sum(1, keepdims=True)


@forall(WORDS)
def test_the_one_hot_gramian_says_which_tokens_are_equal(tokens):
    matrix = similarity.one_hot(tokens)
    for i, a in enumerate(tokens):
        for j, b in enumerate(tokens):
            assert matrix[i, j] == (a == b)


@forall(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_gramians_are_symmetric_positive_semidefinite_with_a_unit_diagonal(seed):
    gram = similarity.gramian(np.random.default_rng(seed).normal(size=(11, 5)))
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_allclose(np.diag(gram), 1, atol=1e-12)
    assert np.abs(gram).max() <= 1
    assert np.linalg.eigvalsh(gram).min() > -1e-9


@forall(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_cross_gramian_turned_around_is_its_transpose(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(7, 5)), rng.normal(size=(7, 5))
    np.testing.assert_allclose(similarity.cross(a, b), similarity.cross(b, a).T, atol=1e-12)
    np.testing.assert_allclose(similarity.cross(a, a), similarity.gramian(a), atol=1e-12)


@forall(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_l1_is_a_metric_between_0_and_2_and_twice_the_total_variation(seed):
    distribution = distributions(seed)
    distance = similarity.l1(distribution)
    assert distance.min() >= 0
    assert distance.max() <= 2
    np.testing.assert_allclose(np.diag(distance), 0)
    assert (distance[:, :, None] <= distance[:, None, :] + distance.T[None] + 1e-9).all()
    variation = np.clip(distribution[:, None] - distribution[None], 0, None).sum(2)
    np.testing.assert_allclose(distance, 2 * variation, atol=1e-9)


def test_distributions_without_a_token_in_common_are_exactly_two_apart():
    distribution = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.3, 0.7], [0.25, 0.25, 0.5, 0]])
    distance = similarity.l1(distribution)
    assert distance[0, 1] == 2
    assert distance[0, 2] == pytest.approx(1.0)


@pytest.mark.parametrize(("steps", "count"), [(107, 5671), (160, 12720), (1, 0)])
def test_pairs_are_counted_once(steps, count):
    assert len(similarity.pairs(np.zeros((steps, steps)))) == count


def test_the_papers_first_figure_gives_107_rows_and_5671_pairs(found):
    assert found.tables["posteriors"].loc[0, "steps"] == 107
    assert found.tables["posteriors"].loc[0, "pairs"] == 5671
    assert found.arrays["tune0"]["l1"].shape == (107, 107)
    assert found.arrays["tune0"]["l3.h"].shape == (107, 107)


def test_far_and_near_pairs_are_counted_by_their_thresholds(fig1):
    distance = similarity.pairs(similarity.l1(fig1.posterior(0)))
    row = Gramians(far=1.0, near=0.3).measure_distribution(FIG1, fig1.posterior(0))
    assert row["far_pairs"] == (distance > 1.0).sum()
    assert row["near_share"] == pytest.approx((distance <= 0.3).mean())


def test_the_figure_colours_near_pairs_sanguine_and_far_ones_powder_blue():
    distance = np.array([[0.0, 1.0, 1.99], [1.0, 0.0, 0.01], [1.99, 0.01, 0.0]])
    picture = gramian_figures.coloured(1 - distance / 2, distance <= 0.02, distance > 1.98)
    from matplotlib.colors import to_rgb

    np.testing.assert_allclose(picture[0, 0], to_rgb(gramian_figures.SANGUINE))
    np.testing.assert_allclose(picture[1, 2], to_rgb(gramian_figures.SANGUINE))
    np.testing.assert_allclose(picture[0, 2], to_rgb(gramian_figures.POWDER_BLUE))
    assert np.ptp(picture[0, 1]) == 0


@forall(WORDS, st.integers(1, 4))
def test_repeats_are_equal_and_cannot_be_made_longer(tokens, shortest):
    for first, second, length in repeats(tokens, shortest):
        assert length >= shortest
        assert first < second
        assert tokens[first : first + length] == tokens[second : second + length]
        assert second + length == len(tokens) or tokens[first + length] != tokens[second + length]
        assert first == 0 or tokens[first - 1] != tokens[second - 1]


@forall(WORDS, st.integers(1, 4))
def test_reversals_read_the_same_backwards_without_overlap(tokens, shortest):
    for first, second, length in reversals(tokens, shortest):
        assert length >= shortest
        assert first + length <= second
        assert tokens[first : first + length] == tokens[second : second + length][::-1]


@forall(WORDS)
def test_no_equal_pair_of_tokens_is_missed(tokens):
    pairs = {(i, j) for j in range(len(tokens)) for i in range(j) if tokens[i] == tokens[j]}
    forward = {(a + k, b + k) for a, b, n in repeats(tokens, 1) for k in range(n)}
    backward = {(a + k, b + n - 1 - k) for a, b, n in reversals(tokens, 1) for k in range(n)}
    assert forward == pairs
    assert backward == pairs


def test_planted_repeats_and_reversals_are_found():
    tokens = "C D E F G | z A B c d e f | C D E F G | d c B A z".split()
    assert repeats(tokens, 5)[0] == (0, 14, 6)
    assert reversals(tokens, 5) == [(6, 20, 5)]


def test_the_longest_repeats_of_fig_1_are_bars_1_2_and_9_10_and_its_reversals_those_of_part_9(found):
    table = found.tables["passages_tune0"]
    longest = table[table["kind"] == "repeated"].head(2)
    assert longest["bars"].tolist() == ["1–2", "9–10"]
    assert longest["again_in_bars"].tolist() == ["5–6", "13–14"]
    reversed_ = table[table["kind"] == "reversed"].iloc[0]
    assert (reversed_["passage"], reversed_["bars"], reversed_["again_in_bars"]) == ("G, 2 A,", "1", "2")


def measured(states: np.ndarray) -> dict[str, float]:
    return Gramians().measure_gramian(FIG1, np.abs(similarity.gramian(states)))


def test_a_state_that_is_its_input_is_as_like_the_one_hot_gramian_as_can_be_at_lag_0():
    states = np.eye(len(V2))[V2.encode(FIG1[:-1])]
    row = measured(states)
    assert row["similarity_read"] == pytest.approx(1.0)
    assert max(row[f"lag{lag:+d}"] for lag in range(-4, 5) if lag) < 0.9
    shifted = np.eye(len(V2))[V2.encode(FIG1[1:])]
    assert measured(shifted)["similarity_next"] == pytest.approx(1.0)


def test_a_state_that_knows_only_its_place_in_the_bar_has_structure_by_place_and_one_that_knows_tokens_none():
    from analyses.measures.places import place_in_bar

    places = place_in_bar(FIG1)[:-1]
    known = measured(np.eye(40)[places])
    assert known["place_structure"] == pytest.approx(1.0)
    tokens = measured(np.eye(len(V2))[V2.encode(FIG1[:-1])])
    assert tokens["place_structure"] == pytest.approx(0.0)


def test_a_state_that_comes_to_rest_saturates():
    rng = np.random.default_rng(0)
    states = (
        rng.normal(size=(107, 16)) * np.linspace(1, 0, 107)[:, None] + np.ones(16) * np.linspace(0, 2, 107)[:, None]
    )
    row = measured(states)
    assert row["saturation_second_half"] > 0.9 > row["saturation_first_half"]
    curve = similarity.running(np.abs(similarity.gramian(states)), 16)
    assert np.isnan(curve[0])
    assert curve[-1] > 0.99


def test_the_mean_distance_of_a_bar_is_that_of_the_distributions_that_drew_it():
    distribution = np.zeros((107, 2))
    distribution[:, 0] = 1.0
    bar = similarity.bar_table(FIG1, similarity.l1(distribution)).iloc[4]
    start = FIG1.index("C", 30)
    assert bar["tokens"] == "C D E G, 2 A,"
    distribution[start - 1 : start + 5] = [0.0, 1.0]
    table = similarity.bar_table(FIG1, similarity.l1(distribution))
    assert table.loc[4, "mean_l1"] == pytest.approx(2.0)
    assert table.loc[3, "mean_l1"] < 0.2


@pytest.mark.slow
def test_the_longest_tune_of_a_population_does_not_hide_the_others():
    torch.manual_seed(0)
    model = FolkRNN(units=16, layers=2).eval()
    seen = Observation(model, V2, generate(model, V2, Sampling(tunes=4, max_tokens=50), seed=1))
    found = Gramians(resamples=100)(seen)
    assert found.tables["posteriors"]["tune"].tolist() == [0, 1, 2, 3]
    assert len(found.tables["activations"]) == 4 * 14
    part = found.tables["activations"].query("site == 'l2.h'")["similarity_read"]
    assert found.metrics["l2.h/similarity_read"] == pytest.approx(part.mean())


def test_a_gru_has_gates_of_its_own():
    torch.manual_seed(0)
    model = FolkRNN(units=12, layers=2, cell="gru").eval()
    found = Gramians()(Observation(model, V2, [input_tune(ids_of("fig1", V2), V2)]))
    assert {"activation_r", "activation_u", "activation_n", "activation_h"} <= set(found.figures)
    assert "saturation" not in found.figures


def test_a_tune_of_one_token_is_drawn_and_its_numbers_are_nan():
    found = Gramians()(Observation(FolkRNN(units=8).eval(), V2, [input_tune([], V2)]))
    assert np.isnan(found.metrics["l1.h/similarity_read"])
    assert np.isnan(found.metrics["probs/far_share"])
    assert all(figure.drawing.axes for figure in found.figures.values())


@pytest.mark.parametrize("settings", [{"near": 1.99}, {"far": 2.5}, {"window": 1}, {"shortest_repeat": 1}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UserError, match="gramians"):
        Gramians(**settings)


def test_a_layer_that_does_not_exist_is_refused(fig1):
    with pytest.raises(UserError, match="layers 1 to 3"):
        Gramians(sites=["l4.h"])(fig1)


def test_animations_go_through_the_layers_and_rest_at_the_last_with_tokens_on_both_axes(found):
    assert set(found.animations) == {f"flip_{name}" for name in ("h", "o", "tanhc", "c", "i", "f", "i_o")}
    both = found.animations["flip_i_o"]
    titles = [frame.axes[0].get_title() for frame in both.frames]
    assert titles == [f"l{k}.o (up) · l{k}.i (across)" for k in (1, 2, 3)]
    assert both.seconds[-1] > both.seconds[0]
    labels = [label.get_text() for label in both.frames[0].axes[0].get_yticklabels()]
    assert labels[:3] == ["<s>", "M:6/8", "K:Cmaj"]
    assert both.frames[0].legends


def test_the_layers_of_the_animated_activation_flip_against_the_one_hot_gramian(found):
    animation = found.animations["flip_h"]
    titles = [frame.axes[0].get_title() for frame in animation.frames]
    assert titles == ["equal tokens", "l1.h", "equal tokens", "l2.h", "equal tokens", "l3.h"]


def planted_gates(shared: float, mean: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Input and output gates that follow the token by `shared`, each around a mean."""
    rng = np.random.default_rng(seed)
    tokens = np.unique(FIG1[:-1], return_inverse=True)[1]
    by_token = rng.normal(size=(tokens.max() + 1, 40))
    return {
        f"l1.{gate}": mean + shared * by_token[tokens] + rng.normal(size=(len(tokens), 40)) for gate in ("i", "o", "h")
    }


def test_what_two_gates_share_is_seen_without_their_means_and_not_beneath_them():
    hidden = activation_pairs.cross_metrics(activation_pairs.cross_table(FIG1, planted_gates(1.0, 20.0)))
    assert hidden["in_out_centred_largest"] > 0.5
    assert hidden["cross_centred_largest"] > hidden["cross_centred_largest_shifted"]
    nothing = activation_pairs.cross_metrics(activation_pairs.cross_table(FIG1, planted_gates(0.0, 20.0)))
    assert nothing["cross_centred_largest"] < 0.1


def test_activations_align_where_they_share_something():
    rng = np.random.default_rng(1)
    beyond = []
    for _ in range(40):
        x, y = (rng.normal(size=(120, 10)) for _ in range(2))
        beyond.append(centred.cka(x, y) > np.quantile(centred.cka_of_shifts(x, y), 0.95))
    assert np.mean(beyond) < 0.2
    assert centred.cka(x, x) == pytest.approx(1)
    assert centred.cka(x, x + 5) == pytest.approx(1)
    assert centred.cka(x, x) > centred.cka_of_shifts(x, x).max()


def test_a_shift_keeps_the_pairs_and_loses_what_they_have_in_common():
    tokens = FIG1
    gram = similarity.one_hot(tokens)
    assert similarity.to_one_hot(gram, tokens, 0) == pytest.approx(1)
    assert centred.likeness_of_shifts(gram, tokens).max() < 0.9
    s = int(centred.shifts(len(tokens))[3])
    rolled = np.roll(gram, (s, s), (0, 1))
    expected = similarity.correlation(similarity.pairs(gram), similarity.pairs(rolled))
    assert centred.likeness_of_shifts(gram, tokens)[3] == pytest.approx(expected)
