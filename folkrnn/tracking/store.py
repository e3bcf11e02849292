"""Where runs are kept: a SQLite file where results are kept, or an MLflow server.

A first open is guarded: several processes that create one SQLite store of MLflow at once break it for everyone, so a
fresh store is made under a lock, under another name, and moved into place whole.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from folkrnn.errors import UserError, shown
from folkrnn.files import places
from folkrnn.files.places import readable
from folkrnn.files.whole import locked
from folkrnn.tracking.entries import ENDED, VANISHED, insist
from folkrnn.tracking.names import TAG_LENGTH
from folkrnn.tracking.process import is_gone
from folkrnn.tracking.relocation import Move, artifacts_of, follow, local_path
from folkrnn.tracking.remote import check_answers, is_server, server_errors, server_uri
from folkrnn.tracking.views import VIEW, furnish

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_URI = "sqlite:///mlflow.db"

_SQLITE = "sqlite:///"
_MAGIC = b"SQLite format 3\0"
_SECONDS_FOR_LOCK = 120.0
_ANOTHER = "choose another folder with tracking.folder=, another database with tracking.uri="
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
    """Where results are kept: relative places are relative to it."""
    client: MlflowClient

    @property
    def is_server(self) -> bool:
        return is_server(self.uri)

    def link(self, run_id: str | None = None) -> str:
        """The command and the address that show a run, or without one, all of them with their main numbers."""
        if self.is_server:
            return self.page(run_id)
        # by name: a plain `mlflow ui` shows what its variables name, or ./mlruns where somebody has such a folder
        return f"mlflow ui --backend-store-uri {shlex.quote(for_mlflow(self.uri))}   then open {self.page(run_id)}"

    def page(self, run_id: str | None = None) -> str:
        """The address that shows a run, or without one, all of them with their main numbers."""
        page = f"runs/{run_id}?" if run_id else f"runs?viewStateShareKey={VIEW}&"
        place = f"#/experiments/{self.experiment_id}/{page}workflowType=machine_learning"
        here = f"http://127.0.0.1:{os.environ.get('MLFLOW_PORT', '5000')}"
        return f"{self.uri if self.is_server else here}/{place}"


def open_store(
    uri: str | None = None, experiment: str = "folkrnn", folder: Path | str = ".", spared: str | None = None
) -> Store:
    """Returns the store at `uri`, ready to take runs, and marks as KILLED what died in it without a word.

    A relative SQLite path is taken from `folder`; artifacts are beside the database (`mlartifacts/<experiment>`), and a
    store that was copied or moved is followed (`relocation.py`). Any number of processes may open a fresh store at
    once. The run with the id `spared` is not marked: whoever opens the store knows how it ended.
    Raises UserError where the store cannot be used: file stores, unreachable servers, read-only folders, full disks,
    files that are no MLflow database.
    """
    folder = Path(folder).absolute()
    uri, experiment = absolute_uri(uri or DEFAULT_URI, folder), readable(experiment)
    quiet()
    if is_server(uri):
        check_answers(uri)
        client = _client(uri)
        with server_errors(uri):
            experiment_id = _experiment(client, experiment, None, uri)
            insist(lambda: furnish(client, experiment_id))
            _reap(client, experiment_id, spared)
        return Store(uri, experiment, experiment_id, folder, client)
    path = database_of(uri)
    artifacts = artifacts_of(path, experiment)
    _check_writable(path.parent)
    _check_writable(artifacts)
    with _sqlite_errors(path), _lock(path):
        _make(path)
        _say(path, follow(path))
        client = _client(uri)
        experiment_id = _experiment(client, experiment, artifacts, uri)
        furnish(client, experiment_id)
        _reap(client, experiment_id, spared)
    return Store(uri, experiment, experiment_id, folder, client)


def located(uri: str | None, folder: str | None) -> tuple[str, Path]:
    """Returns the address of the store and the folder of results that `tracking.uri` and `tracking.folder` name.

    Both are absolute. What is not named is in `places.results_home`; the store, in the folder named.
    """
    home = places.results_home() if folder is None else places.place(folder, "tracking.folder")
    return (absolute_uri(DEFAULT_URI, home) if uri is None else absolute_uri(uri, Path.cwd())), home


def check_store(uri: str | None, folder: Path) -> None:
    """Raises UserError where no store can be at `uri` or no results in `folder`; takes 3 s at most, and makes
    nothing.
    """
    uri = absolute_uri(uri or DEFAULT_URI, folder)
    _check_allowed(folder, "tracking.folder")
    if is_server(uri):
        check_answers(uri)
        return
    inside = database_of(uri).parent
    _check_allowed(inside, "tracking.folder" if inside == folder else "tracking.uri")
    _check_name(inside)


def relocate(database: Path) -> list[Move]:
    """Leads a store that was copied or moved to the artifacts that lie beside it; returns what changed.

    Opening the store does the same. Raises UserError where there is no store, or it cannot be written.
    """
    if not database.is_file():
        raise UserError(f"{database}: there is no store; name the folder that holds mlflow.db, or the database")
    quiet()
    with _sqlite_errors(database), _lock(database):
        _make(database)
        moves = follow(database)
    _say(database, moves)
    return moves


def create(store: Store, name: str, tags: Mapping[str, Any], began: int | None = None) -> str:
    """Returns the id of a new run in the store, begun at `began` (milliseconds since 1970; now).

    Raises UserError where the store takes none.
    """
    from mlflow.exceptions import MlflowException

    text = {key: readable(str(value))[:TAG_LENGTH] for key, value in tags.items()}
    try:
        return store.client.create_run(store.experiment_id, began, text, readable(name)).info.run_id
    except MlflowException as error:
        raise UserError(f"the tracking store {store.uri} takes no run: {_first_line(error)}") from error


def absolute_uri(uri: str, folder: Path) -> str:
    """Returns `uri` with a relative SQLite path made absolute from `folder`; raises UserError for other kinds."""
    if is_server(uri):
        return server_uri(uri)
    if not uri.startswith("sqlite:"):
        reason = "MLflow 3.13 and later no longer write file stores; `mlflow migrate-filestore` converts an old one"
        if "://" in uri and not uri.startswith("file:"):
            reason = "start an MLflow server in front of it and name the server"
        raise UserError(f"tracking.uri={shown(uri)} cannot be used: {reason}; {_ALLOWED}")
    path = uri.removeprefix(_SQLITE)
    if not uri.startswith(_SQLITE) or not path or ":memory:" in path or "?" in path.rpartition("/")[2]:
        raise UserError(
            f"tracking.uri={shown(uri)} names no file that could hold runs, or one with options; {_ALLOWED}"
        )
    found = places.place(path, "tracking.uri") if path.startswith("~") else (folder / path).absolute()
    decoded = Path(unquote(str(found)))
    # the path is taken as it is, but one that is written as in an address is understood too
    return _SQLITE + str(decoded if not found.parent.exists() and decoded.parent.exists() else found)


def _say(path: Path, moves: Sequence[Move]) -> None:
    if moves:
        log.warning("the store %s was copied or moved: %s", path, "; ".join(map(str, moves)))


def database_of(uri: str) -> Path:
    """Returns the file of a store that is no server."""
    return Path(uri.removeprefix(_SQLITE))


def for_mlflow(uri: str) -> str:
    """Returns the address of a store as MLflow reads it: SQLAlchemy takes `%41` for A and `?` for the end of a path."""
    if is_server(uri) or not re.search(r"[%?\t\r\n]", uri):
        return uri
    from sqlalchemy.engine import make_url

    if make_url("sqlite:///%41").database != "A":  # before version 2.1 it left % alone
        if "?" in uri:
            raise UserError(f"{uri}: a store cannot lie in a folder with ? in its name: choose tracking.folder=")
        return uri
    # MLflow makes the folder that stands before the last slash, undecoded: nothing but / is to stand there
    return f"{_SQLITE}/{quote(str(database_of(uri)).lstrip('/'), safe='')}"


def quiet() -> None:
    """No telemetry, short patience with a dead server (what is not sent is kept), no pages of migration messages.

    To be called before MLflow is imported, which reads some of it only then.
    """
    os.environ.update(dict.fromkeys(("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"), "true"))
    if places.home() is None:  # MLflow cannot be imported without one; the cache is there too
        os.environ["HOME"] = str(places.results_home())
    for name, value in {
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

    return MlflowClient(tracking_uri=for_mlflow(uri))


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = _first_line(error)
        if "out-of-date database schema" in str(error) or "Can't locate revision" in str(error):
            raise UserError(
                f"{path} comes from another version of MLflow: copy it, then run `mlflow db upgrade "
                f"{shlex.quote(for_mlflow(_SQLITE + str(path)))}`"
            ) from error
        if re.search("disk is full|no space left|file too large", str(error), re.IGNORECASE):
            raise UserError(
                f"no room for the tracking store {path} ({reason}): free some space on that disk"
            ) from error
        raise UserError(f"{path} cannot be used as a tracking store ({reason}): move it away, or {_ANOTHER}") from error


def _first_line(error: BaseException) -> str:
    """What a database says of it comes in the second line, after how SQLAlchemy came to ask."""
    first, *others = str(error).strip().split("\n")
    return (others[0] if "autoflush" in first and others else first)[:300]


def _lock(path: Path) -> AbstractContextManager[None]:
    lock = path.with_name(f"{path.name}.lock")
    seconds = f"{_SECONDS_FOR_LOCK:.0f} s"
    return locked(lock, f"another process has held {lock} for {seconds}: wait for it, or end it", _SECONDS_FOR_LOCK)


def _check_allowed(folder: Path, key: str) -> None:
    """Raises UserError where nothing can be made in a folder that is there, or in the one that it would be made in."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"cannot keep results in {folder}: {there} is a file; choose a folder with {key}=")
    if not os.access(there, os.W_OK | os.X_OK):
        other = "/path/to/a/folder" if key == "tracking.folder" else f"{_SQLITE}/path/to/mlflow.db"
        raise UserError(f"cannot write to {folder} (no permission): choose another place with {key}={other}")


