"""Sweeps whose values Optuna chooses by what the jobs before came to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import pytest

from folkrnn.command_line import main

ROOT = Path(__file__).parents[2]

WELL = ("well",) * 60


def search(program, *words: str, kinds: tuple[str, ...] = WELL) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        program.command("-m", *words), cwd=program.folder, env=program.environment(*kinds),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_trials_are_jobs_under_one_parent_that_names_the_best(program):
    words = ["seed=int(interval(1,60))", "sweep.metric=job/seed", "sweep.direction=minimize", "sweep.trials=3"]
    done = search(program, *words, "launcher=here")
    assert done.returncode == 0, done.stderr
    (parent,), runs = program.runs()
    seeds = [int(run.data.metrics["job/seed"]) for run in runs]
    assert len(seeds) == len(set(seeds)) > 1
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    best = min(runs, key=lambda run: run.data.metrics["job/seed"])
    assert parent.data.tags["best"] == f"seed={min(seeds)}"
    assert parent.data.tags["best.run"] == best.info.run_id
    assert parent.data.metrics["sweep/best"] == min(seeds)
    trials = pd.read_csv(program.results(parent.info.run_id) / "tables/sweep_trials.csv")
    assert len(trials) == 3
    assert set(trials["run"]) == {run.info.run_id for run in runs}
    assert set(trials["value"]) == set(seeds)
    assert f"best     job/seed {min(seeds)} in job" in done.stdout


@pytest.mark.slow
def test_it_comes_closer_than_chance_and_a_job_that_dies_does_not_end_it(program):
    kinds = (*("well",) * 50, *("is killed",) * 10)
    words = ["seed=int(interval(1,60))", "sweep.metric=job/seed", "sweep.trials=24", "launcher.jobs=2"]
    done = search(program, *words, kinds=kinds)
    (parent,), runs = program.runs()
    assert len(runs) >= 15
    assert done.returncode == len([run for run in runs if run.info.status == "KILLED"])
    seeds = [run.data.metrics["job/seed"] for run in runs if run.info.status == "FINISHED"]
    assert parent.data.metrics["sweep/best"] == max(seeds) > 40


def test_a_metric_that_no_job_has_is_said_after_the_first(program):
    done = search(program, "seed=1,2", "sweep.metric=job/sed", "sweep.trials=5", "launcher=here")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "error: sweep.metric=job/sed: no such metric in job 1 (did you mean job/seed?)" in done.stderr
    (parent,), runs = program.runs()
    assert (len(runs), parent.info.status) == (1, "FAILED")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["seed=1"], "no values to choose from"),
        (["seed=1,2", "sweep.direction=up"], "sweep.direction=up: must be"),
        (["seed=1,2", "sweep.trials=0"], "sweep.trials=0: must be"),
        (["seed=1,2", "launcher=here,processes"], "launcher"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_starts(tmp_path, capsys, words, said):
    folder = f"tracking.folder={tmp_path}"
    status = main(["-m", "sweep.metric=job/seed", folder, *words], ROOT / "conf", lambda config, overrides: 0)
    told = capsys.readouterr().err
    assert (status, "Traceback" in told) == (2, False), told
    assert said in told
    assert not list(tmp_path.glob("mlflow.db"))


def test_a_single_run_with_a_metric_to_look_for_is_refused(tmp_path, capsys):
    assert main(["sweep.metric=job/seed", f"tracking.folder={tmp_path}"], ROOT / "conf", lambda *_: 0) == 2
    assert "a search is a sweep, with -m" in capsys.readouterr().err
