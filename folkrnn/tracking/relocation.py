"""A store that was copied, moved or renamed: its artifacts are looked for beside it, where they came along.

MLflow keeps absolute places: that of an experiment, where new runs put their files, and one of each run. Ours are
`mlartifacts/<experiment>` beside the database, so that a store that lies elsewhere than it says was copied or moved.
The places are then rewritten: a copy writes nothing where the original is. Runs whose files did not come along keep
theirs.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

FOLDER = "mlartifacts"
"""Where artifacts are, beside the database."""

_PLACES = (("runs", "artifact_uri"), ("logged_models", "artifact_location"), ("model_versions", "source"),
           ("model_versions", "storage_location"))  # fmt: skip
_OF_MLFLOW = "mlruns"


@dataclass(frozen=True)
class Move:
    """An experiment whose artifacts are elsewhere than the store says."""

    experiment: str
    old: Path
    new: Path
    followed: int
    """Runs and models that are now looked for in `new`."""
    left: int
    """Those that did not come along and are in `old`."""

    def __str__(self) -> str:
        found = f"the files of {self.experiment} are now looked for and kept in {self.new}"
        return found + (f" ({self.left} did not come along and stay in {self.old})" if self.left else "")


def artifacts_of(database: Path, experiment: str) -> Path:
    """Returns where the runs of an experiment keep their files."""
    return database.parent / FOLDER / (re.sub(r"[^\w.-]+", "_", experiment) or "_")


def follow(database: Path) -> list[Move]:
    """Rewrites the places of artifacts in a database that was copied or moved; returns what was rewritten.

    Raises sqlite3.Error where the database is none of MLflow or cannot be written.
    """
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = connection.execute("select experiment_id, name, artifact_location from experiments").fetchall()
        return list(_moves(connection, database, rows))


def _moves(connection: sqlite3.Connection, database: Path, rows: list[tuple[int, str, str | None]]) -> Iterator[Move]:
    for number, name, location in rows:
        old = local_path(location or "")
        new = None if old is None else _beside(connection, database, number, name, old)
        if location is None or old is None or new is None or new == old or _same(old, new):
            continue
        connection.execute(
            "update experiments set artifact_location = ? where experiment_id = ?", (new.as_uri(), number)
        )
        followed, left = _lead(connection, location, old, new)
        if followed or left or name != "Default":
            yield Move(name, old, new, followed, left)


def _beside(connection: sqlite3.Connection, database: Path, number: int, name: str, old: Path) -> Path | None:
    """Where the files of an experiment belong; None for one that somebody has given a place of its own."""
    if old.parent.name == FOLDER:
        return database.parent / FOLDER / old.name
    if number == 0 and old.parent.name == _OF_MLFLOW:  # of MLflow's making, in whatever folder it was made
        used = connection.execute("select 1 from runs where experiment_id = 0 limit 1").fetchone()
        return None if used else artifacts_of(database, name)
    return None


def _lead(connection: sqlite3.Connection, location: str, old: Path, new: Path) -> tuple[int, int]:
    """Leads what lies in `old` to `new`, where it is there; returns how many were led and how many not."""
    followed = left = 0
    for table, column in _PLACES:
        if not any(row[1] == column for row in connection.execute(f"pragma table_info({table})")):
            continue
        start = f"{location}/"
        query = f"select rowid, {column} from {table} where substr({column}, 1, ?) = ?"
        for row, uri in connection.execute(query, (len(start), start)).fetchall():
            rest = uri[len(location) :]
            there, before = (place / url2pathname(rest).lstrip("/") for place in (new, old))
            if before.exists() and not there.exists():
                left += 1
                continue
            connection.execute(f"update {table} set {column} = ? where rowid = ?", (new.as_uri() + rest, row))
            followed += 1
    return followed, left


def local_path(location: str) -> Path | None:
    """Returns the folder that an artifact location means, None where that is not on a disk of this computer."""
    if location.startswith("file:"):
        return Path(url2pathname(urlsplit(location).path))
    return None if not location or re.match(r"[a-z][a-z0-9+.-]+:", location) else Path(location)


def _same(old: Path, new: Path) -> bool:
    """Whether two names lead to one folder, through a link or a mount."""
    try:
        return old.samefile(new)
    except OSError:
        return False
