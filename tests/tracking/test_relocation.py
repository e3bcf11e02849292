"""A store that was copied or moved finds its files beside it, and leaves the original alone."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from folkrnn.tracking import open_store, start_run, upload
from folkrnn.tracking.__main__ import main
from folkrnn.tracking.journal import Journal


def run_in(folder: Path, name: str) -> str:
    """The id of a new run of the store in `folder`, with one file."""
    with start_run(open_store(None, "a", folder), name, folder / "runs" / name) as run:
        run.log_text(name, "name.txt")
    return run.run_id


def files(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.glob("mlartifacts/a/*/artifacts/name.txt"))


def text_of(folder: Path, run_id: str) -> str:
    return Path(open_store(None, "a", folder).client.download_artifacts(run_id, "name.txt")).read_text()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a run, and its id; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("lab") / "original #1"
    return folder, run_in(folder, "first")


def test_a_copy_keeps_its_files_in_itself(original: tuple[Path, str], tmp_path: Path) -> None:
    folder, first = original
    shutil.copytree(folder, tmp_path / "copy")
    before = (folder / "mlflow.db").read_bytes()
    run_in(tmp_path / "copy", "second")
    assert (files(folder), files(tmp_path / "copy")) == (["first"], ["first", "second"])
    assert (folder / "mlflow.db").read_bytes() == before
    artifact = open_store(None, "a", tmp_path / "copy").client.get_run(first).info.artifact_uri
    assert artifact.startswith((tmp_path / "copy").as_uri())


def test_a_store_that_was_moved_finds_the_files_of_its_runs(
    original: tuple[Path, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, first = original
    shutil.copytree(folder, tmp_path / "old")
    open_store(None, "a", tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    caplog.clear()
    assert text_of(tmp_path / "new", first) == "first"
    [said] = caplog.messages
    assert f"the files of a are now looked for and kept in {tmp_path}/new/mlartifacts/a" in said
    assert "\n" not in said
    assert text_of(tmp_path / "new", first) == "first"
    assert caplog.messages == [said]
    assert not (tmp_path / "old").exists()


def test_runs_whose_files_did_not_come_along_keep_theirs(original: tuple[Path, str], tmp_path: Path) -> None:
    folder, first = original
    (tmp_path / "copy").mkdir()
    shutil.copy(folder / "mlflow.db", tmp_path / "copy")
    second = run_in(tmp_path / "copy", "second")
    assert (files(folder), files(tmp_path / "copy")) == (["first"], ["second"])
    assert text_of(tmp_path / "copy", first) == "first"
    assert text_of(tmp_path / "copy", second) == "second"


def test_a_second_name_of_the_same_folder_changes_nothing(original: tuple[Path, str], tmp_path: Path) -> None:
    folder, first = original
    (tmp_path / "link").symlink_to(folder)
    artifact = open_store(None, "a", tmp_path / "link").client.get_run(first).info.artifact_uri
    assert artifact.startswith(folder.as_uri())


def test_models_that_were_registered_are_led_too(original: tuple[Path, str], tmp_path: Path) -> None:
    folder, first = original
    shutil.copytree(folder, tmp_path / "old")
    client = open_store(None, "a", tmp_path / "old").client
    place = client.get_run(first).info.artifact_uri
    client.create_registered_model("fiddler")
    client.create_model_version("fiddler", place, first)
    (tmp_path / "old").rename(tmp_path / "new")
    found = open_store(None, "a", tmp_path / "new").client.get_model_version("fiddler", "1")
    assert found.source.startswith((tmp_path / "new").as_uri())


def test_the_files_of_the_experiment_default_lie_with_the_others(tmp_path: Path) -> None:
    store = open_store(None, "Default", tmp_path)
    with start_run(store, "x", tmp_path / "runs" / "x") as run:
        run.log_text("x", "name.txt")
    assert (tmp_path / "mlartifacts" / "Default" / run.run_id / "artifacts" / "name.txt").is_file()


def test_relocate_leads_a_store_before_anybody_looks_at_it(
    original: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = original
    shutil.copytree(folder, tmp_path / "copy")
    assert main(["relocate", str(tmp_path / "copy")]) == 0
    with sqlite3.connect(tmp_path / "copy" / "mlflow.db") as database:
        [(artifacts,)] = database.execute("select artifact_uri from runs")
    database.close()
    assert artifacts.startswith((tmp_path / "copy").as_uri())
    assert main(["relocate", str(tmp_path / "copy" / "mlflow.db")]) == 0
    assert capsys.readouterr().out.count("its files are where it says") == 1
    assert main(["relocate", str(tmp_path / "nothing")]) == 1
    assert "there is no store" in capsys.readouterr().err


def test_what_a_copy_has_yet_to_send_goes_to_the_copy(original: tuple[Path, str], tmp_path: Path) -> None:
    folder, first = original
    shutil.copytree(folder, tmp_path / "copy")
    journal = Journal(tmp_path / "copy" / "runs" / "first")
    journal.add({"kind": "tags", "tags": {"late": "yes"}})
    assert upload(tmp_path / "copy" / "runs" / "first") == 1
    late = [
        open_store(None, "a", place).client.get_run(first).data.tags.get("late")
        for place in (folder, tmp_path / "copy")
    ]
    assert late == [None, "yes"]
