"""A tracking server for a computer without containers: MLflow before PostgreSQL, all that it keeps in one folder.

    python -m folkrnn.tracking serve

PostgreSQL's data are in `postgresql/` of that folder, artifacts in `artifacts/`: they come and go through the server
(proxied), so that whoever logs to it needs no access to the folder. `compose.yaml` is what a team runs.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from folkrnn.errors import UserError
from folkrnn.files.places import COMMAND, results_home
from folkrnn.files.whole import locked

PORT = 5000
"""Where `tracking=server` looks for it."""

FOLDER = results_home() / "server"

PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat's relatives
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
"""Where PostgreSQL's programs are installed outside PATH."""

_HOST = "127.0.0.1"
_WORKERS = 2
_SECONDS_TO_START = 180.0
_SECONDS_TO_STOP = 60.0
_SECONDS_BETWEEN_LOOKS = 1.0
_INSTALL = "apt-get install postgresql (.ci/install_postgresql does it), dnf install postgresql-server, or brew install"
_DRIVER = 'the driver psycopg2 is not installed: pip install -c requirements.lock -e ".[server]"'
_PASSWORD = "MLFLOW_AUTH_ADMIN_PASSWORD"
_MINE = "FOLKRNN_SERVER"
"""Variable by which the processes of MLflow are known as those of a folder."""


