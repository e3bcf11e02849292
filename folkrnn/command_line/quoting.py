"""Raw text on the command line: ABC reaches the program as it was typed.

Both ABC and Hydra give a meaning to `(`, `'`, `,`, `=`, `[`, `^` and `|`. So the values of the keys in
RAW_KEYS are quoted before Hydra reads them; one such value is one value, also in a sweep.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from folkrnn.refusal import Refusal

RAW_KEYS = {"prime", "transcription", "tokens", "token"}
"""Last parts of the keys that take raw text: `sampling.prime`, `transcription`, `intervention.….tokens`."""

_OVERRIDE = re.compile(r"(?P<key>\+{0,2}[\w./@$-]+)=(?P<value>.*)", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


def quoted(arguments: list[str]) -> list[str]:
    """Returns the arguments for Hydra: flags first, then the overrides, raw values read and quoted.

    A raw value `@FILE` stands for the text of that file and `-` for that of standard input. `null` stays null, and a
    value already quoted for Hydra stays as it is. Raises Refusal for a file that cannot be read (also for one that
    `transcription` names without `@`) and for two values from standard input.
    """
    overrides = [argument for argument in arguments if is_override(argument)]
    if sum(_is_raw(override) and override.endswith("=-") for override in overrides) > 1:
        raise Refusal("standard input can be read once: give only one of the values as -")
    flags = [argument for argument in arguments if not is_override(argument)]
    return flags + [_quote(override) for override in overrides]


def unquoted(override: str) -> str:
    """Returns an override as a user would type it: undoes `quoted` for raw values, leaves the others alone."""
    match = _OVERRIDE.fullmatch(override)
    if match is None or not _is_raw(override) or not _QUOTED.fullmatch(match["value"]):
        return override
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return f"{match['key']}={OverridesParser.create().parse_override(override).value()}"


def is_override(argument: str) -> bool:
    """Whether an argument is `KEY=VALUE` or `~KEY`, and no flag."""
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def _is_raw(override: str) -> bool:
    match = _OVERRIDE.fullmatch(override)
    return match is not None and match["key"].lstrip("+").rpartition(".")[2] in RAW_KEYS


def _quote(override: str) -> str:
    match = _OVERRIDE.fullmatch(override)
    if match is None or not _is_raw(override):
        return override
    key, value = match["key"], match["value"]
    if value in ("", "null") or _QUOTED.fullmatch(value):
        return override
    text = _text(key.lstrip("+"), value)
    if "${" in text:
        raise Refusal(f"{key}: the text has ${{ in it, which is neither ABC nor a token")
    from hydra.core.override_parser.types import Quote, QuotedString

    return f"{key}={QuotedString(text, Quote.single).with_quotes()}"


def _text(key: str, value: str) -> str:
    """Returns what the value stands for: standard input, the content of a file, or itself."""
    if value == "-":
        return sys.stdin.read().strip()
    if value.startswith("@"):
        return _read(key, Path(value[1:]))
    # a tune never ends so, a file that is not there does
    if key == "transcription" and re.fullmatch(r".*\.(abc|txt)", value, re.IGNORECASE):
        _read(key, Path(value))
    return value


def _read(key: str, path: Path) -> str:
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise Refusal(f"{key}: cannot read {path}: {error.strerror or error}") from None
    if b"\0" in content:
        raise Refusal(f"{key}: {path} is a binary file, no text")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        text = content.decode("latin-1").strip()  # the encoding of ABC before version 2.1
    if not text:
        raise Refusal(f"{key}: {path} is empty")
    return text
