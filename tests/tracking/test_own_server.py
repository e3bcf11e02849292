"""`python -m folkrnn.tracking serve`, real studies that log to it, and what it costs when it goes away: nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import requests

from folkrnn.errors import UserError
from folkrnn.tracking import open_store, pending, start_run, upload
from folkrnn.tracking import run as runs
from folkrnn.tracking.__main__ import main
from folkrnn.tracking.journal import Journal
from folkrnn.tracking.serve import free_port, programs

ROOT = Path(__file__).parents[2]
SMALL = [
    "model=folkrnn_small",
    "weights=pretrained",
    "sampling.tunes=2",
    "analysis=posterior",
    "launcher=here",
    "explorer=false",
]
SECRETS = {"MLFLOW_TRACKING_USERNAME": "ann-of-the-glen", "MLFLOW_TRACKING_PASSWORD": "open-sesame-9731"}
MENTIONS_ITSELF = {"report.html"}
"""Files that hold the id of their run."""


def study(uri: str, home: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    folders = [f"tracking.uri={uri}", f"tracking.folder={home}", f"hydra.sweep.dir={home}/sweeps"]
    return subprocess.Popen(
        [sys.executable, "run.py", *words, *SMALL, *folders],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **variables},
    )  # fmt: skip


def folders_of(home: Path) -> list[Path]:
    """The results folders of the runs below `home`, without the sweeps' own."""
    return sorted(file.parents[1] for file in home.glob("runs/*/.tracking/run.json"))


def artifacts(client, run_id: str, place: str | None = None) -> list[str]:
    entries = client.list_artifacts(run_id, place)
    return [path for e in entries for path in (artifacts(client, run_id, e.path) if e.is_dir else [e.path])]


def assert_all_there(client, folder: Path, downloads: Path) -> None:
    """The store has what the journal in `folder` has: each parameter, number of a curve and file, and each once."""
    journal = Journal(folder)
    assert not journal.pending
    run_id = journal.about["run_id"]
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert "ended" not in run.data.tags
    assert run.data.params == journal.params
    logged = Counter((name, value, when, step) for name, value, when, step in journal.metrics())
    histories = [point for name in run.data.metrics for point in client.get_metric_history(run_id, name)]
    assert Counter((p.key, p.value, p.timestamp, p.step) for p in histories) == logged
    entries = [json.loads(line) for line in (folder / ".tracking" / "entries.jsonl").read_text().splitlines()]
    files = {entry["path"] for entry in entries if entry["kind"] == "file"}
    there = artifacts(client, run_id)
    assert files == {path for path in there if not path.startswith("images/")}
    assert sum(path.startswith("images/") for path in there) == 2 * sum(entry["kind"] == "image" for entry in entries)
    assert len(run.inputs.dataset_inputs) == sum(entry["kind"] == "dataset" for entry in entries)
    downloads.mkdir()
    client.download_artifacts(run_id, "", str(downloads))
    for path in files:
        assert (downloads / path).read_bytes() == (folder / path).read_bytes(), path


def what_is_filed(client, folder: Path, downloads: Path) -> dict[str, object]:
    """Everything in the store about the run in `folder` that the same study files again."""
    run_id = Journal(folder).about["run_id"]
    run = client.get_run(run_id)
    curves = {name: [(p.step, p.value) for p in client.get_metric_history(run_id, name)] for name in run.data.metrics}
    plain = {path for path in artifacts(client, run_id) if not path.startswith("images/")}
    images = Counter(
        re.sub(r"\+timestamp\+\d+\+[0-9a-f-]{36}", "", path) for path in artifacts(client, run_id, "images")
    )
    contents = {path: (downloads / path).read_bytes() for path in plain - MENTIONS_ITSELF - {"config.yaml"}}
    params = {key: value for key, value in run.data.params.items() if key != "tracking.folder"}
    return {"curves": curves, "params": params, "files": plain, "images": images, "contents": contents}


@pytest.mark.slow
def test_four_sweeps_at_once_lose_nothing_and_leave_no_password_anywhere(own_server, tmp_path):
    sweeps = [
        study(own_server.uri, tmp_path / f"{k}", "-m", f"seed={k + 1}1,{k + 1}2,{k + 1}3", **SECRETS) for k in range(4)
    ]
    said = [sweep.communicate(timeout=500)[0] for sweep in sweeps]
    assert [sweep.returncode for sweep in sweeps] == [0] * 4, said
    client = open_store(own_server.uri, "folkrnn", tmp_path).client
    for k in range(4):
        folders = folders_of(tmp_path / f"{k}")
        assert len(folders) == 3
        for n, folder in enumerate(folders):
            assert_all_there(client, folder, tmp_path / f"down{k}{n}")
            assert (tmp_path / f"down{k}{n}" / "figures" / "posterior_log10.png").is_file()
    experiment = client.get_experiment_by_name("folkrnn").experiment_id
    found = client.search_runs([experiment], max_results=100)
    parents = {run.info.run_id for run in found if run.data.tags.get("sweep") == "parent"}
    children = Counter(run.data.tags["mlflow.parentRunId"] for run in found if run.info.run_id not in parents)
    assert children == dict.fromkeys(parents, 3)
    assert len(parents) == 4
    assert {run.info.status for run in found} == {"FINISHED"}
    assert own_server.interrupt()[0] == 0
    kept = [file for place in (tmp_path, own_server.folder) for file in place.rglob("*") if file.is_file()]
    assert len(kept) > 1000  # PostgreSQL's own files among them
    for secret in SECRETS.values():
        assert not [text for text in said if secret in text]
        assert not [file for file in kept if secret.encode() in file.read_bytes()]


