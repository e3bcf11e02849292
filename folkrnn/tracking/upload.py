"""Sending later what a store could not take while the run was on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folkrnn.errors import UserError
from folkrnn.tracking.journal import (
    MARKER,
    Journal,
    in_one_line,
    is_rejection,
    is_trouble,
    now,
    upload_command,
    writing,
)
from folkrnn.tracking.process import process_tags
from folkrnn.tracking.remote import is_server
from folkrnn.tracking.store import Store, absolute_uri, create, database_of, open_store


def pending(folder: Path | str) -> int:
    """Returns how many entries of the run in the results folder `folder` its store lacks."""
    _check(Path(folder))
    return len(Journal(Path(folder).absolute()).pending)


def upload(folder: Path | str, uri: str | None = None) -> int:
    """Sends what the store lacks of the run in `folder` and returns how many entries that were.

    With the `uri` of another store, or of one that has lost the run, it is begun anew there, with everything it has.
    A server must be named, by `uri` or MLFLOW_TRACKING_URI: the address in a folder may be anybody's, and MLflow sends
    the user's name and password along. Raises UserError where it is not, where `folder` holds no run, where that run is
    still being written, or where the store does not take all of it; what was sent stays sent, so that it can be
    called again.
    """
    folder = Path(folder).absolute()
    _check(folder)
    with writing(folder):
        return _upload(folder, uri)


def _upload(folder: Path, uri: str | None) -> int:
    journal = Journal(folder)
    about = journal.about
    if not journal.pending and uri is None:
        journal.clear_pending()
        return 0
    own, root = _store_of(journal)
    if uri is None and is_server(own) and own != os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/"):
        raise UserError(f"{folder} names the server {own}; if that is yours, say so: {upload_command(folder, own)}")
    store = open_store(uri or own, about["experiment"], root, about["run_id"])
    if store.uri != own or not _has(store, about["run_id"]):
        enter(store, journal, about["name"], process_tags())
    waiting = len(journal.pending)
    try:
        journal.send(store.client)
    except Exception as error:
        if is_rejection(error) or not is_trouble(error):
            raise
        journal.mark_pending(in_one_line(error))
        raise UserError(
            f"{store.uri} stopped taking entries of {folder} ({len(journal.pending)} are left): "
            f"{in_one_line(error)}; try again"
        ) from error
    journal.clear_pending()
    return waiting


def _store_of(journal: Journal) -> tuple[str, Path]:
    """The address of the store that the run is in, and the folder that it belongs to.

    Where a folder with store and results was copied or moved, they are the new ones: its runs are in it.
    """
    about, root = journal.about, Path(journal.about["root"])
    was = Path(about.get("folder", journal.folder))
    if was == journal.folder or not was.is_relative_to(root) or is_server(about["uri"]):
        return about["uri"], root
    inside = was.relative_to(root)
    if journal.folder.parts[-len(inside.parts) :] != inside.parts:
        return about["uri"], root
    moved = journal.folder.parents[len(inside.parts) - 1]
    database = database_of(about["uri"])
    if not database.is_relative_to(root) or not (moved / database.relative_to(root)).is_file():
        return about["uri"], root
    return absolute_uri(f"sqlite:///{database.relative_to(root)}", moved), moved


def _has(store: Store, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        store.client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise UserError(f"{store.uri} does not say whether it has the run: {in_one_line(error)}") from error
    return True


def enter(store: Store, journal: Journal, name: str, tags: Mapping[str, Any]) -> str:
    """Creates a run in the store, makes the journal its journal, and returns its id."""
    began = journal.about.get("began", str(now()))
    run_id = create(store, name, tags, int(began))
    try:
        journal.begin(
            uri=store.uri, experiment=store.experiment, root=str(store.folder), run_id=run_id, name=name, began=began,
            folder=str(journal.folder),
        )  # fmt: skip
    except UserError:
        store.client.set_terminated(run_id, status="FAILED")
        raise
    return run_id


def _check(folder: Path) -> None:
    if not (folder / ".tracking" / "run.json").exists():
        raise UserError(f"{folder} holds no tracked run; name a results folder, one that has {MARKER} in it")
