"""Corrections for the number of comparisons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyses.measures.multiple import holm, two_sided


def test_holm_is_that_of_the_textbook():
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(holm(np.array([np.nan, 0.02]))).tolist() == [True, False]
    assert holm(np.array([np.nan, 0.02]))[1] == 0.02


@given(st.lists(st.floats(0, 1), max_size=12))
def test_a_corrected_value_is_never_smaller_nor_above_one_and_keeps_the_order(values):
    p = np.array(values)
    found = holm(p)
    assert ((found >= p) & (found <= 1)).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()


def test_of_twenty_comparisons_of_nothing_all_stay_quiet_nineteen_times_in_twenty():
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        data = rng.normal(size=(60, 20))
        picks = rng.integers(0, 60, (400, 60))
        alarms += (holm(two_sided(data[picks].mean(1))) < 0.05).any()
    assert alarms / 200 < 0.12


def test_a_two_sided_value_is_twice_the_rarer_side_of_nothing_with_one_sample_counted_in_each():
    none = np.nan
    samples = np.array([[-1, 3, 0, none, 1], [2, 1, 0, none, none], [5, 2, 0, none, -1], [4, 9, 0, none, none]])
    # columns: one of four below; none below; all at nothing; no number; one of two below
    assert two_sided(samples) == pytest.approx([2 * 2 / 5, 2 * 1 / 5, 1.0, none, 1.0], nan_ok=True)
    assert two_sided(np.ones((39, 1))) == pytest.approx([0.05])