def wait_for(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def sent(folder: Path) -> int:
    return int(((folder / ".tracking" / "sent").read_text() if (folder / ".tracking" / "sent").exists() else "") or 0)


@pytest.mark.slow
def test_a_power_cut_at_the_server_costs_nothing_however_often_uploading_is_cut_off(own_server, tmp_path):
    calm = study(own_server.uri, tmp_path / "calm")
    assert calm.wait(300) == 0, calm.stdout.read()
    storm = study(own_server.uri, tmp_path / "storm")
    wait_for(lambda: folders_of(tmp_path / "storm") and sent(folders_of(tmp_path / "storm")[0]) >= 4)
    own_server.kill()
    said, _ = storm.communicate(timeout=300)
    assert storm.returncode == 0, said
    (folder,) = folders_of(tmp_path / "storm")
    assert (folder / "report.html").is_file()
    (command,) = {line.partition(": ")[2] for line in said.splitlines() if line.startswith("missing")}
    assert command == f"python -m folkrnn.tracking upload {shlex.quote(str(folder))} --to {own_server.uri}"
    waiting = pending(folder)
    assert waiting > 5
    command = [sys.executable, *shlex.split(command)[1:]]
    down = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (down.returncode, "no MLflow server answers" in down.stderr) == (1, True)

    own_server.start()
    before = sent(folder)
    for _ in range(2):
        cut = subprocess.Popen(command)
        wait_for(lambda before=before: sent(folder) >= before + 2)
        cut.kill()
        cut.wait()
        before = sent(folder)
    cut = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: sent(folder) >= before + 2)
    own_server.kill()
    _, error = cut.communicate(timeout=120)
    assert cut.returncode == 1
    assert "stopped taking entries" in error
    assert "try again" in error
    assert pending(folder) > 0
    own_server.start()
    (folder / ".tracking" / "sent").write_text("")  # as if no answer had ever arrived: all of it is sent again
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.search(r"sent \d+ entries", done.stdout)
    assert not (folder / "UPLOAD_PENDING.txt").exists()
    client = open_store(own_server.uri, "folkrnn", tmp_path).client
    (undisturbed,) = folders_of(tmp_path / "calm")
    assert_all_there(client, folder, tmp_path / "a")
    assert_all_there(client, undisturbed, tmp_path / "b")
    assert what_is_filed(client, folder, tmp_path / "a") == what_is_filed(client, undisturbed, tmp_path / "b")
    assert len(client.search_runs([client.get_experiment_by_name("folkrnn").experiment_id])) == 2


@pytest.mark.slow
def test_a_server_that_comes_back_in_mid_run_gets_what_it_missed_while_the_run_goes_on(
    own_server, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(runs, "_SECONDS_BETWEEN_TRIES", 0.5)
    store = open_store(own_server.uri, "back", tmp_path)
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_metrics({"loss": 3.0}, 0)
        own_server.kill()
        for step in range(1, 4):
            run.log_metrics({"loss": 3.0 - step}, step)
        run.log_text("X:1", "tunes/1.abc")
        with pytest.raises(UserError, match="still running"):
            upload(tmp_path / "r")
        own_server.start()
        step = 3
        deadline = time.monotonic() + 60
        while run.journal.pending and time.monotonic() < deadline:
            time.sleep(0.6)
            step += 1
            run.log_metrics({"loss": 3.0 - step}, step)
        assert not run.journal.pending
        assert "the tracking store is back" in caplog.text
        assert not (tmp_path / "r" / "UPLOAD_PENDING.txt").exists()
    assert_all_there(store.client, tmp_path / "r", tmp_path / "down")


@pytest.mark.slow
def test_the_server_keeps_its_runs_stops_in_order_and_runs_once_on_a_folder(own_server, tmp_path):
    store = open_store(own_server.uri, "kept", tmp_path)
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_text("X:1", "tunes/1.abc")
    beside = [sys.executable, "-m", "folkrnn.tracking", "serve", "--port", "0", "--folder", str(own_server.folder)]
    second = subprocess.run(beside, capture_output=True, text=True, check=False, timeout=120)
    assert (second.returncode, len(second.stderr.splitlines())) == (1, 1)
    assert "a server is running on" in second.stderr
    everything = own_server.processes()
    status, said = own_server.interrupt(signal.SIGTERM)
    assert (status, "everything is kept in" in said) == (0, True)
    wait_for(lambda: not [pid for pid in everything if Path(f"/proc/{pid}").exists()], 10)
    last = (own_server.folder / "postgresql.log").read_text().strip().splitlines()[-1]
    assert "database system is shut down" in last
    own_server.start()
    assert_all_there(store.client, tmp_path / "r", tmp_path / "down")
    assert own_server.interrupt()[0] == 0


@pytest.mark.slow
def test_after_kill_9_the_next_server_ends_what_was_left_and_takes_over(own_server, tmp_path):
    store = open_store(own_server.uri, "kept", tmp_path)
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_text("X:1", "tunes/1.abc")
    left = [pid for pid in own_server.processes() if pid != own_server.process.pid]
    own_server.process.kill()
    own_server.process.wait()
    assert all(Path(f"/proc/{pid}").exists() for pid in left)
    own_server.start()  # at the same port, on the same folder
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]
    assert_all_there(store.client, tmp_path / "r", tmp_path / "down")
    assert own_server.interrupt()[0] == 0


