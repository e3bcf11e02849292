"""Against a real `mlflow server` on the loopback interface."""

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as Drawing

from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings
from folkrnn.tracking import open_store, parent_run, pending, start_parent, start_run, upload

pytestmark = pytest.mark.slow


def findings():
    drawing = Drawing(figsize=(3, 2))
    drawing.subplots().plot([1, 2])
    return Findings(
        {"entropy": 1.0}, {"heat": Figure(drawing, "Heat.")}, {"t": pd.DataFrame({"a": [1]})}, {"p": {"x": np.eye(2)}}
    )


def log_everything(run):
    run.log_params({"model": {"layers": 3}})
    run.log_metrics({"loss": 1.5}, step=7)
    run.log_findings("posterior", findings())
    run.log_dataset("irish", "abc", "music21", {"tunes": 3})
    run.log_text("X:1", "tunes/1.abc")


def check_everything(store, run_id):
    found = store.client.get_run(run_id)
    assert found.data.params == {"model.layers": "3"}
    assert found.data.metrics == {"loss": 1.5, "posterior/entropy": 1.0}
    assert [entry.dataset.name for entry in found.inputs.dataset_inputs] == ["irish"]
    paths = [
        item.path
        for folder in (None, "figures", "tables", "arrays", "tunes")
        for item in store.client.list_artifacts(run_id, folder)
        if not item.is_dir
    ]
    assert sorted(paths) == [
        "arrays/posterior_p.npz", "config.yaml", "figures/captions.md", "figures/posterior_heat.png",
        "tables/posterior_t.csv", "tunes/1.abc",
    ]  # fmt: skip
    assert len(store.client.list_artifacts(run_id, "images")) == 2


def test_a_server_takes_all_that_a_database_takes(server, tmp_path):
    store = open_store(server.uri + "/", "all", tmp_path)
    parent = start_parent(store, "sweep")
    with start_run(store, "a", tmp_path / "r", parent=parent) as run:
        log_everything(run)
        page = f"#/experiments/{store.experiment_id}/runs/{run.run_id}?workflowType=machine_learning"
        assert run.link == f"{server.uri}/{page}"
    check_everything(store, run.run_id)
    found = store.client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.tags["mlflow.parentRunId"] == parent
    with pytest.raises(KeyError), start_run(store, "b", tmp_path / "s") as broken:
        _ = {}["x"]
    assert store.client.get_run(broken.run_id).info.status == "FAILED"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "s"]


def test_a_server_that_dies_in_mid_run_costs_nothing(mortal_server, tmp_path, caplog):
    store = open_store(mortal_server.uri, "dying", tmp_path)
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_metrics({"before": 1.0})
        mortal_server.stop()
        began = time.monotonic()
        log_everything(run)
        assert time.monotonic() - began < 60
    warnings = [record.message for record in caplog.records if record.name.startswith("folkrnn")]
    assert len(warnings) == 2, warnings  # once when it goes, once at the end
    folder = tmp_path / "r"
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} >= {
        "config.yaml", "figures/posterior_heat.png", "tables/posterior_t.csv", "arrays/posterior_p.npz",
        "tunes/1.abc", "metrics.json", "UPLOAD_PENDING.txt",
    }  # fmt: skip
    assert json.loads((folder / "metrics.json").read_text()) == {"before": 1, "loss": 1.5, "posterior/entropy": 1}
    waiting = pending(folder)
    assert waiting >= 8
    with pytest.raises(UserError, match="no MLflow server answers"):
        upload(folder, mortal_server.uri)

    mortal_server.start()
    assert store.client.get_run(run.run_id).info.status == "RUNNING"
    command = [sys.executable, "-m", "folkrnn.tracking", "upload", str(folder), "--to", mortal_server.uri]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"sent {waiting} entries" in answer.stdout
    found = store.client.get_run(run.run_id)
    assert found.data.metrics.pop("before") == 1.0
    assert found.info.status == "FINISHED"
    assert not (folder / "UPLOAD_PENDING.txt").exists()
    assert upload(folder, mortal_server.uri) == 0


def test_a_server_that_comes_back_gets_the_rest_at_the_end(mortal_server, tmp_path):
    store = open_store(mortal_server.uri, "coming back", tmp_path)
    with start_run(store, "a", tmp_path / "r") as run:
        mortal_server.stop()
        log_everything(run)
        assert pending(tmp_path / "r") > 0
        mortal_server.start()
    assert pending(tmp_path / "r") == 0
    check_everything(store, run.run_id)
    assert store.client.get_run(run.run_id).info.status == "FINISHED"


def test_how_a_sweep_ended_is_kept_for_a_server_that_went_away(mortal_server, tmp_path):
    store = open_store(mortal_server.uri, "sweeps", tmp_path)
    parent = start_parent(store, "sweep")
    tracked = parent_run(store, parent, tmp_path / "sweep")
    mortal_server.stop()
    tracked.finish("FAILED", "2 of 3 jobs failed: 1, 2")
    assert str(tmp_path / "sweep") in tracked.upload_command
    mortal_server.start()
    assert upload(tmp_path / "sweep", mortal_server.uri) == 2
    assert store.client.get_run(parent).info.status == "FAILED"
