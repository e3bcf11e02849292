"""Two processes that were cut off end where two end that never were; a SLURM job goes on by itself."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

TRAINS = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from pytorch_lightning.callbacks import Callback
from test_resume import MODERN, corpus
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training.fit import TrainerSettings, fit
from folkrnn.weights.sources import scratch

folder, pause = Path(sys.argv[1]), float(sys.argv[2])

class Slowly(Callback):
    def on_train_batch_start(self, *_):
        time.sleep(pause)

settings = TrainerSettings(
    3, accelerator="cpu", devices=2, strategy="ddp", progress=False, save_every_updates=2,
    resume=(folder / "last.ckpt").exists(),
)
fit(scratch(FolkRNN(units=12, layers=2), 1).model, corpus(), MODERN, settings, 1, folder, None, [Slowly()])
"""


def start(folder, pause=0.0):
    script = folder.parent / "train.py"
    script.write_text(TRAINS.format(here=str(HERE)))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script), str(folder), str(pause)], env=environment, start_new_session=True
    )


def last(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)


def wait_for_checkpoint(folder, process, since=0):
    file = folder / "last.ckpt"
    while not file.exists() or file.stat().st_mtime_ns <= since:
        assert process.poll() is None
        time.sleep(0.005)


def others(process):
    """Processes of the session of `process`, itself left out."""
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split() if int(pid) != process.pid]


def wait_for_the_others_to_end(process):
    until = time.monotonic() + 60
    while others(process):
        assert time.monotonic() < until, "a process of the training lives on"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert start(folder).wait(120) == 0
    return last(folder)


