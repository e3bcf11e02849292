"""Raw text on the command line: ABC and paths reach the program as they were typed.

ABC, file names and Hydra each give a meaning of their own to `(`, `'`, `,`, `=`, `[`, `^`, `#` and `|`. So the values
of the keys in TEXT_KEYS and PATH_KEYS are quoted before Hydra reads them; one such value is one value. Only in a sweep,
where the whole names nothing that is there, commas may stand between several: names and paths that are all there, or
values in Hydra's own quotes.
"""

from __future__ import annotations

import re
import shlex
import sys
from typing import cast

from folkrnn.datasets.published_tunes import TUNES
from folkrnn.errors import UserError
from folkrnn.files.places import content, place

TEXT_KEYS = {"prime", "transcription", "tokens", "token"}
"""Last parts of the keys that take text of music: `sampling.prime`, `transcription`, `intervention.….tokens`."""

PATH_KEYS = {"path", "replay", "folder", "uri", "address", "beside"}
"""Last parts of those that take paths or addresses: `dataset.path`, `sampling.replay`, `tracking.uri`."""

LISTS = {"replay", "beside"}
"""Those of them that take a list too: in brackets, and what is in them is Hydra's."""

_OVERRIDE = re.compile(r"(?P<key>\+{0,2}[\w./@$-]+)=(?P<value>.*)", re.DOTALL)
_ONE_QUOTED = r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
_QUOTED = re.compile(_ONE_QUOTED, re.DOTALL)
_SEVERAL_QUOTED = re.compile(rf"{_ONE_QUOTED}(?:\s*,\s*{_ONE_QUOTED})+|choice\(.*\)", re.DOTALL)
_INTERPOLATION, _ESCAPED = re.compile(r"(\\*)\$\{"), re.compile(r"((?:\\\\)*)\\\$\{")


def quoted(arguments: list[str]) -> list[str]:
    """Returns the arguments for Hydra: flags first, then the overrides, raw values read and quoted.

    A text `@FILE` stands for the content of that file and `-` for that of standard input. `null` stays null, and a
    value already quoted for Hydra stays as it is, unless a file has that very name. Raises UserError for a file that
    cannot be read (also for one that `transcription` names without `@`) and for two values from standard input.
    """
    overrides = [argument for argument in arguments if is_override(argument)]
    if sum(_is_text(override) and override.endswith("=-") for override in overrides) > 1:
        raise UserError("standard input can be read once: give only one of the values as -")
    flags = [argument for argument in arguments if not is_override(argument)]
    sweep = not {"-m", "--multirun", "hydra.mode=MULTIRUN"}.isdisjoint(arguments)
    return flags + [_quote(override, sweep) for override in overrides]


def unquoted(override: str) -> str:
    """Returns an override as a user would type it: undoes `quoted` for raw values, leaves the others alone."""
    match = _OVERRIDE.fullmatch(override)
    if match is None or not _is_raw(override) or not _QUOTED.fullmatch(match["value"]):
        return override
    from hydra.core.override_parser.overrides_parser import OverridesParser

    text = cast("str", OverridesParser.create().parse_override(override).value())
    if _last_part(override) in PATH_KEYS:
        text = _ESCAPED.sub(lambda match: match[1][::2] + "${", text)
    return f"{match['key']}={text}"


def in_quotes(override: str) -> str:
    """Returns `KEY=VALUE` with the value as text in Hydra's quotes, as one word for a POSIX shell."""
    key, _, value = override.partition("=")
    return shlex.quote(f"{key}={_as_text(value)}")


def is_override(argument: str) -> bool:
    """Whether an argument is `KEY=VALUE` or `~KEY`, and no flag."""
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def _last_part(override: str) -> str:
    match = _OVERRIDE.fullmatch(override)
    key = "" if match is None else match["key"].lstrip("+")
    return "" if key.startswith("hydra.") else key.rpartition(".")[2]


def _is_text(override: str) -> bool:
    return _last_part(override) in TEXT_KEYS


def _is_raw(override: str) -> bool:
    return _last_part(override) in TEXT_KEYS | PATH_KEYS


def _quote(override: str, sweep: bool) -> str:
    match = _OVERRIDE.fullmatch(override)
    if match is None or not _is_raw(override):
        return override
    key, value = match["key"], match["value"]
    if sweep and _SEVERAL_QUOTED.fullmatch(value) and not _is_there(value):
        return override
    values = _values(value) if sweep else [value]
    return f"{key}={','.join(_quote_one(key.lstrip('+'), one) for one in values)}"


def _values(value: str) -> list[str]:
    """The values that one of a sweep is made of: itself, or its parts where they all are there and it is not."""
    parts = value.split(",")
    several = len(parts) > 1 and not _is_there(value) and all(part == "null" or _is_there(part) for part in parts)
    return parts if several else [value]


def _is_there(text: str) -> bool:
    if text in TUNES or text == "held_out":  # names that `sampling.replay` knows
        return True
    try:
        place(text).lstat()
    except (OSError, UserError):
        return False
    return True


def _quote_one(key: str, value: str) -> str:
    of_path = key.rpartition(".")[2] in PATH_KEYS
    there = of_path and _is_there(value)
    if value in ("", "null") or (_QUOTED.fullmatch(value) and not there):
        return value
    if not of_path:
        text = _text(key, value)
        if "${" in text:
            raise UserError(f"{key}: the text has ${{ in it, which is neither ABC nor a token")
        return _as_text(text)
    if key.rpartition(".")[2] in LISTS and re.fullmatch(r"\[.*\]", value, re.DOTALL) and not there:
        return value
    if key.endswith("beside"):
        return f"[{_as_text(value)}]"
    # ${…} is an interpolation, as in the configuration files, but not where it is the name of a file; ??? is none given
    literal = _INTERPOLATION.sub(r"\1\1\\${", value) if there else value
    return _as_text("./???" if literal == "???" else literal)


def _as_text(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def _text(key: str, value: str) -> str:
    """Returns what the value stands for: standard input, the content of a file, or itself."""
    if value == "-":
        return _decoded(key, b"" if sys.stdin is None else sys.stdin.buffer.read(), "standard input")
    if value.startswith("@"):
        return _read(key, value[1:])
    # a tune never ends so, a file that is not there does
    if key == "transcription" and re.fullmatch(r"[^\n]*\.(abc|txt)", value, re.IGNORECASE):
        _read(key, value)
    return value


def _read(key: str, name: str) -> str:
    file = place(name, key)
    return _decoded(key, content(key, file, name), str(file))


def _decoded(key: str, data: bytes, source: str) -> str:
    if b"\0" in data:
        raise UserError(f"{key}: {source} is a binary file, no text")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        text = data.decode("latin-1").strip()  # the encoding of ABC before version 2.1
    if not text:
        raise UserError(f"{key}: {source} is empty")
    return text
