"""ABC files cut into tunes: header fields as they stand, music code as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from folkrnn.notation.lexer import LEXEMES, WORD, fields_before_notes
from folkrnn.notation.meters import default_unit, read_unit
from folkrnn.notation.rejection import Unfit
from folkrnn.notation.tables import MAY_BE_TABLE, lines_of_tables
from folkrnn.notation.wrapping import sections
from folkrnn.vocabulary import V2

_FIELD = re.compile(r"[ \t]*([A-Za-z+]):[ \t]*(.*)")
_BODY_FIELD = re.compile(r"(?![A-Ga-gxz]:[ \t]*[|:\]])([A-Za-z]):(?![|:])[ \t]*(.*)")
_TUNE = re.compile(r"^[ \t]*X[ \t]*:|(?<=[|\]])X:(?=[ \t]*\d)", re.MULTILINE)
_NUMBER = re.compile(r"\d{1,9}")

_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_INLINE = re.compile(r"[ \t]*((?:\[[A-Za-z]:[^\[\]\n]*\][ \t]*)+)(.*)")
_INLINE_FIELD = re.compile(r"\[([A-Za-z]):([^\[\]\n]*)\]")
_KEY = re.compile(r"^[ \t]*K:|\[K:", re.MULTILINE)

# Lines that are no music: headings, links, templates, tables, rules, bold type, quotations and items of a wiki or of
# Markdown, or words.
_MARK = (
    r"^[ \t]*(?:={2,}[^=\n]+={2,}|\[\[|\{\{|\{\||\|\}|\|-+[ \t]*$|(?:-{3,}|_{3,}|\*{3,}|={3,})[ \t]*$|'{2,}"
    r"|(?:[*+>-]|#{1,6}|\d+[.)])[ \t])"
)
_MARKED = re.compile(_MARK)
_TEXT = re.compile(rf"{_MARK}|{WORD}", re.MULTILINE)
_MAY_BE_TEXT = re.compile(r"[IKNQU-WYh-tw]|^[ \t]*(?:[={\['*+>#_\d-]|\|[-}])|\.[ \t]*$", re.MULTILINE)
"""The same, faster."""

_LETTERS = re.compile(
    r"^[ \t]*(?P<bracket>\()?(?:[A-Ga-g]++(?:[ \t]*+[,;:])?[ \t]++)+[A-Ga-g]++[.!?]?(?(bracket)\)\.?)[ \t]*$",
    re.MULTILINE,
)
"""Words that happen to have no other letters than notes have, as `(bad cafe)`; or notes."""
_LONG = r"[A-Ga-gxz][,']*+\d"
_MIXED = re.compile(rf"(?![ \t]*\|)(?=.*\|)(?:.*[|\]][ \t]*$|.*{_LONG})|[ \t]*[_^=]?{_LONG}")
"""Music with words in it, as in "c8 fine|": it ends with a bar line, has one and a note with its length, or begins with
such a note."""

_ASIDE = re.compile(r'"[^"\n]*"|![^!|\n]{1,30}!|\+[^+|\s]{1,30}\+|\[[A-Za-z]:[^\[\]\n]*\]|%.*')

_SAMPLED_KEYS = ("Cmaj", "Cmin", "Cdor", "Cmix")


@dataclass(frozen=True)
class AbcTune:
    """One tune of an ABC file.

    `meter` and `key` are the header's own words ("C|", "D Major"); `unit` is the unit note length as a share of a whole
    note, by ABC's rule where no L: gives it, and 0 where L: cannot be read; `body` is the music code with its line
    breaks, field lines and comments; `fields` has every field by its letter, in order, comments under "%" and remarks
    that stand after the tune under "text"; `source` is the file it came from, `number` its X: or its place there.
    """

    title: str
    meter: str
    unit: Fraction
    key: str
    body: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    source: str = ""
    number: int = 0


def read_abc(text: str, source: str = "") -> Iterator[AbcTune]:
    """Yields the tunes of `text` in order.

    X: starts a tune; text without X: is one tune if it has a K:. What stands before the first X: is the header of the
    file: its fields and comments belong to every tune. Fields before the first note belong to the header wherever they
    stand. A tune without K: is yielded all the same, its key empty, so that it can be counted. Text around the tunes is
    passed over (`wrapping`). Source: the ABC 2.1 standard, sections 2 and 3, read leniently.
    """
    parts = sections(text)
    if not any(_TUNE.search(part) for part in parts):
        tunes = (part for part in parts if _KEY.search(part))
        yield from (_read_tune(part, {}, source, place) for place, part in enumerate(tunes, 1))
        return
    common: dict[str, list[str]] = {}
    place = 0
    for number, part in enumerate(parts):
        starts = [match.start() for match in _TUNE.finditer(part)]
        if not starts:
            continue
        if number == 0:
            common, _ = _read_header(part[: starts[0]].split("\n"))
        for start, stop in zip(starts, [*starts[1:], len(part)], strict=True):
            place += 1
            if part[start:stop].strip().count("\n"):  # an X: with nothing after it is a slip of the file
                yield _read_tune(part[start:stop], common, source, place)


def read_setting(text: str, title: str, meter: str, key: str, source: str, number: int) -> AbcTune:
    """Returns a tune whose meter and key are given beside it and whose unit note is an eighth, as in thesession.org's
    data; a header of its own that stands in the text says otherwise.
    """
    body = "\n".join(line for part in sections(text) for line in part.split("\n") if line.strip())
    fields, length = _leading_fields(body.split("\n"))
    body, remarks = _split_remarks("\n".join(body.split("\n")[length:]), fields)
    _add_fields(fields, body.split("\n"))
    _add_fields(fields, remarks, "text")
    last = {name: values[-1] for name, values in fields.items()} | fields_before_notes(body)
    return AbcTune(
        title=title or last.get("T", ""),
        meter=last.get("M", meter),
        unit=_unit(last.get("L", "1/8"), ""),
        key=last.get("K", key),
        body=body,
        fields=fields,
        source=source,
        number=number,
    )


def count_tunes(text: str) -> int:
    """Returns how many X: there are."""
    return len(_TUNE.findall(text))


def _read_tune(text: str, common: dict[str, list[str]], source: str, place: int) -> AbcTune:
    lines = text.strip("\n").split("\n")
    header, length = _read_header(lines)
    fields = {name: [*common.get(name, ()), *header.get(name, ())] for name in {**common, **header}}
    body, remarks = _split_remarks("\n".join(lines[length:]), fields)
    sampled = _is_sampled(fields, body)
    last = {name: fields[name][-1] for name in "MLK" if name in fields} | fields_before_notes(body)
    _add_fields(fields, body.split("\n"))
    _add_fields(fields, remarks, "text")
    own = {**{name: values[-1] for name, values in common.items()}, **{n: v[0] for n, v in header.items()}}
    number = _NUMBER.match(own.get("X", ""))
    return AbcTune(
        title=own.get("T") or fields.get("T", [""])[0],
        meter=last.get("M", ""),
        unit=Fraction(1, 8) if sampled else _unit(last.get("L", ""), last.get("M", "")),
        key=last.get("K", ""),
        body=body,
        fields=fields,
        source=source,
        number=int(number[0]) if number else place,
    )


def _is_sampled(fields: dict[str, list[str]], body: str) -> bool:
    """Whether a tune is what folk-rnn's own scripts write, which count in eighths without saying so.

    That is X:, the meter token, the mode token, and a line of tokens with spaces between them or with none.
    """
    if set(fields) != {"X", "M", "K"} or fields["K"] not in ([key] for key in _SAMPLED_KEYS) or "\n" in body.strip():
        return False
    words = body.split()
    return len(words) == 1 or all(word in V2.index for word in words)


def _unit(unit: str, meter: str) -> Fraction:
    if not unit:
        return default_unit(meter)
    try:
        return read_unit(unit)
    except Unfit:
        return Fraction(0)


def _read_header(lines: list[str]) -> tuple[dict[str, list[str]], int]:
    """The fields up to K:, comments under "%", and how many lines they are.

    Without a line K: the header ends before the music: before inline fields that music or a key follows, or before the
    first line of notes and bars.
    """
    fields: dict[str, list[str]] = {}
    last = "text"
    for count, line in enumerate(lines, 1):
        match = _FIELD.match(line)
        if _is_comment(line):
            fields.setdefault("%", []).append(line.strip().lstrip("%").strip())
        elif match is not None:
            last, (value, _, comment) = match[1], _parted(match[1], match[2])
            fields.setdefault(last, []).append(value.strip())
            if comment:
                fields.setdefault("%", []).append(comment.strip())
            if last == "K":
                return fields, count
        elif inline := _INLINE.match(line):
            found = _INLINE_FIELD.findall(inline[1])
            if inline[2] or any(name == "K" for name, _ in found):
                return fields, count - 1
            for name, value in found:
                fields.setdefault(name, []).append(value.strip())
        elif _is_music(line):
            return fields, count - 1
        else:
            _continue(fields, last, line.strip())
    return fields, len(lines)


def _leading_fields(lines: list[str]) -> tuple[dict[str, list[str]], int]:
    """The fields and comments that a text begins with, and how many lines they are."""
    fields: dict[str, list[str]] = {}
    for count, line in enumerate(lines):
        match = _BODY_FIELD.match(line.strip())
        if _is_comment(line):
            fields.setdefault("%", []).append(line.strip().lstrip("%").strip())
        elif match is None:
            return fields, count
        else:
            fields.setdefault(match[1], []).append(_parted(match[1], match[2])[0].strip())
    return fields, len(lines)


def _is_music(line: str) -> bool:
    """Whether a line is notes and bars, and nothing else."""
    if "|" not in line:
        return False
    kinds = {match.lastgroup for match in LEXEMES.finditer(line)}
    return "note" in kinds and not kinds & {"word", "other", "line"}


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("%")


def _parted(name: str, value: str) -> tuple[str, str, str]:
    """A value and its comment; in fields of prose a percent sign is prose."""
    return value.partition("%") if name in "KLMQX" else (value, "", "")


def _continue(fields: dict[str, list[str]], name: str, line: str) -> None:
    """Files a header line that is no field: prose goes on over line ends, such as a note on the source."""
    if not line:
        return
    if name in fields and name not in "KLMQX":
        fields[name][-1] += f"\n{line}"
    else:
        fields.setdefault("text", []).append(line)


def _split_remarks(body: str, fields: dict[str, list[str]]) -> tuple[str, list[str]]:
    """The music, and the lines that are remarks on the tune.

    These are paragraphs after a blank line that have no bar in them, and what follows the last bar from the first line
    on that has words or is a mark of a wiki. Words of the letters A to G alone are taken for words where they stand in
    brackets, or behind the sign that ends a tune.
    """
    first, *others = _PARAGRAPH.split(body.strip("\n"))
    music = [first, *(paragraph for paragraph in others if "|" in paragraph)]
    remarks = [line.strip() for paragraph in others if "|" not in paragraph for line in paragraph.split("\n")]
    text = "\n".join(music)
    last_bar = text.rfind("\n", 0, text.rfind("|") + 1) + 1
    may_be = (_MAY_BE_TEXT.search(text, last_bar) and _TEXT.search(text, last_bar)) or _LETTERS.search(text, last_bar)
    if (may_be or MAY_BE_TABLE.search(text)) and "U" not in fields:
        text, after = _split_text(text.split("\n"))
        remarks = [*after, *remarks]
    return text, [line for line in remarks if line]


def _split_text(lines: list[str]) -> tuple[str, list[str]]:
    is_text = [of_table or _is_text(line) for line, of_table in zip(lines, lines_of_tables(lines), strict=True)]
    bars = [i for i, line in enumerate(lines) if not is_text[i] and _has_music(line)]
    ended = bool(bars) and lines[bars[-1]].rstrip().endswith("|]")
    after = range(bars[-1] + 1 if bars else 0, len(lines))
    end = next((i for i in after if is_text[i] or _is_letters(lines[i], ended)), len(lines))
    return "\n".join(lines[:end]), [line.strip() for line in lines[end:]]


def _is_field(line: str) -> bool:
    return _is_comment(line) or _BODY_FIELD.match(line.lstrip()) is not None


def _is_text(line: str) -> bool:
    """Whether a line among the music is words or a mark of a wiki, and no music besides."""
    if _is_field(line):
        return False
    said = _ASIDE.sub(" ", line)
    return _TEXT.search(said) is not None and (_MARKED.match(line) is not None or _MIXED.match(said) is None)


def _has_music(line: str) -> bool:
    return not _is_field(line) and ("|" in line or _MIXED.match(line) is not None)


def _is_letters(line: str, ended: bool) -> bool:
    """Whether a line behind the last bar is words of the letters of notes; `ended` where that bar ends a tune."""
    match = _LETTERS.match(line)
    return match is not None and (ended or bool(match["bracket"]))


def _add_fields(fields: dict[str, list[str]], lines: list[str], prose: str = "") -> None:
    """Files the fields and comments among `lines`, and where `prose` names a field, everything else under that.

    M:, L: and K: among the music are changes, which the tokeniser reads.
    """
    for line in lines:
        match = _BODY_FIELD.match(line)
        if _is_comment(line):
            fields.setdefault("%", []).append(line.strip().lstrip("%").strip())
        elif match and match[1] not in "MLK":
            fields.setdefault(match[1], []).append(match[2].strip())
        elif prose:
            fields.setdefault(prose, []).append(line)
