"""The files that a forge, an editor or a container reads: they are well formed and name what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import folkrnn

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_is_of_this_version_and_names_each_work_with_its_authors() -> None:
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["version"] == folkrnn.__version__
    assert all(work["title"] and work["authors"] and work["year"] for work in citation["references"])


def test_what_the_forge_runs_is_what_everybody_runs() -> None:
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    assert [job["steps"][-1]["run"] for job in jobs.values()] == [".ci/run", ".ci/slow"]
    assert all((ROOT / job["steps"][-1]["run"]).is_file() for job in jobs.values())
    assert jobs["fast"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"


def test_commits_are_checked_by_the_versions_that_are_locked() -> None:
    repos = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    lock = dict(line.split("==") for line in text("requirements.lock").splitlines() if "==" in line)
    pinned = {hook["id"].split("-")[0]: repo["rev"] for repo in repos if "rev" in repo for hook in repo["hooks"]}
    assert pinned == {tool: f"v{lock[tool]}" for tool in ("ruff", "codespell")}


def test_issue_templates_ask_for_something() -> None:
    for form in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert form.stem == "config" or (content["name"] and any("validations" in part for part in content["body"]))


def test_containers_get_all_that_the_wheel_is_made_of_and_extras_that_there_are() -> None:
    kept = re.findall(r"^!(\S+)$", text(".dockerignore"), re.MULTILINE)
    wanted = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
    wanted |= {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert wanted | {"requirements.lock"} == set(kept)
    assert 'ENTRYPOINT ["folkrnn-lab"]' in text("Dockerfile")
    commands = json.loads(text(".devcontainer/devcontainer.json"))["postCreateCommand"] + text("CONTRIBUTING.md")
    for extras in re.findall(r"\.\[([\w,]+)\]", commands):
        assert set(extras.split(",")) <= set(PROJECT["project"]["optional-dependencies"])


def test_no_word_is_misspelled_but_by_tests() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout: which files are its own is not known")
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    there = [name for name in files if (ROOT / name).is_file()]
    command = [sys.executable, "-m", "codespell_lib", *there]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0
