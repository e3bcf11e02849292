"""Tokens by type and index, and parameters counted in the three ways of the sources."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from analyses.vocabulary import VocabularyTable, list_places, parameter_blocks, parameter_counts, unigram_entropy
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2


@pytest.fixture(scope="module")
def found():
    fig1 = ids_of("fig1", V2)
    data = Corpus("one", [Tune(tuple(V2.decode(fig1)))])
    return VocabularyTable()(Observation(FolkRNN(units=8, layers=2), V2, [input_tune(fig1, V2)], data))


def test_the_types_of_v2_count_as_the_paper_says(found) -> None:
    counts = [
        found.metrics[f"tokens_{name}"] for name in "transcription meter mode measure pitch grouping duration".split()
    ]
    assert counts == [2, 7, 4, 5, 85, 9, 25]
    assert found.metrics["tokens"] == 137


def test_the_papers_eighty_seventh_dimension_is_c_major(found) -> None:
    table = found.tables["tokens"].set_index("id_from_1")
    assert table.loc[87, "token"] == "K:Cmaj"
    assert table.loc[106, "token"] == "A,"
    assert table.loc[130, "token"] == "=B,"


def test_v2_has_the_parameters_that_the_paper_counts() -> None:
    assert parameter_counts(FolkRNN()) == {
        "": 5_599_881,
        "_softmax": 70_281,
        "_with_initial_states": 5_602_953,
        "_with_identity": 5_621_722,
    }


@settings(max_examples=20, deadline=None)
@for_all(st.integers(1, 20), st.integers(1, 4), st.sampled_from(["lstm", "gru"]))
def test_blocks_add_up_to_the_parameters_of_any_model(units: int, layers: int, cell: str) -> None:
    model = FolkRNN(units=units, layers=layers, cell=cell)
    assert parameter_blocks(model)["count"].sum() == sum(p.numel() for p in model.parameters())
    learned = FolkRNN(units=units, layers=layers, cell=cell, initial_state="learned")
    assert parameter_counts(learned)["_with_initial_states"] == sum(p.numel() for p in learned.parameters())


def test_the_drawn_list_has_each_token_once_and_each_type_begins_a_row() -> None:
    places = list_places(V2, 10)
    assert sorted(places) == list(range(137))
    assert len(set(places.values())) == 137
    rows: dict[int, set[str]] = {}
    for i, (row, _) in places.items():
        rows.setdefault(row, set()).add(V2.types[i])
    assert all(len(types) == 1 for types in rows.values())


def test_every_token_of_the_tune_is_counted_with_its_markers(found) -> None:
    table = found.tables["tokens"].set_index("token")
    assert table["observed"].sum() == 108
    assert table.loc["<s>", "observed"] == table.loc["</s>", "data"] == 1
    assert table.loc["|:", "observed"] == table.loc["|:", "data"] == 2


def test_the_entropy_of_equal_counts_is_the_logarithm_of_their_number() -> None:
    assert unigram_entropy(np.array([7, 0, 7, 7])) == pytest.approx(np.log(3))
    assert np.isnan(unigram_entropy(np.zeros(3)))


def test_without_data_the_observed_tunes_are_drawn() -> None:
    torch.manual_seed(0)
    found = VocabularyTable()(Observation(FolkRNN(units=4, layers=1), V2, [input_tune([], V2)]))
    assert "unigram_entropy_data" not in found.metrics
    assert all(figure.caption and figure.drawing.axes for figure in found.figures.values())
