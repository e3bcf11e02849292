"""A store that is read and not written to: no experiment is made in it, no run is ended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from folkrnn.errors import UserError
from folkrnn.tracking.remote import check_answers, is_server
from folkrnn.tracking.store import database_of, for_mlflow, located, quiet, relocate

if TYPE_CHECKING:
    from mlflow import MlflowClient


def reader(uri: str | None, folder: str | None, what: str) -> tuple[MlflowClient, str]:
    """Returns a client of the store that `tracking.uri` and `tracking.folder` would name, and its address.

    A store that was moved is followed where it can be written. Raises UserError, beginning with `what` is being done,
    where there is no store, or a server that does not answer.
    """
    quiet()
    store, _ = located(uri, folder)
    if is_server(store):
        check_answers(store)
    elif not database_of(store).is_file():
        raise UserError(f"{what}: there is no tracking store at {store}; name another with tracking.uri=")
    elif os.access(database_of(store).parent, os.W_OK):
        relocate(database_of(store))
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=for_mlflow(store), registry_uri=for_mlflow(store)), store
