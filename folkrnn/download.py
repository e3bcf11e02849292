"""Published files: fetched once into the cache, verified, and used from there.

A download goes to `X.part`, where a later try goes on with it; only what is whole and verified gets the name `X`. What
is found under that name is verified again at every use, also when a user put it there by hand.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from folkrnn.cache import cache_folder
from folkrnn.refusal import Refusal

CHUNK = 2**18
TRIES = 4
SECONDS = 20.0
"""How long a server may stay silent."""
WAIT = 1.0
"""Seconds before the second try; twice as long before each further one."""


@dataclass(frozen=True)
class Source:
    """A published file: where it is, how it is known to be the right one, and on what terms it may be used."""

    file: str
    """Its name in the cache."""
    addresses: tuple[str, ...]
    """Where it is offered; a later one is asked where an earlier one fails."""
    terms: str
    """Its licence, and whose it is."""
    largest: int
    """Bytes beyond which it cannot be what it should be."""
    blob: str = ""
    """Git's id of its content. Without one, the SHA-256 of the first download is recorded and holds from then on."""
    by_hand: str = ""
    """The option that reads such a file from anywhere, e.g. `weights=pickle weights.path=FILE`."""


class _Broken(Exception):
    """A try that came to nothing; the next may not."""


class _Hopeless(_Broken):
    """A try after which no other at the same address makes sense."""


def fetch(source: Source, address: str | None = None) -> Path:
    """Returns the verified file in the cache, downloaded first if it is not there; shows its terms.

    `address` is asked instead of the published ones, e.g. a mirror. Raises Refusal where no address answers, where
    what comes is not the published file, or where the cache cannot be written; the message names the address and where
    to put the file by hand.
    """
    folder = cache_folder() / "downloads"
    place = folder / source.file
    _say(f"{source.file}: {source.terms}")
    if place.is_file():
        _verify(place, source)
        return place
    with _alone(place, source):
        if not place.is_file():  # else another process has fetched it meanwhile
            _download(place, source, (address,) if address else source.addresses)
    return place


