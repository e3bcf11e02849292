"""Tunes in folk-rnn's own format: `data_v2` and files like it, and what its scripts write when they sample.

A meter line, a mode line, a line of tokens and a blank line; or all of a tune on one line, ended by `</s>`; with a
title or a number (`X:0`) before it, or a unit length; the tokens with spaces between them, or, after a number, with
none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from folkrnn.datasets.corpus import HEADER, LeftOut, Tune
from folkrnn.notation.abc import AbcTune
from folkrnn.notation.rejection import Rejection
from folkrnn.notation.tokenise import tokenise
from folkrnn.vocabulary import V2

_TITLES = ("T:", "F:")
"""Lines before the header that name a tune, in `data_v2_withtitles` and in the Swedish data."""

_REMARK = re.compile(r"(?![KLM]:)[A-Za-z]:(?![|:])")
_HEADER_LINE = re.compile(r"\[?[KLM]:\S+$")
_BEGINS = re.compile(r"[XTF]:(?![|:])|<s>")


def token_tunes(text: str, source: str) -> Iterator[Tune | LeftOut]:
    """Yields the tunes of a text in folk-rnn's own format, and what has no meter and mode before its tokens."""
    for number, lines in _blocks(text):
        title = "".join(line.partition(":")[2].strip() for line in lines if line.startswith(_TITLES))
        words = " ".join(line for line in lines if not _REMARK.match(line)).split()
        words = [word for word in words if word not in ("<s>", "</s>")]
        place = f"{source}, line {number}{f' ({title})' if title else ''}"
        if not words:
            continue
        if len(words) < 3 or not _has_header(words):
            yield LeftOut(place, "no-header", " ".join(words)[:40])
        elif len(words) == 3 and words[2] not in V2.index and any(line.startswith("X:") for line in lines):
            yield _joined(words, title, source, place)
        else:
            yield Tune(tuple(words), title, source)


def is_token_text(text: str) -> bool:
    """Whether a text without X: begins with a tune of folk-rnn's tokens, meter and mode before them."""
    if re.search(r"^[ \t]*X:", text, re.MULTILINE):
        return False
    first = next((lines for _, lines in _blocks(text)), [])
    words = " ".join(line for line in first if not _REMARK.match(line)).removeprefix("<s>").split()
    return len(words) > 2 and _has_header(words) and all(word in V2.index for word in words)


def _joined(words: list[str], title: str, source: str, place: str) -> Tune | LeftOut:
    """A tune whose tokens were printed with nothing between them."""
    meter, mode, body = words
    tokens = tokenise(AbcTune(title, meter.removeprefix("M:"), Fraction(1, 8), mode.removeprefix("K:"), body))
    if isinstance(tokens, Rejection):
        return LeftOut(place, tokens.reason, tokens.detail)
    return Tune(tuple(tokens), title, source)


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of each tune with the number of the first: between blank lines, numbers, titles or whole headers."""
    found: list[str] = []
    has_body, first = False, 1
    lines = map(str.strip, text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    for number, line in enumerate(lines, 1):
        if found and (not line or (has_body and (_BEGINS.match(line) or _has_header(line.split())))):
            yield first, found
            found, has_body = [], False
        if not line:
            continue
        if not found:
            first = number
        found.append(line)
        has_body |= not _REMARK.match(line) and not _HEADER_LINE.match(line)
    if found:
        yield first, found


def _has_header(words: list[str]) -> bool:
    fields = [word.lstrip("[")[:2] for word in words[:HEADER]]
    fields = fields[1:] if fields[:1] == ["L:"] else fields
    return fields[:2] == ["M:", "K:"]
