"""ABC music code cut into lexemes by one regular expression, in one pass and linear time whatever the text.

Every alternative either is of bounded length or stops at the sign that would start it anew, so that no text is read
more than a few times; the last alternative takes any single character, so that every character belongs to a lexeme.
"""

from __future__ import annotations

import re

_ALTERNATIVES = {
    # A line such as "w: la la" is a field, but "A:|" and "d::" are music.
    "line": r"^(?![A-Ga-gz]:[ \t]*[|:\]])(?P<line_name>[A-Za-z+]):(?![|:])(?P<line_value>[^\n]*)",
    "html": r"^[ \t]*</?(?:html|pre|body|head|title|p|br|hr|div|span|font|center|td|tr|table)\b[^>\n]*>",
    "note": (
        r"(?P<pitch>(?P<accidental>[_^=]{0,3})(?P<letter>[A-Ga-gz])(?P<octave>[,']*+))"
        r"[ \t]*+(?P<length>[\d/]*+)(?P<broken>[<>]*+)"
    ),
    "invisible": r"[xy][,']*+[ \t]*+[\d/]*+",  # rests and spacers that nobody sees, with their lengths
    "space": r"[ \t\n\r\f\v`]++",
    "measure": r"(?P<sign>(?:\[?[|:]++\]?+)++)(?:[\s\\]*+\[?[ \t]*+(?P<number>\d[\d,.\-]*+))?",
    "inline": r"\[(?P<inline_name>[A-Za-z]):(?P<inline_value>[^\[\]\n]*)\]",
    "ending": r"\[[ \t]*+(?P<ending_number>\d[\d,.\-]*+)",
    "tuplet": r"\([ \t]*+(?P<tuplet_number>\d++)(?::\d*+){0,2}",
    "quoted": r'"[^"\n]*"',
    "grace": r"\{[^{}\n]*\}",
    "open": r"\[",
    "close": r"\](?P<chord_length>[ \t]*+[\d/]*+)(?P<chord_broken>[<>]*+)",
    "rhythm": r"[<>]++",
    "factor": r"[\d/]++",
    "decoration": r"!(?P<decoration_name>[^!|\s]{1,30})!",
    "comment": r"%[^\n]*",
    "plus": r"\+(?P<plus_name>[^+|\s]{1,30})\+",
    "rests": r"[ZX]\d*+",
    "overlay": r"&",
    # Ties, slurs, ornaments, spacers and line breaks: said by no token.
    "dropped": r"[-().~*\\$!;H-WYh-w]",
    "other": r"[\s\S]",
}

LEXEMES = re.compile(
    "|".join(f"(?P<{name}>{pattern})" for name, pattern in _ALTERNATIVES.items()), re.MULTILINE | re.ASCII
)
"""`LEXEMES.finditer(text)` covers the text without gaps; `lastgroup` names the kind of each lexeme."""
