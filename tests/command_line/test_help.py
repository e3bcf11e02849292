"""The help page shows what the configuration holds."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from folkrnn.command_line import page

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


def shell(line: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_help_names_every_option_with_its_line() -> None:
    text = page(CONF)
    for option in CONF.glob("*/*.yaml"):
        assert re.search(rf"^  [ *] {re.escape(option.stem)} +\S", text, re.MULTILINE), option


def test_help_names_every_setting_and_its_default() -> None:
    text = page(CONF)
    for setting in ("seed=1", "sampling.tunes=64", "sampling.prime=null", "cut.fraction=null", "rerun=false"):
        assert re.search(rf"^  {re.escape(setting)} +\S", text, re.MULTILINE), setting


def test_help_marks_the_defaults() -> None:
    assert re.findall(r"^  \* (\S+)  ", page(CONF), re.MULTILINE)[:3] == ["irish", "folkrnn", "pretrained"]


def test_the_commands_in_the_help_compose(tmp_path: Path) -> None:
    (tmp_path / "tune.abc").write_text("M:6/8 K:Cmaj G A B")
    commands = re.findall(r"^  python run.py ?(.*)$", page(CONF), re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        # a sweep has no --cfg: look at its first job
        words = re.sub(r"=(\S+),\S+", r"=\1", command.replace("-m ", ""))
        done = shell(f"{sys.executable} {ROOT}/run.py --cfg job {words}", tmp_path)
        assert done.returncode == 0, done.stderr


def test_help_answers_at_once_and_loads_nothing_heavy() -> None:
    start = time.perf_counter()
    done = shell(f"{sys.executable} -X importtime run.py --help")
    assert time.perf_counter() - start < 2
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"torch", "mlflow", "pytorch_lightning", "matplotlib", "pandas", "numpy", "hydra"}
    assert "\033" not in done.stdout


def test_looking_at_the_configuration_loads_nothing_heavy() -> None:
    done = shell(f"{sys.executable} -X importtime run.py --cfg job")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert not loaded & {"torch", "mlflow", "pytorch_lightning", "matplotlib", "pandas", "numpy"}


@pytest.mark.parametrize("flag", ["--hydra-help", "--info", "--version", "--cfg hydra"])
def test_flags_of_hydra_still_work(flag: str) -> None:
    done = shell(f"{sys.executable} run.py {flag}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_closed_pipe_is_no_error() -> None:
    done = shell(f"set -o pipefail; {sys.executable} run.py --help | head -1")
    assert done.stderr == ""
