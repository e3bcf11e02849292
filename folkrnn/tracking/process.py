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
    return {"process.host": _host(), "process.id": str(os.getpid()), "process.start": _start(os.getpid()) or "unknown"}


def is_gone(tags: Mapping[str, str]) -> bool:
    """Whether the process in `tags` ran on this computer and no longer does; False where that cannot be known."""
    if tags.get("process.host") != _host() or tags.get("process.start", "unknown") == "unknown":
        return False
    if os.name == "nt":
        return False
    return _start(int(tags["process.id"])) != tags["process.start"]


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
