"""ABC music code cut into lexemes by one regular expression, in one pass and linear time whatever the text.

Every alternative either is of bounded length or stops at the sign that would start it anew, so that no text is read
more than a few times; the last alternative takes any single character, so that every character belongs to a lexeme.
"""

from __future__ import annotations

import re

from folkrnn.notation.keys import only_clef

_JUMP = r"D\.[ \t]?[CS]\.(?![ \t]*[A-Ga-gxz^_=])"
"""Da capo and dal segno, which are no staccato notes where none follows."""

WORD = (
    r"(?:[IKNQU-WYh-tw]{2}|[HJLMOPRST][h-tw]|(?<=[A-Za-z])[h-tw](?=[ \t.,;:?]|$)|(?<=[a-z])\.(?=[ \t]*$)"
    rf"|{_JUMP})"
)
"""What only words have: two letters side by side that are neither notes nor the usual ornaments, such a letter at the
end of a word, a full stop at the end of a line, a jump."""

_ALTERNATIVES = {
    # A line such as "w: la la" is a field, but "A:|" and "d::" are music.
    "line": r"^[ \t]*+(?![A-Ga-gxz]:[ \t]*[|:\]])(?P<line_name>[A-Za-z+]):(?![|:])(?P<line_value>[^\n]*)",
    "html": r"^[ \t]*</?(?:html|pre|body|head|title|p|br|hr|div|span|font|center|td|tr|table)\b[^>\n]*>",
    "jump": _JUMP,
    "rule": r"^[ \t]*+(?=[-:= \t]*[|+])(?=[^\n]*--)[-|+:= \t]++$",  # of a table
    # x is a rest that nobody sees (ABC 2.1, section 4.5)
    "note": (
        r"(?P<pitch>(?P<accidental>[_^=]{0,3})(?P<letter>[A-Ga-gxz])(?P<octave>[,']*+))"
        r"[ \t]*+(?P<length>[\d/]*+)(?P<broken>[<>]*+)"
    ),
    "spacer": r"y[,']*+[ \t]*+[\d/]*+",
    "space": r"[ \t\r\f\v`\xa0]++\n?|\n",
    "measure": r"(?P<sign>(?:\[?[|:]++\]?+)++)(?:[\s\\]*+\[?[ \t]*+(?P<number>\d[\d,.\-]*+))?",
    "inline": r"\[(?P<inline_name>[A-Za-z]):(?P<inline_value>[^\[\]\n]*)\]",
    "ending": r"\[[ \t]*+(?P<ending_number>\d[\d,.\-]*+)",
    "tuplet": r"\([ \t]*+\d++(?::\d*+){0,2}",
    "quoted": r'"[^"\n]*"|\u201c[^\u201c\u201d\n]*\u201d',
    "grace": r"\{[^{}\n]*\}",
    "open": r"\[",
    "close": r"\](?P<chord_length>[ \t]*+[\d/]*+)(?P<chord_broken>[<>]*+)",
    "rhythm": r"[<>]++",
    "factor": r"[\d/]++",
    # "!D.C. al fine!" has spaces; what has none of such letters may be music between two line breaks of old
    "decoration": r"!(?P<decoration_name>[^!|\s]{1,30}|(?=[^!|\n]{0,30}[h-tw][a-z])[^!|\n]{1,30})!",
    "comment": r"%[^\n]*",
    "plus": r"\+(?P<plus_name>[^+|\s]{1,30})\+",
    "rests": r"[ZX]\d*+",
    "overlay": r"&",
    # Ties and slurs, drawn above or below (' and ,) or not, and line breaks are said by no token; * ; ? @ # are
    # reserved, to be passed over (8.1). But "F#" is an F sharp, and a full stop at the end of a line ends a sentence.
    "dropped": r"[-(][',]?|[)~*\\$!;?@]|\.(?![ \t]*$)|(?<![A-Ga-g])#",
    "word": WORD,
    "ornament": r"[.H-WYh-w]",
    "other": r"[\s\S]",
}

LEXEMES = re.compile(
    "|".join(f"(?P<{name}>{pattern})" for name, pattern in _ALTERNATIVES.items()), re.MULTILINE | re.ASCII
)
"""`LEXEMES.finditer(text)` covers the text without gaps; `lastgroup` names the kind of each lexeme."""


def fields_before_notes(body: str) -> dict[str, str]:
    """Returns the last meter, unit and key that fields among the music give before the first note: they are header."""
    found: dict[str, str] = {}
    if "M:" not in body and "K:" not in body and "L:" not in body:  # most tunes have none
        return found
    for match in LEXEMES.finditer(body):
        kind = match.lastgroup
        if kind in ("note", "open", "rests"):
            break
        if kind in ("line", "inline"):
            name, value = match[f"{kind}_name"], match[f"{kind}_value"]
            if name in "ML" or (name == "K" and not only_clef(value)):
                found[name] = value.strip()
    return found
