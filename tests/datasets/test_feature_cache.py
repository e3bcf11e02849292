"""Features of many melodies: the same however they are shared out, and not measured twice."""

from __future__ import annotations

import numpy as np
import pytest

from folkrnn.datasets import features as shared
from folkrnn.datasets.features import cached_features
from folkrnn.datasets.melodies import random_notes
from folkrnn.files.cache import cache_folder
from folkrnn.melodies.features import measure


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shared, "CHUNK", 40)


@pytest.fixture(scope="module")
def corpus():
    return random_notes(130)


def test_chunks_and_processes_change_nothing(corpus, monkeypatch):
    expected = measure(corpus.classes, corpus.quarters_per_minute)
    monkeypatch.setattr(shared, "WORTH_WORKERS", 0)
    np.testing.assert_array_equal(cached_features(corpus.classes, corpus.quarters_per_minute, workers=2), expected)


def test_what_is_in_the_cache_is_what_was_measured(corpus):
    first = cached_features(corpus.classes, corpus.quarters_per_minute)
    assert len(list(cache_folder().glob("features-*.npz"))) == 4
    np.testing.assert_array_equal(cached_features(corpus.classes, corpus.quarters_per_minute), first)
    assert len(list(cache_folder().glob("features-*.npz"))) == 4


def test_melodies_and_tempi_both_decide_what_is_found(corpus):
    slow = cached_features(corpus.classes, np.full(130, 30.0))
    fast = cached_features(corpus.classes, np.full(130, 240.0))
    assert not np.array_equal(slow, fast, equal_nan=True)
    assert not np.array_equal(cached_features(corpus.classes[::-1], np.full(130, 30.0)), slow, equal_nan=True)


def test_an_interrupted_run_goes_on_where_it_stopped(corpus, monkeypatch):
    def interrupted(work, chunks, *_):
        yield work(chunks[0])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shared, "in_parallel", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cached_features(corpus.classes, corpus.quarters_per_minute)
    tasks = []

    def counted(work, chunks, *_):
        tasks.extend(chunks)
        return map(work, chunks)

    monkeypatch.setattr(shared, "in_parallel", counted)
    found = cached_features(corpus.classes, corpus.quarters_per_minute)
    assert [len(classes) for classes, _ in tasks] == [40, 40, 10]
    np.testing.assert_array_equal(found, measure(corpus.classes, corpus.quarters_per_minute))


def test_a_torn_file_is_measured_again(corpus):
    first = cached_features(corpus.classes, corpus.quarters_per_minute)
    torn = min(cache_folder().glob("features-*.npz"))
    torn.write_bytes(torn.read_bytes()[:100])
    np.testing.assert_array_equal(cached_features(corpus.classes, corpus.quarters_per_minute), first)


def test_no_melodies_have_no_features():
    assert cached_features(np.zeros((0, 32), np.uint8), np.zeros(0)).shape == (0, 50)
