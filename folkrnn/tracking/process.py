"""Which process runs a run, told in tags, so that the next one can see whether it is still alive."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path


def process_tags() -> dict[str, str]:
    """Tags that identify this process without naming the computer: a digest of it, the process id and its start."""
    tags = {"process.host": _host(), "process.id": str(os.getpid()), "process.start": _start(os.getpid()) or "unknown"}
    return tags | ({"process.job": _job()} if _job() else {})


def is_gone(tags: Mapping[str, str]) -> bool:
    """Whether the process in `tags` ran on this computer and no longer does; False where that cannot be known."""
    job, _, attempt = tags.get("process.job", "").partition(" ")
    mine, _, now = _job().partition(" ")
    if job and job == mine and attempt != now:
        return True  # SLURM starts a job again, perhaps on another computer, only once it has ended
    if tags.get("process.host") != _host() or tags.get("process.start", "unknown") == "unknown":
        return False
    if os.name == "nt":
        return False
    return _start(int(tags["process.id"])) != tags["process.start"]


def _job() -> str:
    """The number of this SLURM job and how often it was started again; empty where it is none."""
    job = os.environ.get("SLURM_JOB_ID", "")
    return f"{job} {os.environ.get('SLURM_RESTART_COUNT', '0')}" if job else ""


def _host() -> str:
    """12 digits that differ between computers and between containers that cannot see each other's processes."""
    namespace = Path("/proc/self/ns/pid")
    visible = namespace.readlink() if namespace.exists() else ""
    return hashlib.sha256(f"{platform.node()} {visible}".encode()).hexdigest()[:12]


def _start(pid: int) -> str | None:
    """When process `pid` began (process ids are used again, also after a restart); None where there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            state, *fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        return None if state == "Z" else f"{boot}:{fields[18]}"
    if os.name == "nt":
        return None
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
