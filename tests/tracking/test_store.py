import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from folkrnn.errors import UserError
from folkrnn.files.places import CHECKOUT
from folkrnn.tracking import check_store, located, open_store, start_run
from folkrnn.tracking.store import absolute_uri


def test_importing_the_package_does_not_import_mlflow():
    code = "import sys, folkrnn.tracking; sys.exit('mlflow' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_relative_database_lies_in_the_repository_wherever_one_stands(lab, store, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    again = open_store("sqlite:///mlflow.db", store.experiment, lab)
    assert again.uri == store.uri == f"sqlite:///{lab / 'mlflow.db'}"
    assert again.experiment_id == store.experiment_id
    assert (lab / "mlflow.db").is_file()
    assert list(tmp_path.iterdir()) == []


def test_artifacts_have_an_absolute_place_in_the_repository(lab, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with start_run(store, "a", tmp_path / "results") as run:
        run.log_text("hello", "notes/a.txt")
    artifacts = lab / "mlartifacts" / store.experiment / run.run_id / "artifacts"
    assert (artifacts / "notes" / "a.txt").read_text() == "hello"


def test_six_processes_open_a_fresh_store_at_once(tmp_path, script):
    code = """
import os, sys, time
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store  # so that the processes meet at the store, not at the imports
from folkrnn.tracking import open_store, start_run

root = Path(sys.argv[1])
begin = time.time() + 0.5

def job(number):
    time.sleep(max(0.0, begin - time.time()))
    store = open_store(None, "race", root)
    with start_run(store, str(number), root / "runs" / str(number)) as run:
        run.log_params({"number": number})
        run.log_metrics({"x": 1.0})

processes = []
for number in range(6):
    process = os.fork()
    if process == 0:
        job(number)
        os._exit(0)
    processes.append(process)
sys.exit(sum(os.waitpid(process, 0)[1] != 0 for process in processes))
"""
    process = script(code, tmp_path)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    store = open_store(None, "race", tmp_path)
    runs = store.client.search_runs([store.experiment_id])
    assert sorted(run.data.params["number"] for run in runs) == list("012345")
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_creation_that_was_cut_short_does_not_stand_in_the_way(tmp_path):
    (tmp_path / "mlflow.db.new").write_bytes(b"SQLite format 3\0half of it")
    (tmp_path / "mlflow.db").touch()
    assert open_store(None, "a", tmp_path).client.search_experiments()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("./mlruns", "file stores"),
        ("file:///tmp/mlruns", "file stores"),
        ("postgresql://host/db", "server in front"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///what?.db", "names no file"),
    ],
)
def test_other_kinds_of_store_are_refused_with_the_reason_and_what_is_allowed(uri, reason, tmp_path):
    with pytest.raises(UserError, match=reason) as refusal:
        absolute_uri(uri, tmp_path)
    assert "sqlite:///mlflow.db" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "mlflow.db").write_text("my shopping list")
    with pytest.raises(UserError, match=r"mlflow\.db is not an SQLite database"):
        open_store(None, "a", tmp_path)
    assert (tmp_path / "mlflow.db").read_text() == "my shopping list"
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        open_store("sqlite:///folder.db", "a", tmp_path)


def test_a_damaged_database_is_refused_in_one_line(lab, store, tmp_path):
    whole = (lab / "mlflow.db").read_bytes()
    (tmp_path / "mlflow.db").write_bytes(whole[:100] + b"\xff" * 20_000)
    began = time.monotonic()
    with pytest.raises(UserError, match="cannot be used as a tracking store") as refusal:
        open_store(None, "a", tmp_path)
    assert "\n" not in str(refusal.value)
    assert time.monotonic() - began < 30


def test_a_database_of_something_else_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("create table runs (id integer)")
    connection.close()
    with pytest.raises(UserError, match="cannot be used as a tracking store"):
        open_store(None, "a", tmp_path)


