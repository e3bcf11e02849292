"""Every job is a process of its own on this machine, with its share of the cores and GPUs, and within limits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from folkrnn.sweep.exit_status import out_of_memory_kills, signal_of
from folkrnn.sweep.jobs import Ending, Job, Launch, check_limits, processes_of

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Read when torch and numpy are loaded, so that they must stand before that."""

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""What ends a process at once; on Windows any signal does."""

_GIB = 2**30
_SECONDS_BETWEEN_LOOKS = 0.5


@dataclass
class Processes:
    """Runs up to `jobs` at a time. Raises UserError for a limit that is none."""

    jobs: int = 1
    threads: int | None = None
    """Per job; None: the cores shared between the jobs, and between the processes of a training."""
    memory: float | None = None
    """GiB per job."""
    minutes: float | None = None
    grace: float = 60.0
    """Seconds in which a job that is to end may save what it has."""
    _gpus: list[list[str]] = field(default_factory=list, init=False, repr=False)
    _taken: dict[int, JobProcess] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_limits(self, {"jobs": 1, "threads": 1}, ("memory", "minutes", "grace"))
        self._gpus = shares(visible_gpus(), self.jobs)

    @property
    def at_once(self) -> int:
        return self.jobs

    def check(self, jobs: Sequence[Job]) -> None:
        """Nothing that one command can run is beyond it."""

    def start(self, launches: Sequence[Launch]) -> list[JobProcess]:
        """Starts jobs, each in a process group of its own: the terminal's Ctrl-C reaches only the sweep."""
        started = list[JobProcess]()
        try:
            for launch in launches:
                started.append(self._start(launch))
        except BaseException:
            for child in started:  # nobody else knows them yet
                child.kill()
            raise
        return started

    def _start(self, launch: Launch) -> JobProcess:
        slot = next(k for k in range(self.jobs) if k not in self._taken or self._taken[k].ended)
        environment = os.environ | launch.environment | self._share(launch.job, slot)
        with launch.log.open("wb") as log:
            process = subprocess.Popen(
                launch.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True,
            )  # fmt: skip
        self._taken[slot] = JobProcess(process, self)
        return self._taken[slot]

    def _share(self, job: Job, slot: int) -> dict[str, str]:
        threads = self.threads or threads_for(self.jobs, processes_of(job.config))
        share = dict.fromkeys(THREADS, str(threads))
        return share | ({"CUDA_VISIBLE_DEVICES": ",".join(self._gpus[slot])} if self._gpus else {})


@dataclass
class JobProcess:
    """A job in a process of its own."""

    process: subprocess.Popen[bytes]
    limits: Processes
    ended: bool = False
    _began: float = field(default_factory=time.monotonic)
    _looked: float = field(default_factory=time.monotonic)
    _deadline: float | None = None
    _reason: str = ""
    _oom_kills: int = field(default_factory=out_of_memory_kills)

    def ending(self) -> Ending | None:
        """Returns how it ended, None while it has not; ends it where it goes beyond a limit."""
        status = self.process.poll()
        if status is None:
            self._enforce()
            return None
        self.ended = True
        self.kill()  # processes that it started and left behind
        killed = signal_of(status) == KILL
        if killed and not self._reason and out_of_memory_kills() > self._oom_kills:
            self._reason = "out of memory: killed by the system"
        return Ending(status, self._reason)

    def stop(self, number: int) -> None:
        """Sends signal `number` to all its processes."""
        self._signal(number)

    def kill(self) -> None:
        """Ends all its processes at once."""
        self._signal(KILL)

    def _signal(self, number: int) -> None:
        if not hasattr(os, "killpg"):  # Windows has no process groups
            end_all(self.process.pid)
            return
        with suppress(ProcessLookupError, PermissionError):  # gone already; the latter is what macOS says of zombies
            os.killpg(self.process.pid, number)

    def _enforce(self) -> None:
        now = time.monotonic()
        if self._deadline is not None and now > self._deadline:
            self.kill()
            return
        minutes, memory = self.limits.minutes, self.limits.memory
        if minutes is not None and self._deadline is None and now - self._began > 60 * minutes:
            self._reason = f"out of time: it took longer than launcher.minutes={minutes:g}"
            self._deadline = now + self.limits.grace
            self.stop(signal.SIGTERM)
        if memory is None or now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        used = memory_of(self.process.pid) / _GIB
        if used > memory:
            self._reason = f"out of memory: it took {used:.1f} GiB of launcher.memory={memory:g}"
            self.kill()


def end_all(pid: int) -> None:
    """Ends a process and all below it; those whose parent has ended before are not found."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in [*top.children(recursive=True), top]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def memory_of(pid: int) -> int:
    """Returns the bytes of memory that a process and all below it have to themselves, shared libraries left out."""
    import psutil

    total = 0
    with suppress(psutil.Error):
        first = psutil.Process(pid)
        for process in [first, *first.children(recursive=True)]:
            with suppress(psutil.Error):
                found = process.memory_info()
                total += found.rss - getattr(found, "shared", 0)
    return total


def threads_for(jobs: int, processes: int = 1) -> int:
    """Returns how many threads each process of each job gets: its share of the cores that this process may use.

    No more than OMP_NUM_THREADS, where that is set.
    """
    from joblib import cpu_count

    share = max(1, cpu_count() // (jobs * processes))
    most = os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(most)) if most.isdigit() and int(most) > 0 else share


def visible_gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    asked = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.stdout.split() if answer.returncode == 0 else []


def shares(gpus: Sequence[str], jobs: int) -> list[list[str]]:
    """Returns which GPUs each of `jobs` jobs at once gets: as many each as there are, else one that it shares."""
    if not gpus:
        return []
    each = max(1, len(gpus) // jobs)
    return [[gpus[(slot * each + k) % len(gpus)] for k in range(each)] for slot in range(jobs)]
