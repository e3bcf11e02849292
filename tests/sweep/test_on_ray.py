"""Sweeps on a real Ray on this machine, and what is said where there is none."""

from __future__ import annotations

import signal
import sys

import pytest

from folkrnn.errors import UserError
from folkrnn.sweep.on_ray import Ray


@pytest.fixture(scope="module")
def ray_here():
    """Skips, saying so, where Ray is not installed."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")


@pytest.mark.slow
def test_tasks_of_ray_end_as_they_do_and_only_what_is_missing_runs_again(ray_here, program):
    reason = "out of time: it took longer than launcher.minutes=0.4"
    program.ends_as_it_does("sleeps", reason, "launcher=ray", "launcher.minutes=0.4", "launcher.grace=5")


@pytest.mark.slow
def test_ctrl_c_interrupts_the_tasks_of_ray_and_those_that_wait_never_start(ray_here, program):
    words = ("launcher=ray", "launcher.jobs=1", "launcher.grace=30")
    process = program.at_work(("sleeps", "sleeps", "sleeps"), *words)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    (parent,), runs = program.runs()
    assert [(run.info.status, run.data.tags["ended"]) for run in runs] == [("KILLED", "interrupted (Ctrl-C)")]
    assert program.jobs(parent.info.run_id)["status"].tolist() == ["KILLED", "WAITING", "WAITING"]
    assert parent.info.status == "KILLED"


@pytest.mark.slow
def test_jobs_for_which_no_machine_has_room_are_refused(ray_here, program):
    done = program(("well",), "launcher=ray", "launcher.cpus=100000")
    assert done.returncode == 2
    assert "error: no machine of this Ray has launcher.cpus=100000" in done.stderr


@pytest.mark.parametrize("limit", [{"jobs": 0}, {"cpus": 0}, {"minutes": -1}])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(UserError, match=f"launcher.{next(iter(limit))}="):
        Ray(**limit)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r'pip install "folkrnn-lab\[ray\]"'):
        Ray().check([])
