"""Tables among the lines of a text, as Markdown, Org, MediaWiki, DokuWiki and plain text draw them.

Their rows are parted by the sign of a bar line, so that `| Bad | Cafe |` may be music; a rule below it says that it is
none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MAY_BE_TABLE = re.compile(r"--|\+[-=]|^[ \t]*(?:\{\||\^[ \t])", re.MULTILINE)
"""Found in each text that has a table."""

_DASHES = r"[ \t]*:?(?:-{2,}|={2,}):?[ \t]*"
_RULE = re.compile(rf"(?=.*[|+])[ \t]*[|+]?{_DASHES}(?:[|+]{_DASHES})*[|+]?[ \t]*$")
_HEADINGS = re.compile(r"[ \t]*\^[ \t].*\^[ \t]*$")
"""Of DokuWiki; an accidental stands at its note."""

_ROW = re.compile(r"[ \t]*[|^](?![:|\]]).*[|^][ \t]*$")
_OTHER_BARS = re.compile(r"[:|]\||\|[:|\]\d]|\[")
_PARTING = re.compile(r"[|+]")
_OPENS, _CLOSES = re.compile(r"[ \t]*\{\|"), re.compile(r"[ \t]*\|\}")


def lines_of_tables(lines: Sequence[str]) -> list[bool]:
    """Returns of each line whether it is of a table: a rule, the headings above it and the rows that follow it."""
    found = [False] * len(lines)
    inside = False  # what MediaWiki opens and closes
    width = 0  # of a table whose rows begin and end with no sign
    for i, line in enumerate(lines):
        above = lines[i - 1] if i else ""
        inside = inside or _OPENS.match(line) is not None
        if _RULE.match(line):
            found[i] = True
            width = 0 if line.strip()[0] in "|+" else _width(line)
            if i and _width(above) == _width(line) > 1 and not _OTHER_BARS.search(above):
                found[i - 1] = True
        elif inside or _HEADINGS.match(line):
            found[i] = True
        elif i and found[i - 1]:
            found[i] = _ROW.match(line) is not None or _width(line) == width
        inside = inside and _CLOSES.match(line) is None
    return found


def _width(line: str) -> int:
    """How many cells a row has."""
    return len(_PARTING.split(line.strip().strip("|+")))
