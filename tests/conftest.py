"""Corpus tests read the folder named by FOLKRNN_TEST_DATA; the summary says how many were skipped for lack of it."""

from __future__ import annotations

import os
import random
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: a process a core, a thread a process

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("ci", derandomize=True)  # the same examples in every run
if os.environ.get("CI"):
    settings.load_profile("ci")

DATA = os.environ.get("FOLKRNN_TEST_DATA", "")
_WITHOUT_DATA = "FOLKRNN_TEST_DATA names no folder of corpora"
WITHOUT_POSTGRESQL = "as PostgreSQL is not installed (.ci/install_postgresql)"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test begins with the same random numbers, whichever ran before it in its process."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real corpora; a test that asks for it is skipped where there is none."""
    if not DATA or not Path(DATA).is_dir():
        pytest.skip(_WITHOUT_DATA)
    return Path(DATA)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    place, skipped = DATA or "not set", sum(_WITHOUT_DATA in reason for reason in reasons)
    terminalreporter.write_line(f"corpus tests skipped for lack of FOLKRNN_TEST_DATA ({place}): {skipped}")
    if without := sum(WITHOUT_POSTGRESQL in reason for reason in reasons):
        terminalreporter.write_line(f"tests of the tracking server skipped, {WITHOUT_POSTGRESQL}: {without}")
