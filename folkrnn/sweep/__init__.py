"""Sweeps (`-m`): every job is checked before the first one starts, and all hang under one MLflow run.

Hydra composes the jobs; `run_sweep` has them run by the launcher that `launcher=` names: in this process (`here`),
each in a process of its own on this machine (`processes`), on a cluster (`slurm`, `ray`). A job that dies is recorded
with its reason on the parent and does not take the others along; one that finished before is not run again.
"""

from __future__ import annotations

from folkrnn.sweep.environment import job_tags, parent
from folkrnn.sweep.execution import run_sweep
from folkrnn.sweep.jobs import Job, Outcome

__all__ = ["Job", "Outcome", "job_tags", "parent", "run_sweep"]
