"""A store that is an MLflow server: whether it is there, and what its refusals mean.

Credentials come from MLflow's own variables (CREDENTIALS) and stay there: an address that holds some is refused, since
addresses end up in parameters, files and messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from folkrnn.errors import UserError, shown

CREDENTIALS = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"

_SECONDS_TO_ANSWER = 3.0
_HINTS = {
    r"\b401\b|\b403\b(?!.*Host)|PERMISSION_DENIED|UNAUTHENTICATED": f"it wants to know who you are: set {CREDENTIALS}",
    r"Invalid Host header": "it does not know itself by this name: start it with --allowed-hosts and the name",
    r"CERTIFICATE_VERIFY_FAILED|SSLError": (
        "its certificate is not trusted here: name the authority's file in MLFLOW_TRACKING_SERVER_CERT_PATH"
    ),
}


def is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def server_uri(uri: str) -> str:
    """Returns the address without a slash at its end; raises UserError for one with credentials, without showing
    them.
    """
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        host = None
    if not host:
        raise UserError(f"tracking.uri={shown(uri)} is no address: write http(s)://host:port")
    if "@" in uri or parts.query:
        raise UserError(
            f"tracking.uri={shown(uri)} holds credentials, which every run would file: leave them out of it and set "
            f"{CREDENTIALS}"
        )
    return uri.rstrip("/")


def answers(uri: str) -> bool:
    """Whether the store at `uri` can be spoken to now; a server is given three seconds."""
    import requests

    if not is_server(uri):
        return True
    try:
        requests.get(f"{uri}/health", timeout=_SECONDS_TO_ANSWER)
    except requests.exceptions.SSLError:
        return True  # somebody is there; MLflow knows which certificates to trust
    except requests.RequestException:
        return False
    return True


def check_answers(uri: str) -> None:
    """Raises UserError, saying what to type, where no server answers at `uri`."""
    if not answers(uri):
        raise UserError(
            f"no MLflow server answers at tracking.uri={uri} (waited {_SECONDS_TO_ANSWER:.0f} s): start one with "
            "`python -m folkrnn.tracking serve`, or leave tracking.uri out to keep runs in mlflow.db"
        )


@contextmanager
def server_errors(uri: str) -> Iterator[None]:
    """Turns what a server or the way to it says into a UserError of one line."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        said = str(error).strip()
        hint = next((text for pattern, text in _HINTS.items() if re.search(pattern, said)), "")
        line = " ".join(said.split())[:300] if hint else said.split("\n")[0][:300]
        raise UserError(
            f"tracking.uri={uri} answers, but not as an MLflow server that takes runs: {line}"
            + (f"; {hint}" if hint else "")
        ) from error
