"""What a sweep asks of its jobs before it starts one, and how training jobs go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from folkrnn.command_line import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path):
    """Runs a sweep with launcher=here whose study only keeps the seed: (status, seeds seen)."""

    def run(*words):
        seen = []
        there = [f"hydra.sweep.dir={tmp_path}", f"tracking.folder={tmp_path}"]
        status = main(
            ["-m", "launcher=here", *there, *words], ROOT / "conf", lambda config, _: bool(seen.append(config.seed))
        )
        return status, seen

    return run


def test_a_training_that_would_run_the_whole_sweep_again_is_refused(here, capsys):
    assert here("seed=1,2", "weights=scratch", "trainer=ddp") == (2, [])
    assert "use launcher=processes" in capsys.readouterr().err


def test_a_sweep_that_is_started_several_times_is_refused(here, capsys, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert here("seed=1,2") == (2, [])
    assert "torchrun runs this command 2 times: type it once" in capsys.readouterr().err


def test_a_path_of_any_name_goes_through_a_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name, seen = os.fsdecode(b"O'Neill's (1907), [l\xe5t]=#&;$.abc"), []
    Path(name).touch()
    words = ["-m", "launcher=here", "dataset=abc", f"dataset.path={name}", "seed=1,2", "tracking.folder=lab, 'one'"]
    status = main(words, ROOT / "conf", lambda config, _: bool(seen.append((config.dataset.path, config.seed))))
    assert (status, seen) == (0, [(name, 1), (name, 2)])
    said = capsys.readouterr().out
    assert f"sweep    {tmp_path}/lab, 'one'/runs/sweeps/" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "lab, 'one'"])


def test_one_launcher_runs_the_whole_sweep(here, capsys):
    assert here("launcher=here,processes") == (2, [])
    assert "cannot be swept" in capsys.readouterr().err


def test_a_job_that_is_the_same_as_an_earlier_one_is_not_run_twice(here, capsys):
    assert here("seed=1,2,1") == (0, [1, 2])
    assert "the same as job 1" in capsys.readouterr().err
    assert here("seed=1,2,1", "rerun=true") == (0, [1, 2, 1])


def test_a_store_that_goes_away_before_the_first_job_is_one_line(here, capsys, monkeypatch):
    def gone(*_):
        raise ConnectionError("no route")

    monkeypatch.setattr("folkrnn.tracking.finished_run", gone)
    assert here("seed=1,2") == (2, [])
    said = capsys.readouterr().err
    assert "does not say which jobs finished before (ConnectionError: no route)" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_jobs_that_train_in_several_processes_stay_apart(trained_apart):
    trained_apart()


@pytest.mark.slow
def test_the_same_sweep_again_goes_on_with_a_training_that_was_stopped(tmp_path, tiny, jobs_of):
    words = [*tiny, "trainer.max_epochs=15", "trainer.save_every_updates=2"]
    command = [sys.executable, "run.py", "-m", *words, "seed=1,2", f"tracking.folder={tmp_path / 'lab'}"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 240
    while not list((tmp_path / "lab/runs").glob("*/checkpoints/last.ckpt")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    (first,) = jobs_of(tmp_path / "lab")
    assert first.info.status == "KILLED"

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = jobs_of(tmp_path / "lab")
    assert {run.info.status for run in found} == {"FINISHED"}
    assert len(found) == 2, "the stopped training went on under its own run"
    assert first.info.run_id in {run.info.run_id for run in found}


def test_two_runs_of_the_same_configuration_at_once_have_folders_of_their_own(tmp_path):
    from folkrnn.tracking.folders import results_folder

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: results_folder(tmp_path / "runs", "a", "abc", resume=False), range(40)))
    assert len(set(found)) == 40
    assert all(folder.is_dir() for folder in found)


LISTENING = """
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


class Listening(Sweeper):
    def __init__(self, **given):
        pass

    def setup(self, **given):
        self.launcher = Plugins.instance().instantiate_launcher(**given)

    def sweep(self, arguments):
        for seed in (1, 2):
            (ended,) = self.launcher.launch([[*arguments, f"seed={seed}"]], initial_job_idx=seed - 1)
            self.better = float(ended.return_value)
"""


def test_a_sweeper_that_waits_for_results_is_refused(program):
    plugins = program.folder / "hydra_plugins"
    plugins.mkdir()
    (plugins / "listening.py").write_text(LISTENING)
    words = ("-m", "tracking=default", "hydra.sweeper._target_=hydra_plugins.listening.Listening")
    done = subprocess.run(
        program.command(*words),
        cwd=program.folder,
        env=program.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "it wants the result of a job before it lists the next one" in done.stderr
    assert len(done.stderr.splitlines()) == 1
