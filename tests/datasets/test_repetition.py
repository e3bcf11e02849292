import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.datasets.repetition import COPIED, NEITHER, NEW, ExchangedBars, copied_in_parts, kinds
from folkrnn.notation.bars import bars

A, B, C, D = "C D E F".split(), "E F G A".split(), "G A B c".split(), "c B A G".split()


def tune(*parts, meter="M:2/4", mode="K:Cmaj"):
    """A tune of repeated parts, each a list of bars."""
    tokens = [meter, mode]
    for part in parts:
        tokens.append("|:")
        for k, bar in enumerate(part):
            tokens += bar if k == 0 else ["|", *bar]
        tokens.append(":|")
    return tuple(tokens)


COLLECTION = [tune([A, B, A, C], [D, A, D, A]), tune([A, A, B, B]), tune([B, C, D, C], [A, B, C, D])]


def contents(tokens):
    return [bar.tokens for bar in bars(tokens)]


def pattern(items):
    """Which earlier item each one equals: a b a → [0, 1, 0]."""
    return [items.index(item) for item in items]


def test_the_third_token_of_a_bar_is_the_first_that_can_be_known_to_repeat():
    found = kinds(tune([A, B, A]))
    assert found.tolist() == [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 2, 2, 0]


def test_a_bar_of_two_tokens_repeats_nothing():
    assert not kinds(tune([["C", "4"], ["C", "4"]])).any()


def test_a_repetition_in_another_part_counts():
    found = kinds(tune([A, B], [A, B]))
    assert (found == NEW).sum() == (found == COPIED).sum() == 4
    assert found[-1] == NEITHER


def test_a_bar_of_an_earlier_part_is_no_repetition_within_the_part():
    assert copied_in_parts(bars(tune([A, B, A, B], [A, C, C, D]))) == (3, 8)
    assert copied_in_parts(bars(tune([["C", "4"], ["C", "4"], A, A]))) == (1, 2)


@given(st.integers(0, 2), st.integers(0, 999))
def test_a_substituted_tune_repeats_where_the_tune_repeats(index, seed):
    made = ExchangedBars(COLLECTION).substituted(index, np.random.default_rng(seed))
    old, new = pattern(contents(COLLECTION[index])), pattern(contents(made))
    # two distinct bars may come to be alike by chance, never the other way round
    assert all(new[j] == new[i] for j, i in enumerate(old))


@given(st.integers(0, 2), st.integers(0, 999))
def test_a_substituted_bar_has_the_ends_and_the_length_of_the_one_before(index, seed):
    made = ExchangedBars(COLLECTION).substituted(index, np.random.default_rng(seed))
    for before, after in zip(bars(COLLECTION[index]), bars(made), strict=True):
        assert (before.tokens[0], before.tokens[-1]) == (after.tokens[0], after.tokens[-1])
        assert before.duration == after.duration


@pytest.mark.parametrize(("lag", "expected"), [(1, "aacc"), (2, "abab"), (4, "abcd")])
def test_groups_of_bars_copy_the_groups_before_them(lag, expected):
    made = contents(ExchangedBars([tune([A, B, C, D])]).copying(0, lag, np.random.default_rng(0)))
    assert pattern(made) == pattern(list(expected))


def test_copying_begins_anew_in_each_part_and_after_a_pickup():
    source = ("M:2/4", "K:Cmaj", "G", "|", *A, "|", *B)
    made = contents(ExchangedBars([source]).copying(0, 1, np.random.default_rng(0)))
    assert made == [("G",), tuple(A), tuple(A)]
    two = tune([A, B, C], [D, A])
    assert pattern(contents(ExchangedBars([two]).copying(0, 1, np.random.default_rng(0)))) == [0, 0, 2, 3, 3]


def test_a_bar_that_is_not_full_stays():
    source = tune([A, ["C", "D", "E"], A, B])
    for seed in range(5):
        assert contents(ExchangedBars([source]).copying(0, 1, np.random.default_rng(seed)))[1] == ("C", "D", "E")


def test_bars_are_taken_from_tunes_of_the_same_meter_and_mode():
    other = tune([["C", "G", "c", "F"]], mode="K:Cmin")
    pool = ExchangedBars([tune([A]), other])
    assert all(pool.substituted(0, np.random.default_rng(seed)) == tune([A]) for seed in range(10))
