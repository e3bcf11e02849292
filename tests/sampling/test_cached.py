"""The tunes of a control, kept between the jobs of a sweep."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.sampling import Sampling, cached, generate, mark_replayed
from folkrnn.vocabulary import V2

SAMPLING = Sampling(tunes=3, max_tokens=12, prime=("M:4/4",))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "folkrnn"


@pytest.fixture(scope="module")
def tunes():
    torch.manual_seed(0)
    found = generate(FolkRNN(units=16, layers=1).eval(), V2, SAMPLING, 3)
    return [mark_replayed(found[0], [5, 6]), *found[1:]]


def kept(make, sampling=SAMPLING, weights="w", seed=3, replay=None):
    return cached.kept_tunes(weights, V2.digest, sampling, seed, replay, "cpu", make)


def refuse():
    raise AssertionError("generated again")


def test_the_same_again_is_not_generated_again(tunes):
    assert kept(lambda: tunes) is tunes
    again = kept(refuse)
    for one, other in zip(tunes, again, strict=True):
        assert np.array_equal(one.ids, other.ids)
        assert np.array_equal(one.uniform, other.uniform, equal_nan=True)
        assert np.array_equal(one.probability, other.probability, equal_nan=True)
        assert (one.origin, one.ended, one.title) == (other.origin, other.ended, other.title)


def test_on_a_cpu_in_single_precision_it_does_not_matter_how_many_tunes_are_in_progress_at_once(tunes):
    kept(lambda: tunes)
    assert cached.key_of("w", V2.digest, SAMPLING, 3, None, "cpu") == cached.key_of(
        "w", V2.digest, SAMPLING, 3, None, "cpu", 2
    )
    assert len(kept(refuse, sampling=replace(SAMPLING, batch_size=1))) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"weights": "v"},
        {"seed": 4},
        {"replay": [[1, 2]]},
        {"sampling": replace(SAMPLING, temperature=0.9)},
        {"sampling": replace(SAMPLING, prime=("M:6/8",))},
        {"sampling": replace(SAMPLING, rng="legacy")},
    ],
)
def test_whatever_determines_the_tunes_makes_another_entry(tunes, other):
    kept(lambda: tunes)
    with pytest.raises(AssertionError, match="again"):
        kept(refuse, **other)


@pytest.mark.parametrize("other", [{"batch_size": 1}, {"captured": True}])
@pytest.mark.parametrize(("device", "precision"), [("cpu", "bf16"), ("cuda", "fp32")])
def test_where_sums_depend_on_the_size_of_batches_it_makes_another_entry(monkeypatch, device, precision, other):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    sampling = replace(SAMPLING, precision=precision)

    def key(sampling, processes=1):
        return cached.key_of("w", V2.digest, sampling, 3, None, device, processes)

    assert key(sampling) == key(sampling)
    assert len({key(sampling), key(replace(sampling, **other)), key(sampling, processes=2)}) == 3


def test_where_nothing_is_said_of_processes_one_writes_the_tunes():
    sampling = replace(SAMPLING, precision="bf16")
    unsaid, one, two = (cached.key_of("w", V2.digest, sampling, 3, None, "cpu", *n) for n in ((), (1,), (2,)))
    assert unsaid == one != two
    assert inspect.signature(cached.kept_tunes).parameters["processes"].default == 1


def test_gpus_of_different_makes_have_entries_of_their_own(monkeypatch):
    keys = set()
    for make in ("one GPU", "another"):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, make=make: make)
        keys.add(cached.key_of("w", V2.digest, SAMPLING, 3, None, "cuda"))
    assert len(keys) == 2


def test_an_entry_whose_time_cannot_be_written_is_read_all_the_same(tunes, monkeypatch):
    kept(lambda: tunes)

    def refused(*_: object) -> None:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(cached.os, "utime", refused)
    assert len(kept(refuse)) == 3


def test_a_torn_entry_is_made_anew(tunes, cache):
    kept(lambda: tunes)
    (entry,) = cache.glob("control-*.npz")
    entry.write_bytes(entry.read_bytes()[:50])
    assert kept(lambda: tunes) is tunes
    assert len(kept(refuse)) == 3


def test_only_so_many_entries_are_kept(tunes, cache, monkeypatch):
    monkeypatch.setattr(cached, "MOST", 2)
    for seed in range(4):
        kept(lambda: tunes, seed=seed)
    assert len(list(cache.glob("control-*.npz"))) == 2
    kept(refuse, seed=3)


def test_where_nothing_can_be_kept_tunes_are_generated(tunes, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kept(lambda: tunes) is tunes
