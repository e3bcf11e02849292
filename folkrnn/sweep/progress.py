"""What the terminal shows of a sweep: a line for each job when it ends, and those at work with the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from folkrnn.sweep.jobs import FINISHED, SKIPPED, Job, Outcome

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

MARKS = {FINISHED: "[green]✓[/]", SKIPPED: "[dim]–[/]"}
FAILURE = "[red]✗[/]"


@dataclass
class Progress:
    """Follows `jobs` on standard error; on a terminal with live lines, else with one for each start and end."""

    jobs: int
    at_once: int | None
    logs: Path
    live: bool = True
    """Whether the lines of those at work may move: not where the jobs themselves print."""
    seconds: list[float] = field(default_factory=list)
    """How long the jobs took that ran and finished."""
    done: int = 0
    _running: dict[int, tuple[Job, float]] = field(default_factory=dict)
    _live: Live | None = None

    def __post_init__(self) -> None:
        from rich.console import Console

        self.console: Console = Console(stderr=True, highlight=False, soft_wrap=True)

    def __enter__(self) -> Progress:
        if self.live and sys.stderr.isatty():
            from rich.live import Live

            self._live = Live(
                console=self.console, refresh_per_second=4, transient=True, get_renderable=cast("Any", self._at_work)
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def started(self, job: Job) -> None:
        """Says that a job was started."""
        self._running[job.number] = (job, time.monotonic())
        if self._live is None:
            self.say(f"  {self._place(job)} {'started':<17}   {job}")

    def ended(self, outcome: Outcome) -> None:
        """Says how a job ended, and where its log is if it did not end well."""
        self._running.pop(outcome.job.number, None)
        self.done += 1
        if outcome.status == FINISHED:
            self.seconds.append(outcome.seconds)
        line = f"{self._place(outcome.job)} {outcome.status.lower():<8} {spell(outcome.seconds):>8}   {outcome.job}"
        if outcome.reason:
            line += f"   {outcome.reason}"
        if outcome.failed:
            line += f"   (log: {self.logs / log_name(outcome.job)})"
        left = f"   [{self.left()}]" if self._live is None and self.left() else ""
        self._print(MARKS.get(outcome.status, FAILURE), line + left)

    def say(self, line: str) -> None:
        """Prints a line."""
        self.console.print(line, markup=False)

    def left(self) -> str:
        """Returns how many jobs are done and how long the others will take, as far as is known."""
        if self.done == self.jobs:
            return ""
        counted = f"{self.done} of {self.jobs} done"
        if not self.seconds:
            return counted
        each = sum(self.seconds) / len(self.seconds)
        now = time.monotonic()
        begun = sum(max(0.0, each - (now - began)) for _, began in self._running.values())
        work = begun + each * (self.jobs - self.done - len(self._running))
        return f"{counted}, about {spell(work / min(self.at_once or self.jobs, self.jobs - self.done))} left"

    def _place(self, job: Job) -> str:
        return f"job {job.number:>{len(str(self.jobs))}} of {self.jobs}"

    def _print(self, mark: str, line: str) -> None:
        from rich.text import Text

        self.console.print(Text.from_markup(mark), Text(line))

    def _at_work(self) -> object:
        from rich.console import Group
        from rich.text import Text

        now = time.monotonic()
        lines = [f"▸ {self._place(job)} {spell(now - began):>7}   {job}" for job, began in self._running.values()]
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in [*lines, f"  {self.left()}"]))


def log_name(job: Job) -> str:
    """Returns the name of the log of a job: 0003.log."""
    return f"{job.number:04d}.log"


def spell(seconds: float) -> str:
    """Returns a duration as "8 s", "3:05 min" or "2:07 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def numbers(outcomes: Iterable[Outcome] | Sequence[Outcome]) -> str:
    """Returns the numbers of jobs as a list: "2, 5"."""
    return ", ".join(str(outcome.job.number) for outcome in outcomes)