@pytest.mark.slow
def test_where_postgresql_dies_the_server_says_so_and_ends_and_the_next_one_takes_over(own_server, tmp_path):
    store = open_store(own_server.uri, "kept", tmp_path)
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_text("X:1", "tunes/1.abc")
    postmaster = int((own_server.folder / "postgresql" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    _, said = own_server.process.communicate(timeout=120)
    assert own_server.process.returncode == 1
    assert re.match(r"PostgreSQL ended: .* start this again$", said)
    own_server.start()
    assert_all_there(store.client, tmp_path / "r", tmp_path / "down")
    assert own_server.interrupt()[0] == 0


@pytest.mark.slow
def test_with_auth_only_who_has_the_password_reads_and_logs(own_servers, open_folder, monkeypatch):
    pytest.importorskip("flask_wtf", reason='MLflow\'s accounts are not installed: pip install "mlflow[auth]"')
    monkeypatch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", SECRETS["MLFLOW_TRACKING_PASSWORD"])
    server = own_servers(open_folder / "server", ("--auth",))
    server.start()
    try:
        asked = f"{server.uri}/api/2.0/mlflow/experiments/get?experiment_id=0"
        assert requests.get(asked, timeout=30).status_code == 401
        assert requests.get(asked, timeout=30, auth=("admin", SECRETS["MLFLOW_TRACKING_PASSWORD"])).ok
        assert oct((server.folder / "basic_auth.db").stat().st_mode)[-3:] == "600"
    finally:
        server.kill()


def test_auth_wants_a_first_password_before_anything_starts(postgresql, open_folder, monkeypatch, capsys):
    pytest.importorskip("flask_wtf", reason='MLflow\'s accounts are not installed: pip install "mlflow[auth]"')
    monkeypatch.delenv("MLFLOW_AUTH_ADMIN_PASSWORD", raising=False)
    assert main(["serve", "--auth", "--folder", str(open_folder / "server"), "--port", "0"]) == 1
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" in capsys.readouterr().err
    assert not (open_folder / "server" / "postgresql").exists()


@pytest.mark.slow
def test_a_server_that_does_not_know_its_own_name_says_how_it_learns_it(own_server, open_folder, tmp_path):
    own_server.interrupt()
    strict = type(own_server)(own_server.folder, ("--", "--allowed-hosts", "lab.example.org"))
    strict.start()
    try:
        with pytest.raises(UserError, match="--allowed-hosts"):
            open_store(strict.uri, "named", tmp_path)
    finally:
        strict.interrupt()


def test_a_study_is_refused_before_any_work_where_no_server_answers(tmp_path):
    began = time.monotonic()
    refused = study(f"http://127.0.0.1:{free_port(0)}", tmp_path / "home")
    said, _ = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert re.fullmatch(r"error: no MLflow server answers at .* `python -m folkrnn\.tracking serve`.*\n", said)
    assert not (tmp_path / "home").exists()
    assert time.monotonic() - began < 30


def test_without_postgresql_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("folkrnn.tracking.serve.PLACES", ())
    assert main(["serve", "--folder", str(tmp_path / "server"), "--port", "0"]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "apt-get install postgresql" in said or "pip install" in said
    assert not (tmp_path / "server" / "postgresql").exists()


def test_the_programs_of_the_version_that_made_the_data_are_taken(tmp_path, monkeypatch):
    for version in ("9", "15", "17"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "pg_ctl").touch()
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("folkrnn.tracking.serve.PLACES", (f"{tmp_path}/*/bin",))
    assert programs().parent.name == "17"
    assert programs("15").parent.name == "15"


def test_a_port_that_is_taken_is_refused_and_one_that_is_free_is_found():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 is taken"):
            free_port(port)
        assert free_port(0) not in (0, port)
    assert free_port(port) == port
