"""Runs that two tunes share, and the scores in which they are marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from analyses.drawings import engraved
from analyses.drawings.aligned import aligned
from analyses.drawings.copied_scores import as_page, beside, marked
from analyses.measures.common_runs import common_runs
from analyses.measures.tune_index import body
from folkrnn.datasets.published_tunes import TUNES
from folkrnn.notation.score import engrave
from folkrnn.vocabulary import V2

WORDS = st.lists(st.sampled_from("CDE|"), max_size=30)
FIG1 = TUNES["fig1"].split()


@forall(WORDS, WORDS, st.integers(1, 4))
@settings(deadline=None)
def test_common_runs_stand_in_both_tunes_and_no_token_is_in_two(first, second, shortest):
    runs = common_runs(first, second, shortest)
    for run in runs:
        assert run.length >= shortest
        assert first[run.first : run.first + run.length] == second[run.second : run.second + run.length]
    for start in ("first", "second"):
        taken = [getattr(run, start) + i for run in runs for i in range(run.length)]
        assert len(taken) == len(set(taken))
    assert [run.length for run in runs] == sorted((run.length for run in runs), reverse=True)


@forall(WORDS, WORDS)
@settings(deadline=None)
def test_the_first_common_run_is_the_longest_there_is(first, second):
    text, other = "".join(first), "".join(second)
    longest = max(
        (n for i in range(len(text)) for n in range(1, len(text) - i + 1) if text[i : i + n] in other), default=0
    )
    assert max((run.length for run in common_runs(first, second, 1)), default=0) == longest


def test_a_tune_has_all_of_itself_in_common_with_itself():
    (run,) = common_runs(FIG1, FIG1, 2)
    assert (run.length, run.first, run.second) == (len(FIG1), 0, 0)


def test_an_engraved_score_has_its_bars_notes_and_five_lines():
    [score] = engrave([FIG1])
    systems = engraved.systems(score.svg)
    pitches = {place for place, token in enumerate(FIG1) if token[0] in "ABCDEFGabcdefg"}
    assert set().union(*(system.heads for system in systems)) == pitches
    assert sum(len(system.measures) for system in systems) == 16
    for system in systems:
        top, bottom = system.staff()
        assert bottom - top == 4 * engraved.SPACE
        lefts = [system.heads[token][0] for token in sorted(system.heads)]
        assert lefts == sorted(lefts)
        for token, place in system.measure_of.items():
            left, right = system.measures[place]
            assert left <= system.heads[token][0] <= right


def test_what_both_tunes_have_is_marked_at_its_place_in_both():
    other = ["M:6/8", "K:Cmaj", "z", "3", *FIG1[9:30]]
    shared = common_runs(body(FIG1), body(other), 6)
    row = {"longest_run": 9, "longest_run_at": 1, "run_in": "X", "nearest_title": "Y", "nearest_similarity": 0.5}
    left, right = marked(FIG1, other, shared, row, [])
    for (name, start, stop), (again, first, last) in zip(left.runs, right.runs, strict=True):
        assert name == again
        assert FIG1[start:stop] == other[first:last]
    page = as_page((left, right), "two")
    assert f"#n1-t{left.runs[0][1]}" in page and f"#n2-t{right.runs[0][1]}" in page
    figure = beside(left, right)
    figure.draw_without_rendering()
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words.count("A") >= 2


def test_any_string_of_tokens_is_drawn_and_marked():
    rng = np.random.default_rng(4)
    tunes = [[V2.tokens[i] for i in rng.integers(0, len(V2), size)] for size in (0, 1, 5, 40, 80, 40)]
    row = {"longest_run": 3, "longest_run_at": 0, "run_in": "$", "nearest_title": "_x^", "nearest_similarity": 0.1}
    for tune, other in zip(tunes, tunes[::-1], strict=True):
        shared = common_runs(body(tune), body(other), 1)
        beside(*marked(tune, other, shared, row, [(0, len(tune), "1 (0)")])).draw_without_rendering()


def test_a_tune_that_verovio_does_not_draw_stands_there_as_abc():
    row = {"longest_run": 0, "longest_run_at": 0, "run_in": "", "nearest_title": "Y", "nearest_similarity": 0.5}
    left, right = marked(FIG1, FIG1, [], row, [])
    absent = replace(right.score, svg="", refusal="not engraved (verovio died)")
    right = replace(right, score=absent)
    figure = beside(left, right)
    words = "\n".join(text.get_text() for text in figure.texts)
    assert "not engraved (verovio died)" in words
    assert absent.abc.strip() in words
    assert "not engraved (verovio died)" in as_page((left, right), "two")


def test_a_tune_without_a_nearest_one_stands_alone_and_says_so():
    row = {"longest_run": 0, "longest_run_at": 0, "run_in": ""}
    figure = beside(*marked(FIG1, None, [], row, []))
    assert any("no data tune" in text.get_text() for text in figure.texts)
    assert np.isfinite(figure.get_size_inches()).all()


def test_bars_of_two_scores_begin_at_the_same_places_and_notes_keep_their_order_and_size():
    swung = TUNES["swing_swang_swung"].split()
    pickups = [swung[0], swung[1], "C", "D", *swung[3:]]
    lines = [engraved.systems(score.svg) for score in engrave([swung, pickups])]
    for before, other in zip(*lines, strict=True):
        after, beside_it = aligned(before, other)
        assert np.allclose(after.measures, beside_it.measures)
        heads = [after.heads[token] for token in sorted(after.heads)]
        assert heads == sorted(heads)
        for token, (left, right) in after.heads.items():
            assert np.isclose(right - left, np.subtract(*before.heads[token][::-1]))
            a, b = after.measures[after.measure_of[token]]
            assert a < left < right < b


def test_a_pickup_of_one_score_stands_before_the_bars_of_the_other():
    with_pickup = ["M:4/4", "K:Cmaj", "G,", "|", *"C D E F G A B c | c B A G F E D C | C 8 | C 8 |".split()]
    without = with_pickup[:2] + with_pickup[4:]
    first, second = (engraved.systems(score.svg)[0] for score in engrave([with_pickup, without]))
    first, second = aligned(first, second)
    assert np.allclose(np.array(first.measures)[1:, 1], np.array(second.measures)[:, 1])
    assert second.measures[0][0] == 0.0