def serve(
    folder: Path = FOLDER,
    port: int | None = None,
    options: Sequence[str] = (),
    upgrade: bool = False,
    auth: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Runs the server until Ctrl-C or SIGTERM, which stop it in order; the data stay in `folder`.

    `port` None is PORT, or a free one where that is taken; 0 is a free one. `options` go to `mlflow server` as they
    are; with `upgrade`, the tables are first brought to the installed version of MLflow; with `auth`, MLflow asks for a
    name and a password. `say` is told the address. What an earlier server on `folder` left running when it was killed
    is ended first. Raises UserError where something is not installed, cannot be used, or the server ends by itself.
    """
    if os.name == "nt":
        raise UserError("this runs on Linux and macOS; docs/tracking.md says what else a server can be")
    folder = folder.absolute()
    if auth:
        _check_auth(folder)
    made_by = folder / "postgresql" / "PG_VERSION"
    place = programs(made_by.read_text().strip() if made_by.is_file() else "")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except OSError as error:
        raise UserError(f"cannot write {folder} ({error.strerror}): take another folder with --folder") from error
    busy = f"a server is running on {folder} already: stop that one first, or take another folder with --folder"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)  # also where a shell ignores SIGINT
    with (
        locked(folder / "lock", busy, seconds=0),  # which the system lifts when this process is killed
        tempfile.TemporaryDirectory(prefix="folkrnn-") as scratch,
    ):
        try:
            _end_left(folder)
            port = free_port(port)
            with _postgresql(place, folder, Path(scratch)) as uri:
                if upgrade:
                    _upgrade(uri)
                with _mlflow(folder, uri, port, options, Path(scratch), auth) as server:
                    say(_banner(f"http://{_HOST}:{port}", folder, auth))
                    raise UserError(_end(server, folder))
        except KeyboardInterrupt:
            say(f"stopped; everything is kept in {folder}")


def _end(server: subprocess.Popen[Any], folder: Path) -> str:
    """Waits until MLflow or PostgreSQL has ended, and returns which did and why."""
    import psutil

    postmaster = folder / "postgresql" / "postmaster.pid"  # removed where it ends in order
    while server.poll() is None:
        with suppress(FileNotFoundError):
            if psutil.pid_exists(int(postmaster.read_text().split()[0])):
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                continue
        log = folder / "postgresql.log"
        last = (log.read_text(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
        return f"PostgreSQL ended: {last[:300]} (all of it in {log}); what it kept is safe: start this again"
    return _ended(server, folder / "mlflow.log")


def free_port(port: int | None) -> int:
    """Returns `port` if nobody listens there; for 0, and for None where PORT is taken, one that is free.

    Raises UserError where the port that was asked for is taken.
    """
    for candidate in (PORT, 0) if port is None else (port,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, candidate))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise UserError(f"port {port} of {_HOST} is taken: choose another with --port, or --port 0 for one that is free")


def programs(version: str = "") -> Path:
    """Returns the folder of PostgreSQL's programs: those of PATH, else those of `version`, else the newest installed.

    Raises UserError where there is none.
    """
    on_path = shutil.which("pg_ctl")
    if on_path:
        return Path(on_path).resolve().parent
    found = [place.parent for pattern in PLACES for place in Path("/").glob(f"{pattern[1:]}/pg_ctl")]
    if not found:
        raise UserError(f"no pg_ctl on PATH, nor in {', '.join(PLACES)}: {_INSTALL} postgresql")
    return max(found, key=lambda place: (version in place.parts, [int(n) for n in re.findall(r"\d+", str(place))]))


def _end_left(folder: Path) -> None:
    """Ends what a server that was killed has left of MLflow: nobody holds its lock any more."""
    import psutil

    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MINE) == str(folder):
                process.kill()
                left.append(process)
        except psutil.Error:  # of another user, or gone
            continue
    psutil.wait_procs(left, timeout=10)


@contextmanager
def _postgresql(place: Path, folder: Path, sockets: Path) -> Iterator[str]:
    """Runs PostgreSQL; yields what SQLAlchemy knows it by.

    It listens on no network address: its socket lies in a folder that its user alone can enter, so that it needs no
    password. As root, which PostgreSQL refuses to run as, it runs as the owner of its data, `postgres` or `nobody`.
    """
    try:
        import psycopg2  # noqa: F401 — MLflow will need it
    except ImportError:
        raise UserError(_DRIVER) from None
    data, log = folder / "postgresql", folder / "postgresql.log"
    user = _user(data)
    _give(sockets, user)
    if not (data / "PG_VERSION").is_file():
        _initialise(place, folder, user)
    begins = log.stat().st_size if log.exists() else 0
    control = [str(place / "pg_ctl"), "--pgdata", str(data), "--wait", "--silent"]
    _run([*control, "stop", "--mode=fast"], user)  # fails where none was left
    flags = f"-k '{sockets}' -c listen_addresses="
    with log.open("ab") as output:
        started = _run([*control, f"--options={flags}", "start"], user, stdout=output, stderr=output)
    if started.returncode:
        said = re.findall(r"(?:FATAL|HINT|DETAIL|PANIC):\s*(.+)", log.read_bytes()[begins:].decode(errors="replace"))
        raise UserError(f"PostgreSQL did not start: {' '.join(said) or 'it says nothing'} (all of it in {log})")
    try:
        yield f"postgresql+psycopg2://mlflow@/postgres?host={sockets}"
    finally:
        _run([*control, "stop", "--mode=fast"], user)


def _initialise(place: Path, folder: Path, user: str | None) -> None:
    """Makes PostgreSQL's data folder, whole or not at all."""
    data, fresh = folder / "postgresql", folder / "postgresql.new"
    if data.exists() and any(data.iterdir()):
        raise UserError(f"{data} holds something else than PostgreSQL's data: take another folder with --folder")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    _give(fresh, user)
    if user and _run(["test", "-w", str(fresh)], user).returncode:
        raise UserError(
            f"PostgreSQL does not run as root, and the user {user}, as which it would run, cannot reach {folder}: "
            "take a folder that others may enter, such as --folder /var/lib/folkrnn"
        )
    command = [str(place / "initdb"), "--pgdata", str(fresh), "--username=mlflow", "--encoding=UTF8", "--no-locale"]
    answer = _run([*command, "--auth-local=trust", "--auth-host=reject"], user, capture_output=True, text=True)
    if answer.returncode:
        raise UserError(f"initdb failed: {' '.join(answer.stderr.split())[-400:]}")
    fresh.replace(data)


def _user(data: Path) -> str | None:
    """The user that PostgreSQL runs as; None for whoever runs this, unless that is root."""
    import pwd

    if os.geteuid() != 0:
        return None
    if data.exists():
        return data.owner()
    names = [user.pw_name for user in pwd.getpwall() if user.pw_name in ("nobody", "postgres")]
    if not names:
        raise UserError("PostgreSQL does not run as root, and there is no user postgres or nobody: run this as another")
    return max(names)


def _give(folder: Path, user: str | None) -> None:
    folder.chmod(0o700)
    if user:
        shutil.chown(folder, user)


def _run(command: list[str], user: str | None, **options: Any) -> subprocess.CompletedProcess[Any]:
    """Runs a program of PostgreSQL as `user`, out of reach of this terminal's Ctrl-C."""
    import pwd

    mine = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    if "capture_output" not in options:
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    return subprocess.run(command, cwd="/", check=False, start_new_session=True, **mine, **options)


def _banner(address: str, folder: Path, auth: bool) -> str:
    words = "tracking=server" if address.endswith(f":{PORT}") else f"tracking.uri={address}"
    named = "MLFLOW_TRACKING_USERNAME=admin MLFLOW_TRACKING_PASSWORD=… " if auth else ""
    open_to_all = "" if auth else "everyone on this computer can read and change what it keeps, unless it has --auth\n"
    return (
        f"MLflow answers at {address}; PostgreSQL, artifacts and logs are in {folder}\n"
        f"log to it with   {named}{' '.join(COMMAND)} {words}\n"
        f"{open_to_all}"
        "Ctrl-C stops it and keeps everything"
    )


@contextmanager
def _mlflow(
    folder: Path, uri: str, port: int, options: Sequence[str], scratch: Path, auth: bool
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `mlflow server` and yields its process once it answers."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", _HOST, "--port", str(port)]
    command += ["--backend-store-uri", uri, "--workers", str(_WORKERS)]
    command += ["--serve-artifacts", "--artifacts-destination", (folder / "artifacts").as_uri()]
    if auth:
        command += ["--app-name", "basic-auth"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    own = {_MINE: str(folder), "TMPDIR": str(scratch), "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex()}
    log = folder / "mlflow.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *options], stdout=output, stderr=output, cwd=folder, start_new_session=True, umask=0o077,
            env={**os.environ, **quiet, **own},
        )  # fmt: skip
    try:
        _await(process, port, log)
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_STOP)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that outlived it
        process.wait()


def _check_auth(folder: Path) -> None:
    """Raises UserError where MLflow cannot ask for passwords, or would have none to begin with."""
    if find_spec("flask_wtf") is None:
        raise UserError('--auth needs MLflow\'s own accounts: pip install -c requirements.lock -e ".[server]"')
    if not (folder / "basic_auth.db").exists() and not os.environ.get(_PASSWORD):
        raise UserError(f"--auth: set {_PASSWORD} to the password of the user admin (12 characters or more), this once")


def _await(process: subprocess.Popen[Any], port: int, log: Path) -> None:
    import requests

    deadline = time.monotonic() + _SECONDS_TO_START
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise UserError(f"the MLflow server has not answered for {_SECONDS_TO_START:.0f} s; see {log}")
        try:
            if requests.get(f"http://{_HOST}:{port}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise UserError(_ended(process, log))


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
        raise UserError(f"mlflow db upgrade failed: {answer.stderr.strip().splitlines()[-1][:300]}")
