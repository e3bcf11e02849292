"""A PostgreSQL of one's own: all its data in one folder, reached by a socket that its user alone can open.

It listens on no network address, so that it needs no password. As root, which PostgreSQL refuses to run as, it runs as
the user `postgres` (or `nobody`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.refusal import Refusal

if TYPE_CHECKING:
    import pwd

USER, DATABASE = "mlflow", "postgres"
"""Who connects, and to which of its databases."""

PLACES = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat's relatives
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
)
"""Where PostgreSQL's programs are installed outside PATH."""

DRIVER = 'the driver psycopg2 is not installed: pip install -c requirements.lock -e ".[server]"'
_INSTALL = "apt-get install postgresql (.ci/install_postgresql does it), dnf install postgresql-server, or brew install"
_SECONDS_TO_START = 60.0
_SECONDS_TO_STOP = 60.0


def programs(version: str = "") -> Path:
    """Returns the folder of `initdb` and `postgres`: that of PATH or the newest installed, or that of a major version.

    Raises Refusal where there is none.
    """
    found = {place: _version(place) for place in _installed()}
    fitting = [place for place in found if version in ("", found[place])]
    if fitting:
        return fitting[0]
    if found:
        there = ", ".join(found.values())
        raise Refusal(
            f"the data are of PostgreSQL {version}, and installed is {there}: install postgresql-{version}, or take "
            "another folder with --folder"
        )
    raise Refusal(f"no initdb and postgres on PATH, nor in {', '.join(PLACES)}: {_INSTALL} postgresql")


def _installed() -> list[Path]:
    on_path = shutil.which("initdb")
    first = [Path(on_path).resolve().parent] if on_path else []
    others = [place for pattern in PLACES for place in Path("/").glob(pattern[1:])]
    newest_first = sorted(others, key=lambda place: [int(n) for n in re.findall(r"\d+", str(place))], reverse=True)
    every = dict.fromkeys([*first, *newest_first])
    return [place for place in every if (place / "initdb").is_file() and (place / "postgres").is_file()]


def _version(place: Path) -> str:
    answer = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=True)
    major = re.search(r"\d+", answer.stdout)
    return major[0] if major else answer.stdout.strip()


@dataclass(frozen=True)
class Database:
    """A PostgreSQL that runs."""

    uri: str
    """What SQLAlchemy knows it by."""
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def database(data: Path, sockets: Path) -> Iterator[Database]:
    """Runs PostgreSQL on the folder `data`, which is made where it is new.

    Its socket lies in `sockets`, an empty folder whose path must be short; its messages go to a `.log` file beside
    `data`. Raises Refusal where PostgreSQL or its driver is not installed, `data` cannot be used, or it does not start.
    """
    if os.name == "nt":
        raise Refusal("this runs on Linux and macOS; docs/tracking.md says what else a server can be")
    try:
        import psycopg2  # noqa: F401 — MLflow will need it
    except ImportError:
        raise Refusal(DRIVER) from None
    kept = (data / "PG_VERSION").read_text().strip() if (data / "PG_VERSION").is_file() else ""
    place, user = programs(kept), _runs_as(data)
    if not kept:
        _initialise(place, data, user)
    _give(sockets, user)
    log = data.with_suffix(".log")
    with log.open("ab") as output:
        begins = output.tell()
        process = subprocess.Popen(
            [place / "postgres", "-D", data, "-k", sockets, "-c", "listen_addresses="],
            stdout=output, stderr=output, cwd="/", start_new_session=True, **_as(user),
        )  # fmt: skip
    try:
        _await(process, sockets, log, begins)
        yield Database(f"postgresql+psycopg2://{USER}@/{DATABASE}?host={sockets}", process, log)
    finally:
        stop(process, signal.SIGINT, signal.SIGQUIT)


def stop(process: subprocess.Popen[Any], asking: signal.Signals, forcing: signal.Signals) -> None:
    """Asks the process to end, waits, and forces it where it does not."""
    if process.poll() is not None:
        return
    process.send_signal(asking)
    try:
        process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.send_signal(forcing)
        process.wait()


def _runs_as(data: Path) -> pwd.struct_passwd | None:
    """The user that PostgreSQL runs as; None for whoever runs this, unless that is root."""
    import pwd

    if os.geteuid() != 0:
        return None
    if data.exists():
        return pwd.getpwuid(data.stat().st_uid)
    known = {user.pw_name: user for user in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in known:
            return known[name]
    raise Refusal("PostgreSQL does not run as root, and there is no user postgres or nobody: run this as another user")


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _give(folder: Path, user: pwd.struct_passwd | None) -> None:
    folder.chmod(0o700)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)


def _initialise(place: Path, data: Path, user: pwd.struct_passwd | None) -> None:
    """Makes the data folder, whole or not at all."""
    if data.exists() and any(data.iterdir()):
        raise Refusal(f"{data} holds something else than PostgreSQL's data: take another folder with --folder")
    fresh = data.with_name(f"{data.name}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _give(fresh, user)
    except OSError as error:
        raise Refusal(f"cannot write {fresh} ({error.strerror}): take another folder with --folder") from error
    if user is not None and subprocess.run(["test", "-w", fresh], cwd="/", check=False, **_as(user)).returncode:
        raise Refusal(
            f"PostgreSQL does not run as root, and the user {user.pw_name}, as which it would run, cannot reach "
            f"{fresh.parent}: take a folder that others may enter, such as --folder /var/lib/folkrnn"
        )
    command = [place / "initdb", "-D", fresh, f"--username={USER}", "--encoding=UTF8", "--no-locale"]
    command += ["--auth-local=trust", "--auth-host=reject"]  # the folder of the socket is closed to others
    answer = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **_as(user))
    if answer.returncode:
        raise Refusal(f"initdb failed: {' '.join(answer.stderr.split())[-400:]}")
    fresh.replace(data)


def _await(process: subprocess.Popen[Any], sockets: Path, log: Path, begins: int) -> None:
    import psycopg2

    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            psycopg2.connect(host=str(sockets), user=USER, dbname=DATABASE, connect_timeout=3).close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)
    said = log.read_bytes()[begins:].decode(errors="replace")
    reasons = re.findall(r"(?:FATAL|HINT|DETAIL|PANIC):\s*(.+)", said)
    raise Refusal(f"PostgreSQL did not start: {' '.join(reasons) or 'it says nothing'} (all of it in {log})")
