"""Tells a process which sweep and which job of it it is: two variables in its environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_PARENT = "FOLKRNN_PARENT_RUN"
_NUMBER = "FOLKRNN_SWEEP_JOB"

JOB = "sweep.job"
"""Tag of a run in a sweep: the number of its job, from 1."""


DIGEST = "config.digest"
"""Tag of every run: what a sweep knows it by when it looks for jobs that finished before."""


def parent() -> str | None:
    """Returns the id of the MLflow run that this process's runs hang under; None outside a sweep."""
    return os.environ.get(_PARENT)


def job_tags() -> dict[str, str]:
    """Returns the tag that tells a job's run by the number of its job; nothing outside a sweep."""
    return {JOB: os.environ[_NUMBER]} if _NUMBER in os.environ else {}


def variables(parent_run: str, number: int) -> dict[str, str]:
    """Returns the environment variables of job `number` of the sweep whose MLflow run is `parent_run`."""
    return {_PARENT: parent_run, _NUMBER: str(number)}


@contextmanager
def in_this_process(parent_run: str, number: int) -> Iterator[None]:
    """Makes this process job `number` of the sweep while the block runs."""
    os.environ.update(variables(parent_run, number))
    try:
        yield
    finally:
        for name in (_PARENT, _NUMBER):
            os.environ.pop(name, None)