def _check_name(folder: Path) -> None:
    """Raises UserError for a name that is no text: databases keep nothing else."""
    if readable(str(folder)) == str(folder):
        return
    why, instead = "is not UTF-8", "choose another with tracking.folder="
    with suppress(UnicodeDecodeError):  # the name is in order, and this process reads names as ASCII
        os.fsencode(folder).decode()
        why = f"has a name that Python reads as {sys.getfilesystemencoding()} here (LC_ALL, PYTHONUTF8)"
        instead = f"set PYTHONUTF8=1, or {instead}"
    raise UserError(f"{readable(str(folder))} {why}: MLflow cannot keep runs in a folder of that name; {instead}")


def _check_writable(folder: Path) -> None:
    _check_name(folder)
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        with suppress(OSError):
            probe.unlink()
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): choose a folder with room and write permission with "
            "tracking.folder=/path/to/a/folder"
        ) from error


def _make(path: Path) -> None:
    """Creates the database at `path` whole or not at all; leaves an existing one as it is."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: tracking.uri= wants a database file, tracking.folder= a folder")
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise UserError(f"{path} is not an SQLite database: move it away, or {_ANOTHER}")
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
        named = f"MLFLOW_TRACKING_URI={shlex.quote(for_mlflow(uri))}"
        restore = f"`{named} mlflow experiments restore -x {found.experiment_id if found else '?'}`"
        raise UserError(
            f"the experiment {name!r} was deleted: {restore} brings it back, or choose tracking.experiment="
        )
    place = local_path(found.artifact_location)
    if artifacts is None and place is not None and not place.parent.is_dir():
        raise UserError(
            f"the server {uri} keeps the artifacts of {name!r} in {place}, a folder of its own that is not on this "
            "computer: start it with --serve-artifacts and choose a new tracking.experiment="
        )
    if artifacts is not None and place is not None and place != artifacts and not place.is_dir():
        raise UserError(
            f"the experiment {name!r} keeps its artifacts in {place}, which is not there (was the folder moved?): "
            "move it back, or choose another name with tracking.experiment="
        )
    if artifacts is not None and found.artifact_location.startswith("mlflow-artifacts:"):
        raise UserError(
            f"the experiment {name!r} was made by a server of MLflow, through which its files come and go: name the "
            "server with tracking.uri=, or choose another name with tracking.experiment="
        )
    return found.experiment_id


def _reap(client: MlflowClient, experiment_id: str, spared: str | None) -> None:
    """Marks as KILLED the runs that say RUNNING though their process on this computer is gone (kill -9, power cut)."""
    running = client.search_runs([experiment_id], filter_string="attributes.status = 'RUNNING'", max_results=1000)
    for run in running:
        if run.info.run_id == spared or not is_gone(run.data.tags):
            continue
        client.set_tag(run.info.run_id, ENDED, VANISHED)
        client.set_terminated(run.info.run_id, status="KILLED")
        log.warning("run %s had died without a word; it is now marked KILLED", run.info.run_name)
