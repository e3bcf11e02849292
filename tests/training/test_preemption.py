"""A SLURM job that is to leave its place goes back into the queue."""

import os
import signal
import stat
import sys

import pytest

from folkrnn.errors import UserError
from folkrnn.training.preemption import Requeued, requeue, signal_number
from folkrnn.training.processes import ProcessGroup, arrange, group, restarted

OF_LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """No launcher has started these tests."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in OF_LAUNCHERS:
            monkeypatch.delenv(name)


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A program of that name on PATH that writes down its arguments, and answers as asked."""
    file, program = tmp_path / "asked", tmp_path / "scontrol"

    def answers(code, words=""):
        program.write_text(
            f"#!{sys.executable}\nimport sys\nopen({str(file)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
            f"sys.stderr.write({words!r})\nsys.exit({code})\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return file

    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return answers


def test_a_job_is_requeued_by_its_number(scontrol, monkeypatch):
    asked = scontrol(0)
    monkeypatch.setenv("SLURM_JOB_ID", "4242")
    assert requeue()
    assert asked.read_text() == "requeue 4242\n"


def test_one_task_of_an_array_is_requeued_and_not_the_array(scontrol, monkeypatch):
    asked = scontrol(0)
    for name, value in {"SLURM_JOB_ID": "4240", "SLURM_ARRAY_JOB_ID": "4240", "SLURM_ARRAY_TASK_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    assert requeue()
    assert asked.read_text() == "requeue 4240_7\n"


def test_what_slurm_says_against_it_is_told(scontrol, monkeypatch, caplog):
    scontrol(1, "Requested operation is presently disabled")
    monkeypatch.setenv("SLURM_JOB_ID", "4242")
    assert not requeue()
    assert "did not requeue job 4242 (Requested operation is presently disabled)" in caplog.text
    assert "trainer.resume=true" in caplog.text


def test_without_scontrol_or_slurm_nothing_is_requeued_and_that_is_told(tmp_path, monkeypatch, caplog):
    assert not requeue()
    assert "no job of SLURM" in caplog.text
    monkeypatch.setenv("SLURM_JOB_ID", "4242")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not requeue()
    assert "could not be requeued" in caplog.text


def test_slurm_sees_no_failure_in_a_requeued_job():
    assert Requeued().code == 0


def test_signals_are_known_by_name():
    assert signal_number("SIGUSR1") == signal_number("USR1") == signal.SIGUSR1
    assert signal_number(None) is None
    with pytest.raises(UserError, match="did you mean SIGUSR1"):
        signal_number("SIGUSER1")
    for wrong in ("SIGKILL", "SIGTERM", "SIGINT"):
        with pytest.raises(UserError, match="preempt_signal"):
            signal_number(wrong)


def started(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_a_process_is_alone_unless_torchrun_or_srun_says_otherwise(monkeypatch):
    assert group() == ProcessGroup(None, 0, 1, 1)
    started(monkeypatch, SLURM_JOB_ID=1, SLURM_NTASKS=1, SLURM_PROCID=0)
    assert group() == ProcessGroup(None, 0, 1, 1)


def test_torchrun_says_who_is_who(monkeypatch):
    started(monkeypatch, TORCHELASTIC_RUN_ID="none", RANK=5, WORLD_SIZE=8, LOCAL_WORLD_SIZE=4, LOCAL_RANK=1)
    assert group() == ProcessGroup("torchrun", 5, 8, 2)
    placed = arrange("auto", "auto", "ddp")
    assert (placed.devices, placed.nodes, placed.rank) == (4, 2, 5)
    assert arrange(4, 2, "ddp").devices == 4
    assert placed.environment.world_size() == 8


def test_srun_says_who_is_who_and_lightning_does_not_requeue(monkeypatch):
    started(monkeypatch, SLURM_JOB_ID=1, SLURM_NTASKS=6, SLURM_NTASKS_PER_NODE=3, SLURM_NNODES=2, SLURM_PROCID=4)
    assert group() == ProcessGroup("srun", 4, 6, 2)
    placed = arrange("auto", "auto", "ddp")
    assert (placed.devices, placed.nodes, placed.rank) == (3, 2, 4)
    assert not placed.environment.auto_requeue


def test_a_shell_in_an_allocation_is_alone(monkeypatch):
    started(monkeypatch, SLURM_JOB_ID=1, SLURM_NTASKS=6, SLURM_PROCID=0, SLURM_JOB_NAME="interactive")
    assert group() == ProcessGroup(None, 0, 1, 1)
    started(monkeypatch, SLURM_STEP_NUM_TASKS=6, SLURM_NTASKS_PER_NODE=6, SLURM_NNODES=1)
    assert group() == ProcessGroup("srun", 0, 6, 1), "srun was typed in that shell"


@pytest.mark.parametrize(("settings", "words"), [
    ((2, "auto", "ddp"), "trainer.devices=2, but torchrun started 4 processes on each of 2 nodes"),
    (("auto", 3, "ddp"), "trainer.nodes=3, but torchrun"),
    (("auto", "auto", "auto"), "trainer.strategy=auto trains in one; add trainer=ddp"),
])  # fmt: skip
def test_settings_against_what_was_started_are_refused(monkeypatch, settings, words):
    started(monkeypatch, TORCHELASTIC_RUN_ID="none", RANK=5, WORLD_SIZE=8, LOCAL_WORLD_SIZE=4, LOCAL_RANK=1)
    with pytest.raises(UserError, match=words):
        arrange(*settings)


def test_several_nodes_that_nobody_started_are_refused():
    with pytest.raises(UserError, match="torchrun --nnodes=2 or by srun"):
        arrange("auto", 2, "ddp")


def test_tasks_spread_unevenly_are_refused(monkeypatch):
    started(monkeypatch, SLURM_JOB_ID=1, SLURM_NTASKS=3, SLURM_NNODES=2, SLURM_PROCID=0)
    with pytest.raises(UserError, match="--ntasks-per-node"):
        group()


def test_a_job_knows_that_it_was_started_again(monkeypatch):
    assert not restarted()
    started(monkeypatch, SLURM_RESTART_COUNT=0)
    assert not restarted()
    started(monkeypatch, SLURM_RESTART_COUNT=2)
    assert restarted()
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    started(monkeypatch, TORCHELASTIC_RESTART_COUNT=1)
    assert restarted()


def test_the_run_of_a_requeued_job_is_scheduled_and_that_of_one_that_could_not_be_is_killed():
    from folkrnn.tracking.run_context import ending

    assert ending(Requeued()) == ("SCHEDULED", "preempted; the job is back in the queue")
    assert ending(SystemExit(128 + signal.SIGUSR1)) == ("KILLED", "ended by signal 10")


def test_of_a_job_that_slurm_started_again_the_process_of_before_is_gone_on_whatever_computer_it_was(monkeypatch):
    from folkrnn.tracking.process import is_gone, process_tags

    elsewhere = process_tags() | {"process.host": "another", "process.job": "4242 0"}
    assert not is_gone(elsewhere)
    started(monkeypatch, SLURM_JOB_ID=4242)
    assert not is_gone(elsewhere), "it may be another task of the job"
    started(monkeypatch, SLURM_RESTART_COUNT=1)
    assert is_gone(elsewhere)
    assert not is_gone(elsewhere | {"process.job": "4243 0"})
    assert process_tags()["process.job"] == "4242 1"
