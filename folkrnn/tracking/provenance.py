"""What a result came from besides its configuration: the code, the versions, the device."""

from __future__ import annotations

import getpass
import importlib.metadata
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from folkrnn.files.places import COMMAND

_PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "mlflow", "numpy", "matplotlib")


def provenance_tags(folder: Path, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Returns the tags `command`, and those that MLflow itself shows: the user and the commit.

    `folder` is the checkout. `overrides` are the words of the command line after `run.py`.
    """
    commit, _ = git_state(folder)
    tags = {"command": shlex.join([*COMMAND, *overrides]), "mlflow.user": _user()}
    return tags if commit == NO_CHECKOUT else tags | {COMMIT: commit}


def provenance(folder: Path, overrides: Sequence[str] = (), device: str = "cpu") -> dict[str, str]:
    """Returns what stands in PROVENANCE of every run: `command`, `git.commit`, `git.dirty`, `device`, `version.*`."""
    commit, dirty = git_state(folder)
    return {
        "command": shlex.join([*COMMAND, *overrides]),
        "git.commit": commit,
        "git.dirty": dirty,
        "device": device_name(device),
        "version.python": platform.python_version(),
    } | {f"version.{package}": _version(package) for package in _PACKAGES}


PROVENANCE = "provenance.json"
"""File of a run: what it came from besides its configuration."""

COMMIT = "mlflow.source.git.commit"
"""Tag that MLflow shows as the version of the code."""

NO_CHECKOUT = "not a git checkout"

CHECKOUT = Path(__file__).parents[2]
"""Where the code that runs lies, wherever its results go."""


def git_state(folder: Path = CHECKOUT) -> tuple[str, str]:
    """Returns the commit of the checkout at `folder` and how many of its files differ from it ("clean", "3 files").

    A folder inside a checkout is none: its configuration could be anybody's.
    """
    if not (folder / ".git").exists():
        return NO_CHECKOUT, "unknown"
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = len(_git(folder, "status", "--porcelain", "--ignore-submodules=all").splitlines())
    except (OSError, subprocess.SubprocessError):
        return NO_CHECKOUT, "unknown"
    return commit, f"{changed} file{'s' * (changed != 1)}" if changed else "clean"


def device_name(device: str) -> str:
    """Returns `device` with the model of the accelerator, "cuda:0 (NVIDIA H200)"; never the computer's name."""
    if not device.startswith("cuda"):
        return device
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if torch.cuda.is_available() else device


_NO_PROGRAMS = ("-c", "core.fsmonitor=", "-c", f"core.hooksPath={os.devnull}", "-c", "protocol.allow=never")
"""Git starts nothing that the configuration of a checkout names, and asks no other machine."""


def _git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_NO_LAZY_FETCH": "1"}
    answer = subprocess.run(
        ["git", "--no-optional-locks", *_NO_PROGRAMS, "-C", str(folder), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=10,
    )
    return answer.stdout.strip()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # an id without a name, as in some containers; Windows without USERNAME
        return "unknown"
