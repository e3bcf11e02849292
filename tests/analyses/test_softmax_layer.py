"""Columns of the softmax layer: identities on any model, planted duplicates and biases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given as for_all
from hypothesis import strategies as st

from analyses.drawings import softmax as draw
from analyses.drawings.over_tokens import token_counts, type_edges
from analyses.measures.columns import (
    closest_pairs,
    column_correlations,
    correlation_with,
    shuffled_columns,
    softmax_parameters,
    upper,
)
from analyses.measures.strongest import strongest
from analyses.softmax_layer import SoftmaxLayer
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2

FIG1 = ids_of("fig1", V2)


def model(**options) -> FolkRNN:
    torch.manual_seed(3)
    return FolkRNN(units=options.pop("units", 16), layers=options.pop("layers", 2), **options).eval()


def observed(network: FolkRNN) -> Observation:
    return Observation(network, V2, [input_tune(FIG1, V2)], Corpus("one", [Tune(tuple(V2.decode(FIG1)))]))


def test_pairs_are_those_above_the_diagonal():
    assert upper(np.arange(9).reshape(3, 3)).tolist() == [1, 2, 5]


def test_zeroing_a_column_is_zeroing_its_unit_at_the_softmax() -> None:
    network = model()
    h = torch.randn(5, 16)
    cut = h.clone()
    cut[:, 7] = 0
    at_softmax = network.read_out(cut)
    with torch.no_grad():
        network.softmax_weight[:, 7] = 0
    torch.testing.assert_close(network.read_out(h), at_softmax)


def test_a_unit_adds_its_column_before_the_softmax() -> None:
    network = model()
    W, b = softmax_parameters(network)
    np.testing.assert_allclose(network.read_out(torch.eye(16)).detach().numpy() - b, W.T, atol=1e-6)


def test_a_planted_duplicate_up_to_sign_is_the_closest_pair() -> None:
    network = model()
    with torch.no_grad():
        network.softmax_weight[:, 11] = -2 * network.softmax_weight[:, 4] + 0.5
    found = SoftmaxLayer()(observed(network))
    first = found.tables["pairs"].iloc[0]
    assert (first["unit"], first["other"]) == (4, 11)
    assert first["correlation"] == pytest.approx(-1)
    assert found.metrics["near_duplicates"] >= 1
    assert found.metrics["shuffled_near_duplicates"] == 0
    columns = found.tables["columns"]
    assert columns["nearest"][4] == 11
    assert columns["nearest"][11] == 4


def test_a_column_that_is_the_bias_correlates_with_it_completely() -> None:
    network = model()
    with torch.no_grad():
        network.softmax_bias.normal_()
        network.softmax_weight[:, 2] = -3 * network.softmax_bias
    found = SoftmaxLayer()(observed(network))
    assert found.tables["columns"]["bias_correlation"][2] == pytest.approx(-1)
    assert found.metrics["bias_correlation_max"] == pytest.approx(1)


def test_a_column_that_raises_and_lowers_planted_tokens_is_named_by_them() -> None:
    network = model()
    with torch.no_grad():
        network.softmax_weight[:, 9] = 0
        network.softmax_weight[V2.encode("=B, _C ^g"), 9] = torch.tensor([3.0, 2.0, -1.0])
    row = SoftmaxLayer()(observed(network)).tables["columns"].iloc[9]
    assert row["raises"] == "=B, _C"
    assert row["lowers"] == "^g"


@for_all(st.integers(2, 12), st.integers(3, 30), st.integers(0, 1000))
def test_correlations_are_those_of_numpy_and_every_pair_is_listed_once(H: int, V: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(V, H)), rng.normal(size=V)
    R = column_correlations(W)
    expected = [np.corrcoef(column, b)[0, 1] for column in W.T]
    np.testing.assert_allclose(correlation_with(W, b), expected, atol=1e-10)
    np.testing.assert_allclose(np.diag(R), 1)
    pairs = closest_pairs(R)
    assert len({pair[:2] for pair in pairs}) == len(pairs) == H * (H - 1) // 2
    sizes = [abs(r) for _, _, r in pairs]
    assert sizes == sorted(sizes, reverse=True)


def test_shuffling_keeps_the_entries_of_each_column() -> None:
    W = np.random.default_rng(0).normal(size=(20, 5))
    shuffled = shuffled_columns(W, np.random.default_rng(1))
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(W, axis=0))
    assert not np.allclose(shuffled, W)


def test_the_papers_units_count_from_one() -> None:
    analysis = SoftmaxLayer(units=(34, 203, 497), units_base=1)
    assert analysis.sites == ("l*.h[33,202,496]",)
    W = np.zeros((137, 512))
    assert analysis.chosen(W, np.eye(512)) == [33, 202, 496]


def test_a_unit_before_the_first_is_refused() -> None:
    with pytest.raises(UserError, match="before the first"):
        SoftmaxLayer(units=(0,), units_base=1)


@pytest.mark.parametrize("options", [{"units": 1, "layers": 1}, {"units": 3}, {"units": 5, "cell": "gru", "layers": 3}])
def test_any_size_and_cell_is_drawn(options: dict) -> None:
    found = SoftmaxLayer()(observed(model(**options)))
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
    assert len(found.tables["tokens"]) == 137


def test_types_divide_the_axis_as_the_paper_draws_them() -> None:
    edges = type_edges(V2)
    assert [end - start for start, end in edges.values()] == [2, 7, 4, 5, 85, 9, 25]
    for name, (start, end) in edges.items():
        inside = V2.plot_order[int(start + 0.5) : int(end + 0.5)]
        assert {V2.types[i] for i in inside} == {name}


def test_strongest_names_no_token_that_is_not_moved() -> None:
    vector = np.zeros(137)
    assert strongest(vector, V2) == ([], [])
    vector[V2.index["c"]] = 1
    assert strongest(vector, V2) == (["c"], [])


def test_counts_of_a_corpus_include_its_markers() -> None:
    counts = token_counts(Corpus("one", [Tune(tuple(V2.decode(FIG1)))]), V2)
    assert counts.sum() == 108
    assert counts[V2.start] == counts[V2.end] == 1


def test_where_the_bias_is_the_same_for_all_tokens_nothing_is_said_to_correlate_with_it() -> None:
    W = np.random.default_rng(0).normal(size=(20, 6))
    same = np.full(6, np.nan)  # of a bias without spread
    caption = SoftmaxLayer().caption_correlations(column_correlations(W), same)
    assert "nan" not in caption
    assert "same for all tokens" in caption
    figure = draw.correlations(column_correlations(W), same, column_correlations(W), 0.9)
    assert not any("bias" in axes.get_xlabel() for axes in figure.axes)
    assert not figure.axes[2].lines
