"""Sending later what a store could not take while the run was on."""

from __future__ import annotations

from pathlib import Path

from folkrnn.refusal import Refusal
from folkrnn.tracking.journal import MARKER, Journal, is_rejection, is_trouble
from folkrnn.tracking.store import Store, open_store


def pending(folder: Path | str) -> int:
    """Returns how many entries of the run in the results folder `folder` its store lacks."""
    return len(_journal(Path(folder)).pending)


def upload(folder: Path | str, store: Store | None = None) -> int:
    """Sends what the store lacks of the run in `folder` and returns how many entries that were.

    `store` defaults to the one the run was begun in. Raises Refusal where `folder` holds no run or the store does not
    take all of it; what was sent stays sent, so it can be called again.
    """
    journal = _journal(Path(folder))
    waiting = len(journal.pending)
    if not waiting:
        journal.clear_pending()
        return 0
    store = store or open_store(journal.about["uri"], journal.about["experiment"], journal.about["root"])
    try:
        journal.send(store.client)
    except Exception as error:
        if is_rejection(error) or not is_trouble(error):
            raise
        journal.mark_pending(str(error))
        raise Refusal(
            f"{store.uri} stopped taking entries of {folder} ({len(journal.pending)} are left): {error}; try again"
        ) from error
    journal.clear_pending()
    return waiting


def _journal(folder: Path) -> Journal:
    folder = folder.absolute()
    if not (folder / ".tracking" / "run.json").exists():
        raise Refusal(f"{folder} holds no tracked run; name a results folder, one that has {MARKER} in it")
    return Journal(folder)
