"""Ends that come from outside: signals, full disks, dead servers."""

import os
import signal
import subprocess

import pytest

from folkrnn.tracking import open_store, pending, start_run, upload

WAITING = """
import sys, time
from folkrnn.tracking import open_store, start_run
store = open_store(sys.argv[2], sys.argv[3], sys.argv[1])
with start_run(store, "long", sys.argv[4]) as run:
    run.log_metrics({"loss": 1.0}, step=1)
    print(run.run_id, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, (130, -2)), (signal.SIGTERM, (143,))])
def test_a_signal_ends_a_run_as_killed(lab, store, script, tmp_path, number, code):
    process = script(WAITING, lab, "sqlite:///mlflow.db", store.experiment, tmp_path / "r")
    run_id = process.stdout.readline().strip()
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode in code
    found = store.client.get_run(run_id)
    assert found.info.status == "KILLED"
    assert found.data.metrics == {"loss": 1.0}
    assert found.info.end_time is not None


@pytest.mark.slow
@pytest.mark.parametrize(("number", "wait", "code"), [(signal.SIGINT, 30, (130, -2)), (signal.SIGTERM, 2, (143,))])
def test_a_signal_in_a_lightning_training_ends_the_run_as_killed(lab, store, script, tmp_path, number, wait, code):
    training = """
import sys, time, warnings
warnings.filterwarnings("ignore")
import torch
import pytorch_lightning as pl
from folkrnn.tracking import open_store, start_run
from folkrnn.tracking.lightning import RunLogger

class Slow(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
    def training_step(self, batch, index):
        self.log("train/loss", self.weight.sum())
        if index == 3:
            print(run.run_id, flush=True)
            time.sleep(float(sys.argv[4]))
        return self.weight.sum()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

store = open_store(None, sys.argv[2], sys.argv[1])
with start_run(store, "training", sys.argv[3]) as run:
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=RunLogger(run), log_every_n_steps=1, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=sys.argv[3])
    trainer.fit(Slow(), torch.utils.data.DataLoader(torch.zeros(8, 1)))
"""
    process = script(training, lab, store.experiment, tmp_path / "r", wait)
    run_id = process.stdout.readline().strip()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in code, errors
    assert store.client.get_run(run_id).info.status == "KILLED"
    steps = [metric.step for metric in store.client.get_metric_history(run_id, "train/loss")]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 3


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB, where this computer lets us have one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", place]
    if os.name == "nt" or subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_for_results_ends_the_run_as_failed_in_one_line(lab, store, small_disk, script):
    code = """
import sys
from folkrnn.errors import UserError
from folkrnn.tracking import open_store, start_run
store = open_store(None, sys.argv[2], sys.argv[1])
try:
    with start_run(store, "a", sys.argv[3]) as run:
        print(run.run_id)
        for i in range(10):
            run.log_bytes(bytes(10**6), f"{i}.bin")
except UserError as refusal:
    sys.exit(str(refusal))
"""
    process = script(code, lab, store.experiment, small_disk / "r")
    run_id, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "No space left on device" in errors
    assert "Traceback" not in errors
    assert store.client.get_run(run_id.strip()).info.status == "FAILED"
    kept = [path for path in (small_disk / "r").iterdir() if path.is_file()]
    assert {path.stat().st_size for path in kept if path.suffix == ".bin"} == {10**6}
    assert not [path for path in kept if path.name.endswith(".part")]


def test_a_full_disk_for_the_store_keeps_the_results_and_sends_them_later(small_disk, tmp_path):
    store = open_store(None, "a", small_disk)
    filler = small_disk / "filler"
    with start_run(store, "a", tmp_path / "r") as run:
        with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1000))
        run.log_bytes(bytes(100_000), "big.bin")
        run.log_metrics({"x": 1.0})
    assert pending(tmp_path / "r") > 0
    assert "python -m folkrnn.tracking upload" in (tmp_path / "r" / "UPLOAD_PENDING.txt").read_text()
    filler.unlink()
    assert upload(tmp_path / "r") > 0
    found = store.client.get_run(run.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"x": 1.0})
    assert not (tmp_path / "r" / "UPLOAD_PENDING.txt").exists()


TYPED = """
import sys, time
from pathlib import Path
from folkrnn.command_line import main
from folkrnn.tracking import open_store, start_run

folder, uri, experiment, results = sys.argv[1:]

def study(config, overrides):
    with start_run(open_store(uri, experiment, folder), "long", results) as run:
        print(run.run_id, flush=True)
        time.sleep(60)

sys.exit(main([], Path("conf"), study))
"""


def test_a_run_that_was_terminated_does_not_say_ctrl_c(lab, store, script, tmp_path):
    process = script(TYPED, lab, "sqlite:///mlflow.db", store.experiment, tmp_path / "r")
    run_id = process.stdout.readline().strip()
    process.terminate()
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (143, "terminated (SIGTERM)\n")
    found = store.client.get_run(run_id)
    assert (found.info.status, found.data.tags["ended"]) == ("KILLED", "terminated (SIGTERM)")
