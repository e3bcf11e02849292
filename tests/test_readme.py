"""What the README says is what happens: its snippets run, its commands are real, its files exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BASH = re.findall(r"```bash\n(.*?)```", README, re.S)
COMMANDS = [line for line in BASH[2].splitlines() if line.startswith("python run.py")]
GALLERY, ELSEWHERE = (re.findall(r"\| `(python run\.py[^`]*)` \|", part) for part in README.split("\n## Use\n"))
"""The gallery's are run; those for clusters, GPUs and ten thousand tunes are composed alone."""
FEWER = {"open_": 8, "part6": 8, "part7": 8, "part8": 12, "paper_fig": 8, "latents_2bar": 300}
"""Recipes whose full size takes minutes run here on fewer tunes or melodies."""
EXPERIMENT = re.findall(r"experiment=(\w+)", README)


def test_the_python_snippet_runs(tmp_path, monkeypatch):
    snippet = re.findall(r"```python\n(.*?)```", README, re.S)[0]
    (function,) = re.findall(r"`(lambda value, step: [^`]*)`", README)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(snippet, "README.md", "exec"), names)
    assert {site: rows.shape[1] for site, rows in names["trace"].items()} == {f"l{k}.h": 512 for k in (1, 2, 3)}
    tunes, others = names["tunes"], names["others"]
    assert [tune.tokens for tune in others] != [tune.tokens for tune in tunes]
    assert all(tune.tokens[:2] == ["M:6/8", "K:Cdor"] for tune in tunes + others)
    muted = names["lab"].edit({"l3.h": eval(function)}).trace(tunes[0], "l3.h")["l3.h"]
    assert not muted[:10].any()
    assert muted[-10:].any()
    assert (tmp_path / "posterior.png").stat().st_size > 10_000


def test_the_first_two_commands_install_with_the_lock_file_and_differ_only_in_what_they_end_with():
    run, test = (block.strip() for block in BASH[:2])
    assert run.endswith("pip install -c requirements.lock -e . && python run.py")
    assert test.endswith('pip install -c requirements.lock -e ".[test]" && pytest')
    assert (ROOT / "requirements.lock").is_file()


@pytest.mark.parametrize("command", [command for command in COMMANDS + GALLERY + ELSEWHERE if " -m " not in command])
def test_every_command_composes(command):
    words = [sys.executable, *shlex.split(command)[1:], "--cfg", "job"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS + GALLERY)
def test_every_command_runs(command, tmp_path):
    fewer = [f"sampling.tunes={count}" for name, count in FEWER.items() if f"experiment={name}" in command]
    draws = ["cut.controls=1"] * ("experiment=part6" in command or "experiment=part7_cuts" in command)
    words = [sys.executable, *shlex.split(command)[1:], *fewer[:1], *draws, f"tracking.folder={tmp_path}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/*/report.html"))


def test_links_and_experiments_exist():
    for link in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / link).exists(), link
    for name in EXPERIMENT:
        assert (ROOT / "conf/experiment" / f"{name}.yaml").is_file()