def same(folder, uninterrupted):
    found = last(folder)
    assert found["global_step"] == uninterrupted["global_step"]
    for name, value in uninterrupted["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("receiver", ["the first", "the other"])
def test_sigterm_to_either_process_stops_both_after_the_update(tmp_path, uninterrupted, receiver):
    folder = tmp_path / "run"
    process = start(folder, 0.1)
    wait_for_checkpoint(folder, process)
    os.kill(process.pid if receiver == "the first" else others(process)[0], signal.SIGTERM)
    assert process.wait(60) == 143
    wait_for_the_others_to_end(process)
    assert last(folder)["global_step"] < uninterrupted["global_step"]
    assert start(folder).wait(120) == 0
    same(folder, uninterrupted)


@pytest.mark.slow
def test_kill_9_to_the_first_process_ends_the_other_and_changes_nothing(tmp_path, uninterrupted):
    folder, since = tmp_path / "run", 0
    for pause in (0.13, 0.31):
        process = start(folder, 0.1)
        wait_for_checkpoint(folder, process, since)
        time.sleep(pause)
        process.kill()
        process.wait()
        wait_for_the_others_to_end(process)
        since = (folder / "last.ckpt").stat().st_mtime_ns
    assert start(folder).wait(120) == 0
    same(folder, uninterrupted)


TINY = [
    "model=folkrnn_small", "model.units=24", "weights=scratch", "trainer=ddp", "trainer.accelerator=cpu",
    "trainer.max_epochs=4", "trainer.save_every_updates=2", "recipe.batch_size=8", "recipe.warmup_updates=5",
    "sampling.tunes=4", "sampling.max_tokens=40", "analysis=vocabulary", "dataset=tokens",
    "explorer=false",
]  # fmt: skip


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The command of a small training on tunes with a rule."""
    import numpy as np

    rng, file = np.random.default_rng(0), tmp_path_factory.mktemp("corpus") / "tunes.txt"
    bars = [[" ".join(rng.choice(list("CDEFGAB"), 8)) for _ in range(rng.integers(2, 5))] for _ in range(200)]
    file.write_text("\n".join(f"M:4/4\nK:Cmaj\n{' | '.join(some)} |\n" for some in bars))
    return [*TINY, f"dataset.path={file}"]


def launch(home, words, launcher=(), **variables):
    command = [sys.executable, *launcher, "run.py", *words, f"tracking.folder={home}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def runs(home):
    from folkrnn.tracking import open_store

    opened = open_store(None, "folkrnn", home)
    return opened.client.search_runs([opened.experiment_id])


def digest(home):
    (run,) = runs(home)
    assert run.info.status == "FINISHED"
    (folder,) = [path for path in (home / "runs").iterdir() if path.is_dir() and path.name != "sweeps"]
    assert json.loads((folder / "metrics.json").read_text())["validation/loss"] == run.data.metrics["validation/loss"]
    return json.loads((folder / "provenance.json").read_text())["weights.digest"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory, words):
    """The digest of the weights that two processes arrive at."""
    return trained(tmp_path_factory.mktemp("plain"), words)


def trained(home, words):
    process = launch(home, [*words, "trainer.devices=2"])
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said[-3000:]
    return digest(home)


@pytest.mark.slow
def test_torchrun_makes_one_run_in_one_folder_with_the_weights_of_ddp(tmp_path, words, plain):
    process = launch(tmp_path, words, ("-m", "torch.distributed.run", "--nproc-per-node=2"))
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said[-3000:]
    assert digest(tmp_path) == plain


@pytest.mark.slow
def test_what_the_first_process_refuses_ends_all_of_them(tmp_path, words):
    wrong = [*words, "trainer.resume=true"]
    process = launch(tmp_path, wrong, ("-m", "torch.distributed.run", "--nproc-per-node=2"))
    said, _ = process.communicate(timeout=200)
    assert process.returncode != 0
    assert said.count("there is no unfinished training of this configuration") == 1


@pytest.fixture
def scontrol(tmp_path):
    """A folder with a program of that name that writes down its arguments, and the file that it writes to."""
    folder, asked = tmp_path / "bin", tmp_path / "asked"
    folder.mkdir()
    program = folder / "scontrol"
    program.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder, asked


@pytest.mark.slow
def test_a_preempted_job_is_requeued_and_goes_on_by_itself_in_the_same_run(tmp_path, words, plain, scontrol):
    from test_processes import free_port, task

    home, (programs, asked) = tmp_path / "home", scontrol
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"

    def tasks(restarts):
        port = free_port()
        more = {"PATH": path, "SLURM_RESTART_COUNT": restarts} if restarts else {"PATH": path}
        return [launch(home, words, **task(number, 1, port), **more) for number in range(2)]

    first = tasks("")
    while not list(home.glob("runs/*/checkpoints/last.ckpt")):
        assert all(process.poll() is None for process in first), first[0].communicate()[0][-3000:]
        time.sleep(0.02)
    for process in first:  # as srun passes a signal on to all tasks
        process.send_signal(signal.SIGUSR1)
    said = [process.communicate(timeout=100)[0] for process in first]
    assert [process.returncode for process in first] == [0, 0], said[0][-3000:]
    assert asked.read_text() == "requeue 4242\n"
    (before,) = runs(home)
    assert before.info.status == "SCHEDULED"

    again = tasks("1")
    said = [process.communicate(timeout=200)[0] for process in again]
    assert [process.returncode for process in again] == [0, 0], said[0][-3000:]
    (after,) = runs(home)
    assert after.info.run_id == before.info.run_id
    assert digest(home) == plain
    assert asked.read_text() == "requeue 4242\n"


def asked_of_slurm(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def state(job):
    shown = asked_of_slurm("scontrol", "show", "job", job)
    return shown.split("JobState=")[1].split()[0]


def wait_for_state(job, wanted, seconds=200):
    until = time.monotonic() + seconds
    while (found := state(job)) != wanted:
        still = time.monotonic() < until and found not in ("COMPLETED", "FAILED")
        assert still, asked_of_slurm("scontrol", "show", "job", job)
        time.sleep(0.3)


@pytest.mark.slow
def test_on_a_real_slurm_a_preempted_job_of_two_tasks_goes_on_in_the_same_run(tmp_path, words):
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no SLURM answers (.ci/install_slurm installs one)")
    home, script = tmp_path / "home", tmp_path / "job.sh"
    words = [*words, "trainer.max_epochs=30"]  # the signal takes SLURM some seconds
    plain = trained(tmp_path / "plain", words)
    both = "--overcommit --ntasks=2 --ntasks-per-node=2"  # a node of one processor will do
    typed = " ".join([sys.executable, "run.py", *words, f"tracking.folder={home}"])
    script.write_text(
        "#!/bin/bash\n#SBATCH --nodes=1 --ntasks=1 --mem=4000 --time=10 --requeue\n"
        f"#SBATCH --open-mode=append --output={tmp_path / 'said'}\nexport OMP_NUM_THREADS=1\n"
        f"srun {both} {typed}\n"
    )
    job = asked_of_slurm("sbatch", "--parsable", f"--chdir={ROOT}", str(script))
    try:
        until = time.monotonic() + 300
        while not list(home.glob("runs/*/checkpoints/last.ckpt")):
            assert time.monotonic() < until and state(job) in ("PENDING", "RUNNING"), (tmp_path / "said").read_text()
            time.sleep(0.05)
        asked_of_slurm("scancel", "--signal=USR1", job)  # what --signal=USR1@120 does before the end of its time
        wait_for_state(job, "PENDING")
        (before,) = runs(home)
        assert before.info.status == "SCHEDULED"
        asked_of_slurm("scontrol", "update", f"JobId={job}", "StartTime=now")  # SLURM waits two minutes of its own
        wait_for_state(job, "COMPLETED")
    finally:
        subprocess.run(["scancel", job], check=False)
    (after,) = runs(home)
    assert after.info.run_id == before.info.run_id
    assert digest(home) == plain
