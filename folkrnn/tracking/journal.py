"""The local account of a run: everything is written here first and sent to the store afterwards.

A results folder holds the files of the run and, in `.tracking/`, `run.json` (which run, in which store),
`entries.jsonl` (what was logged, in order) and `sent` (how many of these the store has). If the store goes away, the
run goes on and `upload` sends the rest later. Entries say what to do in plain JSON, and doing one twice does no harm.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.refusal import Refusal
from folkrnn.tracking.views import show_side_by_side

if TYPE_CHECKING:
    from mlflow import MlflowClient

Entry = dict[str, Any]

MARKER = "UPLOAD_PENDING.txt"
"""Stands in a results folder while the store lacks something of it, and says how to send it."""

_PARAMS_AT_ONCE = 100
_METRICS_AT_ONCE = 1000


class Journal:
    """The entries of one run, on disk; each is numbered, from 1."""

    def __init__(self, folder: Path) -> None:
        """Opens the journal in the results folder `folder`, or an empty one; drops a line that a crash cut short.

        Raises Refusal where it is damaged.
        """
        self.folder = folder
        self._inside = folder / ".tracking"
        self._inside.mkdir(parents=True, exist_ok=True)
        self.about: dict[str, str] = {}
        """The run: `uri`, `experiment`, `root` (repository), `run_id`, `name`; empty where none was begun."""
        self.pending: deque[Entry] = deque()
        """What the store lacks, in order."""
        self.params: dict[str, str] = {}
        """The parameters logged so far; MLflow lets nobody change them."""
        self.written = self.sent = 0
        try:
            self._read()
        except ValueError as error:
            raise Refusal(f"the journal of a run in {self._inside} is damaged: choose another folder") from error

    def _read(self) -> None:
        about, sent = self._inside / "run.json", self._inside / "sent"
        if about.exists():
            self.about = json.loads(about.read_text())
        if sent.exists():
            self.sent = int(sent.read_text() or 0)
        self.pending.clear()
        for line in self._lines():
            self._remember(json.loads(line))

    def begin(self, **about: str) -> None:
        """Makes this the journal of a run that its store has nothing of yet: entries of before are pending again."""
        (self._inside / "sent").unlink(missing_ok=True)
        write_whole(self._inside / "run.json", json.dumps(about, indent=1).encode())
        self.sent = 0
        self._read()

    def add(self, entry: Entry) -> None:
        """Adds an entry. Raises Refusal where there is no room for it."""
        path = self._inside / "entries.jsonl"
        entry = {"number": self.written + 1, **entry}
        before = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as file:
                file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            os.truncate(path, before)
            raise _no_room(path, error) from error
        self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        self.written = entry["number"]
        self.params |= entry.get("params", {})
        if entry["number"] > self.sent:
            self.pending.append(entry)

    def metrics(self) -> Iterator[list[Any]]:
        """Yields [name, value, time, step] of every metric logged so far, in order."""
        for line in self._lines():
            yield from json.loads(line).get("metrics", [])

    def send(self, client: MlflowClient) -> None:
        """Sends what was not sent yet, in order; errors of the store end it, what was sent before them stays sent."""
        while self.pending:
            try:
                perform(client, self.about["run_id"], self.folder, self.pending[0])
            except Exception as error:
                if is_rejection(error):
                    self._mark_sent()  # the store will never take it: it must not stand in the way of the rest
                raise
            self._mark_sent()

    def _mark_sent(self) -> None:
        self.sent = self.pending.popleft()["number"]
        (self._inside / "sent").write_text(str(self.sent))

    def mark_pending(self, reason: str) -> None:
        text = (
            f"{len(self.pending)} of {self.written} entries of this run are not in the tracking store "
            f"{self.about['uri']} yet.\nReason: {reason}\n"
            "Nothing is lost: the files are here. Send the rest with\n\n"
            f"    python -m folkrnn.tracking upload {shlex.quote(str(self.folder))}\n"
        )
        write_whole(self.folder / MARKER, text.encode())

    def clear_pending(self) -> None:
        (self.folder / MARKER).unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        path = self._inside / "entries.jsonl"
        if not path.exists():
            return []
        whole = path.read_bytes()
        kept = whole[: whole.rfind(b"\n") + 1]
        if len(kept) < len(whole):
            write_whole(path, kept)
        return kept.decode().split("\n")[:-1]


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file completely or not at all. Raises Refusal where there is no room or no permission."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _no_room(path, error) from error


def _no_room(path: Path, error: OSError) -> Refusal:
    return Refusal(f"cannot write {path} ({error.strerror}): free some space there, or choose another folder")


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


def in_one_line(error: BaseException) -> str:
    """Returns the kind of the error and the first line of what it says."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}"[:500]


def is_rejection(error: BaseException) -> bool:
    """Whether the store understood the entry and will never take it (our mistake), rather than being unwell."""
    return getattr(error, "error_code", None) == "INVALID_PARAMETER_VALUE"


def is_trouble(error: BaseException) -> bool:
    """Whether the error is one of a store, a network or a disk, which may pass, and no mistake of the program."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, (MlflowException, SQLAlchemyError, OSError))


def perform(client: MlflowClient, run_id: str, folder: Path, entry: Entry) -> None:
    """Does in the store what one entry says."""
    match entry["kind"]:
        case "params":
            _log_params(client, run_id, entry["params"])
        case "tags":
            _log_tags(client, run_id, entry["tags"])
        case "metrics":
            _log_metrics(client, run_id, entry["metrics"])
        case "file":
            place = os.path.dirname(entry["path"])  # noqa: PTH120 - "" for the root, where Path says "."
            client.log_artifact(run_id, str(folder / entry["path"]), place or None)
        case "image":
            _log_image(client, run_id, folder, entry)
        case "dataset":
            _log_dataset(client, run_id, entry)
        case "view":
            show_side_by_side(client, client.get_run(run_id).info.experiment_id, entry["images"])
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


def _log_image(client: MlflowClient, run_id: str, folder: Path, entry: Entry) -> None:
    import PIL.Image

    with PIL.Image.open(folder / entry["path"]) as image:
        client.log_image(
            run_id, image.convert("RGB"), key=entry["key"], step=entry["step"], timestamp=entry["timestamp"]
        )


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
