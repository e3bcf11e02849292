"""Where the paths that users type lead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from folkrnn.errors import UserError
from folkrnn.files.cache import cache_folder
from folkrnn.files.places import content, existing, file_named, home, place, readable, results_home


@pytest.fixture(autouse=True)
def ann(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder."""
    (tmp_path / "ann").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "ann"))
    return tmp_path / "ann"


def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a number."""
    import pwd

    def no_entry(_: int) -> None:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)


def test_a_tilde_means_home_and_a_relative_path_counts_from_the_working_directory(
    ann: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (place("~"), place("~/res"), place("~//res")) == (ann, ann / "res", ann / "res")
    assert place("a/b") == tmp_path / "a" / "b"
    assert place("/a/b") == Path("/a/b")


def test_a_tilde_elsewhere_is_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place("~lock.abc") == tmp_path / "~lock.abc"
    assert place("a/~/b") == tmp_path / "a" / "~" / "b"


def test_a_user_without_a_home_is_told_so_and_other_paths_still_lead_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless(monkeypatch)
    assert home() is None
    with pytest.raises(UserError, match=r"tracking\.folder=~/res: ~ means nothing here"):
        place("~/res", "tracking.folder")
    assert place("/srv/res") == Path("/srv/res")


def test_the_cache_of_a_user_without_a_home_is_in_the_repository(ann: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == ann / ".cache" / "folkrnn"
    nameless(monkeypatch)
    assert cache_folder() == results_home() / ".cache" / "folkrnn"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert cache_folder() == Path("/var/cache/folkrnn")


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b", "loop"])
def test_what_cannot_be_reached_is_refused_in_one_line(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises(UserError) as refusal:
        existing("dataset.path", name)
    assert "\n" not in str(refusal.value)
    assert file_named(name) is None


def test_a_path_that_is_not_there_is_refused_with_what_it_should_be_and_where_was_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=rf"^weights\.path=x: no such file or folder in {tmp_path}; it should be a model$"
    ):
        existing("weights.path", "x", "a model")
    with pytest.raises(UserError, match=r"^weights\.path=/x/y: no such file or folder$"):
        existing("weights.path", "/x/y")


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"transcription: cannot read .*: Is a directory"):
        content("transcription", tmp_path)


def test_a_name_that_is_not_utf_8_is_a_file_and_is_shown_in_hexadecimal(tmp_path: Path) -> None:
    name = os.fsdecode(b"l\xe5tar.abc")
    (tmp_path / name).write_text("X:1")
    assert file_named(str(tmp_path / name)) == tmp_path / name
    assert readable(name) == r"l\xe5tar.abc"
    assert readable("låtar \ud83c") == r"låtar \ud83c"
    assert readable("låtar") == "låtar"
