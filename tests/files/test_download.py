"""Downloads from a server on this machine, which may cut, lie, stall or be away."""

from __future__ import annotations

import hashlib
import multiprocessing
from dataclasses import replace

import pytest
from file_server import Behaviour, serving

from folkrnn.errors import UserError
from folkrnn.files import download
from folkrnn.files.download import PublishedFile, fetch, git_blob

CONTENT = bytes(range(256)) * 3000
BLOB = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """(what the server does, the source that it offers); the cache is empty, waiting takes no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    behaviour = Behaviour(CONTENT)
    with serving(behaviour) as address:
        yield (
            behaviour,
            PublishedFile("model.pkl", (address,), "MIT, © somebody", 2**20, BLOB, "weights=pickle weights.path=FILE"),
        )


def cache(tmp_path):
    return tmp_path / "cache" / "folkrnn" / "downloads"


def files(tmp_path):
    return sorted(path.name for path in cache(tmp_path).iterdir() if path.suffix != ".lock")


def test_gits_id_of_a_file_is_known(tmp_path):
    # `printf hello | git hash-object --stdin`
    (tmp_path / "hello").write_text("hello")
    assert git_blob(tmp_path / "hello") == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"


def test_a_file_is_fetched_once_and_its_terms_are_shown_each_time(server, tmp_path, capsys):
    behaviour, source = server
    place = fetch(source)
    assert place.read_bytes() == CONTENT
    assert git_blob(place) == BLOB
    assert fetch(source) == place
    assert len(behaviour.asked) == 1
    assert capsys.readouterr().err.count("MIT, © somebody") == 2
    assert files(tmp_path) == ["model.pkl"]


def test_a_download_that_breaks_off_is_begun_again(server, tmp_path):
    behaviour, source = server
    behaviour.cut = [300_000, 200_000]
    assert fetch(source).read_bytes() == CONTENT
    assert len(behaviour.asked) == 3
    assert files(tmp_path) == ["model.pkl"]


def test_a_connection_that_always_breaks_off_is_given_up(server, tmp_path):
    behaviour, source = server
    behaviour.cut = [100_000] * download.TRIES
    with pytest.raises(UserError, match="the connection broke off"):
        fetch(source)
    assert len(behaviour.asked) == download.TRIES
    assert files(tmp_path) == []


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT + b"x", b"<html>not found</html>", b"", b"x" * len(CONTENT)])
def test_what_is_not_the_published_file_is_never_used(server, tmp_path, wrong):
    behaviour, source = server
    behaviour.content = wrong
    with pytest.raises(UserError, match="not the published file") as refusal:
        fetch(source)
    assert BLOB in str(refusal.value)
    assert files(tmp_path) == []


def test_a_truncated_download_without_a_stated_length_is_never_used(server, tmp_path):
    behaviour, source = server
    behaviour.length, behaviour.cut = False, [1000] * 20
    with pytest.raises(UserError):
        fetch(source)
    assert "model.pkl" not in files(tmp_path)


def test_more_than_it_can_be_is_not_written(server, tmp_path):
    behaviour, source = server
    for behaviour.length in (True, False):
        with pytest.raises(UserError, match=r"can have|cannot have"):
            fetch(replace(source, largest=100_000))
        assert files(tmp_path) == []


def test_an_address_that_has_moved_is_followed_by_the_next(server):
    behaviour, source = server
    behaviour.status = [404]
    assert fetch(replace(source, addresses=source.addresses * 2)).read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(server):
    behaviour, source = server
    behaviour.status = [503, 429]
    assert fetch(source).read_bytes() == CONTENT
    behaviour.status = [503] * download.TRIES
    (fetch(source)).unlink()
    with pytest.raises(UserError, match="the server says 503"):
        fetch(source)


def test_offline_it_says_the_address_and_where_to_put_the_file(server, tmp_path):
    _, source = server
    away = replace(source, addresses=("http://127.0.0.1:9/model.pkl",))
    with pytest.raises(UserError) as refusal:
        fetch(away)
    text = str(refusal.value)
    assert "http://127.0.0.1:9/model.pkl" in text
    assert str(cache(tmp_path) / "model.pkl") in text
    assert "weights=pickle weights.path=FILE" in text
    assert "\n" not in text


def test_a_file_put_there_by_hand_is_used_if_it_is_the_right_one(server, tmp_path):
    behaviour, source = server
    cache(tmp_path).mkdir(parents=True)
    place = cache(tmp_path) / "model.pkl"
    place.write_bytes(CONTENT)
    assert fetch(source) == place
    assert behaviour.asked == []


@pytest.mark.parametrize("blob", [True, False])
@pytest.mark.parametrize("damaged", [CONTENT[:-1], b"", bytes(len(CONTENT)), bytes([CONTENT[0] ^ 1]) + CONTENT[1:]])
def test_a_damaged_file_is_fetched_anew_with_one_line(server, blob, damaged, capsys):
    behaviour, source = server
    source = source if blob else replace(source, blob="")
    place = fetch(source)
    place.write_bytes(damaged)
    capsys.readouterr()
    assert fetch(source).read_bytes() == CONTENT
    assert capsys.readouterr().err.count("is not the published file") == 1
    assert len(behaviour.asked) == 2


def test_a_damaged_file_stays_where_no_other_can_be_had(server):
    behaviour, source = server
    place = fetch(source)
    place.write_bytes(b"damaged")
    behaviour.content = b"another"
    with pytest.raises(UserError, match="not the published file"):
        fetch(source)
    assert place.read_bytes() == b"damaged"


def test_without_a_published_digest_the_first_download_is_recorded_and_holds(server, tmp_path):
    behaviour, source = server
    source = replace(source, blob="")
    place = fetch(source)
    assert hashlib.sha256(CONTENT).hexdigest() in (cache(tmp_path) / "model.pkl.sha256").read_text()
    fetch(source)
    place.unlink()
    behaviour.content = b"another"
    with pytest.raises(UserError, match="recorded"):
        fetch(source)
    assert not place.exists()


def test_without_a_published_digest_what_the_server_states_is_checked(server):
    behaviour, source = server
    behaviour.md5 = True
    assert fetch(replace(source, blob="")).read_bytes() == CONTENT


def test_what_differs_from_what_the_server_states_is_never_used(server, tmp_path):
    behaviour, source = server
    behaviour.md5, behaviour.flipped = True, True
    with pytest.raises(UserError, match="its MD5 is"):
        fetch(replace(source, blob=""))
    assert files(tmp_path) == []


def test_without_any_digest_a_length_is_needed(server):
    behaviour, source = server
    behaviour.length = False
    with pytest.raises(UserError, match="how long"):
        fetch(replace(source, blob=""))


def test_a_mirror_can_be_named_and_is_verified_all_the_same(server):
    behaviour, source = server
    away = replace(source, addresses=("https://example.invalid/model.pkl",))
    assert fetch(away, source.addresses[0]).read_bytes() == CONTENT
    assert len(behaviour.asked) == 1


@pytest.mark.parametrize("address", ["http://example.invalid/x", "file:///etc/passwd", "ftp://example.invalid/x"])
def test_only_secure_addresses_are_asked_also_by_redirection(server, address):
    behaviour, source = server
    with pytest.raises(UserError, match="https"):
        fetch(replace(source, addresses=(address,)))
    behaviour.redirect = address
    with pytest.raises(UserError):
        fetch(source)


def test_a_cache_that_is_no_folder_is_said(server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="XDG_CACHE_HOME") as refusal:
        fetch(server[1])
    assert server[1].addresses[0] in str(refusal.value)


def _fetch(source: PublishedFile) -> bytes:
    return fetch(source).read_bytes()


def test_of_two_processes_one_fetches(server):
    behaviour, source = server
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_fetch, [source] * 2) == [CONTENT] * 2
    assert len(behaviour.asked) == 1
