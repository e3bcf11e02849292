"""What is copied is found, where and how often, whatever way it is searched for."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from analyses.copying import Copying
from analyses.measures.ngram_index import NgramIndex
from analyses.measures.tune_index import Library, bar_counts, body, tokens_of_bars
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.published_tunes import ids_of
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2

TUNE = st.lists(st.integers(0, 3), min_size=0, max_size=40)
TUNES = st.lists(TUNE.filter(len), min_size=1, max_size=6)


def occurrences(tunes: list[list[int]], run: list[int]) -> set[tuple[int, int]]:
    return {(n, k) for n, t in enumerate(tunes) for k in range(len(t)) if run and t[k : k + len(run)] == run}


def longest_from(tunes: list[list[int]], tune: list[int], k: int) -> int:
    return max((n for n in range(len(tune) - k + 1) if occurrences(tunes, tune[k : k + n])), default=0)


@forall(TUNES, st.lists(TUNE.filter(len), min_size=1, max_size=5))
@settings(max_examples=120, deadline=None)
def test_every_occurrence_of_a_run_is_found_and_nothing_else(tunes, runs):
    index = NgramIndex.of(tunes)
    runs += [
        tune[start : start + n] for tune in tunes for start in (0, 2) for n in (1, 7, 8, 9, 16, 17) if tune[start:]
    ]
    first, stop = index.find(runs)
    for run, a, b in zip(runs, first, stop, strict=True):
        tune, place = index.positions(a, b)
        assert set(zip(tune.tolist(), place.tolist(), strict=True)) == occurrences(tunes, run)
        assert index.tunes(a, b).tolist() == sorted({n for n, _ in occurrences(tunes, run)})


@forall(TUNES, st.lists(TUNE, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_the_longest_run_is_the_one_that_trying_all_finds(tunes, queries):
    index = NgramIndex.of(tunes)
    for query, (length, place) in zip(queries, index.longest(queries), strict=True):
        for k, n in enumerate(length):
            assert n == longest_from(tunes, query, k)
            if n:
                tune = int(index.tune_at(place[k]))
                start = int(place[k] - index.starts[tune])
                assert tunes[tune][start : start + n] == query[k : k + n]


@forall(TUNES)
@settings(max_examples=60, deadline=None)
def test_a_tune_of_the_data_does_not_count_as_a_copy_of_itself(tunes):
    found = NgramIndex.of(tunes).longest(tunes, range(len(tunes)), tries=1000)
    for n, (length, _) in enumerate(found):
        others = tunes[:n] + tunes[n + 1 :]
        assert length.tolist() == [longest_from(others, tunes[n], k) for k in range(len(tunes[n]))]


def tune(text: str, title: str = "") -> Tune:
    return Tune(tuple(text.split()), title)


@pytest.fixture
def corpus():
    return Corpus(
        "three",
        [
            tune("M:4/4 K:Cmaj G, C C 2 G, C E C | G, C E G F D B, D | C 8 :|", "Swing Swang"),
            tune("M:4/4 K:Cmaj C 8 | G, C C 2 G, C E C | E 8 |", "The Premier"),
            tune("M:6/8 K:Cdor d e f d 3 | c d e c 3 |", "A Jig"),
        ],
    )


@pytest.fixture
def found(corpus):
    torch.manual_seed(0)
    model = FolkRNN(units=8).eval()
    return Copying(controls=3, resamples=50)(
        Observation(model, V2, [input_tune(ids_of("swing_swang_swung", V2), V2)], data=corpus)
    )


def test_the_first_bar_is_found_in_both_tunes_and_at_its_place_in_one(found):
    bar = found.tables["bars_tune0"].set_index("bar").loc[1]
    assert bar["tokens"] == "G, C C 2 G, C E C"
    assert (bar["tunes"], bar["tunes_same_place"]) == (2, 1)
    assert bar["titles"] == "Swing Swang; The Premier"
    assert bar["at_bars"] == "1 (1), 2 (1)"


def test_a_bar_that_no_tune_has_is_found_in_none(found):
    bar = found.tables["bars_tune0"].set_index("bar").loc[4]
    assert (bar["tokens"], bar["tunes"], bar["titles"]) == ("F E D E C E A, B,", 0, "")


def test_the_longest_copied_run_and_the_nearest_tune_are_those_of_swing_swang(found):
    row = found.tables["tunes"].loc[0]
    assert row["run"] == "G, C C 2 G, C E C | G, C E G F D B, D |"
    assert (row["longest_run"], row["run_in"]) == (18, "Swing Swang")
    assert row["nearest_title"] == "Swing Swang"
    assert not row["whole_tune_found"]
    assert found.metrics["longest_run"] == 18


def test_figures_of_four_tokens_are_counted_by_tune(found):
    grams = found.tables["ngrams_tune0"]
    assert (grams.loc[2, "ngram"], grams.loc[2, "tunes"]) == ("G, C C 2", 2)
    assert grams["tunes"].notna().sum() == 144 - 3


def test_data_tunes_are_compared_with_the_others_only(found):
    real = found.tables["data"].set_index("nearest_title", drop=False)
    table = found.tables["data"].set_index("tune")
    assert table.loc[0, "run"] == "G, C C 2 G, C E C |"
    assert table.loc[0, "run_in"] == "The Premier"
    assert not table["whole_tune_found"].any()
    assert len(real) == 3


def test_a_tune_of_the_data_is_recognised_as_a_whole(corpus):
    model = FolkRNN(units=8).eval()
    copied = input_tune(V2.encode(corpus.tunes[1].tokens), V2)
    found = Copying(controls=0)(Observation(model, V2, [copied, copied], data=corpus))
    assert found.metrics["whole_tune_found"] == 1.0
    assert found.metrics["nearest_similarity"] == 1.0
    assert found.tables["tunes"]["nearest_title"].tolist() == ["The Premier"] * 2
    assert found.metrics["bars_found"] == 1.0


def test_similarity_is_dices_over_distinct_ngrams(corpus):
    library = Library(corpus, 4)
    query = body("M:4/4 K:Cmaj G, C C 2 G, C E C | z 8 |".split())
    number, similarity = library.nearest(query)
    sets = [set(library.ngrams(t)) for t in library.bodies]
    own = set(library.ngrams(query))
    expected = [2 * len(own & grams) / (len(own) + len(grams)) for grams in sets]
    assert similarity == pytest.approx(max(expected))
    assert number == int(np.argmax(expected))
    assert library.nearest(["z", "z", "z", "z"]) == (-1, 0.0)  # no data tune has that n-gram


def test_a_tune_without_a_body_has_nothing_to_find(corpus):
    model = FolkRNN(units=8).eval()
    for ids in ([], V2.encode("M:4/4 K:Cmaj"), V2.encode("M:4/4 K:Cmaj C")):
        found = Copying(controls=1)(Observation(model, V2, [input_tune(ids, V2)], data=corpus))
        assert found.metrics["longest_run"] == (len(ids) == 3)
        assert np.isnan(found.metrics["bars_found"])
        assert np.isnan(found.metrics["ngrams_found"])
        assert found.tables["tunes"].loc[0, "nearest"] == -1


def test_bars_are_numbered_from_the_first_that_is_no_pickup():
    assert bar_counts("B, | C 8 | D 8 |".split()) == [0, 1, 2]
    assert bar_counts("C 8 | D 8 |".split()) == [1, 2]
    assert tokens_of_bars("B, | C 8 :| |: D 8 |".split()) == [("B,",), ("C", "8"), ("D", "8")]


def test_without_data_there_is_a_clear_refusal():
    with pytest.raises(UserError, match="dataset="):
        Copying()(Observation(FolkRNN(units=8).eval(), V2, [input_tune([], V2)]))


@pytest.mark.parametrize("settings", [{"ngram": 1}, {"ngram": 9}, {"controls": -1}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UserError, match="copying"):
        Copying(**settings)


def test_part_5s_figure_is_as_frequent_in_real_tunes_as_reported(test_data):
    from folkrnn.datasets.files import tokens

    library = Library(tokens(str(test_data / "folkrnn_v2/data_v2_subset.txt.gz")), 4)
    count = library.counts([("G,", "C", "C", "2")])["G,", "C", "C", "2"]
    text = [f" {' '.join(t.tokens)} " for t in library.corpus.tunes]
    assert count == sum(" G, C C 2 " in t for t in text)
    assert count / len(text) == pytest.approx(217 / 23636, abs=0.001)


def test_a_thousand_tunes_are_looked_up_in_seconds(test_data):
    from folkrnn.datasets.files import tokens

    corpus = tokens(str(test_data / "folkrnn_v2/data_v2_subset.txt.gz"))
    tunes = [body(t.tokens) for t in corpus.tunes[:1000]]
    began = time.process_time()
    table = Copying().table(Library(corpus, 4), tunes, range(1000))
    assert len(table) == 1000
    assert time.process_time() - began < 60
