"""What an entry of a journal does in the store. Done twice it does no harm: an answer of a server may get lost."""

from __future__ import annotations

import json
import logging
import random
import re
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from folkrnn.tracking.views import show

if TYPE_CHECKING:
    from mlflow import MlflowClient

Entry = dict[str, Any]
T = TypeVar("T")

ENDED = "ended"
"""Tag: why a run did not come to its end."""

VANISHED = "its process vanished; found when the store was next opened"
"""The least that can be known of an end: whoever knows better may say so instead."""

_PARAMS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000
_THUMBNAIL = 256
_TRIES = 6
_CONFLICT = re.compile("UniqueViolation|duplicate key|UNIQUE constraint|Duplicate entry", re.IGNORECASE)

log = logging.getLogger(__name__)


_PARTS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "params": {"params": dict},
    "tags": {"tags": dict},
    "metrics": {"metrics": list},
    "curves": {"metrics": list},
    "file": {"path": str},
    "image": {"path": str, "key": str, "step": int, "timestamp": int},
    "dataset": {"name": str, "digest": str, "source": str, "context": str, "profile": (dict, list)},
    "view": {"images": list},
    "status": {"status": str, "time": int},
}
"""What an entry of each kind holds."""


def read_entry(line: str, number: int) -> Entry:
    """Returns the entry in a line of a journal. Raises ValueError where it is none, or names a file outside the run."""
    entry = json.loads(line)
    if not isinstance(entry, dict) or entry.get("number") != number or entry.get("kind") not in _PARTS:
        raise ValueError(f"line {number} is no entry")
    for name, kind in _PARTS[entry["kind"]].items():
        if not isinstance(entry.get(name), kind):
            raise ValueError(f"line {number} lacks {name}")
    if "path" in entry and (PurePath(entry["path"]).is_absolute() or ".." in PurePath(entry["path"]).parts):
        raise ValueError(f"line {number} names {entry['path']!r}, which lies outside the run")
    if not all(isinstance(metric, list) and len(metric) == 4 for metric in entry.get("metrics", [])):
        raise ValueError(f"line {number} holds what is no metric")
    return entry


def insist(action: Callable[[], T]) -> T:
    """Returns what `action` returns, tried again where another process wrote the same new thing at the same moment.

    MLflow first looks and then writes; of two that do so at once, the database refuses one.
    """
    from mlflow.exceptions import MlflowException

    for attempt in range(_TRIES - 1):
        try:
            return action()
        except MlflowException as error:
            if not _CONFLICT.search(str(error)):
                raise
        time.sleep(random.uniform(0.02, 0.1) * 2**attempt)
    return action()


def perform(client: MlflowClient, run_id: str, folder: Path, entry: Entry) -> None:
    """Does in the store what one entry says; done twice, it leaves the store as once."""
    match entry["kind"]:
        case "params":
            _log_params(client, run_id, entry["params"])
        case "tags":
            _log_tags(client, run_id, entry["tags"])
        case "metrics":
            _log_metrics(client, run_id, entry["metrics"])
        case "curves":
            pass  # kept here alone
        case "file" | "image" if not (folder / entry["path"]).exists():
            log.warning("%s was removed before the tracking store had it: left out", folder / entry["path"])
        case "file":
            _log_file(client, run_id, folder, entry["path"])
        case "image":
            _log_image(client, run_id, folder, entry)
        case "dataset":
            _log_dataset(client, run_id, entry)
        case "view":
            experiment_id = client.get_run(run_id).info.experiment_id
            show(client, experiment_id, entry["images"], entry.get("columns", ()))
        case "status":
            _set_status(client, run_id, entry)
        case kind:
            raise ValueError(f"unknown kind of entry: {kind}")


def _log_params(client: MlflowClient, run_id: str, params: dict[str, str]) -> None:
    from mlflow.entities import Param

    rows = [Param(key, value) for key, value in params.items()]
    for i in range(0, len(rows), _PARAMS_AT_ONCE):
        client.log_batch(run_id, params=rows[i : i + _PARAMS_AT_ONCE])


def _log_tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    rows = [RunTag(key, value) for key, value in tags.items()]
    for i in range(0, len(rows), _PARAMS_AT_ONCE):
        client.log_batch(run_id, tags=rows[i : i + _PARAMS_AT_ONCE])


def _log_metrics(client: MlflowClient, run_id: str, metrics: list[tuple[str, float, int, int]]) -> None:
    from mlflow.entities import Metric

    rows = [Metric(*metric) for metric in metrics]
    for i in range(0, len(rows), _METRICS_AT_ONCE):
        client.log_batch(run_id, metrics=rows[i : i + _METRICS_AT_ONCE])


def _log_file(client: MlflowClient, run_id: str, folder: Path, path: str) -> None:
    client.log_artifact(run_id, str(folder / path), path.rpartition("/")[0] or None)


def _log_image(client: MlflowClient, run_id: str, folder: Path, entry: Entry) -> None:
    """What `log_image` of MLflow does, under names that stay the same when it is done again (MLflow draws them)."""
    import PIL.Image

    key, step, timestamp = entry["key"], entry["step"], entry["timestamp"]
    drawn = uuid.uuid5(uuid.UUID(run_id), f"{key} {step} {timestamp}")
    stem = f"{key.replace('/', '~')}+step+{step}+timestamp+{timestamp}+{drawn}"
    try:
        with PIL.Image.open(folder / entry["path"]) as image:
            picture = image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # what PIL raises for a file that was damaged
        log.warning("%s is damaged (%s): left out of the images", folder / entry["path"], error)
        return
    with tempfile.TemporaryDirectory() as temporary:
        whole, small = Path(temporary) / f"{stem}.png", Path(temporary) / f"{stem}+compressed.webp"
        picture.save(whole)
        picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
        picture.save(small)
        for file in (whole, small):
            client.log_artifact(run_id, str(file), "images")
    client.set_tag(run_id, "mlflow.loggedImages", "True")


def _log_dataset(client: MlflowClient, run_id: str, entry: Entry) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=entry["name"],
        digest=entry["digest"],
        source_type="local",
        source=json.dumps({"uri": entry["source"]}),
        profile=json.dumps(entry["profile"], ensure_ascii=False),
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", entry["context"])])])


def _set_status(client: MlflowClient, run_id: str, entry: Entry) -> None:
    if entry["status"] == "RUNNING":
        client.update_run(run_id, status="RUNNING")
        return
    client.set_terminated(run_id, status=entry["status"], end_time=entry["time"])
    if entry["status"] == "FINISHED" and ENDED in client.get_run(run_id).data.tags:
        client.delete_tag(run_id, ENDED)  # it was resumed, or thought dead while the store was away
