"""The local account of a run: everything is written here first and sent to the store afterwards.

A results folder holds the files of the run and, in `.tracking/`, `run.json` (which run, in which store),
`entries.jsonl` (what was logged, in order) and `sent` (how many of these the store has). If the store goes away, the
run goes on and `upload` sends the rest later. Entries say what to do in plain JSON (`entries.py` does it), and doing
one twice does no harm. Who writes to a journal holds its lock; reading changes nothing.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.errors import UserError
from folkrnn.files.places import readable
from folkrnn.files.whole import locked, write_whole
from folkrnn.tracking.entries import Entry, insist, perform, read_entry
from folkrnn.tracking.remote import is_server

if TYPE_CHECKING:
    from mlflow import MlflowClient

MARKER = "UPLOAD_PENDING.txt"
"""Stands in a results folder while the store lacks something of it, and says how to send it."""


class Journal:
    """The entries of one run, on disk; each is numbered, from 1."""

    def __init__(self, folder: Path) -> None:
        """Opens the journal in the results folder `folder`, or an empty one; a line that a crash cut short is no entry.

        Raises UserError where it is damaged.
        """
        self.folder = folder
        self._inside = folder / ".tracking"
        self._inside.mkdir(parents=True, exist_ok=True)
        self.about: dict[str, str] = {}
        """The run: `uri`, `experiment`, `root` (of results), `folder`, `run_id`, `name`, `began`; or nothing."""
        self.pending: deque[Entry] = deque()
        """What the store lacks, in order."""
        self.params: dict[str, str] = {}
        """The parameters logged so far; MLflow lets nobody change them."""
        self.written = self.sent = 0
        self._whole = 0  # bytes of whole lines
        self._read()

    def _read(self) -> None:
        about, sent = self._inside / "run.json", self._inside / "sent"
        with self._said(about):
            self.about = _about(about.read_text(encoding="utf-8")) if about.exists() else {}
        with self._said(sent):
            self.sent = int(sent.read_text(encoding="utf-8") or 0) if sent.exists() else 0
        self.pending.clear()
        with self._said(self._inside / "entries.jsonl"):
            for number, line in enumerate(self._lines(), 1):
                self._remember(read_entry(line, number))

    @contextmanager
    def _said(self, file: Path) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise UserError(
                f"the journal of the run in {self.folder} is damaged ({file.name}: {in_one_line(error)}): it can "
                "neither be sent nor gone on with. The results beside it are as they were; for a new run move it away, "
                "or choose another folder"
            ) from error

    def begin(self, **about: str) -> None:
        """Makes this the journal of a run that its store has nothing of yet: entries of before are pending again."""
        (self._inside / "sent").unlink(missing_ok=True)
        file_whole(self._inside / "run.json", json.dumps(about, indent=1).encode())
        self.sent = 0
        self._read()

    def add(self, entry: Entry) -> None:
        """Adds an entry. Raises UserError where there is no room for it."""
        path = self._inside / "entries.jsonl"
        entry = _readable({"number": self.written + 1, **entry})
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        if path.exists() and path.stat().st_size > self._whole:
            os.truncate(path, self._whole)
        try:
            with path.open("ab") as file:
                file.write(line)
        except OSError as error:
            if path.exists():
                os.truncate(path, self._whole)
            raise _no_room(path, error) from error
        self._whole += len(line)
        self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        self.written = entry["number"]
        self.params |= entry.get("params", {})
        if entry["number"] > self.sent:
            self.pending.append(entry)

    def metrics(self, kinds: Collection[str] = ("metrics", "curves")) -> Iterator[list[Any]]:
        """Yields [name, value, time, step] of every number logged so far, in order.

        `curves` are those that the store does not get.
        """
        for line in self._lines():
            entry = json.loads(line)
            if entry["kind"] in kinds:
                yield from entry["metrics"]

    def send(self, client: MlflowClient) -> None:
        """Sends what was not sent yet, in order; errors of the store end it, what was sent before them stays sent."""
        while self.pending:
            try:
                insist(lambda: perform(client, self.about["run_id"], self.folder, self.pending[0]))
            except Exception as error:
                if is_rejection(error) or not is_trouble(error):
                    self._mark_sent()  # it can never be sent: it must not stand in the way of the rest
                raise
            self._mark_sent()

    def _mark_sent(self) -> None:
        self.sent = self.pending.popleft()["number"]
        (self._inside / "sent").write_text(str(self.sent))

    def mark_pending(self, reason: str) -> None:
        text = (
            f"{len(self.pending)} of {self.written} entries of this run are not in the tracking store "
            f"{self.about['uri']} yet.\nReason: {reason}\n"
            "Nothing is lost: the files are here. Send the rest with\n\n"
            f"    {upload_command(self.folder, self.about['uri'])}\n"
        )
        file_whole(self.folder / MARKER, text.encode())

    def clear_pending(self) -> None:
        (self.folder / MARKER).unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        path = self._inside / "entries.jsonl"
        if not path.exists():
            return []
        content = path.read_bytes()
        self._whole = content.rfind(b"\n") + 1
        return content[: self._whole].decode().split("\n")[:-1]


def _readable(value: Any) -> Any:
    """The same with all text as a store takes it: names of files and titles of tunes may hold bytes that are none."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {readable(key): _readable(item) for key, item in value.items()}
    return [_readable(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Holds the lock of the journal in `folder`, which is made where it is new.

    Raises UserError where another process holds it, or where nothing can be written.
    """
    busy = f"the run in {folder} is still running: when it ends, it sends what the store lacks by itself"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".tracking" / "lock", busy, seconds=0))
        except OSError as error:
            raise UserError(f"cannot keep results in {folder} ({error.strerror}): choose another folder") from error
        yield


def _about(text: str) -> dict[str, str]:
    about = json.loads(text)
    if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
        raise ValueError("it is no set of texts")
    if lacking := [name for name in ("uri", "experiment", "root", "run_id", "name") if name not in about]:
        raise ValueError(f"it lacks {lacking[0]}")
    return about


def upload_command(folder: Path, uri: str) -> str:
    """What to type for the store at `uri` to get what it lacks of its run in `folder`."""
    to = f" --to {shlex.quote(uri)}" if is_server(uri) else ""
    return f"python -m folkrnn.tracking upload {shlex.quote(str(folder))}{to}"


def file_whole(path: Path, content: bytes) -> None:
    """Writes a file completely or not at all. Raises UserError where there is no room or no permission."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise _no_room(path, error) from error


def _no_room(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path} ({error.strerror}): free some space there, or choose another folder")


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return time.time_ns() // 1_000_000


def in_one_line(error: BaseException) -> str:
    """Returns the kind of the error and the first line of what it says.

    What a database says comes in the second, after how SQLAlchemy came to ask.
    """
    first, *others = str(error).strip().split("\n")
    text = others[0] if "autoflush" in first and others else first
    return f"{type(error).__name__}: {text}"[:500]


def is_rejection(error: BaseException) -> bool:
    """Whether the store understood the entry and will never take it (our mistake), rather than being unwell."""
    return getattr(error, "error_code", None) == "INVALID_PARAMETER_VALUE"


def is_trouble(error: BaseException) -> bool:
    """Whether the error is one of a store, a network or a disk, which may pass, and no mistake of the program."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return isinstance(error, (MlflowException, SQLAlchemyError, OSError))
