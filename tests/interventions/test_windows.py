"""The place in a tune that schedules go by agrees with the bars of the notation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.datasets.published_tunes import TUNES
from folkrnn.errors import UserError
from folkrnn.interventions.windows import disjoint, token_ids, window
from folkrnn.models.positions import TuneTracker
from folkrnn.notation.bars import bars
from folkrnn.vocabulary import V2


def places(words: list[str]) -> list[dict[str, int]]:
    """The place after each token, `<s>` first."""
    reading = TuneTracker(V2)
    where, found = reading.begin(1), []
    for token in V2.encode(["<s>", *words]):
        where = reading.after(where, torch.tensor([token]))
        found.append({name: int(getattr(where, name)) for name in where._fields})
    return found


@pytest.mark.parametrize("name", sorted(TUNES))
def test_bars_count_as_in_the_notation(name):
    words = TUNES[name].split()
    found = places(words)
    for number, bar in enumerate(bars(words), 1):
        # the row before token k decides it; row 0 is <s>, so token k is decided by row k
        assert {found[k]["bar"] for k in range(bar.start, bar.stop) if V2.types[V2.index[words[k]]] == "pitch"} == {
            number
        }


def test_steps_repeats_and_distances_count_from_the_bar_line():
    found = places("M:4/4 K:Cmaj |: C D :| |: E F | G :|".split())
    assert [place["step"] for place in found] == list(range(13))
    assert [place["part"] for place in found] == [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3]
    assert [place["since"] for place in found[3:]] == [0, 1, 2, 0, 0, 1, 2, 0, 1, 0]


@pytest.mark.parametrize(
    ("settings", "rows"),
    [
        ({"steps": [2, 4]}, [2, 3, 4]),
        ({"steps": 3}, [3]),
        ({"steps": [8, None]}, [8, 9, 10, 11, 12]),
        ({"bars": 2}, [6, 7, 8, 9]),
        ({"parts": [2, None], "bars": [1, 2]}, [6, 7, 8, 9]),
        ({"after": "measure"}, [3, 6, 7, 10, 12]),
        ({"after": ":| G"}, [6, 11, 12]),
        ({"after": "measure", "steps": [7, 11]}, [7, 10]),
    ],
)
def test_a_window_is_the_rows_where_all_of_its_limits_hold(settings, rows):
    words = "<s> M:4/4 K:Cmaj |: C D :| |: E F | G :|".split()
    reading, inside = TuneTracker(V2), window(**settings).rows(V2)
    where, found = reading.begin(2), []
    for step, token in enumerate(V2.encode(words)):
        where = reading.after(where, torch.tensor([token, V2.index["C"]]))
        if inside(where)[0]:
            found.append(step)
    assert found == rows


@pytest.mark.parametrize(("name", "first"), [("steps", 0), ("bars", 1), ("parts", 1)])
def test_steps_count_from_0_and_bars_and_parts_from_1_up_to_the_longest_tune(name, first):
    for low in (first, 30):
        window(**{name: [low, None]}).check(V2, max_tokens=30)
    for low in (first - 1, 31):
        with pytest.raises(UserError, match=f"{name}="):
            window(**{name: [low, None]}).check(V2, max_tokens=30)


def test_tokens_are_named_by_themselves_or_by_their_type():
    assert token_ids("measure", V2) == V2.of_type("measure")
    assert token_ids("| mode", V2) == tuple(sorted([V2.index["|"], *V2.of_type("mode")]))


RANGES = st.integers(0, 4).flatmap(lambda low: st.tuples(st.just(low), st.none() | st.integers(low, 5)))


@given(st.sampled_from(["steps", "bars", "parts"]), RANGES, RANGES)
def test_two_ranges_are_disjoint_where_they_share_no_number(name, one, other):
    first, second = (set(range(low, 9 if high is None else high + 1)) for low, high in (one, other))
    assert disjoint(window(**{name: one}), window(**{name: other}), V2) == (not first & second)


def test_windows_after_tokens_are_disjoint_where_they_share_none():
    assert disjoint(window(after="pitch"), window(after="measure"), V2)
    assert not disjoint(window(after="| C"), window(after="measure"), V2)
    assert not disjoint(window(after="pitch"), window(steps=3), V2)
    assert not disjoint(window(after="pitch"), window(after="measure"), None)
