"""What is kept of an ability: the mean over its quantities, those that say nothing left out."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.measures import paired
from analyses.measures.tune_sums import NAMES, ability_kept

CONTROL, FLOOR = np.arange(1.0, len(NAMES) + 1), np.zeros(len(NAMES))


def test_kept_is_how_far_from_the_floor_and_no_more_than_all():
    value, control, floor = np.array([1.0, 0.5, 1.5, 0.0, -3.0, 2.0]), np.ones(6), np.zeros(6)
    assert paired.kept(value, control, floor) == pytest.approx([1.0, 0.5, 0.5, 0.0, 0.0, 0.0])
    assert np.isnan(paired.kept(np.ones(1), np.ones(1), np.ones(1))).all()


@pytest.mark.parametrize("names", [NAMES[:1], NAMES[:3], NAMES[1:4]])
def test_an_ability_is_the_mean_over_its_quantities(names):
    share = np.linspace(0.2, 0.8, len(NAMES))
    expected = np.mean([share[NAMES.index(name)] for name in names])
    assert ability_kept(share * CONTROL, CONTROL, FLOOR, names) == pytest.approx(expected)


def test_a_quantity_whose_floor_is_the_control_says_nothing():
    floor = FLOOR.copy()
    floor[1] = CONTROL[1]
    share = np.array([0.25, 0.5, 0.75, *np.ones(len(NAMES) - 3)])
    assert ability_kept(share * CONTROL, CONTROL, floor, NAMES[:3]) == pytest.approx(0.5)
    assert np.isnan(ability_kept(share * CONTROL, CONTROL, floor, NAMES[1:2]))


def test_samples_are_done_each_by_itself():
    value = np.stack([CONTROL, CONTROL / 2, FLOOR])
    assert ability_kept(value, CONTROL, FLOOR, NAMES[:2]) == pytest.approx([1.0, 0.5, 0.0])
