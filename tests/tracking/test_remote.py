"""Addresses of servers, and what a server that is not there, silent or closed is answered with."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.tracking import check_store, open_store
from folkrnn.tracking.store import absolute_uri

WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._~", min_size=8, max_size=20)


@given(user=WORD, password=WORD, scheme=st.sampled_from(["http", "https"]))
def test_an_address_with_credentials_is_refused_without_showing_them(tmp_path_factory, user, password, scheme):
    for login in (f"{user}:{password}", user, f":{password}"):
        with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD") as refusal:
            absolute_uri(f"{scheme}://{login}@lab.example.org:5000", tmp_path_factory.getbasetemp())
        said = str(refusal.value).replace("lab.example.org", "").replace("credentials", "")
        assert f"{login}@" not in said
        assert password not in said.split()


@pytest.mark.parametrize(
    "address",
    [
        "http://lab.example.org:5000?token=hunter2",
        "HTTPS://ann:hunter2@lab.example.org",
        "postgresql://ann:hunter2@lab.example.org/mlflow",
        "postgresql://ann:hun/hunter2@lab.example.org/mlflow",
        "ann:hunter2@lab.example.org",
        "mysql+pymysql://lab.example.org/mlflow?password=hunter2",
        "sqlite:///mlflow.db?key=hunter2",
        "http://ann:hun/hunter2@lab.example.org",
        "http://[hunter2@lab",
    ],
)
def test_no_address_that_is_refused_shows_what_may_be_a_password(address, tmp_path):
    with pytest.raises(UserError, match=r"tracking\.uri=") as refusal:
        check_store(address, tmp_path)
    assert "hunter2" not in str(refusal.value)


def test_a_server_that_never_answers_is_given_up_in_seconds(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(UserError, match=r"no MLflow server answers .* folkrnn\.tracking serve"):
            check_store(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
        assert time.monotonic() - began < 6


def test_a_file_needs_no_answer(tmp_path):
    check_store(None, tmp_path)
    with pytest.raises(UserError, match="cannot be used"):
        check_store("ftp://lab.example.org", tmp_path)


@pytest.fixture
def closed() -> Iterator[str]:
    """The address of a server that wants credentials."""

    class Closed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()
            self.wfile.write(b"You are not authenticated.")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Closed)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_that_wants_credentials_is_told_from_one_that_is_away(closed, tmp_path):
    with pytest.raises(UserError, match="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"):
        open_store(closed, "folkrnn", tmp_path)
