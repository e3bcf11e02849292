"""Transcriptions packed into a few arrays read as they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.sampling import Transcription, Transcriptions
from folkrnn.sampling import given as read
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


def test_token_ids_beyond_two_bytes_are_kept():
    wide = Transcription(np.array([0, 70_000]), ("drawn",), np.ones(1), np.ones(1), True)
    assert Transcriptions.of([wide])[0].ids.tolist() == [0, 70_000]
