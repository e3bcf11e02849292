"""Dumps of thesession.org, as CSV, JSON or JSON Lines: settings whose meter and mode stand in columns beside the ABC.

No row spoils the others: one that is broken or has not the columns is left out with its number.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping

from folkrnn.datasets.corpus import LeftOut
from folkrnn.files.places import readable
from folkrnn.notation.abc import AbcTune, count_tunes, read_setting

SUFFIXES = (".csv", ".json", ".jsonl")

LONGEST_ROW = 200_000
"""Characters of the longest row of a CSV file; quotes that close later than that are taken for never closed."""

_BROKEN = 1_000
"""Broken rows after which the rest of a JSON text is given up."""

_NEXT_ROW = re.compile(r"[,\n][ \t\r\n]*(?=\{)")
_NAMES = {"key": "mode", "title": "name"}
"""Other names of the columns, as in the data of the folk-rnn web application."""

Row = tuple[int, object]


class NoDump(ValueError):
    """Raised for a table or a JSON text that has no settings; its text says what is missing."""


def settings_of(text: str, suffix: str, source: str, place: str) -> tuple[list[AbcTune], list[LeftOut]]:
    """Returns the settings in a dump as tunes, and the rows that are none. Raises NoDump where there are no settings.

    `suffix` says the form, `source` is filed with each tune, `place` names the file in what is left out.
    """
    rows = list(_csv_rows(text) if suffix == ".csv" else _json_rows(text))
    if not any(isinstance(row, Mapping) and "abc" in row for _, row in rows):
        raise NoDump("no rows with a column abc")
    tunes: list[AbcTune] = []
    unused: list[LeftOut] = []
    for number, row in rows:
        found = _tune(row, source, number)
        if isinstance(found, AbcTune):
            tunes.append(found)
        else:
            reason, detail = found
            unused.append(LeftOut(f"{place}, row {number}", reason, detail))
    return tunes, unused


def _tune(row: object, source: str, number: int) -> AbcTune | tuple[str, str]:
    """The setting in a row, or reason and detail why there is none."""
    if isinstance(row, str):
        return "broken_row", row
    if not isinstance(row, Mapping):
        return "row", "no object with named values"
    cells = {name: value for name in ("abc", "meter", "mode", "name") if isinstance(value := row.get(name), str)}
    abc = readable(cells.get("abc", ""))
    if not abc.strip():
        return "row", "no abc"
    if count_tunes(abc) > 1:
        return "several_tunes", f"{count_tunes(abc)} tunes"
    title = " ".join(readable(cells.get("name", "")).split())
    tune = read_setting(abc, title, cells.get("meter", "").strip(), cells.get("mode", "").strip(), source, number)
    missing = [name for name, value in (("meter", tune.meter), ("mode", tune.key)) if not value]
    return ("row", f"no {' and no '.join(missing)}") if missing else tune


def _named(row: dict) -> dict[str, object]:
    """A row by the names of its columns in small letters."""
    named = {str(name).strip().lower(): value for name, value in row.items() if name is not None}
    return {_NAMES.get(name, name): value for name, value in named.items() if _NAMES.get(name) not in named}


def _json_rows(text: str) -> Iterator[Row]:
    """The rows of a list, of a list inside an object, or one a line; a broken one as the text that says so."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        yield from _broken_list(text) if text.lstrip().startswith("[") else _json_lines(text)
        return
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list)]
        whole = [whole] if "abc" in {str(key).lower() for key in whole} else lists[0] if len(lists) == 1 else []
    if not isinstance(whole, list):
        raise NoDump("no list of settings")
    for number, row in enumerate(whole, 1):
        yield number, _named(row) if isinstance(row, dict) else None


def _json_lines(text: str) -> Iterator[Row]:
    lines = [line for line in text.split("\n") if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, f"no JSON: {str(error)[:60]}"
        else:
            yield number, _named(row) if isinstance(row, dict) else None


def _broken_list(text: str) -> Iterator[Row]:
    """The rows of a list that is no JSON as a whole, each read on its own."""
    decode = json.JSONDecoder().raw_decode
    at, number, broken = text.index("[") + 1, 0, 0
    while at < len(text):
        at += len(text[at : at + 100]) - len(text[at : at + 100].lstrip(" \t\r\n,"))
        if at >= len(text) or text[at] == "]":
            return
        number += 1
        try:
            row, at = decode(text, at)
            yield number, _named(row) if isinstance(row, dict) else None
        except (ValueError, RecursionError) as error:
            broken += 1
            yield number, f"no JSON: {str(error)[:60]}"
            following = _NEXT_ROW.search(text, at + 1)
            if following is None or broken >= _BROKEN:
                return
            at = following.end()


def _csv_rows(text: str) -> Iterator[Row]:
    """The rows of a table; a broken one, which ends with its line, as the text that says so."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_ROW))
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = lines[0] if lines else ""
    between = max(",;\t", key=header.count)
    names = [name.strip().strip('"').lower() for name in header.split(between)]
    if "abc" not in names:
        raise NoDump(f"no column abc among {', '.join(names)[:60]}")
    at, number = 1, 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        number += 1
        cells, stop = _csv_row(lines, at, between)
        named = _named(dict(zip(names, cells, strict=False)))
        # a quote that is closed rows later swallows them: only the ABC goes over line ends
        if not cells or len(cells) > len(names) or any("\n" in str(named[n]) for n in named if n != "abc"):
            yield number, f"quotes or columns that do not fit: {lines[at][:40]}"
            at += 1
            continue
        yield number, named
        at = stop


def _csv_row(lines: list[str], start: int, between: str) -> tuple[list[str], int]:
    """The cells of the row that begins there, and where the next one does; no cells where its quotes never fit."""
    stop, length, quotes = start, 0, 0
    while stop < len(lines) and length < LONGEST_ROW:
        length += len(lines[stop]) + 1
        quotes += lines[stop].count('"')
        stop += 1
        if quotes % 2 == 0:
            break
    if quotes % 2:
        return [], start
    try:
        (cells,) = csv.reader(["\n".join(lines[start:stop])], delimiter=between, strict=True)
    except (csv.Error, ValueError):
        return [], start
    return cells, stop
