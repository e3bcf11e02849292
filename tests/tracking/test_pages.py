"""What MLflow's own pages show of thirty runs, in a real browser: names, four metrics, figures, and how fast."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests

from folkrnn import style
from folkrnn.errors import UserError
from folkrnn.explorer.picture import chromium
from folkrnn.findings import Figure, Findings
from folkrnn.tracking import open_store, start_run

pytestmark = pytest.mark.slow

RUNS = 30
NAME = "part5 · swing_swang_swung"
FOUND = {
    "posterior": ("nats_per_token", "entropy", "measure_spike_spacing"),
    "activations": ("near_zero_share", "strong_share"),
    "tune_statistics": ("full_bars", "two_repeated_8_bar_parts", "parts_ending_on_tonic", "length"),
    "claims": ("hold", "do_not_hold"),
}
SECONDS = 90
"""Longest wait for a page on a machine that has other things to do."""


def figure(seed: int) -> Figure:
    drawing = style.figure(width=3.0, height=2.0)
    drawing.subplots().imshow(np.random.default_rng(seed).random((20, 30)))
    return Figure(drawing, "noise")


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Iterator[str]:
    """The address of a server with thirty runs."""
    home = tmp_path_factory.mktemp("pages")
    store = open_store(None, "folkrnn", home)
    drawings, random = [figure(seed) for seed in range(3)], np.random.default_rng(0)
    for k in range(RUNS):
        with start_run(store, NAME, home / "runs" / str(k)) as run:
            run.log_params({f"setting{i}": i for i in range(45)} | {"seed": k}, file=None)
            states = [f"activations/l{layer}.h/{name}" for layer in (1, 2, 3) for name in ("mean_abs", "sparsity")]
            run.log_metrics(dict.fromkeys(states, 0.5))
            for name, drawing in zip(FOUND, [*drawings, None], strict=True):
                figures = {"main": drawing} if drawing else {}
                run.log_findings(name, Findings({one: random.random() for one in FOUND[name]}, figures))
    with served(home) as address:
        yield address


@contextmanager
def served(home: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        for _ in range(400):
            try:
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=1).ok:
                    break
            except requests.RequestException:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=folkrnn"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def tab(pages):
    try:
        with chromium() as browser:
            found = browser.new_page(viewport={"width": 1600, "height": 900})
            painted(found, pages, f"text={NAME}")  # the first page takes all the scripts along
            yield found
    except UserError as missing:
        pytest.skip(str(missing))


def painted(tab, address: str, what: str) -> float:
    """Seconds that the page's thread works until `what` is on the page: its own, whatever else the machine does."""
    tab.goto("about:blank")
    page = tab.context.new_cdp_session(tab)
    page.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
    page.send("Performance.enable")
    tab.goto(address)
    tab.wait_for_selector(what, timeout=1000 * SECONDS)
    values = {entry["name"]: entry["value"] for entry in page.send("Performance.getMetrics")["metrics"]}
    page.detach()
    return values["TaskDuration"]


def test_the_list_of_runs_shows_whole_names_and_the_metrics_that_tell_most(tab, pages):
    painted(tab, pages, f"text={NAME}")
    tab.wait_for_selector("text=claims/hold", timeout=1000 * SECONDS)
    for column in ("tune_statistics/full_bars", "posterior/nats_per_token", "claims/hold"):
        assert tab.locator(f"[role=columnheader]:has-text('{column}')").count() >= 1
    name = tab.locator(f"text={NAME}").first
    assert name.evaluate("cell => cell.scrollWidth <= cell.clientWidth + 1"), "the name is cut"


def test_the_list_and_the_figures_of_thirty_runs_paint_within_five_seconds(tab, pages):
    listed = painted(tab, pages, f"text={NAME}")
    drawn = painted(tab, f"{pages}&compareRunsMode=CHART", "img[src*=artifact]")
    print(f"list {listed:.1f} s, figures {drawn:.1f} s")
    assert 0 < listed < 5
    assert 0 < drawn < 5