def git_blob(path: Path) -> str:
    """Returns git's id of a file's content: SHA-1 of `blob`, its size and the content."""
    return _hashed(path, hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False))


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file."""
    return _hashed(path, hashlib.sha256())


def _hashed(path: Path, hasher: hashlib._Hash) -> str:
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            hasher.update(chunk)
    return hasher.hexdigest()


def _record(place: Path) -> Path:
    return place.with_name(place.name + ".sha256")


def _verify(place: Path, source: Source) -> None:
    """Refuses a file in the cache that is not the published one."""
    wrong = _mismatch(place, source, _record(place))
    if wrong:
        raise Refusal(f"{place} is not the published file ({wrong}): delete it, and it is fetched anew")
    if not source.blob and not _record(place).exists():
        _write_record(place)


def _mismatch(path: Path, source: Source, record: Path) -> str:
    """In words how the file differs from what it should be, empty if it does not."""
    if source.blob:
        found = git_blob(path)
        return "" if found == source.blob else f"its git blob id is {found}, not {source.blob}"
    if not record.is_file():
        return ""
    recorded = record.read_text(errors="replace").split()
    found = sha256(path)
    return "" if recorded[:1] == [found] else f"its SHA-256 is {found}, not the {' '.join(recorded)[:64]} recorded"


def _write_record(place: Path) -> None:
    digest = sha256(place)
    _record(place).write_text(f"{digest}  {place.name}\n")
    _say(f"{place.name}: no digest was ever published; recorded SHA-256 {digest}")


def _download(place: Path, source: Source, addresses: tuple[str, ...]) -> None:
    failures = []
    for address in addresses:
        _check_address(address)
        try:
            _from(address, place, source)
            return
        except _Broken as error:
            failures.append(f"{address}: {error}")
    elsewhere = f", or read it from anywhere with {source.by_hand}" if source.by_hand else ""
    raise Refusal(
        f"cannot download {source.file} ({'; '.join(failures)}). Fetch {addresses[0]} by hand and put it at {place}"
        + elsewhere
    )


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise Refusal(f"{address} is no https:// address; nothing is downloaded from elsewhere")


def _from(address: str, place: Path, source: Source) -> None:
    """Fetches the file from one address, going on with what is there; raises _Broken after TRIES."""
    partial = place.with_name(place.name + ".part")
    reason = ""
    for number in range(TRIES):
        if number:
            time.sleep(WAIT * 2 ** (number - 1))
        try:
            resumed = partial.exists()
            checksum = _fill(address, partial, source)
            wrong = _mismatch(partial, source, _record(place)) or _differs(partial, checksum)
        except _Hopeless:
            raise
        except _Broken as error:
            reason = str(error)
            continue
        if not wrong:
            partial.replace(place)
            if not source.blob:
                _write_record(place)
            return
        partial.unlink()
        reason = f"what came is not the published file: {wrong}"
        if not resumed:  # else what was there before may have been the wrong part
            break
    raise _Broken(reason)


def _fill(address: str, partial: Path, source: Source) -> str:
    """Adds to the partial file until it is whole; returns the MD5 that the server states, in base 64, if any."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(address, headers=_headers(address, have))
    try:
        with _opener().open(request, timeout=SECONDS) as answer:
            goes_on = answer.status == 206 and (answer.headers["Content-Range"] or "").startswith(f"bytes {have}-")
            if have and not goes_on:
                have = 0
            md5 = _stated_md5(answer.headers.get_all("x-goog-hash") or [])
            if not source.blob and not md5 and not (answer.headers["Content-Length"] or "").isdigit():
                raise _Hopeless("the server does not say how long the file is, so that it could not be known whole")
            if have and not source.blob and not md5:
                partial.unlink()
                raise _Broken("nothing tells whether what is here already is a part of it")
            _copy(answer, partial, have, source)
            return md5
    except urllib.error.HTTPError as error:
        if error.code == 416 and source.blob:  # there is nothing beyond what we have: whole, or of something else
            return ""
        if error.code == 416:
            partial.unlink(missing_ok=True)
            raise _Broken("what was here already is no part of it") from None
        kind = _Broken if error.code >= 500 or error.code in (408, 429) else _Hopeless
        raise kind(f"the server says {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        offline = isinstance(error.reason, (socket.gaierror, ConnectionRefusedError, ssl.SSLCertVerificationError))
        raise (_Hopeless if offline else _Broken)(_in_words(error)) from None
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _Broken(_in_words(error)) from None
    except OSError as error:
        raise _unwritable(partial, error) from error


def _copy(answer: http.client.HTTPResponse, partial: Path, have: int, source: Source) -> None:
    left = int(answer.headers["Content-Length"]) if (answer.headers["Content-Length"] or "").isdigit() else None
    whole = None if left is None else have + left
    if max(whole or 0, have) > source.largest:
        raise _Hopeless(f"{whole} bytes are offered, more than the {source.largest} that it can have")
    with partial.open("r+b" if have else "wb") as file, _bar(source.file, have, whole) as advance:
        file.truncate(have)
        file.seek(have)
        while chunk := answer.read(CHUNK):
            have += len(chunk)
            if have > source.largest:
                raise _Hopeless(f"more than {source.largest} bytes come, which it cannot have")
            file.write(chunk)
            advance(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    if whole is not None and have < whole:
        raise _Broken(f"the connection ended after {have} of {whole} bytes")


def _headers(address: str, have: int) -> dict[str, str]:
    headers = {"User-Agent": "folkrnn-lab", "Accept-Encoding": "identity"}
    if urlsplit(address).hostname == "api.github.com":
        headers["Accept"] = "application/vnd.github.raw+json"
    return headers | ({"Range": f"bytes={have}-"} if have else {})


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server elsewhere only where an address of ours may lead."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_SafeRedirects)


def _stated_md5(values: list[str]) -> str:
    """What Google's storage states as `crc32c=…,md5=…`."""
    parts = [part.strip() for value in values for part in value.split(",")]
    return next((part.removeprefix("md5=") for part in parts if part.startswith("md5=")), "")


def _differs(path: Path, md5: str) -> str:
    if not md5:
        return ""
    digest = hashlib.md5(usedforsecurity=False)
    found = base64.b64encode(bytes.fromhex(_hashed(path, digest))).decode()
    return "" if found == md5 else f"its MD5 is {found}, the server states {md5}"


def _in_words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    text = getattr(reason, "strerror", None) or str(reason) or type(error).__name__
    return "the connection broke off" if isinstance(error, http.client.IncompleteRead) else str(text).split("\n")[0]


def _unwritable(path: Path, error: OSError) -> Refusal:
    return Refusal(
        f"cannot write {path} ({error.strerror or error}): make room there, or choose another cache with XDG_CACHE_HOME"
    )


@contextmanager
def _alone(place: Path, source: Source) -> Iterator[None]:
    """Holds the lock of a download: of several processes one fetches, the others wait."""
    from filelock import FileLock

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{place}.lock")
        lock.acquire()
    except OSError as error:
        by_hand = f"; or fetch {source.addresses[0]} by hand and use {source.by_hand}" if source.by_hand else ""
        raise Refusal(f"{_unwritable(place, error)}{by_hand}") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _bar(label: str, have: int, whole: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("Downloading {task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=whole, completed=have)
        yield lambda size: bar.advance(task, size)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
