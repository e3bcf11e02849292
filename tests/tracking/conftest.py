"""Real stores: one SQLite database for all tests, an experiment for each; real servers on a free port."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from folkrnn.errors import UserError
from folkrnn.tracking import Store, open_store
from folkrnn.tracking.serve import programs


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that plays the repository, with a space and a hash in its name, which URIs do not like."""
    return tmp_path_factory.mktemp("lab #1 ")


@pytest.fixture
def store(lab: Path, request: pytest.FixtureRequest) -> Store:
    """The SQLite store of `lab`, with an experiment of its own for this test."""
    return open_store(None, request.node.name, lab)


class Server:
    """An `mlflow server` of its own process group on a free port of the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        with (self.folder / "server.log").open("ab") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=output, env=environment, cwd=self.folder, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self.uri}/health", timeout=1).ok:
                    return
            except requests.RequestException:
                time.sleep(0.3)
        self.stop()
        raise RuntimeError((self.folder / "server.log").read_text())

    def stop(self) -> None:
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server for the whole session."""
    found = Server(tmp_path_factory.mktemp("server"))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def mortal_server(tmp_path: Path) -> Iterator[Server]:
    """A running server that the test may stop and start again."""
    found = Server(tmp_path / "server")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts Python code in a process of its own, with `sys.argv[1:]` as given."""

    def start(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    return start


class OwnServer:
    """`python -m folkrnn.tracking serve` with its folder and, from its second start on, the port that it had."""

    def __init__(self, folder: Path, options: tuple[str, ...] = ()) -> None:
        self.folder, self.options = folder, options
        self.uri = ""
        self.process: subprocess.Popen[str] | None = None
        self.first: list[int] = []
        """The processes that it began with."""

    def start(self) -> None:
        port = self.uri.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "folkrnn.tracking", "serve", "--folder", str(self.folder), "--port", port]
        scratch = {**os.environ, "TMPDIR": str(self.folder.parent)}  # what a power cut leaves goes with the folder
        self.process = subprocess.Popen(
            [*command, *self.options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=scratch,
        )  # fmt: skip
        said = self.process.stdout.readline() + self.process.stdout.readline() + self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, said + self.process.stderr.read()
        self.uri = found[0]
        self.first = self.processes()

    def interrupt(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Ends it as Ctrl-C does; returns its exit status and what it said at last."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def processes(self) -> list[int]:
        """Itself and everything below it."""
        found = [self.process.pid]
        for parent in found:
            below = ["ps", "-o", "pid=", "--ppid", str(parent)]
            found += map(int, subprocess.run(below, capture_output=True, text=True, check=False).stdout.split())
        return found

    def kill(self) -> None:
        """A power cut: kill -9 for all of it at once, PostgreSQL too."""
        if self.process is None or self.process.poll() is not None:
            return
        for pid in self.first:  # at once; looking for those that came later takes its time
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        everything = {*self.first, *self.processes()}
        for pid in everything:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in everything) and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.fixture(scope="session")
def postgresql() -> None:
    """Skips, saying so, where PostgreSQL or its driver is not installed."""
    pytest.importorskip("psycopg2", reason="the driver of PostgreSQL is not installed: pip install psycopg2-binary")
    try:
        programs()
    except UserError as refusal:
        pytest.skip(f"skipped as PostgreSQL is not installed (.ci/install_postgresql): {refusal}")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter: as root, PostgreSQL runs as another one."""
    folder = Path(tempfile.mkdtemp(prefix="folkrnn-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def own_servers(postgresql: None) -> type[OwnServer]:
    """What makes servers with PostgreSQL."""
    return OwnServer


@pytest.fixture
def own_server(postgresql: None, open_folder: Path) -> Iterator[OwnServer]:
    """A server with PostgreSQL, running; the test may kill it and start it again."""
    found = OwnServer(open_folder / "server")
    found.start()
    yield found
    found.kill()
