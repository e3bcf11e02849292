"""A tracking server for one computer: MLflow in front of PostgreSQL, everything that it keeps in one folder.

    python -m folkrnn.tracking serve

PostgreSQL's data are in `postgresql/` of that folder, artifacts in `artifacts/`: they come and go through the server
(proxied), so that whoever logs to it needs no access to the folder. `docs/tracking.md` says how a team runs one.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folkrnn.refusal import Refusal
from folkrnn.tracking.postgresql import database, stop

PORT = 5000
"""Where `tracking=server` looks for it."""

FOLDER = Path(__file__).resolve().parents[2] / "server"

_HOST = "127.0.0.1"
_WORKERS = 2
_SECONDS_TO_START = 180.0
_SECONDS_BETWEEN_LOOKS = 0.5


def serve(
    folder: Path = FOLDER,
    port: int | None = None,
    options: Sequence[str] = (),
    upgrade: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Runs the server until Ctrl-C or SIGTERM, which stop it in order; the data stay in `folder`.

    `port` None is PORT, or a free one where that is taken; 0 is a free one. `options` go to `mlflow server` as they
    are; with `upgrade`, the tables are first brought to the installed version of MLflow. `say` is told the address.
    Raises Refusal where something is not installed, cannot be used, or one of the two servers ends by itself.
    """
    folder = folder.absolute()
    port = free_port(port)
    with _interruptible(), tempfile.TemporaryDirectory(prefix="folkrnn-") as scratch:
        try:
            with database(folder / "postgresql", Path(scratch)) as base:
                if upgrade:
                    _upgrade(base.uri)
                with _mlflow(folder, base.uri, port, options, Path(scratch)) as server:
                    say(_banner(f"http://{_HOST}:{port}", folder))
                    while base.process.poll() is None and server.poll() is None:
                        time.sleep(_SECONDS_BETWEEN_LOOKS)
                    if server.poll() is None:
                        raise Refusal(f"PostgreSQL has ended by itself; see {base.log}")
                    raise Refusal(_ended(server, folder / "mlflow.log"))
        except KeyboardInterrupt:
            say(f"stopped; everything is kept in {folder}")


def free_port(port: int | None) -> int:
    """Returns `port` if nobody listens there; for 0, and for None where PORT is taken, one that is free.

    Raises Refusal where the port that was asked for is taken.
    """
    for candidate in (PORT, 0) if port is None else (port,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, candidate))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise Refusal(f"port {port} of {_HOST} is taken: choose another with --port, or --port 0 for one that is free")


def _banner(address: str, folder: Path) -> str:
    words = "tracking=server" if address.endswith(f":{PORT}") else f"tracking.uri={address}"
    return (
        f"MLflow answers at {address}; PostgreSQL, artifacts and logs are in {folder}\n"
        f"log to it with   python run.py {words}\n"
        "Ctrl-C stops it and keeps everything"
    )


@contextmanager
def _mlflow(folder: Path, uri: str, port: int, options: Sequence[str], scratch: Path) -> Iterator[subprocess.Popen]:
    """Runs `mlflow server` and yields its process once it answers."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port)]
    command += ["--backend-store-uri", uri, "--workers", str(_WORKERS)]
    command += ["--serve-artifacts", "--artifacts-destination", (folder / "artifacts").as_uri(), *options]
    log = folder / "mlflow.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=folder, start_new_session=True, env=_environment(scratch)
        )
    try:
        _await(process, port, log)
        yield process
    finally:
        stop(process, signal.SIGTERM, signal.SIGKILL)
        _end_group(process.pid)


def _environment(scratch: Path) -> dict[str, str]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return {**os.environ, **quiet, "TMPDIR": str(scratch)}


def _end_group(group: int) -> None:
    """Ends the workers that outlived their server, if any."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _await(process: subprocess.Popen[Any], port: int, log: Path) -> None:
    import requests

    deadline = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise Refusal(f"the MLflow server has not answered for {_SECONDS_TO_START:.0f} s; see {log}")
        try:
            if requests.get(f"http://{_HOST}:{port}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise Refusal(_ended(process, log))


def _ended(process: subprocess.Popen[Any], log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-12:]
    if any("out-of-date database schema" in line for line in lines):
        return "the tables are of another version of MLflow: copy the folder, then start with --upgrade"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
    return f"the MLflow server ended with status {process.returncode}: {last[:300]} (all of it in {log})"


def _upgrade(uri: str) -> None:
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", uri]
    answer = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False)
    if answer.returncode:
        raise Refusal(f"mlflow db upgrade failed: {answer.stderr.strip().splitlines()[-1][:300]}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt once, also where a shell ignores SIGINT; later ones are dropped."""

    def once(signum: int, frame: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, once) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
