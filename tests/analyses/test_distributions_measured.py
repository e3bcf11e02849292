"""What is measured of a tune's distributions and of watched tokens, on numbers planted by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from analyses.measures.distributions import likely_undrawn, often_likely, trend
from analyses.measures.watching import FEWEST, WINDOW, Watched
from folkrnn.vocabulary import V2


def distributions(shares: list[float]) -> np.ndarray:
    rows = np.zeros((len(shares), len(V2)))
    rows[:, V2.index["2"]] = shares
    return rows


def test_a_trend_is_over_steps_after_a_pitch_and_needs_three_of_them_and_a_change():
    ids, two = np.array(V2.encode("C | D | E | F |".split())), [V2.index["2"]]
    rising = [0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4]  # after pitches it rises, after bar lines it falls
    assert trend(distributions(rising), ids, two, V2) == pytest.approx(1)
    assert trend(distributions(rising)[::-1], ids, two, V2) == pytest.approx(-1)
    assert math.isnan(trend(distributions([0.1] * 7), ids, two, V2))
    assert math.isnan(trend(distributions(rising[:3]), ids[:4], two, V2))


def test_likely_tokens_are_counted_by_step_and_the_undrawn_ones_named():
    rows = np.zeros((4, len(V2)))
    a, b, c, meter = (V2.index[token] for token in ("A", "B", "c", "M:4/4"))
    rows[:, a], rows[:2, b], rows[0, c], rows[3, meter] = 0.3, 0.5, 0.6, 0.9
    assert often_likely(rows, [c, b, a], likely=0.3, times=2) == [a, b]
    assert often_likely(rows, [c, b, a], likely=0.31, times=1) == [b, c]
    assert likely_undrawn(rows, np.array([a, a]), 0.5, V2).tolist() == [c, b]


@pytest.mark.parametrize("tunes", [1, FEWEST])
def test_windows_are_means_over_tunes_of_their_means_and_one_tune_has_no_interval(tunes):
    rng = np.random.default_rng(0)
    values = [rng.random(WINDOW + 3) for _ in range(tunes)]
    table = Watched("bars", {"changed": values}, [[]] * tunes, pd.DataFrame()).by_window()
    assert table["step"].tolist() == [WINDOW / 2, WINDOW * 3 / 2]
    for k, row in table.iterrows():
        means = [value[int(k) * WINDOW : (int(k) + 1) * WINDOW].mean() for value in values]
        assert row["probability"] == pytest.approx(np.mean(means))
        assert (row["low"] < row["probability"] < row["high"]) == (tunes > 1)
        assert (row["low"] == row["probability"] == row["high"]) == (tunes == 1)
