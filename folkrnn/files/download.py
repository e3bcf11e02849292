"""Published files: fetched once into the cache, verified, and used from there.

pooch fetches, tries again and gives a file its name when it is whole; what the file must be, and from where it may
come, is checked here before that. What is found under the name is verified again at every use, also when a user put it
there by hand; another file is fetched anew.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urljoin, urlsplit

from folkrnn.errors import UserError
from folkrnn.files.cache import cache_folder
from folkrnn.files.whole import locked

if TYPE_CHECKING:
    import requests

CHUNK = 2**18
TRIES = 4
SECONDS = 20.0
"""How long a server may stay silent."""


@dataclass(frozen=True)
class PublishedFile:
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


class _Hopeless(Exception):
    """An answer after which no other try at the same address makes sense."""


def fetch(source: PublishedFile, address: str | None = None) -> Path:
    """Returns the verified file in the cache, downloaded first if it is not there; shows its terms.

    `address` is asked instead of the published ones, e.g. a mirror. Raises UserError where no address answers, where
    what comes is not the published file, or where the cache cannot be written; the message names the address and where
    to put the file by hand.
    """
    folder = cache_folder() / "downloads"
    place = folder / source.file
    _say(f"{source.file}: {source.terms}")
    if _is_right(place, source):
        return place
    try:
        with locked(Path(f"{place}.lock"), "another process fetches it"):
            if not _is_right(place, source, say=True):  # else another process has fetched it meanwhile
                with _aside(place):
                    _download(place, source, (address,) if address else source.addresses)
    except OSError as error:
        by_hand = f"; or fetch {source.addresses[0]} by hand and use {source.by_hand}" if source.by_hand else ""
        raise UserError(
            f"cannot write {place} ({error.strerror or error}): make room there, or choose another cache with "
            f"XDG_CACHE_HOME{by_hand}"
        ) from error
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


def _is_right(place: Path, source: PublishedFile, say: bool = False) -> bool:
    """Whether the published file is in the cache, whole; `say`s what is there in its place, which another replaces."""
    if not place.is_file():
        return False
    if wrong := _mismatch(place, source, _record(place)):
        if say:
            _say(f"{place} is not the published file ({wrong}): fetched anew")
        return False
    if not source.blob and not _record(place).exists():
        _write_record(place)
    return True


@contextmanager
def _aside(place: Path) -> Iterator[None]:
    """Puts away what is there in the place of the published file; it comes back where the block has no other."""
    wrong = place.with_name(f"{place.name}.wrong")
    if place.is_file():
        place.replace(wrong)
    try:
        yield
    except BaseException:
        if wrong.is_file():
            wrong.replace(place)
        raise
    wrong.unlink(missing_ok=True)


def _mismatch(path: Path, source: PublishedFile, record: Path) -> str:
    """In words how the file differs from what it should be, empty if it does not."""
    if source.blob:
        found = git_blob(path)
        return "" if found == source.blob else f"its git blob id is {found}, not {source.blob}"
    if not record.is_file():
        return ""
    recorded = record.read_text(errors="replace").split()
    found = sha256(path)
    if recorded[:1] == [found]:
        return ""
    return f"its SHA-256 is {found}, not the {' '.join(recorded)[:64]} recorded in {record.name}"


def _write_record(place: Path) -> None:
    digest = sha256(place)
    _record(place).write_text(f"{digest}  {place.name}\n")
    _say(f"{place.name}: no digest was ever published; recorded SHA-256 {digest}")


def _download(place: Path, source: PublishedFile, addresses: tuple[str, ...]) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    failures = []
    for address in addresses:
        _check_address(address)
        files = pooch.create(place.parent, "", registry={place.name: None}, retry_if_failed=TRIES - 1)
        files.urls[place.name] = address
        try:
            files.fetch(place.name, downloader=cast("Any", _Answer(place, source)))
        except (_Hopeless, requests.RequestException) as error:
            failures.append(f"{address}: {_in_words(error)}")
            continue
        if not source.blob:
            _write_record(place)
        return
    elsewhere = f", or read it from anywhere with {source.by_hand}" if source.by_hand else ""
    raise UserError(
        f"cannot download {source.file} ({'; '.join(failures)}). Fetch {addresses[0]} by hand and put it at {place}"
        + elsewhere
    )


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise UserError(f"{address} is no https:// address; nothing is downloaded from elsewhere")


class _Answer:
    """What pooch is to fetch a source with: it believes an answer only as far as the source allows."""

    def __init__(self, place: Path, source: PublishedFile) -> None:
        self.place, self.source, self.md5 = place, source, ""

    def __call__(self, address: str, file: str, _: object) -> None:
        import requests
        from pooch import HTTPDownloader
        from tqdm import tqdm

        headers = {"User-Agent": "folkrnn-lab", "Accept-Encoding": "identity"}
        if urlsplit(address).hostname == "api.github.com":
            headers["Accept"] = "application/vnd.github.raw+json"
        bar = tqdm(
            total=1, desc=f"Downloading {self.source.file}", unit="B", unit_scale=True, leave=False, disable=None
        )
        fetch_to = HTTPDownloader(
            cast("Any", bar), CHUNK, headers=headers, timeout=SECONDS, hooks={"response": self.check}
        )
        try:
            with _Limited(file, self.source.largest) as output:
                fetch_to(address, output, None)
        except requests.ConnectionError as error:
            if output.written:
                raise  # it broke off, and the next try may not
            raise _Hopeless(_in_words(error)) from error
        wrong = _mismatch(Path(file), self.source, _record(self.place)) or _differs(Path(file), self.md5)
        if wrong:
            raise _Hopeless(f"what came is not the published file: {wrong}")

    def check(self, answer: requests.Response, *_: object, **__: object) -> None:
        """Refuses an answer, also one that leads elsewhere, by its headers."""
        if answer.is_redirect:
            _check_address(urljoin(answer.url, answer.headers["location"]))
            return
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
            raise _Hopeless(f"the server says {answer.status_code} {answer.reason}")
        stated = answer.headers.get("x-goog-hash", "").replace(" ", "").split(",")  # Google's: crc32c=…,md5=…
        self.md5 = next((part.removeprefix("md5=") for part in stated if part.startswith("md5=")), "")
        size = answer.headers.get("content-length", "")
        if not self.source.blob and not self.md5 and not size.isdigit():
            raise _Hopeless("the server does not say how long the file is, so that it could not be known whole")
        if size.isdigit() and int(size) > self.source.largest:
            raise _Hopeless(f"{size} bytes are offered, more than the {self.source.largest} that it can have")


class _Limited(io.FileIO):
    """A file that takes no more than `most` bytes."""

    def __init__(self, path: str, most: int) -> None:
        super().__init__(path, "w")
        self.most, self.written = most, 0

    def write(self, data: bytes) -> int:
        self.written += len(data)
        if self.written > self.most:
            raise _Hopeless(f"more than {self.most} bytes come, which it cannot have")
        return super().write(data)


def _differs(path: Path, md5: str) -> str:
    if not md5:
        return ""
    found = base64.b64encode(bytes.fromhex(_hashed(path, hashlib.md5(usedforsecurity=False)))).decode()
    return "" if found == md5 else f"its MD5 is {found}, the server states {md5}"


def _in_words(error: BaseException) -> str:
    """The reason of an error at its root, in a line."""
    answer = getattr(error, "response", None)
    if answer is not None:
        return f"the server says {answer.status_code} {answer.reason}"
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, http.client.IncompleteRead) or "IncompleteRead" in str(error):
        return "the connection broke off"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).split("\n")[0]


def _say(line: str) -> None:
    print(line, file=sys.stderr)
