import subprocess
import sys
from pathlib import Path

import pytest
import torch

from folkrnn.errors import UserError
from folkrnn.weights import folder
from folkrnn.weights.__main__ import export, find, main

ROOT = Path(__file__).parents[2]


def test_a_folder_a_pickle_and_back_is_exact(tmp_path, capsys):
    command = [sys.executable, "-m", "folkrnn.weights", "export", "folkrnn", str(tmp_path / "a")]
    assert subprocess.run(command, cwd=ROOT, check=False, timeout=300).returncode == 0
    assert main(["export", str(tmp_path / "a"), str(tmp_path / "b.pkl")]) == 0
    assert main(["export", str(tmp_path / "b.pkl"), str(tmp_path / "c")]) == 0
    assert "LSTM 3 × 512 over 137 tokens" in capsys.readouterr().out
    first, last = find("folkrnn"), folder.load(tmp_path / "c")
    assert first.digest == last.digest
    assert first.vocabulary == last.vocabulary
    assert all(torch.equal(a, b) for a, b in zip(first.model.parameters(), last.model.parameters(), strict=True))


def test_what_is_there_is_not_written_over(tmp_path):
    (tmp_path / "x.pkl").write_text("mine")
    with pytest.raises(UserError, match="there already"):
        export("folkrnn", tmp_path / "x.pkl")
    assert (tmp_path / "x.pkl").read_text() == "mine"


def test_what_cannot_be_done_is_said_in_one_line(tmp_path, capsys):
    assert main(["export", "folkrnn", str(tmp_path / "x.ckpt")]) == 1
    assert "to a .pkl or a folder" in capsys.readouterr().err
    assert main(["export", "no_such_weights", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
