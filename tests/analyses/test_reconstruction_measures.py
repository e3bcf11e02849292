"""What comes back of a melody, and intervals over the tunes that melodies are from."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.measures.intervals import cluster_weights, interval
from analyses.measures.reconstruction import always_hold, exact_onsets, exact_steps


def test_rows_of_one_group_are_drawn_together() -> None:
    groups = np.array([7, 7, 7, 2, 2, 9])
    weights = cluster_weights(groups, 200, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 3] + weights[:, 5] == 3).all()


def test_an_interval_of_nothing_is_not_a_number() -> None:
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_exact_steps_and_onsets_are_counted_apart() -> None:
    melody, written = np.array([[41, 0, 43, 1]]), np.array([[41, 0, 44, 0]])
    assert exact_steps(written, melody)[0] == 0.5
    assert exact_onsets(written, melody)[0] == 0.5
    assert always_hold(melody) == 0.25
    assert np.isnan(exact_onsets(written, np.zeros_like(melody))[0])


def test_a_melody_of_one_onset_counts() -> None:
    melodies = np.array([[0, 41, 0, 1], [0, 41, 0, 1], [1, 0, 0, 0]])
    written = np.array([[0, 41, 0, 0], [0, 42, 0, 1], [2, 0, 0, 0]])
    assert exact_onsets(written, melodies) == pytest.approx([1.0, 0.0, np.nan], nan_ok=True)
