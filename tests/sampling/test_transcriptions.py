"""Transcriptions packed into a few arrays read as they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.sampling import Transcription, Transcriptions
from folkrnn.sampling import input_tune as read
from folkrnn.sampling.transcription import mark_replayed
from folkrnn.vocabulary import V2

TOKENS = st.integers(0, 136)


@st.composite
def transcriptions(draw):
    rows = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    origin = tuple(draw(st.sampled_from(["given", "drawn", "replayed"])) for _ in range(rows))
    uniform = np.where([how == "given" for how in origin], np.nan, rng.random(rows))
    title = draw(st.text("abc'é ", max_size=5)).rstrip()
    return Transcription(
        np.array(draw(st.lists(TOKENS, min_size=rows + 1, max_size=rows + 1))),
        origin,
        rng.random(rows),
        uniform,
        draw(st.booleans()),
        title,
    )


def same(one, other):
    assert one.ids.dtype == other.ids.dtype == np.int64
    for name in ("ids", "probability", "uniform"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.origin, one.ended, one.title) == (other.origin, other.ended, other.title)


@given(st.lists(transcriptions(), max_size=6))
def test_packed_transcriptions_read_as_they_were(tunes):
    packed = Transcriptions.of(tunes)
    assert len(packed) == len(tunes)
    for one, other in zip(packed, tunes, strict=True):
        same(one, other)
    again = Transcriptions(packed.arrays)
    for k in range(len(tunes)):
        same(again[k - len(tunes)], tunes[k])
        np.testing.assert_array_equal(packed.ids[k], tunes[k].ids)
    for one, other in zip(packed[1:3], tunes[1:3], strict=True):
        same(one, other)
    with pytest.raises(IndexError):
        packed[len(tunes)]


def test_tunes_that_were_given_take_three_bytes_a_token():
    tunes = [read(list(range(2, 102)), V2) for _ in range(50)]
    arrays = Transcriptions.of(tunes).arrays
    per_token = sum(arrays[name].nbytes for name in ("ids", "origin", "probability", "uniform")) / (50 * 102)
    assert per_token < 3
    assert np.isnan(Transcriptions(arrays)[7].probability).all()
    assert all(len(tune.probability) == len(tune.uniform) == 101 for tune in Transcriptions(arrays))


def test_token_ids_beyond_two_bytes_are_kept():
    wide = Transcription(np.array([0, 70_000]), ("drawn",), np.ones(1), np.ones(1), True)
    assert Transcriptions.of([wide])[0].ids.tolist() == [0, 70_000]


def test_a_given_tune_stands_between_its_markers_with_nothing_known_of_how_it_was_drawn():
    tune = read([5, 9, 7], V2, "a title")
    assert tune.ids.tolist() == [V2.start, 5, 9, 7, V2.end]
    assert (tune.origin, tune.ended, tune.title) == (("given",) * 4, True, "a title")
    assert tune.probability.shape == tune.uniform.shape == (4,)
    assert np.isnan(tune.probability).all() and np.isnan(tune.uniform).all()


@pytest.mark.parametrize("ended", [True, False])
def test_the_tokens_of_a_tune_are_those_between_its_markers_if_it_ended_and_all_after_the_first_if_not(ended):
    ids = [V2.start, 5, 9, 7, *[V2.end] * ended]
    rows = len(ids) - 1
    tune = Transcription(np.array(ids), ("drawn",) * rows, np.ones(rows), np.ones(rows), ended)
    assert tune.tokens(V2) == V2.decode([5, 9, 7])


def test_tokens_are_marked_as_replayed_as_far_as_the_replayed_tune_goes_and_where_they_equal_its():
    tune = Transcription(np.array([V2.start, 5, 9, 7, 3]), ("drawn",) * 4, np.ones(4), np.ones(4), False)
    assert mark_replayed(tune, [5, 8, 7]).origin == ("replayed", "drawn", "replayed", "drawn")
