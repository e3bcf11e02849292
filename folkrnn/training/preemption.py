"""A job that is to leave its place: back into SLURM's queue, to go on when it is started again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess

from folkrnn.errors import UserError, did_you_mean

log = logging.getLogger(__name__)

SECONDS = 60
"""How long SLURM is waited for."""


class Requeued(SystemExit):
    """Ends a process whose job is back in the queue; the exit code is 0, so that SLURM sees no failure."""

    def __init__(self) -> None:
        super().__init__(0)


def signal_number(name: str | None) -> int | None:
    """Returns the number of a signal named "SIGUSR1" or "USR1"; None for None.

    Raises UserError for others. SIGUSR1 and SIGUSR2 give None on a system without them.
    """
    if name is None:
        return None
    usable = {known.name: known for known in signal.Signals if known.name not in ("SIGKILL", "SIGSTOP")}
    full = name if name.startswith("SIG") else f"SIG{name}"
    if full in ("SIGUSR1", "SIGUSR2") and full not in usable:
        return None  # Windows has none of them, and no SLURM that sends them
    if full not in usable or full in ("SIGINT", "SIGTERM"):
        raise UserError(
            f"trainer.preempt_signal={name}: must be a signal such as SIGUSR1 or SIGUSR2 (SIGINT and SIGTERM end a "
            f"training anyway), or null{did_you_mean(full, usable)}"
        )
    return int(usable[full])


def requeue() -> bool:
    """Puts this SLURM job back into the queue by `scontrol requeue`; returns whether that was done, or says why not."""
    job = _job()
    if job is None:
        log.warning("this is no job of SLURM, so nothing starts it again: go on with trainer.resume=true")
        return False
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("SLURM job %s could not be requeued (%s): go on with trainer.resume=true", job, error)
        return False
    if done.returncode != 0:
        log.error(
            "SLURM did not requeue job %s (%s): go on with trainer.resume=true",
            job,
            " ".join(done.stderr.split()) or f"scontrol's exit code is {done.returncode}",
        )
        return False
    log.warning("SLURM job %s is back in the queue and will go on where it is", job)
    return True


def _job() -> str | None:
    """What scontrol calls this job. The number of an array's job alone could mean the whole array."""
    if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
        return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")
