"""Every job is a task of a Ray cluster, or of Ray on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folkrnn.errors import UserError
from folkrnn.sweep.jobs import Ending, Job, Launch, check_limits, processes_of
from folkrnn.sweep.remote import Command, ask_to_stop, ending_of

_GIB = 2**30


@dataclass
class Ray:
    """Hands jobs to Ray with what it is to reserve for each. Raises UserError for a limit that is none."""

    jobs: int | None = None
    address: str | None = None
    """Of a cluster (`auto`, `host:6379`, `ray://host:10001`); None: that of RAY_ADDRESS, else Ray is started here."""
    cpus: int = 1
    """Also its threads, shared between the processes of its training."""
    gpus: float = 0.0
    memory: float | None = None
    """GiB."""
    minutes: float | None = None
    grace: float = 60.0

    def __post_init__(self) -> None:
        check_limits(self, {"jobs": 1, "cpus": 1}, ("memory", "minutes", "grace"))

    @property
    def at_once(self) -> int | None:
        return self.jobs

    def check(self, jobs: Sequence[Job]) -> None:
        """Raises UserError where Ray is not installed, does not answer, or has no machine that is large enough."""
        ray = _ray()
        if ray.is_initialized():
            return
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        try:
            ray.init(self.address, **quiet, **({} if self.address else {"include_dashboard": False}))
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"launcher.address={self.address}: no Ray answers there: {str(error).splitlines()[0]}"
            ) from None
        self._check_room(ray)

    def _check_room(self, ray: Any) -> None:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        asked = {"CPU": self.cpus, "GPU": self.gpus, "memory": (self.memory or 0) * _GIB}
        if not any(all(node.get(name, 0) >= amount for name, amount in asked.items()) for node in nodes):
            most = max((node.get("CPU", 0) for node in nodes), default=0)
            raise UserError(
                f"no machine of this Ray has launcher.cpus={self.cpus}, launcher.gpus={self.gpus:g} and "
                f"launcher.memory={self.memory} to give (most cores: {most:g}): the jobs would wait for ever"
            )

    def start(self, launches: Sequence[Launch]) -> list[RayJob]:
        """Hands jobs over."""
        ray = _ray()
        found = []
        for launch in launches:
            threads = max(1, self.cpus // processes_of(launch.job.config))
            command = Command.of(launch, threads, self.minutes, self.grace)
            options = {
                "num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": 0, "name": f"job {launch.job.number}",
                "runtime_env": {"env_vars": {"PYTHONPATH": str(Path(launch.command[1]).parent)}},
            }  # fmt: skip
            if self.memory is not None:
                options["memory"] = int(self.memory * _GIB)
            found.append(RayJob(ray.remote(_run).options(**options).remote(command, str(Path.cwd())), launch))
        return found


def _run(command: Command, folder: str) -> int:
    os.chdir(folder)
    return command()


@dataclass
class RayJob:
    """A job in the hands of Ray."""

    ref: Any
    launch: Launch
    _stopped: int | None = None

    def ending(self) -> Ending | None:
        """Returns how it ended; None while it waits or runs."""
        ray = _ray()
        if not ray.wait([self.ref], timeout=0)[0]:
            return None
        try:
            ray.get(self.ref)
        except (ray.exceptions.RayError, KeyboardInterrupt) as error:
            said = f"Ray ended it: {type(error).__name__} {' '.join(str(error).split())}"[:300]
        else:
            said = ""
        if (found := ending_of(self.launch.log)) is not None:
            return found
        return Ending(-(self._stopped or signal.SIGKILL), "" if self._stopped else said)

    def stop(self, number: int) -> None:
        """Interrupts it; what Ray has not started yet never starts."""
        self._stop(number)

    def kill(self) -> None:
        """Ends its processes at once."""
        self._stop(signal.SIGKILL)

    def _stop(self, number: int) -> None:
        self._stopped = number
        ask_to_stop(self.launch.log, number)  # Ray's own cancellation does not reach our process
        with suppress(_ray().exceptions.RayError):
            _ray().cancel(self.ref)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray reports home
    try:
        import ray  # pyright: ignore[reportMissingImports]: an extra
    except ModuleNotFoundError:
        raise UserError('launcher=ray needs Ray: pip install "folkrnn-lab[ray]" (or pip install ray)') from None
    return ray
