"""Corpus tests read the folder named by FOLKRNN_TEST_DATA; the summary says what was skipped, and why."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: a process a core, a thread a process

import numpy as np
import pytest
import torch
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

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


_LEFT_OUT = pytest.StashKey[int]()
"""How many tests `-m` left out."""


def pytest_deselected(items: list[pytest.Item]) -> None:
    config = items[0].config
    config.stash[_LEFT_OUT] = config.stash.get(_LEFT_OUT, 0) + len(items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # of pytest-xdist, which alone knows what it left out
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what was skipped and why, the most frequent reason first, and what `-m` left out."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = Counter(str(said[2] if isinstance(said, tuple) else said).removeprefix("Skipped: ") for said in skipped)
    terminalreporter.write_line(f"corpora: FOLKRNN_TEST_DATA is {DATA or 'not set'}")
    terminalreporter.write_line(f"skipped: {len(skipped)}")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:6}  {reason}")
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"left out by -m {config.option.markexpr!r}: {left_out}")