def test_a_database_of_another_version_of_mlflow_names_the_command_that_upgrades_it(lab, store, tmp_path):
    shutil.copy(lab / "mlflow.db", tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("update alembic_version set version_num = '451aebb31d03'")
    connection.close()
    with pytest.raises(UserError, match="mlflow db upgrade sqlite:///"):
        open_store(None, "a", tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to"):
        open_store(None, "a", tmp_path / "file")
    with pytest.raises(UserError, match="cannot write to"):
        open_store("sqlite:////proc/nowhere/mlflow.db", "a", tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="Permission denied"):
        open_store(None, "a", tmp_path)


def test_a_deleted_experiment_names_the_command_that_restores_it(lab, store):
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(UserError, match=f"mlflow experiments restore -x {store.experiment_id}"):
        open_store(None, store.experiment, lab)


def test_artifacts_that_somebody_put_elsewhere_and_that_are_gone_are_missed(tmp_path):
    store = open_store(None, "a", tmp_path)
    (tmp_path / "disk").mkdir()
    store.client.create_experiment("own", artifact_location=(tmp_path / "disk").as_uri())
    assert open_store(None, "own", tmp_path)
    (tmp_path / "disk").rmdir()
    with pytest.raises(UserError, match="was the folder moved"):
        open_store(None, "own", tmp_path)


def test_an_experiment_of_a_server_of_mlflow_is_refused_where_there_is_no_server(tmp_path):
    open_store(None, "a", tmp_path).client.create_experiment("own", artifact_location="mlflow-artifacts:/7")
    with pytest.raises(UserError, match="made by a server of MLflow"):
        open_store(None, "own", tmp_path)


def test_a_store_may_lie_in_a_folder_of_any_name(tmp_path):
    # one store is opened for all: a database takes a second to make
    name = "O'Neill's \"(1907)\", [a]{b}=#&;$x%20y?*\\ \n\t ünï "
    store = open_store(None, "a", tmp_path / name)
    with start_run(store, "run", tmp_path / name / "runs" / "1") as run:
        run.log_text("hello", "a.txt")
    folder = tmp_path / name / "mlartifacts" / "a" / run.run_id / "artifacts"
    assert (folder / "a.txt").read_text() == "hello"
    assert Path(store.client.download_artifacts(run.run_id, "a.txt")).read_text() == "hello"
    assert [place.name for place in tmp_path.iterdir()] == [name]
    listed = shlex.split(run.link.partition("   then")[0])[-1]
    assert MlflowClient(tracking_uri=listed).get_run(run.run_id).info.status == "FINISHED"


def test_where_names_are_read_as_ascii_that_is_the_reason_and_not_the_name(tmp_path):
    script = "import sys; from pathlib import Path; from folkrnn.tracking import check_store as check\n"
    script += "check(None, Path(sys.argv[1]))"
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    asked = [sys.executable, "-c", script, str(tmp_path / "å")]
    said = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False).stderr
    assert "has a name that Python reads as ascii here (LC_ALL, PYTHONUTF8)" in said
    assert "set PYTHONUTF8=1" in said
    assert "is not UTF-8" not in said


def test_a_folder_whose_name_is_not_utf_8_is_refused_before_anything_is_made(tmp_path):
    folder = tmp_path / os.fsdecode(b"l\xe5tar")
    for refused in (lambda: check_store(None, folder), lambda: open_store(None, "a", folder)):
        with pytest.raises(UserError, match=r"l\\xe5tar is not UTF-8.*tracking\.folder="):
            refused()
    assert list(tmp_path.iterdir()) == []


def test_an_address_is_taken_as_a_path_and_else_as_an_address(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x y").mkdir()
    assert absolute_uri("sqlite:///x%20y/a.db", tmp_path) == f"sqlite:///{tmp_path}/x y/a.db"
    (tmp_path / "x%20y").mkdir()
    assert absolute_uri("sqlite:///x%20y/a.db", tmp_path) == f"sqlite:///{tmp_path}/x%20y/a.db"
    assert absolute_uri("sqlite:///~/a.db", Path("/elsewhere")) == f"sqlite:///{tmp_path}/a.db"


def test_what_is_typed_counts_from_the_working_directory_and_what_is_not_from_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    assert located(None, None) == (f"sqlite:///{CHECKOUT}/mlflow.db", CHECKOUT)
    assert located(None, "res") == (f"sqlite:///{tmp_path}/res/mlflow.db", tmp_path / "res")
    assert located(None, "~/res") == ("sqlite:////home/ann/res/mlflow.db", Path("/home/ann/res"))
    assert located("sqlite:///a.db", "res") == (f"sqlite:///{tmp_path}/a.db", tmp_path / "res")


def test_the_advice_of_a_refusal_for_want_of_permission_is_one_that_helps(tmp_path, monkeypatch):
    # root may write anywhere: this asks what the system would say to others
    monkeypatch.setattr(os, "access", lambda place, _: str(place) != str(tmp_path / "closed"))
    (tmp_path / "closed").mkdir()
    for uri in (None, f"sqlite:///{tmp_path}/mlflow.db"):
        with pytest.raises(UserError, match=r"closed.*choose another place with tracking\.folder=/path/to/a/folder"):
            check_store(uri, tmp_path / "closed" / "results")
    check_store(None, tmp_path / "open")
    with pytest.raises(UserError, match=r"choose another place with tracking\.uri=sqlite:////path/to/mlflow\.db"):
        check_store(f"sqlite:///{tmp_path}/closed/mlflow.db", tmp_path / "open")
    assert [place.name for place in tmp_path.iterdir()] == ["closed"]


def test_an_unreachable_server_is_refused_soon_and_says_how_to_go_on(tmp_path):
    began = time.monotonic()
    with pytest.raises(UserError, match=r"no MLflow server answers at tracking\.uri=http://127.0.0.1:9") as refusal:
        open_store("http://127.0.0.1:9", "a", tmp_path)
    assert time.monotonic() - began < 10
    assert "python -m folkrnn.tracking serve" in str(refusal.value)
    assert "leave tracking.uri out" in str(refusal.value)


def test_a_server_of_something_else_is_refused(tmp_path, script):
    server = script("""
import http.server
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(server.server_port, flush=True)
server.serve_forever()
""", cwd=tmp_path)  # fmt: skip
    try:
        port = server.stdout.readline().strip()
        with pytest.raises(UserError, match="not as an MLflow server"):
            open_store(f"http://127.0.0.1:{port}", "a", tmp_path)
    finally:
        server.kill()
        server.communicate()


NAMELESS = """
import os, pwd, sys

def no_entry(_):
    raise KeyError("getpwuid(): uid not found")

pwd.getpwuid = no_entry
from folkrnn.tracking import open_store, start_run
with start_run(open_store(None, "a", sys.argv[1]), "a", sys.argv[1] + "/runs/a") as run:
    print(run.store.client.get_run(run.run_id).data.tags["mlflow.user"])
"""


def test_a_user_without_a_name_and_a_home_has_runs_too(script, tmp_path):
    names = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    out, err = script(NAMELESS, tmp_path, env=environment).communicate(timeout=100)
    assert (out, err) == ("unknown\n", "")


TELEMETRY = """
import sys
from folkrnn.tracking import open_store
open_store(None, "a", sys.argv[1])
import mlflow
from mlflow.telemetry.client import get_telemetry_client
print(get_telemetry_client(), mlflow.active_run())
"""


def test_opening_a_store_sends_no_telemetry_and_opens_no_run(script, tmp_path):
    # MLflow sends none in tests and where it is told to send none: here nothing tells it so but the store
    names = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI", "PYTEST_CURRENT_TEST", "MLFLOW_RUN_ID")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "false", "DO_NOT_TRACK": "0"}
    out, err = script(TELEMETRY, tmp_path, env=environment).communicate(timeout=100)
    assert out == "None None\n", err


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="process starts are read from /proc")
def test_a_run_whose_process_was_killed_is_marked_when_the_store_is_next_opened(lab, store, script, tmp_path):
    code = """
import os, sys
from folkrnn.tracking import open_store, start_run
store = open_store(None, sys.argv[2], sys.argv[1])
with start_run(store, "doomed", sys.argv[3]) as run:
    print(run.run_id, flush=True)
    sys.stdin.read()
"""
    process = script(code, lab, store.experiment, tmp_path / "results", stdin=subprocess.PIPE)
    run_id = process.stdout.readline().strip()
    open_store(None, store.experiment, lab)
    assert store.client.get_run(run_id).info.status == "RUNNING"
    process.kill()
    process.communicate()
    open_store(None, store.experiment, lab)
    run = store.client.get_run(run_id)
    assert run.info.status == "KILLED"
    assert "vanished" in run.data.tags["ended"]
