"""Every recipe says how long it takes, so that a script can hold it to that."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("recipe_minutes", ROOT / "benchmarks/recipe_minutes.py")
recipe_minutes = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = recipe_minutes  # dataclasses look their module up
SPEC.loader.exec_module(recipe_minutes)


@pytest.mark.parametrize("recipe", sorted((ROOT / "conf/experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_recipe_states_its_minutes(recipe):
    assert recipe_minutes.stated_minutes(recipe) >= 0.5


@pytest.mark.parametrize(
    ("stated", "clock", "off"), [(1, 0.6, False), (1, 2.1, True), (4, 1.9, True), (0.5, 0.1, False), (1, 1.9, False)]
)
def test_a_header_is_off_beyond_a_factor_of_two(stated, clock, off):
    assert recipe_minutes.Timed("x", stated, clock, 0.0, 0).is_off(by_processor=False) == off
