"""Every job is a job of a SLURM cluster, submitted by submitit as one array."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.config.digest import trains
from folkrnn.errors import UserError
from folkrnn.sweep.exit_status import last_words
from folkrnn.sweep.jobs import Ending, Job, Launch, check_limits, processes_of
from folkrnn.sweep.remote import PREEMPTED, Command, ending_of

if TYPE_CHECKING:
    import submitit

_SECONDS_BETWEEN_LOOKS = 2.0
_SECONDS_FOR_FILES = 10.0  # a shared disk shows what another machine wrote with some delay
_GONE = "GONE"

_REASONS = {
    "OUT_OF_MEMORY": "out of memory: SLURM ended it (launcher.memory)",
    "TIMEOUT": "out of time: SLURM ended it (launcher.minutes)",
    "CANCELLED": "cancelled (scancel)",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "preempted by another job",
    "BOOT_FAIL": "its node did not start",
}


@dataclass
class Slurm:
    """Submits jobs with what `sbatch` is to grant each of them. Raises UserError for a limit that is none."""

    jobs: int | None = None
    partition: str | None = None
    nodes: int = 1
    tasks: int | None = None
    """Processes on each node; None: as many as its training has (`trainer.devices`)."""
    cpus: int = 4
    """Of each task; also its threads."""
    gpus: int = 0
    """Of each node."""
    memory: float = 16.0
    """GiB of each node."""
    minutes: int = 240
    grace: int = 90
    """Seconds before the end of its time at which a training saves and goes back into the queue."""
    sbatch: Mapping[str, Any] = field(default_factory=dict)
    """What else `sbatch` takes."""
    _states: dict[str, str] | None = field(default=None, init=False, repr=False)
    """Of all jobs, as the queue had them at the last look; None where it did not answer."""
    _looked: float = field(default=float("-inf"), init=False, repr=False)

    def __post_init__(self) -> None:
        least = {"jobs": 1, "nodes": 1, "tasks": 1, "cpus": 1, "gpus": 0, "minutes": 1, "grace": 1}
        check_limits(self, least, ("memory",))

    @property
    def at_once(self) -> None:
        """All are submitted at once; SLURM runs `jobs` of them at a time."""

    def check(self, jobs: Sequence[Job]) -> None:
        """Raises UserError where no job can be submitted from here."""
        _submitit()
        try:
            answer = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, timeout=60, check=False)
        except FileNotFoundError:
            raise UserError(
                "launcher=slurm: there is no sinfo here; type this on a login node of the cluster"
            ) from None
        except subprocess.TimeoutExpired:
            raise UserError("launcher=slurm: the cluster did not answer sinfo within a minute") from None
        if answer.returncode != 0:
            raise UserError(f"launcher=slurm: the cluster does not answer sinfo: {_line(answer.stderr)}")

    def start(self, launches: Sequence[Launch]) -> list[Submitted]:
        """Submits jobs: one array for all that need as many tasks. Raises UserError where SLURM takes them not."""
        found: dict[int, Submitted] = {}
        try:
            for tasks in sorted({self._tasks(launch.job) for launch in launches}):
                some = [launch for launch in launches if self._tasks(launch.job) == tasks]
                for launch, job in zip(some, self._submit(some, tasks), strict=True):
                    found[launch.job.number] = Submitted(job, self, launch)
        except BaseException:
            for submitted in found.values():  # an array that was taken before another was refused
                submitted.stop(signal.SIGTERM)
            raise
        return [found[launch.job.number] for launch in launches]

    def _tasks(self, job: Job) -> int:
        trains_on_all = trains(job.config) and job.config.trainer.devices in ("auto", -1)
        if self.tasks is not None:
            return self.tasks
        return max(1, self.gpus) if trains_on_all else processes_of(job.config)

    def _submit(self, launches: Sequence[Launch], tasks: int) -> list[submitit.Job[int]]:
        submitit = _submitit()
        executor = submitit.SlurmExecutor(launches[0].log.parent / "slurm")
        program = Path(launches[0].command[1])
        root = [shlex.quote(str(program.parent))] if program.is_absolute() else []  # installed, it is found without
        executor.update_parameters(
            job_name="folkrnn", time=self.minutes, nodes=self.nodes, ntasks_per_node=tasks, cpus_per_task=self.cpus,
            mem=f"{round(self.memory * 1024)}M", stderr_to_stdout=True, array_parallelism=self.jobs or 256,
            setup=[f"export PYTHONPATH={folder}${{PYTHONPATH:+:$PYTHONPATH}}" for folder in root],
            additional_parameters={"signal": f"{PREEMPTED.name[3:]}@{self.grace}", "requeue": True, **self.sbatch},
            **({"partition": self.partition} if self.partition else {}),
            **({"gpus_per_node": self.gpus} if self.gpus else {}),
        )  # fmt: skip
        try:
            with executor.batch():
                return [executor.submit(Command.of(launch, self.cpus)) for launch in launches]
        except (subprocess.CalledProcessError, submitit.core.utils.FailedJobError) as error:
            raise UserError(f"launcher=slurm: sbatch takes no job: {_line(str(error))}") from error

    def state(self, job_id: str) -> str:
        """Returns the state of a job in SLURM's words, "GONE" once it stands in the queue no more."""
        if time.monotonic() - self._looked > _SECONDS_BETWEEN_LOOKS:
            asked = ["squeue", "--me", "--noheader", "--array", "--format=%A|%F_%K|%T"]
            answer = subprocess.run(asked, capture_output=True, text=True, check=False)
            self._looked = time.monotonic()
            rows = [line.split("|") for line in answer.stdout.splitlines()]
            known = {name: state for number, array, state in rows for name in (number, array)}
            self._states = known if answer.returncode == 0 else None
        if self._states is None:
            return "UNKNOWN"  # the controller is busy or restarts: the next look may tell
        return self._states.get(job_id, _GONE)


