"""`dataset=tokens` and `dataset=abc`: corpora from the user's own files."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from folkrnn.datasets.corpus import HEADER, Corpus, Tune, distinct, vocabulary_of
from folkrnn.datasets.parsing import parse_texts, read_text
from folkrnn.places import existing, readable
from folkrnn.refusal import Refusal
from folkrnn.vocabulary import V2

_ABC_FILES = (".abc", ".txt", ".csv", ".json", ".jsonl", ".gz")
_TITLES = ("T:", "F:")
"""Lines before the header that name a tune, in `data_v2_withtitles` and in the Swedish data."""

_UNSTATED = "terms unknown: the user's own files"


def tokens(path: str | None = None, vocabulary: Literal["v2", "own"] = "v2") -> Corpus:
    """Returns a corpus in folk-rnn's own format (`data_v2` and kin): meter line, mode line, body line, blank line.

    One tune per line (header and body together) is read as well, and titles and unit lengths before the meter. With
    `vocabulary="v2"` tunes with tokens foreign to v2 are left out and counted; with `"own"` the vocabulary is that of
    the file. Raises Refusal where the file is not of this form.
    """
    file = _existing(path, "tokens")
    return of_tokens(read_text(file), readable(file.name), _UNSTATED, vocabulary)


def of_tokens(text: str, name: str, terms: str, vocabulary: Literal["v2", "own"]) -> Corpus:
    """Returns the corpus in a text of folk-rnn's own format."""
    if vocabulary not in ("v2", "own"):
        raise Refusal(f"dataset.vocabulary={vocabulary}: it may be v2 or own")
    rejections: Counter[str] = Counter()
    tunes = list(_token_tunes(text, name, rejections))
    if not tunes:
        raise Refusal(f"{name} holds no tune in folk-rnn's token format (a line M:…, a line K:…, a line of tokens)")
    chosen = V2 if vocabulary == "v2" else vocabulary_of(tunes)
    return Corpus(name, distinct(tunes, rejections, chosen), rejections, {name: terms}, chosen)


def abc(path: str | None = None) -> Corpus:
    """Returns a corpus from one file or a folder of ABC, or a thesession.org dump in CSV or JSON (columns `abc`, …)."""
    place = _existing(path, "abc")
    files = sorted(p for p in place.rglob("*") if p.suffix in _ABC_FILES) if place.is_dir() else [place]
    if not files:
        raise Refusal(f"{place} holds no ABC file ({', '.join(_ABC_FILES)})")
    texts = [(readable(file.name), _as_abc(file)) for file in files]
    name = readable(place.name)
    found, rejections = parse_texts(name, texts)
    return Corpus(name, distinct(found, rejections), rejections, {name: _UNSTATED})


def _existing(path: str | None, option: str) -> Path:
    if path is None:
        raise Refusal(f"dataset={option} needs a file: dataset.path=…")
    return existing("dataset.path", path)


def _token_tunes(text: str, source: str, rejections: Counter[str]) -> Iterator[Tune]:
    for block in _blocks(text):
        lines = block.split("\n")
        title = "".join(line.partition(":")[2].strip() for line in lines if line.startswith(_TITLES))
        words = " ".join(line for line in lines if not line.startswith(_TITLES)).split()
        words = [word for word in words if word not in ("<s>", "</s>")]
        if not words:
            continue
        if len(words) < 3 or not _has_header(words):
            rejections["no-header"] += 1
            continue
        yield Tune(tuple(words), title, source)


def _blocks(text: str) -> list[str]:
    """Tunes of a file: blocks between blank lines, or single lines where every line begins with a meter and a mode."""
    text = text.replace("\r\n", "\n")
    lines = [line for line in text.split("\n") if line.strip()]
    if all(_has_header(line.removeprefix("<s>").split()) for line in lines):
        return lines
    return text.split("\n\n")


def _has_header(words: list[str]) -> bool:
    fields = [word.lstrip("[")[:2] for word in words[:HEADER]]
    fields = fields[1:] if fields[:1] == ["L:"] else fields
    return fields[:2] == ["M:", "K:"]


def _as_abc(file: Path) -> str:
    """A file's tunes as one ABC text; the settings of a thesession.org dump are given headers."""
    text = read_text(file)
    name = file.name.removesuffix(".gz")
    if name.endswith(".csv"):
        return _settings_as_abc(csv.DictReader(io.StringIO(text)), file)
    if name.endswith((".json", ".jsonl")):
        return _settings_as_abc(_json_rows(text, file), file)
    return text


def _json_rows(text: str, file: Path) -> list[dict[str, str]]:
    try:
        if file.name.removesuffix(".gz").endswith(".jsonl"):
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise Refusal(f"{file} is not JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal(f"{file} is not a list of settings (objects with the keys abc, meter, mode)")
    return rows


def _settings_as_abc(rows: csv.DictReader | list[dict[str, str]], file: Path) -> str:
    """thesession.org stores the body alone; meter and mode are columns and the unit note is an eighth."""
    pieces = []
    for number, row in enumerate(rows, 1):
        missing = [key for key in ("abc", "meter", "mode") if not row.get(key)]
        if missing:
            raise Refusal(
                f"{file}, setting {number}: no {missing[0]!r}; a dump of thesession.org has abc, meter and mode"
            )
        body = str(row["abc"]).replace("\r\n", "\n").replace("\n\n", "\n")
        pieces.append(f"X:{number}\nT:{row.get('name', '')}\nM:{row['meter']}\nL:1/8\nK:{row['mode']}\n{body}\n")
    return "\n".join(pieces)
