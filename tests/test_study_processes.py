"""`trainer.devices=2`: two processes play and observe, and the run is the one that a single process makes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from test_study import ROOT, command, run, runs

TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
SMALL = ["model=folkrnn_small", "sampling.tunes=70", "sampling.max_tokens=60", "observation=hidden"]
SMALL += ["analysis=[posterior,tune_statistics]", "intervention=suppress_measure", "cut.bars=3"]


def only_folder(home: Path) -> Path:
    (report,) = home.glob("runs/*/report.html")
    return report.parent


@pytest.mark.slow
def test_two_processes_make_the_very_run_that_one_makes(tmp_path, monkeypatch):
    found = {}
    for name, words in {"one": [], "two": TWO}.items():
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name / "cache"))  # no tunes kept by the other
        run(tmp_path / name, *SMALL, *words)
        _, (only,) = runs(tmp_path / name)
        assert only.info.status == "FINISHED"
        found[name] = only_folder(tmp_path / name)
    one, two = found["one"], found["two"]
    assert one.name == two.name  # the same digest
    assert json.loads((one / "metrics.json").read_text()) == json.loads((two / "metrics.json").read_text())
    tables = [path.relative_to(one) for path in [*one.glob("tables/*.csv"), *one.glob("tunes/*")]]
    assert len(tables) > 20
    for path in tables:
        assert (one / path).read_bytes() == (two / path).read_bytes(), path
    arrays = sorted(path.relative_to(one) for path in one.glob("arrays/*.npz"))
    assert len(arrays) > 70
    assert arrays == sorted(path.relative_to(two) for path in two.glob("arrays/*.npz"))
    for path in arrays:
        with np.load(one / path) as mine, np.load(two / path) as other:
            assert mine.files == other.files
            for key in mine.files:
                np.testing.assert_array_equal(mine[key], other[key], err_msg=f"{path} {key}")


def children(pid: int) -> list[int]:
    return [int(word) for file in Path(f"/proc/{pid}/task").glob("*/children") for word in file.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are found in /proc")
def test_ctrl_c_while_two_processes_write_ends_all_and_marks_the_run_killed(tmp_path):
    words = ["model=folkrnn_small", "sampling.tunes=50000", "analysis=none", *TWO]
    process = subprocess.Popen(
        command(tmp_path, *words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while len(started := children(process.pid)) < 3:  # two, and the tracker of what multiprocessing shares
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # past their start, which takes some seconds of each: what is cut off while it is sent says so itself
    while sorted(psutil.Process(pid).cpu_times().user for pid in started)[-2] < 12:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    _, (only,) = runs(tmp_path)
    assert only.info.status == "KILLED"
    gone = time.monotonic() + 10  # the tracker of shared memory ends once it has seen the others end
    while any(_runs(pid) for pid in started):
        assert time.monotonic() < gone, started
        time.sleep(0.2)


def _runs(pid: int) -> bool:
    """Whether a process still does something: one that only waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_devices_that_are_not_there_are_refused(tmp_path):
    done = run(tmp_path, "trainer=cpu", "trainer.devices=[0,1]", "analysis=none", expect=2)
    assert "number of processes" in done.stderr