@dataclass
class Submitted:
    """A job in the hands of SLURM."""

    job: submitit.Job[int]
    cluster: Slurm
    launch: Launch
    _stopped: int | None = None
    _gone: float | None = None

    def ending(self) -> Ending | None:
        """Returns how it ended; None while it waits, runs, or waits again."""
        state = self.cluster.state(self.job.job_id)
        if state not in (_GONE, *_REASONS, "COMPLETED", "FAILED"):
            self._gone = None
            return None
        if (found := ending_of(self.launch.log)) is not None:
            return self._explained(found)
        self._gone = self._gone or time.monotonic()
        if time.monotonic() - self._gone < _SECONDS_FOR_FILES:
            return None
        return self._without_a_word()

    def _explained(self, found: Ending) -> Ending:
        """Returns the ending with what SLURM knows of a kill."""
        if found.status != -signal.SIGKILL or self._stopped is not None:
            return found
        return replace(found, reason=_REASONS.get(last_state(self.job.job_id), ""))

    def _without_a_word(self) -> Ending:
        if self._stopped is not None:
            return Ending(-self._stopped)
        said = self.job.stdout() or ""
        state = "OUT_OF_MEMORY" if re.search("exceeded .*memory limit", said, re.IGNORECASE) else ""
        state = state or last_state(self.job.job_id)
        other = f"SLURM ended it ({state}): {last_words(self.job.paths.stdout)}"
        return Ending(-signal.SIGKILL, _REASONS.get(state, other))

    def stop(self, number: int) -> None:
        """Cancels it: SLURM sends SIGTERM, and SIGKILL some time later."""
        self._stopped = number
        with suppress(subprocess.CalledProcessError):
            self.job.cancel()

    def kill(self) -> None:
        """Kills its processes at once, and cancels what would be left."""
        subprocess.run(["scancel", "--signal=KILL", "--full", self.job.job_id], capture_output=True, check=False)
        self.stop(signal.SIGKILL)


def last_state(job_id: str) -> str:
    """Returns the state in which a job ended: that which the controller remembers, else that of the accounting."""
    asked = ["scontrol", "--oneliner", "show", "job", job_id]
    known = subprocess.run(asked, capture_output=True, text=True, check=False)
    if match := re.search(r"\bJobState=(\w+)", known.stdout):
        return match[1]
    kept = subprocess.run(
        ["sacct", "--noheader", "--allocations", "--parsable2", "--format=State", "--jobs", job_id],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return kept.stdout.split(maxsplit=1)[0] if kept.returncode == 0 and kept.stdout.strip() else "without a word"


def _line(text: str) -> str:
    return " ".join(text.split())[:300] or "it said nothing"


def _submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError:
        raise UserError(
            'launcher=slurm needs submitit: pip install "folkrnn-lab[slurm]" (or pip install submitit)'
        ) from None
    return submitit
