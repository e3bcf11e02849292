"""Forty jobs, four at a time: nothing of any of them is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
JOBS = 40

pytestmark = pytest.mark.slow


@pytest.fixture
def tunes(tmp_path: Path) -> Path:
    file = tmp_path / "tunes.txt"
    file.write_text("\n".join(f"M:4/4\nK:Cmaj\nC D E F G A B c | {note} 8 |\n" for note in "CDEFGAB"))
    return file


def test_on_a_sqlite_store_that_is_not_there_yet(tmp_path, tunes):
    """The program as it is: each job plays a tune and counts tokens."""
    words = [
        "-m", f"seed=range({JOBS})", "launcher.jobs=4", "analysis=vocabulary", "sampling.tunes=1",
        "sampling.max_tokens=20", "dataset=tokens", f"dataset.path={tunes}", f"tracking.folder={tmp_path}",
    ]  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "run.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=570, check=False
    )
    print(f"{JOBS} jobs, 4 at a time: {time.monotonic() - began:.0f} s")
    assert done.returncode == 0, done.stderr[-3000:]
    from folkrnn.tracking import open_store

    store = open_store(None, "folkrnn", tmp_path)
    found = store.client.search_runs([store.experiment_id], max_results=1000)
    parents = [run for run in found if run.data.tags.get("sweep") == "parent"]
    runs = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert sorted(int(run.data.params["seed"]) for run in runs) == list(range(JOBS))
    assert len({frozenset(run.data.metrics) for run in runs}) == 1
    assert len({frozenset(set(run.data.params)) for run in runs}) == 1
    assert any(name.startswith("vocabulary/") for name in runs[0].data.metrics)
    artifacts = [{entry.path for entry in store.client.list_artifacts(run.info.run_id)} for run in runs]
    assert all(names == artifacts[0] for names in artifacts)
    assert {"config.yaml", "report.html", "tunes", "tables", "figures"} <= artifacts[0]
    table = pd.read_csv(next((tmp_path / "runs/sweeps").glob("*/tables/sweep_comparison.csv")))
    assert len(table) == JOBS
    assert len(parents) == 1


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An `mlflow server` with a SQLite store of its own, on a free port."""
    import requests

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=quiet, cwd=tmp_path, start_new_session=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if requests.get(f"http://127.0.0.1:{port}/health", timeout=1).ok:
                break
        except requests.RequestException:
            time.sleep(0.3)
    yield f"http://127.0.0.1:{port}"
    os.killpg(process.pid, 9)
    process.wait()


def test_through_a_server(program, server):
    began = time.monotonic()
    done = program(("well",) * JOBS, "launcher.jobs=4", f"tracking.uri={server}")
    print(f"{JOBS} jobs, 4 at a time, through a server: {time.monotonic() - began:.0f} s")
    assert done.returncode == 0, done.stderr[-3000:]
    from folkrnn.tracking import open_store

    client = open_store(server, "folkrnn", program.folder).client
    (parent,), runs = program.runs(server)
    assert [run.data.metrics["job/seed"] for run in runs] == list(range(1, JOBS + 1))
    assert {run.info.status for run in [parent, *runs]} == {"FINISHED"}
    for run in runs:
        seed = int(run.data.metrics["job/seed"])
        curve = client.get_metric_history(run.info.run_id, "job/curve")
        assert sorted((point.step, point.value) for point in curve) == [(step, seed * step) for step in range(20)]
        assert "job.txt" in {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert parent.data.metrics["sweep/finished"] == JOBS
