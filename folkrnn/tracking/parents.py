"""The parent run of a sweep. Its jobs are started with `parent=` and carry the tag `mlflow.parentRunId`."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.refusal import Refusal
from folkrnn.tracking.journal import Journal, in_one_line, is_trouble, now, upload_command
from folkrnn.tracking.process import process_tags
from folkrnn.tracking.provenance import provenance_tags
from folkrnn.tracking.run import MAIN, TrackedRun
from folkrnn.tracking.store import Store, create

if TYPE_CHECKING:
    import numpy as np


def start_parent(
    store: Store, name: str, *, overrides: Sequence[str] = (), tags: Mapping[str, Any] | None = None
) -> str:
    """Returns the id of a new run, RUNNING until `finish_parent`, that the jobs of a sweep are filed under.

    Raises Refusal where the store takes no run.
    """
    every = {**provenance_tags(store.folder, overrides), "sweep": "parent", **(tags or {}), **process_tags()}
    return create(store, name, every)


def finish_parent(store: Store, run_id: str, status: str = "FINISHED", folder: Path | None = None) -> None:
    """Ends the parent `run_id` as FINISHED, FAILED or KILLED.

    Raises Refusal where the store has gone away; the status is then kept in `folder`, from where `upload` sends it.
    """
    try:
        store.client.set_terminated(run_id, status=status)
    except Exception as error:
        if not is_trouble(error):
            raise
        how = "it will say KILLED when the store is next opened from here"
        if folder is not None:
            journal = _journal(store, run_id, folder, "sweep")
            journal.add({"kind": "status", "status": status, "time": now()})
            journal.mark_pending(in_one_line(error))
            how = f"when it is back, type {upload_command(folder)}"
        raise Refusal(
            f"{store.uri} could not be told that the sweep {run_id} ended as {status} ({in_one_line(error)}); {how}"
        ) from error


def children(store: Store, run_id: str) -> list[str]:
    """Returns the ids of the runs under the parent `run_id`, in the order in which they were started."""
    found = store.client.search_runs(
        [store.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'", order_by=["attributes.start_time ASC"]
    )
    return [run.info.run_id for run in found]


@dataclass(frozen=True)
class Child:
    """A run under a parent, as the store has it."""

    run_id: str
    name: str
    status: str
    overrides: Mapping[str, str]
    """What was typed for it: key to value."""
    metrics: Mapping[str, float]
    main: tuple[str, ...]
    """The metrics that its analyses name first."""


def finished_children(store: Store, run_id: str) -> list[Child]:
    """Returns the finished runs under the parent `run_id`, in the order in which they were started."""
    every = [store.client.get_run(child) for child in children(store, run_id)]
    return [
        Child(
            run.info.run_id,
            run.info.run_name,
            run.info.status,
            _overrides(run.data.tags.get("command", "")),
            dict(run.data.metrics),
            tuple(run.data.tags.get(MAIN, "").split()),
        )
        for run in every
        if run.info.status == "FINISHED"
    ]


def child_arrays(store: Store, child: Child, path: str) -> dict[str, np.ndarray] | None:
    """Returns the arrays of the `.npz` artifact `path` of a child; None where it has none."""
    import numpy as np

    folder = path.rpartition("/")[0]
    if path not in [entry.path for entry in store.client.list_artifacts(child.run_id, folder or None)]:
        return None
    with tempfile.TemporaryDirectory() as place:
        file = store.client.download_artifacts(child.run_id, path, place)
        with np.load(file, allow_pickle=False) as entry:
            return dict(entry)


def parent_run(store: Store, run_id: str, folder: Path) -> TrackedRun:
    """Returns the parent `run_id` as a run that can be written to; its files go to `folder` first."""
    name = store.client.get_run(run_id).info.run_name
    return TrackedRun(store, run_id, name, folder, _journal(store, run_id, folder, name))


def _journal(store: Store, run_id: str, folder: Path, name: str) -> Journal:
    journal = Journal(folder)
    journal.begin(uri=store.uri, experiment=store.experiment, root=str(store.folder), run_id=run_id, name=name)
    return journal


def _overrides(command: str) -> dict[str, str]:
    words = [word for word in shlex.split(command)[2:] if "=" in word]
    return {word.partition("=")[0].lstrip("+"): word.partition("=")[2] for word in words}
