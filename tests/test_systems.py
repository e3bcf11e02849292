"""Other systems, imitated: Windows has no fork, no process groups, few signals, and paths with drive letters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from folkrnn.command_line import main
from folkrnn.files.places import CONF
from folkrnn.sweep import processes
from folkrnn.sweep.jobs import Job, Launch
from folkrnn.training.preemption import signal_number

ROOT = Path(__file__).parents[1]

WINDOWS = """
import os, signal, subprocess, sys
import torch, mlflow, pytorch_lightning, matplotlib.pyplot, music21, sklearn  # the libraries are as they are here

for name in ("fork", "killpg", "setsid", "getpgid", "getuid", "sched_getaffinity"):
    delattr(os, name)
for name in ("SIGKILL", "SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT", "SIGALRM", "pthread_sigmask"):
    delattr(signal, name)
subprocess.Popen.kill = subprocess.Popen.terminate  # which this is on Windows
signal.valid_signals = lambda: {signal.SIGINT, signal.SIGTERM, signal.SIGABRT, signal.SIGSEGV}

class NotThere:
    def find_spec(self, name, path=None, target=None):
        if name in ("resource", "fcntl", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, NotThere())
os.environ["USERNAME"] = "ann"  # as Windows sets it
"""
"""Takes from Python what it has not on Windows."""

LIGHTNING = """
from pytorch_lightning.trainer.connectors import signal_connector
signal_connector._IS_WINDOWS = True
"""
"""Lightning goes by the name of the system, which stays as it is."""

POSIX = ("folkrnn.sweep.slurm", "folkrnn.sweep.remote", "folkrnn.sweep.on_ray", "folkrnn.weights._pickle_child")
"""SLURM and Ray's signals are of Unix; the child asks for `resource` where there is one."""


def imitated(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What a program does where Python is that of Windows."""
    return subprocess.run(
        [sys.executable, "-c", WINDOWS + code, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_every_module_can_be_imported_without_what_only_unix_has() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for folder in ("folkrnn", "analyses")
        for path in (ROOT / folder).rglob("*.py")
    ]
    names = [name for name in names if name not in POSIX and not name.endswith("__main__")]
    assert len(names) > 200
    done = imitated("import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", *names)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_it_trains_writes_and_files_without_what_only_unix_has(tmp_path: Path) -> None:
    words = ["weights=scratch", "model=folkrnn_small", "model.units=8", "model.layers=1", "trainer.max_epochs=1"]
    words += ["trainer.accelerator=cpu", "sampling.tunes=2", "sampling.max_tokens=40"]
    words += ["analysis=tune_statistics", "explorer=false", f"tracking.folder={tmp_path}"]
    done = imitated(LIGHTNING + "sys.argv[0] = 'run.py'\nfrom folkrnn.__main__ import start\nsys.exit(start())", *words)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/report.html"))


def test_a_signal_that_a_system_lacks_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signal_number("SIGUSR1") == signal.SIGUSR1
    few = [known for known in signal.Signals if known.name in ("SIGINT", "SIGTERM", "SIGABRT")]
    monkeypatch.setattr(signal, "Signals", few)
    assert signal_number("SIGUSR1") is None
    assert signal_number("ABRT") == signal.SIGABRT


def test_without_process_groups_a_job_ends_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "killpg")
    code = (
        "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); time.sleep(60)"
    )
    launcher = processes.Processes(threads=1)
    launch = Launch(
        Job(1, (), SimpleNamespace(trainer=SimpleNamespace(devices=1, accelerator="cpu"))),
        (sys.executable, "-c", code),
        {},
        tmp_path / "job.log",
    )
    (child,) = launcher.start([launch])
    deadline = time.monotonic() + 30
    while not launch.log.read_text().strip() and time.monotonic() < deadline:
        time.sleep(0.05)
    below = psutil.Process(int(launch.log.read_text()))
    child.stop(signal.SIGTERM)
    assert child.process.wait(10) != 0
    psutil.wait_procs([below], timeout=10)
    assert not below.is_running() or below.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("path", [r"C:\tunes\new folder\a,b.abc", r"\\server\share\tunes"])
def test_paths_with_drive_letters_arrive_as_they_are_typed(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dataset=abc", f"dataset.path={path}", "weights=pickle", f"weights.path={path}"]
    seen: list[tuple[str, str]] = []
    assert main(words, CONF, lambda config, _: seen.append((config.dataset.path, config.weights.path)) or 0) == 0
    assert seen == [(path, path)], capsys.readouterr().err
