"""All jobs in this process, one after the other: quick to start, and within reach of a debugger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from folkrnn.errors import UserError
from folkrnn.sweep.jobs import Job, starts_itself_again


@dataclass(frozen=True)
class InProcess:
    """What `launcher=here` names."""

    def check(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for a training in several processes: each of them would run the whole sweep again."""
        for job in jobs:
            if starts_itself_again(job.config):
                raise UserError(
                    f"job {job.number} of {len(jobs)} ({job}): it trains in several processes, each of which would run "
                    "the whole sweep; use launcher=processes, where every job is a command of its own"
                )
