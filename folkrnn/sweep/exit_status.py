"""Why a process ended, in words."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from folkrnn.sweep.jobs import FAILED, FINISHED, KILLED, Ending

_WORDS = {signal.SIGINT: "interrupted (Ctrl-C)", signal.SIGTERM: "terminated (SIGTERM)"}
_TAIL = 20_000


def in_words(ending: Ending, log: Path) -> tuple[str, str]:
    """Returns the status of a job (FINISHED, FAILED, KILLED) and its reason in one line.

    The reason is what the launcher said, else the signal that ended it, else the last line of its log.
    """
    if ending.status == 0:
        return FINISHED, ""
    number = signal_of(ending.status)
    if number is not None:
        return KILLED, ending.reason or _WORDS.get(number, f"killed by {number.name}")
    return FAILED, ending.reason or last_words(log) or f"exit status {ending.status}"


def signal_of(status: int) -> signal.Signals | None:
    """Returns the signal that an exit status tells of (−9 and 137: SIGKILL), or None."""
    number = -status if status < 0 else status - 128
    try:
        return signal.Signals(number)
    except ValueError:
        return None


def last_words(log: Path) -> str:
    """Returns the line of a log that says why: that of a refusal, else the last one; "" where there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).splitlines() if line.strip()]
    refusals = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (refusals or lines or [""])[-1][:500]


def out_of_memory_kills() -> int:
    """Returns how many processes this machine or container has killed so far because memory ran out; 0 if unknown."""
    counts = []
    for place in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        try:
            counts += re.findall(r"^oom_kill (\d+)$", Path(place).read_text(), re.MULTILINE)
        except OSError:
            continue
    return max(map(int, counts), default=0)
