"""Where runs are kept: a SQLite file at the repository root, or an MLflow server.

A first open is guarded: several processes that create one SQLite store of MLflow at once break it for everyone, so a
fresh store is made under a lock, under another name, and moved into place whole.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.refusal import Refusal
from folkrnn.tracking.entries import ENDED, VANISHED, insist
from folkrnn.tracking.names import TAG_LENGTH
from folkrnn.tracking.process import is_gone
from folkrnn.tracking.remote import check_answers, is_server, server_errors, server_uri
from folkrnn.tracking.views import VIEW, furnish

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_URI = "sqlite:///mlflow.db"

_SQLITE = "sqlite:///"
_MAGIC = b"SQLite format 3\0"
_SECONDS_FOR_LOCK = 120.0
_ALLOWED = f"allowed: {DEFAULT_URI} (the default) or http(s)://host:port of a server"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """An open store and the experiment in it that runs go to."""

    uri: str
    """Absolute: `sqlite:////home/ann/lab/mlflow.db` or `http://127.0.0.1:5000`."""
    experiment: str
    experiment_id: str
    folder: Path
    """The repository root: relative places are relative to it."""
    client: MlflowClient

    @property
    def is_server(self) -> bool:
        return is_server(self.uri)

    def link(self, run_id: str | None = None) -> str:
        """The command and the address that show a run, or without one, the figures of all runs side by side."""
        page = f"runs/{run_id}?" if run_id else f"runs?compareRunsMode=CHART&viewStateShareKey={VIEW}&"
        place = f"#/experiments/{self.experiment_id}/{page}workflowType=machine_learning"
        if self.is_server:
            return f"{self.uri}/{place}"
        command = "mlflow ui"
        if self.uri != absolute_uri(DEFAULT_URI, self.folder):
            command += f" --backend-store-uri {shlex.quote(self.uri)}"
        elif Path.cwd() != self.folder:
            command = f"cd {shlex.quote(str(self.folder))} && {command}"
        return f"{command}   then open http://127.0.0.1:5000/{place}"


def open_store(
    uri: str | None = None, experiment: str = "folkrnn", folder: Path | str = ".", spared: str | None = None
) -> Store:
    """Returns the store at `uri`, ready to take runs, and marks as KILLED what died in it without a word.

    A relative SQLite path is taken from `folder`, which also holds the artifacts (`mlartifacts/<experiment>`), so that
    a plain `mlflow ui` in `folder` shows everything. Any number of processes may open a fresh store at once. The run
    with the id `spared` is not marked: whoever opens the store knows how it ended.
    Raises Refusal where the store cannot be used: file stores, unreachable servers, read-only folders, full disks,
    files that are no MLflow database.
    """
    folder = Path(folder).absolute()
    uri = absolute_uri(uri or DEFAULT_URI, folder)
    _quiet()
    if is_server(uri):
        check_answers(uri)
        client = _client(uri)
        with server_errors(uri):
            experiment_id = _experiment(client, experiment, None, uri)
            insist(lambda: furnish(client, experiment_id))
            _reap(client, experiment_id, spared)
        return Store(uri, experiment, experiment_id, folder, client)
    path = Path(uri.removeprefix(_SQLITE))
    artifacts = folder / "mlartifacts" / (re.sub(r"[^\w.-]+", "_", experiment) or "_")
    _check_writable(path.parent)
    _check_writable(artifacts)
    with _sqlite_errors(path), _lock(path):
        _make(path)
        client = _client(uri)
        experiment_id = _experiment(client, experiment, artifacts, uri)
        furnish(client, experiment_id)
        _reap(client, experiment_id, spared)
    return Store(uri, experiment, experiment_id, folder, client)


def check_store(uri: str | None, folder: Path | str = ".") -> None:
    """Raises Refusal where the store at `uri` cannot be one, or is a server that does not answer; takes 3 s at most."""
    check_answers(absolute_uri(uri or DEFAULT_URI, Path(folder).absolute()))


def create(store: Store, name: str, tags: Mapping[str, Any], began: int | None = None) -> str:
    """Returns the id of a new run in the store, begun at `began` (milliseconds since 1970; now).

    Raises Refusal where the store takes none.
    """
    from mlflow.exceptions import MlflowException

    text = {key: str(value)[:TAG_LENGTH] for key, value in tags.items()}
    try:
        return store.client.create_run(store.experiment_id, began, text, name).info.run_id
    except MlflowException as error:
        raise Refusal(f"the tracking store {store.uri} takes no run: {_first_line(error)}") from error


def absolute_uri(uri: str, folder: Path) -> str:
    """Returns `uri` with a relative SQLite path made absolute from `folder`; raises Refusal for other kinds."""
    if is_server(uri):
        return server_uri(uri)
    if not uri.startswith("sqlite:"):
        reason = "MLflow 3.13 and later no longer write file stores; `mlflow migrate-filestore` converts an old one"
        if "://" in uri and not uri.startswith("file:"):
            reason = "start an MLflow server in front of it and name the server"
        raise Refusal(f"tracking.uri={uri} cannot be used: {reason}; {_ALLOWED}")
    path = uri.removeprefix(_SQLITE)
    place = str((folder / path).absolute())
    if not uri.startswith(_SQLITE) or not path or ":memory:" in path or "?" in place:
        raise Refusal(f"tracking.uri={uri} names no file ({place}) that could hold runs; {_ALLOWED}")
    return _SQLITE + place


def _quiet() -> None:
    """No telemetry, short patience with a dead server (what is not sent is kept), no pages of migration messages."""
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = _first_line(error)
        if "out-of-date database schema" in str(error) or "Can't locate revision" in str(error):
            raise Refusal(
                f"{path} comes from another version of MLflow: copy it, then run `mlflow db upgrade {_SQLITE}{path}`"
            ) from error
        if re.search("disk is full|no space left|file too large", str(error), re.IGNORECASE):
            raise Refusal(f"no room for the tracking store {path} ({reason}): free some space on that disk") from error
        raise Refusal(
            f"{path} cannot be used as a tracking store ({reason}): move it away, or name another with tracking.uri="
        ) from error


def _first_line(error: BaseException) -> str:
    """What a database says of it comes in the second line, after how SQLAlchemy came to ask."""
    first, *others = str(error).strip().split("\n")
    return (others[0] if "autoflush" in first and others else first)[:300]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(f"{path}.lock", timeout=_SECONDS_FOR_LOCK):
            yield
    except Timeout as error:
        raise Refusal(
            f"another process has held {path}.lock for {_SECONDS_FOR_LOCK:.0f} s: wait for it, or end it"
        ) from error


def _check_writable(folder: Path) -> None:
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        with suppress(OSError):
            probe.unlink()
        raise Refusal(
            f"cannot write to {folder} ({error.strerror}): choose a folder with room and write permission, "
            f"for instance with tracking.uri={_SQLITE}/absolute/path/mlflow.db"
        ) from error


def _make(path: Path) -> None:
    """Creates the database at `path` whole or not at all; leaves an existing one as it is."""
    if path.is_dir():
        raise Refusal(f"{path} is a folder; tracking.uri= wants a database file")
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise Refusal(f"{path} is not an SQLite database: move it away, or name another with tracking.uri=")
        return
    fresh = path.with_name(f"{path.name}.new")
    for leftover in (fresh, fresh.with_name(f"{fresh.name}-journal")):
        leftover.unlink(missing_ok=True)
    _client(_SQLITE + str(fresh)).search_experiments(max_results=1)
    fresh.replace(path)


def _experiment(client: MlflowClient, name: str, artifacts: Path | None, uri: str) -> str:
    """Returns the id of the experiment `name`, made where it is new, with its artifacts at an absolute place."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=artifacts.as_uri() if artifacts else None)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was faster, on a server
    if found is None or found.lifecycle_stage != "active":
        restore = f"`MLFLOW_TRACKING_URI={uri} mlflow experiments restore -x {found.experiment_id if found else '?'}`"
        raise Refusal(f"the experiment {name!r} was deleted: {restore} brings it back, or choose tracking.experiment=")
    place = _local_path(found.artifact_location)
    if artifacts is None and place is not None and not place.parent.is_dir():
        raise Refusal(
            f"the server {uri} keeps the artifacts of {name!r} in {place}, a folder of its own that is not on this "
            "computer: start it with --serve-artifacts and choose a new tracking.experiment="
        )
    if artifacts is not None and place is not None and place != artifacts and not place.is_dir():
        raise Refusal(
            f"the experiment {name!r} keeps its artifacts in {place}, which is not there (was the folder moved?): "
            "move it back, or choose another name with tracking.experiment="
        )
    return found.experiment_id


def _local_path(location: str) -> Path | None:
    from mlflow.utils.file_utils import local_file_uri_to_path

    if re.match(r"[a-z][a-z0-9+.-]+:", location) and not location.startswith("file:"):
        return None
    return Path(local_file_uri_to_path(location))


def _reap(client: MlflowClient, experiment_id: str, spared: str | None) -> None:
    """Marks as KILLED the runs that say RUNNING though their process on this computer is gone (kill -9, power cut)."""
    running = client.search_runs([experiment_id], filter_string="attributes.status = 'RUNNING'", max_results=1000)
    for run in running:
        if run.info.run_id == spared or not is_gone(run.data.tags):
            continue
        client.set_tag(run.info.run_id, ENDED, VANISHED)
        client.set_terminated(run.info.run_id, status="KILLED")
        log.warning("run %s had died without a word; it is now marked KILLED", run.info.run_name)
