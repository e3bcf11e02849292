"""Sweeps on a real SLURM (`.ci/install_slurm` starts one), and what is said where there is none."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import pytest

from folkrnn.errors import UserError
from folkrnn.sweep.slurm import Slurm

SMALL = ("launcher=slurm", "launcher.memory=1", "launcher.cpus=1", "launcher.minutes=5", "launcher.grace=60")


@pytest.fixture(scope="module")
def cluster():
    """Skips, saying so, where no SLURM answers."""
    pytest.importorskip("submitit", reason="submitit is not installed: pip install submitit")
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no SLURM answers (.ci/install_slurm installs one)")


@pytest.mark.slow
def test_jobs_in_slurm_end_as_they_do_and_only_what_is_missing_is_submitted_again(cluster, program):
    reason = "out of memory: SLURM ended it (launcher.memory)"
    program.ends_as_it_does("takes memory", reason, *SMALL)


@pytest.mark.slow
def test_ctrl_c_cancels_the_jobs_in_slurm_which_say_so(cluster, program):
    process = program.at_work(("sleeps", "sleeps"), *SMALL)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    assert process.returncode == 130
    (parent,), runs = program.runs()
    assert {run.info.status for run in [parent, *runs]} == {"KILLED"}
    assert program.jobs(parent.info.run_id)["status"].tolist() == ["KILLED", "KILLED"]
    assert not subprocess.run(["squeue", "--me", "--noheader"], capture_output=True, check=False).stdout.strip()


@pytest.mark.slow
def test_a_training_that_two_processes_share_is_two_tasks_of_slurm(cluster, trained_apart):
    trained_apart(*SMALL, "launcher.memory=4")


def test_without_submitit_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r'pip install "folkrnn-lab\[slurm\]"'):
        Slurm().check([])


def test_without_a_cluster_that_is_said(monkeypatch):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="there is no sinfo here"):
        Slurm().check([])


def test_the_array_asks_for_what_the_launcher_grants(tmp_path, monkeypatch):
    """A stand-in for sbatch keeps the script that it is given."""
    pytest.importorskip("submitit", reason="submitit is not installed: pip install submitit")
    from omegaconf import OmegaConf

    from folkrnn.sweep.jobs import Job, Launch

    for name, answer in (("sbatch", 'cp "${@: -1}" "$KEPT"; echo Submitted batch job 7'), ("srun", ""), ("sinfo", "")):
        file = tmp_path / name
        file.write_text(f"#!/bin/bash\n{answer}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("KEPT", str(tmp_path / "script"))
    config = OmegaConf.create({"weights": {"name": "scratch"}, "trainer": {"devices": 2, "strategy": "ddp"}})
    logs = tmp_path / "jobs"
    launches = [
        Launch(Job(n, (), config), (sys.executable, str(tmp_path / "run.py")), {}, logs / f"{n}.log") for n in (1, 2, 3)
    ]
    slurm = Slurm(jobs=2, partition="long", cpus=3, gpus=2, memory=1.5, minutes=30, sbatch={"account": "music"})
    found = slurm.start(launches)
    assert [submitted.job.job_id for submitted in found] == ["7_0", "7_1", "7_2"]
    asked = {line.removeprefix("#SBATCH --") for line in (tmp_path / "script").read_text().splitlines()}
    assert {
        "array=0-2%2", "partition=long", "cpus-per-task=3", "gpus-per-node=2", "ntasks-per-node=2", "mem=1536M",
        "time=30", "signal=USR1@90", "account=music", "requeue",
    } <= asked  # fmt: skip
