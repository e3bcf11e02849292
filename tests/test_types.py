"""The annotations hold: the spine (pyproject.toml lists it) in pyright's strict mode, all else in its basic mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]


def checked(*files: str) -> dict[str, Any]:
    """What pyright says of these files, or of all; it and its node come with the tests and fetch nothing."""
    pytest.importorskip("pyright")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *files]
    quiet = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}  # else it asks PyPI for a newer version
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=590, check=False)
    return json.loads(done.stdout)


def errors(found: dict[str, Any]) -> list[str]:
    return [
        f"{Path(one['file']).relative_to(ROOT)}:{one['range']['start']['line'] + 1}: {one['message']}"
        for one in found["generalDiagnostics"]
        if one["severity"] == "error"
    ]


def test_the_spine_is_typed_strictly() -> None:
    found = checked(*SETTINGS["strict"])
    assert found["summary"]["filesAnalyzed"] == len(SETTINGS["strict"])
    assert errors(found) == []


def test_a_wrong_annotation_of_the_spine_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from folkrnn.findings import Findings\n\nfound: Findings = Findings(metrics={'a': 'b'})\n")
    assert checked(str(wrong))["summary"]["errorCount"] == 1


def test_nothing_is_left_unchecked() -> None:
    assert "ignore" not in SETTINGS
    assert [name for name in SETTINGS["strict"] if not (ROOT / name).is_file()] == []


@pytest.mark.slow
def test_everything_else_is_typed() -> None:
    found = checked()
    assert found["summary"]["filesAnalyzed"] > 300
    assert errors(found) == []
