"""A run of the tests says at its end what was skipped, why, and what was left out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_corpus(number, test_data): ...

def test_tool(): pytest.skip("there is no such tool")

@pytest.mark.slow
def test_slow(): ...

def test_fast(): ...
"""


@pytest.mark.parametrize("processes", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_reasons_are_counted_whatever_the_number_of_processes(tmp_path: Path, processes: str) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -q -m 'not slow'\nmarkers = slow\n")
    command = [sys.executable, "-m", "pytest", "-n", processes, "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout
    assert (
        """\
corpora: FOLKRNN_TEST_DATA is not set
skipped: 4
     3  FOLKRNN_TEST_DATA names no folder of corpora
     1  there is no such tool
left out by -m 'not slow': 1
"""
        in done.stdout
    )
