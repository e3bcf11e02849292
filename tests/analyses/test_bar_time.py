"""Time since the last measure token, as by hand, and a planted model that counts without bar lines."""

from __future__ import annotations

import numpy as np

from analyses.measures.bar_time import at_and_between, by_time, since_measure

TUNE = "<s> M:3/4 K:Cmaj C 2 D /2 E /2 (3 F G A | B > c d 4 e z </s>".split()


def test_time_is_told_where_a_note_has_ended_on_an_eighth():
    time, bar = since_measure(TUNE)
    assert bar == 6
    told = {TUNE[k] + str(k): value for k, value in enumerate(time) if np.isfinite(value)}
    # the triplet lasts two eighths, broken rhythm one and a half and a half
    assert told == {"24": 2, "/28": 3, "A12": 5, "c16": 2, "418": 6, "e19": 7, "z20": 8}


def test_a_model_that_goes_on_counting_wants_a_bar_line_at_every_full_bar():
    tune = ["<s>", "M:4/4", "K:Cmaj", *"CDEF" * 8, "</s>"]
    distribution = np.array([0.9 if k >= 10 and (k - 2) % 8 == 0 else 0.1 for k in range(len(tune) - 1)])
    table = by_time([tune] * 6, [distribution] * 6, np.random.default_rng(0))
    assert table["eighths"].tolist() == list(range(1, 33))
    assert table.loc[table["full"], "eighths"].tolist() == [8, 16, 24, 32]
    found = at_and_between(table)
    assert np.isclose(found["at_bar_ends"], 0.9)
    assert np.isclose(found["within_bars"], 0.1)


def test_tunes_without_notes_tell_nothing():
    assert not len(by_time([["<s>", "</s>"]], [np.array([0.5])], np.random.default_rng(0)))
    assert at_and_between(by_time([["<s>", "</s>"]], [np.array([0.5])], np.random.default_rng(0))) == {}
