"""Files that are whole or not there, and locks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from folkrnn.errors import UserError
from folkrnn.files.whole import locked, replacing, write_whole


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("data", [b"abc", memoryview(b"abc"), "abc"])
def test_a_file_is_written_into_a_new_folder_and_nothing_else_is_left(tmp_path, data, durable):
    write_whole(tmp_path / "new" / "file", data, durable)
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "new").iterdir()] == [("file", b"abc")]


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(RuntimeError), replacing(tmp_path / "file") as draft:
        draft.write_text("half")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_until_the_block_has_ended_there_is_the_old_file(tmp_path):
    (tmp_path / "file").write_text("old")
    with replacing(tmp_path / "file") as draft:
        draft.write_text("new")
        assert (tmp_path / "file").read_text() == "old"
    assert (tmp_path / "file").read_text() == "new"


def test_a_lock_is_held_by_one_process_and_lifted_when_that_is_killed(tmp_path):
    lock = str(tmp_path / "lock")
    holds = f"from folkrnn.files.whole import locked; from pathlib import Path\nwith locked(Path({lock!r}), ''):"
    with subprocess.Popen(
        [sys.executable, "-c", f"{holds} print('has it', flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout.readline() == b"has it\n"
        with pytest.raises(UserError, match="somebody has it"), locked(tmp_path / "lock", "somebody has it", seconds=0):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path / "lock", "somebody has it", seconds=0):
            pass


def test_what_happens_within_the_block_is_not_taken_for_a_lock_that_is_held(tmp_path):
    with pytest.raises(TimeoutError), locked(tmp_path / "lock", "somebody has it"):
        raise TimeoutError
