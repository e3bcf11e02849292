"""The parent run of a sweep. Its jobs are started with `parent=` and carry the tag `mlflow.parentRunId`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from folkrnn.refusal import Refusal
from folkrnn.tracking.journal import in_one_line, is_trouble
from folkrnn.tracking.process import process_tags
from folkrnn.tracking.provenance import provenance_tags
from folkrnn.tracking.store import Store, create


def start_parent(
    store: Store, name: str, *, overrides: Sequence[str] = (), tags: Mapping[str, Any] | None = None
) -> str:
    """Returns the id of a new run, RUNNING until `finish_parent`, that the jobs of a sweep are filed under.

    Raises Refusal where the store takes no run.
    """
    every = {**provenance_tags(store.folder, overrides), "sweep": "parent", **(tags or {}), **process_tags()}
    return create(store, name, every)


def finish_parent(store: Store, run_id: str, status: str = "FINISHED") -> None:
    """Ends the parent `run_id` as FINISHED, FAILED or KILLED. Raises Refusal where the store has gone away."""
    try:
        store.client.set_terminated(run_id, status=status)
    except Exception as error:
        if not is_trouble(error):
            raise
        raise Refusal(
            f"{store.uri} could not be told that the sweep {run_id} ended as {status} ({in_one_line(error)}); "
            "it will say KILLED when the store is next opened from here"
        ) from error


def children(store: Store, run_id: str) -> list[str]:
    """Returns the ids of the runs under the parent `run_id`, in the order in which they were started."""
    found = store.client.search_runs(
        [store.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'", order_by=["attributes.start_time ASC"]
    )
    return [run.info.run_id for run in found]
