"""Jobs that are processes of their own: each ends as it does, and the others go on."""

from __future__ import annotations

import os
import signal
import time

import pandas as pd
import pytest

from folkrnn.errors import UserError
from folkrnn.sweep.processes import Processes, shares, threads_for

BAD = ("well", "raises", "is killed", "takes memory", "sleeps", "refused", "leaves", "segfaults")
LIMITS = ("launcher=processes", "launcher.jobs=3", "launcher.memory=1.5", "launcher.grace=5")


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_each_bad_end_is_recorded_with_its_reason_and_the_same_command_runs_only_what_is_missing(program):
    # three at once, and a machine that may be busier by then
    minutes = max(0.4, round(6 * program.seconds_of_a_good_job() / 60, 1))
    limits = (*LIMITS, f"launcher.minutes={minutes}")
    done = program(BAD, *limits)
    assert done.returncode == 7, done.stderr
    (parent,), runs = program.runs()
    table = program.jobs(parent.info.run_id)
    assert table["status"].tolist() == [
        "FINISHED", "FAILED", "KILLED", "KILLED", "KILLED", "FAILED", "FAILED", "KILLED",
    ]  # fmt: skip
    assert table.loc[2, "reason"] == "ValueError: no such bar"
    assert table.loc[3, "reason"] == "killed by SIGKILL"
    assert table.loc[4, "reason"].startswith("out of memory: it took ")
    assert table.loc[5, "reason"] == f"out of time: it took longer than launcher.minutes={minutes}"
    assert table.loc[6, "reason"] == "no tune is in K:Hmaj"
    assert table.loc[7, "reason"] == "exit status 3"
    assert table.loc[8, "reason"] == "killed by SIGSEGV"
    assert {int(run.data.tags["sweep.job"]): run.info.status for run in runs} == {
        number: status for number, status in table["status"].items() if number != 6
    }
    ended = {int(run.data.tags["sweep.job"]): run.data.tags.get("ended", "") for run in runs}
    assert all(ended[number] == table.loc[number, "reason"] for number in ended)
    assert parent.info.status == "FAILED"
    assert "job 3 (seed=3): killed by SIGKILL" in parent.data.tags["failed"]
    assert parent.data.metrics["sweep/failed"] == 7
    assert "7 of 8 jobs failed: 2, 3, 4, 5, 6, 7, 8" in done.stderr
    assert "error: no tune is in K:Hmaj" in (program.results(parent.info.run_id) / "logs/0006.txt").read_text()

    (program.folder / "mended").touch()
    again = program(BAD, *limits)
    assert again.returncode == 0, again.stderr
    (parent, _), _ = program.runs()
    assert program.jobs(parent.info.run_id)["status"].tolist() == ["SKIPPED"] + ["FINISHED"] * 7
    assert "job 1 of 8 skipped" in again.stderr
    compared = pd.read_csv(program.results(parent.info.run_id) / "tables/sweep_comparison.csv")
    assert compared["job/seed"].tolist() == list(range(1, 9))
    assert parent.info.status == "FINISHED"

    assert program(BAD[:2], *limits, "rerun=true").returncode == 0
    assert program.jobs(program.runs()[0][0].info.run_id)["status"].tolist() == ["FINISHED"] * 2


TWO = ("launcher=processes", "launcher.jobs=2")


@pytest.mark.slow
def test_ctrl_c_lets_every_job_save_and_starts_no_further_one(program):
    process = program.at_work(("sleeps", "sleeps", "well"), *TWO, ready=(1, 2))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "2 jobs save what they have" in said
    (parent,), runs = program.runs()
    assert [run.info.status for run in runs] == ["KILLED"] * 2
    assert {run.data.tags["ended"] for run in runs} == {"interrupted (Ctrl-C)"}
    assert parent.info.status == "KILLED"
    assert program.jobs(parent.info.run_id)["status"].tolist() == ["KILLED", "KILLED", "WAITING"]


@pytest.mark.slow
def test_a_second_ctrl_c_kills_jobs_that_do_not_end(program):
    process = program.at_work(("is deaf", "is deaf", "well"), *TWO, ready=(1, 2))
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (parent,), runs = program.runs()
    assert [(run.info.status, run.data.tags["ended"]) for run in runs] == [("KILLED", "killed by SIGKILL")] * 2
    assert parent.info.status == "KILLED"
    for run in runs:
        with pytest.raises(ProcessLookupError):
            os.kill(int(run.data.tags["process.id"]), 0)


def test_jobs_at_once_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 16)
    assert [threads_for(jobs) for jobs in (1, 3, 4, 20)] == [16, 5, 4, 1]
    assert threads_for(2, processes=4) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [threads_for(jobs) for jobs in (1, 8)] == [3, 2]


def test_jobs_at_once_share_the_gpus():
    assert shares([], 2) == []
    assert shares(["0", "1", "2", "3"], 2) == [["0", "1"], ["2", "3"]]
    assert shares(["0", "1"], 4) == [["0"], ["1"], ["0"], ["1"]]
    assert shares(["3"], 1) == [["3"]]


@pytest.mark.parametrize(
    "limit", [{"jobs": 0}, {"jobs": 1.5}, {"threads": 0}, {"memory": 0}, {"minutes": -1}, {"grace": "long"}]
)
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(UserError, match=f"launcher.{next(iter(limit))}="):
        Processes(**limit)
