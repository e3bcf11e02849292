"""What is kept between runs: given back as it was, or made anew where it was damaged."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.datasets.corpus import LeftOut, Tune
from folkrnn.datasets.parsing import cached
from folkrnn.files.cache import cache_folder, cached_arrays, cached_json

TUNES = ([Tune(("<s>", "M:4/4", "K:Cmaj", "G", "</s>"), "Ré", "a book")], [LeftOut("a book, tune 2", "meter", "M:3/8")])
ARRAYS = {"ids": np.arange(500), "ended": np.array([True]), "titles": np.array(["Ré", ""])}


def parse():
    return cached("key", lambda: TUNES)


def compute():
    return cached_arrays("key", lambda: ARRAYS)


def flipped(data: bytes, place: int) -> bytes:
    byte, bit = divmod(place % (8 * len(data)), 8)
    return data[:byte] + bytes([data[byte] ^ 1 << bit]) + data[byte + 1 :]


def zeroed(data: bytes, place: int) -> bytes:
    start = place % len(data)
    return data[:start] + bytes(min(64, len(data) - start)) + data[start + 64 :]


DAMAGES = {
    "one bit flipped": flipped,
    "cut off": lambda data, place: data[: place % len(data)],
    "a block of zeros": zeroed,
    "all zeros": lambda data, place: bytes(len(data)),
    "something behind it": lambda data, place: data + bytes(1 + place % 100),
    "another file": lambda data, place: b"PK\x03\x04" + data[4:],
}


@pytest.mark.parametrize(("name", "read"), [("tunes-key.json.gz", parse), ("key.npz", compute)])
@pytest.mark.parametrize("damage", DAMAGES)
@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 2**20))
def test_an_entry_that_was_damaged_is_made_anew_with_one_line(damage, name, read, place, tmp_path_factory):
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("folkrnn.files.cache").addHandler(handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
            expected = read()
            entry = cache_folder() / name
            whole = entry.read_bytes()
            entry.write_bytes(DAMAGES[damage](whole, place))
            damaged = entry.read_bytes() != whole
            assert_same(read(), expected)
            assert [line for line in said if "made anew" in line] == said
            assert len(said) == damaged
            assert entry.read_bytes() == whole
            assert_same(read(), expected)
            assert len(said) == damaged
    finally:
        logging.getLogger("folkrnn.files.cache").removeHandler(handler)


def assert_same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)
    else:
        assert one == other


@pytest.mark.parametrize(("name", "read"), [("tunes-key.json.gz", parse), ("key.npz", compute)])
def test_an_entry_that_cannot_be_read_costs_a_line_and_no_more(name, read, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (cache_folder() / name).mkdir(parents=True)
    read()
    assert "cannot be read" in caplog.text
    assert "nothing is kept" in caplog.text


def test_what_was_computed_once_comes_from_the_cache_as_json_knows_it(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def compute():
        calls.append(1)
        return {"a": [1, True, "x"], "b": 0.25}

    assert cached_json("one", compute) == cached_json("one", compute) == {"a": [1, True, "x"], "b": 0.25}
    assert len(calls) == 1
    (tmp_path / "folkrnn" / "one.json").write_bytes(b"damaged, and of no digest at all")
    assert cached_json("one", compute) == {"a": [1, True, "x"], "b": 0.25}
    assert len(calls) == 2
