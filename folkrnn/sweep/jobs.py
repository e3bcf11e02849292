"""What a sweep is made of: jobs, how each is started, how each ended."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from folkrnn.config.digest import trains
from folkrnn.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig

FINISHED, FAILED, KILLED, SKIPPED, WAITING = "FINISHED", "FAILED", "KILLED", "SKIPPED", "WAITING"
"""How a job ends, in MLflow's words; SKIPPED: finished before the sweep, WAITING: the sweep was stopped before it."""


@dataclass(frozen=True)
class Job:
    """One combination of the values of a sweep."""

    number: int
    """From 1."""
    overrides: tuple[str, ...]
    """As a user would type them."""
    config: DictConfig = field(repr=False, compare=False)
    words: tuple[str, ...] = ()
    """The arguments that make a run of this job alone, in Hydra's quotes."""
    common: frozenset[str] = frozenset()
    """The overrides that all jobs of the sweep have."""

    def __str__(self) -> str:
        own = [word for word in self.overrides if word not in self.common]
        return shlex.join(own or self.overrides) or "default"


def introduced(jobs: Sequence[Job]) -> list[Job]:
    """Returns the jobs of one sweep, each knowing what it has in common with the others."""
    common = frozenset.intersection(*(frozenset(job.overrides) for job in jobs))
    return [replace(job, common=common) for job in jobs]


@dataclass(frozen=True)
class Launch:
    """How a job is started in a process of its own."""

    job: Job
    command: tuple[str, ...]
    environment: dict[str, str]
    """What is added to the environment of the sweep."""
    log: Path
    """Where its standard output and standard error go."""


@dataclass(frozen=True)
class Ending:
    """How the process of a job ended."""

    status: int
    """Its exit status; −n after signal n."""
    reason: str = ""
    """What the launcher knows: a limit that was reached, a node that was lost."""


class Running(Protocol):
    """A job that was started."""

    def ending(self) -> Ending | None:
        """Returns how it ended, None while it has not; ends it where it goes beyond a limit."""

    def stop(self, number: int) -> None:
        """Sends signal `number` (SIGINT, SIGTERM): it keeps what it has and ends."""

    def kill(self) -> None:
        """Ends it at once."""


class Launcher(Protocol):
    """What `launcher=` names, except `here`."""

    @property
    def at_once(self) -> int | None:
        """How many jobs it takes at a time; None: all."""
        ...

    def check(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for what it cannot run."""

    def start(self, launches: Sequence[Launch]) -> list[Running]:
        """Starts jobs and returns them, in order."""
        ...


@dataclass(frozen=True)
class Outcome:
    """How a job of a sweep ended."""

    job: Job
    status: str
    reason: str = ""
    seconds: float = 0.0
    run: str = ""
    """The id of its MLflow run; empty where it had none."""

    @property
    def failed(self) -> bool:
        return self.status in (FAILED, KILLED)


def check_limits(launcher: object, whole: Mapping[str, int], positive: Sequence[str]) -> None:
    """Raises UserError for a setting of a launcher that is neither None nor what it must be.

    Those in `whole` are whole numbers from the one given there, those in `positive` numbers above 0.
    """
    for name, least in whole.items():
        value = getattr(launcher, name)
        if value is not None and (not isinstance(value, int) or value < least):
            raise UserError(f"launcher.{name}={value}: must be a whole number from {least}")
    for name in positive:
        value = getattr(launcher, name)
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise UserError(f"launcher.{name}={value}: must be a number above 0")


def processes_of(config: DictConfig) -> int:
    """Returns how many processes the training of a job is to have, 1 where the machine decides (`devices: auto`)."""
    devices = config.trainer.devices
    if not trains(config) or devices in ("auto", -1):
        return 1
    return devices if isinstance(devices, int) else len(devices)


def starts_itself_again(config: DictConfig) -> bool:
    """Whether the training of a job makes Lightning run this very command again, in further processes."""
    trainer = config.trainer
    alone = trainer.devices == 1 or any(word in trainer.strategy for word in ("spawn", "fork", "notebook"))
    return trains(config) and not alone
