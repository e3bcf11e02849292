"""A program with our configuration and command line whose study does what the seed says, well or badly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from folkrnn.command_line import main
from folkrnn.errors import UserError

HERE = Path(__file__).parent


def study(config, overrides):
    from folkrnn.config.digest import job_key
    from folkrnn.sweep.environment import DIGEST, job_tags, parent
    from folkrnn.tracking import open_store, start_run

    kind = "well" if (HERE / "mended").exists() else os.environ.get("KINDS", "").split(",")[config.seed - 1]
    if kind == "refused":
        raise UserError("no tune is in K:Hmaj")
    store = open_store(config.tracking.uri, "folkrnn", HERE)
    tags = {DIGEST: job_key(config), **job_tags()}
    place = HERE / "runs" / f"{config.seed}-{os.getpid()}"
    with start_run(store, kind, place, overrides=overrides, tags=tags, parent=parent()) as run:
        run.log_metrics({"job/threads": int(os.environ["OMP_NUM_THREADS"]), "job/seed": config.seed})
        for step in range(20):
            run.log_metrics({"job/curve": config.seed * step}, step)
        run.log_text(f"seed {config.seed}", "job.txt")
        if kind == "raises":
            raise ValueError("no such bar")
        if kind == "segfaults":
            os.kill(os.getpid(), signal.SIGSEGV)
        if kind == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "leaves":
            os._exit(3)
        if kind == "takes memory":
            import numpy as np

            held = [np.ones(2**24) for _ in range(24)]
        if kind == "is deaf":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if kind in ("takes memory", "sleeps", "is deaf"):
            (HERE / f"ready-{config.seed}").touch()
            time.sleep(900)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], HERE / "conf", study))
"""


class Program:
    """`python run.py` in a folder of its own, with its own store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "conf", folder / "conf")
        (folder / "run.py").write_text(PROGRAM)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(self.folder / "run.py"), f"tracking.folder={self.folder}", *words]

    def environment(self, *kinds: str) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        return os.environ | {"KINDS": ",".join(kinds), "PYTHONPATH": path, "OMP_NUM_THREADS": "2"}

    def seconds_of_a_good_job(self) -> float:
        """How long one job alone takes on this machine, in a store of its own."""
        apart = Program(self.folder / "apart")
        began = time.monotonic()
        environment = apart.environment("well")
        subprocess.run(apart.command("seed=1"), cwd=apart.folder, env=environment, check=True, timeout=300)
        return time.monotonic() - began

    def __call__(self, kinds: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command("-m", f"seed=range(1,{len(kinds) + 1})", *words), cwd=self.folder,
            env=self.environment(*kinds), capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip

    def at_work(self, kinds: tuple[str, ...], *words: str, ready: tuple[int, ...] = (1,)) -> subprocess.Popen[str]:
        """Returns the process of a sweep once its jobs with the seeds `ready` have come to where they wait."""
        process = subprocess.Popen(
            self.command("-m", f"seed=range(1,{len(kinds) + 1})", *words), cwd=self.folder,
            env=self.environment(*kinds), stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not all((self.folder / f"ready-{seed}").exists() for seed in ready):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        return process

    def ends_as_it_does(self, kind: str, reason: str, *words: str) -> None:
        """Asserts how jobs that end well and badly, and one of this kind, are recorded; and that all run again."""
        kinds = ("well", "raises", "is killed", kind, "refused")
        done = self(kinds, *words)
        assert done.returncode == 4, done.stderr
        (parent,), runs = self.runs()
        table = self.jobs(parent.info.run_id)
        assert table["status"].tolist() == ["FINISHED", "FAILED", "KILLED", "KILLED", "FAILED"]
        assert table["reason"].tolist() == [
            "", "ValueError: no such bar", "killed by SIGKILL", reason, "no tune is in K:Hmaj",
        ]  # fmt: skip
        assert [run.info.status for run in runs] == ["FINISHED", "FAILED", "KILLED", "KILLED"]
        assert runs[0].data.metrics["job/threads"] == 1

        (self.folder / "mended").touch()
        again = self(kinds, *words)
        assert again.returncode == 0, again.stderr
        assert self.jobs(self.runs()[0][0].info.run_id)["status"].tolist() == ["SKIPPED"] + ["FINISHED"] * 4

    def runs(self, uri: str | None = None) -> tuple[list, list]:
        """Returns the parents, newest first, and the jobs' runs, in the order of their seeds."""
        from folkrnn.tracking import open_store

        store = open_store(uri, "folkrnn", self.folder)
        found = store.client.search_runs([store.experiment_id])
        jobs = [run for run in found if "sweep.job" in run.data.tags]
        return [run for run in found if run not in jobs], sorted(jobs, key=lambda run: int(run.data.tags["sweep.job"]))

    def results(self, parent: str) -> Path:
        """Returns the results folder of a sweep, whose name ends in the beginning of its run's."""
        (folder,) = (self.folder / "runs/sweeps").glob(f"*_{parent[:8]}")
        return folder

    def jobs(self, parent: str) -> pd.DataFrame:
        """Returns the table of how the jobs of a sweep ended."""
        table = pd.read_csv(self.results(parent) / "tables/sweep_jobs.csv", keep_default_na=False)
        return table.set_index("job")


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "lab")


Sweep = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tiny(tmp_path: Path) -> list[str]:
    """Trains a network of 24 units on tunes with a rule, which takes seconds."""
    rng = np.random.default_rng(0)

    def bars() -> str:
        return " | ".join(" ".join(rng.choice(list("CDEFGAB"), 8)) for _ in range(rng.integers(2, 5)))

    file = tmp_path / "tunes.txt"
    file.write_text("\n".join(f"M:4/4\nK:Cmaj\n{bars()} |\n" for _ in range(200)))
    model = ["model=folkrnn_small", "model.units=24", "weights=scratch", "trainer=cpu"]
    return [*model, "analysis=none", "sampling.tunes=2", "dataset=tokens", f"dataset.path={file}"]


@pytest.fixture
def jobs_of() -> Callable[[Path], list]:
    """Returns the runs of the jobs in the store of this folder."""

    def found(home: Path) -> list:
        from folkrnn.tracking import open_store

        store = open_store(None, "folkrnn", home)
        return [r for r in store.client.search_runs([store.experiment_id]) if "mlflow.parentRunId" in r.data.tags]

    return found


@pytest.fixture
def trained_apart(tmp_path: Path, tiny: list[str], jobs_of: Callable[[Path], list]) -> Callable[..., None]:
    """Asserts that a sweep of two trainings, each shared by two processes, is two runs that differ."""

    def trained(*words: str) -> None:
        home = tmp_path / "lab"
        two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=1", "seed=1,2"]
        done = subprocess.run(
            [sys.executable, "run.py", "-m", *tiny, *two, f"tracking.folder={home}", *words],
            cwd=ROOT, capture_output=True, text=True, timeout=540, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        found = jobs_of(home)
        assert sorted(run.data.params["seed"] for run in found) == ["1", "2"]
        assert {run.info.status for run in found} == {"FINISHED"}
        assert len({run.data.metrics["validation/best_loss"] for run in found}) == 2
        configs = [yaml.safe_load(file.read_text()) for file in home.glob("runs/*/config.yaml")]
        assert [config["trainer"]["devices"] for config in configs] == [2, 2]
        assert len(list((home / "runs/sweeps").glob("*/jobs"))) == 1

    return trained
