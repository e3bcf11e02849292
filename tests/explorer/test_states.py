"""Activations in 8 bits and in one, and where they are strongest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from folkrnn.explorer.states import APART, Moments, bounds, from_bytes, is_on, strongest_places, to_bytes

VALUES = arrays(np.float32, (7, 3), elements=st.floats(-1, 1, width=32))


@given(VALUES)
def test_eight_bits_are_off_by_half_a_level_at_most(values):
    assert np.abs(from_bytes(to_bytes(values, -1, 1), -1, 1) - values).max() <= 2 / 510 + 1e-6


def test_gates_lie_between_0_and_1_and_a_cell_state_within_its_largest_magnitude():
    assert bounds("l1.f", []) == (0.0, 1.0)
    assert bounds("l2.h", []) == (-1.0, 1.0)
    assert bounds("l1.c", [np.array([[-3.0, 1.0]]), np.array([[2.0, 0.5]])]) == (-3.0, 3.0)
    assert bounds("l1.c", []) == (-1.0, 1.0)


@given(arrays(np.float32, (40, 4), elements=st.floats(-1, 1, width=32)))
def test_moments_are_those_of_all_rows_together(values):
    moments = Moments()
    for part in (values[:13], values[13:]):
        moments.add(part)
    np.testing.assert_allclose(moments.mean, values.mean(0, dtype=float), atol=1e-6)
    np.testing.assert_allclose(moments.deviation, values.std(0, dtype=float), atol=1e-4)


def test_a_unit_is_on_beyond_one_deviation_on_the_side_of_its_longer_tail():
    rare = np.arange(50) % 10 == 0
    high = np.where(rare, 0.9, -0.1)
    values = np.stack([high, -high, np.full(50, 0.5)], axis=1).astype(np.float32)
    moments = Moments()
    moments.add(values)
    on = is_on(to_bytes(values, -1, 1), moments)
    assert (on[:, 0] == rare).all()
    assert (on[:, 1] == rare).all()
    assert not on[:, 2].any(), "a unit that never changes is never on"


def test_the_strongest_places_are_the_largest_peaks_that_lie_apart():
    rng = np.random.default_rng(0)
    tunes = {k: rng.uniform(-0.5, 0.5, (60, 2)).astype(np.float32) for k in range(3)}
    tunes[1][30, 0], tunes[1][31, 0], tunes[2][5, 0] = 0.99, 0.98, 0.9
    tunes[0][7, 1] = -0.95
    tune, row, value = strongest_places(tunes, np.array([1, -1]), count=4)
    assert (tune[0, 0], row[0, 0]) == (1, 30)
    assert (tune[0, 1], row[0, 1]) == (2, 5), "the peak beside the first is the same peak"
    assert (tune[1, 0], row[1, 0]) == (0, 7)
    np.testing.assert_allclose(value[:, 0], [0.99, -0.95])
    for unit in range(2):
        for k in range(3):
            assert (np.diff(np.sort(row[unit][tune[unit] == k])) >= APART).all()


def test_fewer_places_than_asked_for_leave_the_rest_empty():
    tune, row, value = strongest_places({0: np.zeros((3, 1), np.float32)}, np.array([1]), count=4)
    assert tune.tolist() == [[0, -1, -1, -1]]
    assert row[0, 1:].tolist() == [-1, -1, -1]
    assert np.isnan(value[0, 1:]).all()
