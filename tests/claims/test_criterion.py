"""Criteria: what they may say, and what they come to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.claims.criterion import Criterion
from folkrnn.errors import UserError

NUMBERS = st.floats(-1e6, 1e6)


@given(NUMBERS, NUMBERS)
def test_a_comparison_is_that_of_the_numbers(a, b):
    known = {"value": a, "control": b}
    assert Criterion("value > 2 * control + 1").holds(known) == (a > 2 * b + 1)
    assert Criterion("not value <= control").holds(known) == (a > b)
    assert Criterion("-1 < value < control or control != control").holds(known) == (-1 < a < b)


@given(NUMBERS, NUMBERS, st.floats(0, 1e3))
def test_near_and_within_and_between_are_symmetric_bands(a, b, d):
    known = {"value": a, "published": b, "d": d}
    assert Criterion("near(value, published, d)").holds(known) == (abs(a - b) <= d)
    assert Criterion("between(value, published - d, published + d)").holds(known) == (b - d <= a <= b + d)
    assert Criterion("within(value, published, 0.1)").holds(known) == (abs(a - b) <= 0.1 * abs(b))


def test_a_list_is_found_as_far_as_its_items_are():
    criterion = Criterion("found(value, published) == 0.5 and len(value) == 2")
    assert criterion.holds({"value": ["|", "a"], "published": ("|", "b")})
    assert not criterion.holds({"value": ["|", "b"], "published": ("|", "b")})


def test_numbers_of_a_list_are_found_within_a_share_and_infinity_as_itself():
    criterion = Criterion("found_near(value, published, 0.03) == 1")
    assert criterion.holds({"value": ["inf", "8.98", "4.49"], "published": ("inf", "9", "4.5")})
    assert not criterion.holds({"value": ["8.5", "4.49"], "published": ("9", "4.5")})
    assert not criterion.holds({"value": ["4.49"], "published": ("inf",)})


def test_it_names_what_it_speaks_of_without_its_functions():
    assert Criterion("max(value, low) > 2 * control").names == {"value", "low", "control"}


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "value.real > 1",
        "value[0] > 1",
        "[x for x in value]",
        "lambda: value",
        "open(value)",
        "value > 'a'",
        "value >",
        "value ** 9 ** 9 ** 9",
        "value := 3",
    ],
)
def test_anything_but_arithmetic_and_comparisons_is_refused(text):
    with pytest.raises(UserError):
        Criterion(text)
