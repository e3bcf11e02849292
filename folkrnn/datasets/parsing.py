"""From ABC text to tunes of a corpus: in parallel, with a progress bar, cached by the digest of what was read."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import folkrnn.datasets
import folkrnn.notation
from folkrnn.datasets.corpus import LeftOut, Tune
from folkrnn.errors import UserError
from folkrnn.files.cache import cache_folder, cache_key, keep, kept
from folkrnn.files.places import readable
from folkrnn.notation import tokenise as tokeniser
from folkrnn.notation.abc import AbcTune, read_abc
from folkrnn.parallel.pool import in_parallel

CHUNK = 400
"""Tunes per task handed to a worker."""

LARGEST = 2**29
"""Bytes of text that are read of one file, unpacked."""

_ARCHIVES = (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")

WORTH_WORKERS = 2_000
"""Below this many tunes starting workers takes longer than parsing."""


Parsed = tuple[list[Tune], list[LeftOut]]


class NoText(UserError):
    """Raised for a file without text to be read; `reason` is a key of `corpus.REASONS`."""

    def __init__(self, reason: str, line: str) -> None:
        super().__init__(line)
        self.reason = reason


def read_text(path: Path) -> str:
    """Returns a file's text, UTF-8, UTF-16 or else Latin-1 (old ABC collections are either), unpacked if gzipped.

    Raises NoText where the file is missing, empty, unreadable, binary, an archive or larger than LARGEST.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        # a few bytes packed may be many unpacked: no more is unpacked than is read
        with gzip.open(path) if packed else path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise NoText("unreadable", f"no file {path}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise NoText("unreadable", f"cannot read {path}: {error}") from None
    if len(data) > LARGEST:
        raise NoText("unreadable", f"{path} holds more than {LARGEST // 2**20} MiB of text; give a part of it")
    if not data.strip():
        raise NoText("empty", f"{path} is empty")
    if data.startswith(_ARCHIVES) or data[257:262] == b"ustar":
        raise NoText("archive", f"{path} is an archive: unpack it and name the folder")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data:
        raise NoText("binary", f"{path} is a binary file, not text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def tokenised(tunes: Sequence[AbcTune]) -> Parsed:
    """Returns the tunes that folk-rnn's tokens can express, and of the others where they stand and why."""
    kept_tunes: list[Tune] = []
    unused: list[LeftOut] = []
    for tune in tunes:
        tokens, title = tokeniser.tokenise(tune), readable(tune.title)
        if isinstance(tokens, tokeniser.Rejection):
            place = f"{tune.source}, tune {tune.number}{f' ({title})' if title else ''}"
            unused.append(LeftOut(", ".join(filter(None, [place, tokens.where])), tokens.reason, tokens.detail))
        else:
            kept_tunes.append(Tune(tuple(tokens), title, tune.source))
    return kept_tunes, unused


def parse_all(tunes: Sequence[AbcTune], label: str) -> Parsed:
    """Returns `tokenised(tunes)`, shared among processes where there are many, with a progress bar on a terminal."""
    if len(tunes) < WORTH_WORKERS:
        return tokenised(tunes)
    chunks = [tunes[k : k + CHUNK] for k in range(0, len(tunes), CHUNK)]
    parts = list(in_parallel(tokenised, chunks, f"Parsing {label}"))
    return [tune for some, _ in parts for tune in some], [left for _, some in parts for left in some]


def cached(key: str, parse: Callable[[], Parsed]) -> Parsed:
    """Returns what `parse` returned the last time for the same `key`, or calls it and keeps the result.

    The cache is `$XDG_CACHE_HOME/folkrnn` (`~/.cache/folkrnn`); where that cannot be written, nothing is kept.
    """
    path = cache_folder() / f"tunes-{key}.json.gz"
    if (data := kept(path)) is not None:
        entry = json.loads(gzip.decompress(data))
        tunes = [Tune(tuple(tokens.split(" ")), title, source) for tokens, title, source in entry["tunes"]]
        return tunes, [LeftOut(*left) for left in entry["unused"]]
    tunes, unused = parse()
    entry = {"tunes": [(" ".join(tune.tokens), tune.title, tune.source) for tune in tunes], "unused": unused}
    keep(path, gzip.compress(json.dumps(entry).encode(), mtime=0))
    return tunes, unused


def parse_texts(name: str, texts: Sequence[tuple[str, str]]) -> Parsed:
    """Returns the tunes of several ABC texts `(source, text)`, and what has none, cached."""

    def parse() -> Parsed:
        return parse_all([tune for source, text in texts for tune in read_abc(text, source)], name)

    return cached(cache_key(texts, folkrnn.notation, folkrnn.datasets), parse)
