"""A job as a cluster runs it: a command in a process of its own, on whatever machine it comes to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from folkrnn.files.whole import write_whole
from folkrnn.sweep.jobs import Ending, Launch

PREEMPTED = signal.SIGUSR1
"""What SLURM sends to a job that is to leave its place; a training saves and goes back into the queue."""

_DEAF = ("sh", "-c", f'trap "" {PREEMPTED.name[3:]}; exec "$@"', "sh")
"""Starts a command that the signal does not end; a training listens to it all the same."""

_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_BE_REQUEUED = 60.0


@dataclass(frozen=True)
class Command:
    """Runs a job to its end when called, on the machine of the call; returns its exit status."""

    command: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    minutes: float | None = None
    grace: float = 60.0

    @staticmethod
    def of(launch: Launch, threads: int, minutes: float | None = None, grace: float = 60.0) -> Command:
        """Returns the command of a job with so many threads; after `minutes`, it gets `grace` seconds to save."""
        from folkrnn.sweep.processes import THREADS

        environment = launch.environment | dict.fromkeys(THREADS, str(threads))
        return Command(launch.command, environment, launch.log.absolute(), minutes, grace)

    def __call__(self) -> int:
        """Runs it; passes on KeyboardInterrupt and what `ask_to_stop` says. Leaves an `Ending` beside its log."""
        rank = int(os.environ.get("SLURM_PROCID", "0"))
        mine = self if rank == 0 else replace(self, log=self.log.with_suffix(f".{rank}.log"))
        left = list[int]()
        before = signal.signal(PREEMPTED, lambda number, _: left.append(number))
        try:
            ending = mine._run()
        finally:
            signal.signal(PREEMPTED, before)
        if left and ending.status == 0:
            time.sleep(_SECONDS_TO_BE_REQUEUED)  # in the queue again: SLURM ends this process, nothing came to its end
        write_whole(ending_file(mine.log), json.dumps([ending.status, ending.reason]))
        return ending.status

    def _run(self) -> Ending:
        ending_file(self.log).unlink(missing_ok=True)
        if (number := asked_to_stop(self.log)) is not None:
            return Ending(-number)
        blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())  # Ray blocks SIGINT, and processes inherit that
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                (*_DEAF, *self.command), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | self.environment,
            )  # fmt: skip
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        deadline = None if self.minutes is None else time.monotonic() + 60 * self.minutes
        while True:
            try:
                return Ending(process.wait(_SECONDS_BETWEEN_LOOKS))
            except KeyboardInterrupt:
                return Ending(self._ended(process, asked_to_stop(self.log) or signal.SIGINT))
            except subprocess.TimeoutExpired:
                if (number := asked_to_stop(self.log)) is not None:
                    return Ending(self._ended(process, number))
                if deadline is not None and time.monotonic() > deadline:
                    reason = f"out of time: it took longer than launcher.minutes={self.minutes:g}"
                    return Ending(self._ended(process, signal.SIGTERM), reason)

    def _ended(self, process: subprocess.Popen[bytes], number: int) -> int:
        """Returns the exit status after the signal, killing it once `grace` is over or SIGKILL is asked for."""
        process.send_signal(number)
        deadline = time.monotonic() + self.grace
        while time.monotonic() < deadline and asked_to_stop(self.log) != signal.SIGKILL:
            try:
                return process.wait(min(self.grace, _SECONDS_BETWEEN_LOOKS))
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                continue  # Ray's cancellation interrupts too: what it means stands in the file
        process.kill()
        return process.wait()


def ask_to_stop(log: Path, number: int) -> None:
    """Asks the job with this log to end by a signal; SIGKILL may follow another one."""
    write_whole(_stop_file(log), str(int(number)))


def asked_to_stop(log: Path) -> int | None:
    """Returns the number of the signal by which the job with this log is to end; None where it may go on."""
    file = _stop_file(log)
    return int(file.read_text()) if file.exists() else None


def _stop_file(log: Path) -> Path:
    return log.with_suffix(".stop")


def ending_file(log: Path) -> Path:
    """Returns where the ending of the job with this log is written."""
    return log.with_suffix(".ending")


def ending_of(log: Path) -> Ending | None:
    """Returns how the job with this log ended; None where its command has left no word."""
    file = ending_file(log)
    if not file.exists():
        return None
    try:
        status, reason = json.loads(file.read_bytes())
        return Ending(int(status), str(reason))
    except (ValueError, TypeError):
        return Ending(1, f"{file} is damaged: how the job ended is not known")
