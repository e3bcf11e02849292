"""The parent run of a sweep. Its jobs are started with `parent=` and carry the tag `mlflow.parentRunId`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from folkrnn.tracking.process import process_tags
from folkrnn.tracking.provenance import provenance_tags
from folkrnn.tracking.store import Store


def start_parent(
    store: Store, name: str, *, overrides: Sequence[str] = (), tags: Mapping[str, Any] | None = None
) -> str:
    """Returns the id of a new run, RUNNING until `finish_parent`, that the jobs of a sweep are filed under."""
    given = {key: str(value) for key, value in (tags or {}).items()}
    every = {**process_tags(), **provenance_tags(store.folder, overrides), "sweep": "parent", **given}
    return store.client.create_run(store.experiment_id, tags=every, run_name=name).info.run_id


def finish_parent(store: Store, run_id: str, status: str = "FINISHED") -> None:
    """Ends the parent `run_id` as FINISHED, FAILED or KILLED."""
    store.client.set_terminated(run_id, status=status)


def children(store: Store, run_id: str) -> list[str]:
    """Returns the ids of the runs under the parent `run_id`, in the order in which they were started."""
    found = store.client.search_runs(
        [store.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'", order_by=["attributes.start_time ASC"]
    )
    return [run.info.run_id for run in found]
