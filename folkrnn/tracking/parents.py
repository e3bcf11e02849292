"""The parent run of a sweep. Its jobs are started with `parent=` and carry the tag `mlflow.parentRunId`."""

from __future__ import annotations

import io
import logging
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.tracking.entries import ENDED, VANISHED
from folkrnn.tracking.journal import Journal, in_one_line
from folkrnn.tracking.numbers import TABLE
from folkrnn.tracking.process import process_tags
from folkrnn.tracking.provenance import CHECKOUT, COMMIT, provenance_tags
from folkrnn.tracking.run import TrackedRun
from folkrnn.tracking.store import Store, create

if TYPE_CHECKING:
    import numpy as np
    from mlflow.entities import Run

log = logging.getLogger(__name__)


def start_parent(
    store: Store, name: str, *, overrides: Sequence[str] = (), tags: Mapping[str, Any] | None = None
) -> str:
    """Returns the id of a new run that the jobs of a sweep are filed under; RUNNING until its `parent_run` is finished.

    Raises UserError where the store takes no run.
    """
    every = {**provenance_tags(CHECKOUT, overrides), "sweep": "parent", **(tags or {}), **process_tags()}
    return create(store, name, every)


def children(store: Store, run_id: str) -> list[str]:
    """Returns the ids of the runs under the parent `run_id`, in the order in which they were started."""
    found = store.client.search_runs(
        [store.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'", order_by=["attributes.start_time ASC"]
    )
    return [run.info.run_id for run in found]


@dataclass(frozen=True)
class ChildRun:
    """A run under a parent, as the store has it."""

    run_id: str
    name: str
    status: str
    overrides: Mapping[str, str]
    """What was typed for it: key to value."""
    metrics: Mapping[str, float]
    """Its main numbers; `child_numbers` reads all of them."""
    ended: str = ""
    """Why it ended, where it did not end well."""
    commit: str = ""
    """The code that it ran."""


def finished_children(store: Store, run_id: str) -> list[ChildRun]:
    """Returns the finished runs under the parent `run_id`, in the order in which they were started."""
    every = [store.client.get_run(child) for child in children(store, run_id)]
    return [_child(run) for run in every if run.info.status == "FINISHED"]


def finished_run(store: Store, tag: str, value: str) -> ChildRun | None:
    """Returns the newest finished run whose `tag` has this value; None where there is none."""
    query = f"tags.`{tag}` = '{value}' and attributes.status = 'FINISHED'"
    newest = ["attributes.start_time DESC"]
    found = store.client.search_runs([store.experiment_id], query, order_by=newest, max_results=1)
    return _child(found[0]) if found else None


def child(store: Store, run_id: str) -> ChildRun:
    """Returns the run `run_id` as the store has it."""
    return _child(store.client.get_run(run_id))


def end_child(
    store: Store, parent: str, tag: tuple[str, str], status: str, reason: str, known: bool = False
) -> ChildRun | None:
    """Returns the run under `parent` with the tag (name, value), after its process has ended; None where it has none.

    One that still says RUNNING is ended as `status`, for `reason`; with `known`, the reason also replaces its own. That
    its process vanished, as another job of the sweep may have found meanwhile, gives way to any reason.
    """
    query = f"tags.`mlflow.parentRunId` = '{parent}' and tags.`{tag[0]}` = '{tag[1]}'"
    newest = ["attributes.start_time DESC"]
    found = store.client.search_runs([store.experiment_id], query, order_by=newest, max_results=1)
    if not found:
        return None
    run_id, open_still = found[0].info.run_id, found[0].info.status in ("RUNNING", "SCHEDULED")
    if reason and (open_still or known or found[0].data.tags.get(ENDED) == VANISHED):
        store.client.set_tag(run_id, ENDED, reason)
    if open_still:
        store.client.set_terminated(run_id, status=status)
    return child(store, run_id)


def _child(run: Run) -> ChildRun:
    return ChildRun(
        run.info.run_id,
        run.info.run_name or "",
        run.info.status,
        overrides_of(run.data.tags.get("command", "")),
        dict(run.data.metrics),
        run.data.tags.get(ENDED, ""),
        run.data.tags.get(COMMIT, ""),
    )


def child_numbers(store: Store, child: ChildRun) -> dict[str, float]:
    """Returns all numbers that a child found, the ends of intervals under `_low` and `_high`; none without a table."""
    import pandas as pd

    file = _artifact(store, child, TABLE)
    if file is None:
        return {}
    table = pd.read_csv(io.BytesIO(file)).set_index("name")
    ends = {"": table["value"], "_low": table["low"], "_high": table["high"]}
    return {f"{name}{end}": float(value) for end, column in ends.items() for name, value in column.dropna().items()}


def child_images(store: Store, child: ChildRun) -> dict[str, np.ndarray]:
    """Returns the main figures of a child by `<analysis>/<figure>`, as pictures `[H, W, 3]` of its last step."""
    import numpy as np
    import PIL.Image

    found = {}
    for entry in store.client.list_artifacts(child.run_id, "images"):
        key, step, _ = entry.path.removeprefix("images/").partition("+step+")
        file = _artifact(store, child, entry.path) if step and entry.path.endswith(".png") else None
        if file is not None:
            with PIL.Image.open(io.BytesIO(file)) as picture:
                found[key.replace("~", "/")] = np.asarray(picture.convert("RGB"))
    return found


def child_arrays(store: Store, child: ChildRun, path: str) -> dict[str, np.ndarray] | None:
    """Returns the arrays of the `.npz` artifact `path` of a child; None where it has none, or one that was damaged."""
    import numpy as np

    file = _artifact(store, child, path)
    if file is None:
        return None
    try:
        with np.load(io.BytesIO(file), allow_pickle=False) as entry:
            return dict(entry)
    except Exception as error:  # of a dozen kinds, which all mean that it was damaged
        log.warning("%s of the job %s is damaged (%s): the job is left out", path, child.name, in_one_line(error))
        return None


def _artifact(store: Store, child: ChildRun, path: str) -> bytes | None:
    """A file of a child; None where it has none of that name."""
    folder = path.rpartition("/")[0]
    if path not in [entry.path for entry in store.client.list_artifacts(child.run_id, folder or None)]:
        return None
    with tempfile.TemporaryDirectory() as place:
        return Path(store.client.download_artifacts(child.run_id, path, place)).read_bytes()


def parent_run(store: Store, run_id: str, folder: Path) -> TrackedRun:
    """Returns the parent `run_id` as a run that can be written to; its files go to `folder` first."""
    name = store.client.get_run(run_id).info.run_name or ""
    return TrackedRun(store, run_id, name, folder, _journal(store, run_id, folder, name))


def _journal(store: Store, run_id: str, folder: Path, name: str) -> Journal:
    journal = Journal(folder)
    about = {"uri": store.uri, "experiment": store.experiment, "root": str(store.folder), "folder": str(folder)}
    journal.begin(**about, run_id=run_id, name=name)
    return journal


def overrides_of(command: str) -> dict[str, str]:
    """Returns the values of what was typed, by their keys, of the tag `command` of a run."""
    try:
        typed = shlex.split(command)
    except ValueError:  # tags have an end, here within quotes
        typed = command.split()
    return by_key(typed)


def by_key(overrides: Sequence[str]) -> dict[str, str]:
    """Returns the values of overrides (`seed=1`, `+x=2`) by their keys; what gives no value is left out."""
    words = [word for word in overrides if "=" in word]
    return {word.partition("=")[0].lstrip("+"): word.partition("=")[2] for word in words}
