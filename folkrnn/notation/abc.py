"""ABC files cut into tunes: header fields as they stand, music code as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from folkrnn.notation.meters import default_unit, read_unit
from folkrnn.notation.rejection import Unfit

_FIELD = re.compile(r"[ \t]*([A-Za-z+]):[ \t]*(.*)")
_BODY_FIELD = re.compile(r"(?![A-Ga-gz]:[ \t]*[|:\]])([A-Za-z]):(?![|:])[ \t]*(.*)")
_TUNE = re.compile(r"^[ \t]*X[ \t]*:|(?<=[|\]])X:(?=[ \t]*\d)", re.MULTILINE)
_NUMBER = re.compile(r"\d{1,9}")

# Tunes that came by mail as quoted-printable: "=" at line ends, and codes such as =20. "=E2" would be a note, so that
# only the codes of printable ASCII are undone; those are never music.
_MAILED = re.compile(r"=(?:\n|([2-7][0-9A-F]))")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")


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
    file: its fields and comments belong to every tune. A tune without K: is yielded all the same, its key empty, so
    that it can be counted. Source: the ABC 2.1 standard, sections 2 and 3, read leniently.
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = _MAILED.sub(lambda code: chr(int(code[1], 16)) if code[1] else "", text)
    starts = [match.start() for match in _TUNE.finditer(text)]
    if not starts:
        if re.search(r"^[ \t]*K:", text, re.MULTILINE):
            yield _read_tune(text, {}, source, 1)
        return
    common, _ = _read_header(text[: starts[0]].split("\n"))
    for place, (start, stop) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True), 1):
        if text[start:stop].strip().count("\n"):  # an X: with nothing after it is a slip of the file
            yield _read_tune(text[start:stop], common, source, place)


def _read_tune(text: str, common: dict[str, list[str]], source: str, place: int) -> AbcTune:
    lines = text.strip("\n").split("\n")
    header, length = _read_header(lines)
    fields = {name: [*common.get(name, ()), *header.get(name, ())] for name in {**common, **header}}
    body, remarks = _split_remarks("\n".join(lines[length:]))
    _add_fields(fields, body.split("\n"))
    _add_fields(fields, remarks, "text")
    own = {**{name: values[-1] for name, values in common.items()}, **{n: v[0] for n, v in header.items()}}
    number = _NUMBER.match(own.get("X", ""))
    return AbcTune(
        title=own.get("T", ""),
        meter=header.get("M", common.get("M", [""]))[-1],
        unit=_unit(header.get("L", common.get("L", [""]))[-1], header.get("M", common.get("M", [""]))[-1]),
        key=header.get("K", common.get("K", [""]))[-1],
        body=body,
        fields=fields,
        source=source,
        number=int(number[0]) if number else place,
    )


def _unit(unit: str, meter: str) -> Fraction:
    if not unit:
        return default_unit(meter)
    try:
        return read_unit(unit)
    except Unfit:
        return Fraction(0)


def _read_header(lines: list[str]) -> tuple[dict[str, list[str]], int]:
    """The fields up to K:, comments under "%", and how many lines they are; a header without K: ends nowhere."""
    fields: dict[str, list[str]] = {}
    last = "text"
    for count, line in enumerate(lines, 1):
        match = _FIELD.match(line)
        if _is_comment(line):
            fields.setdefault("%", []).append(line.strip().lstrip("%").strip())
        elif match is None:
            _continue(fields, last, line.strip())
        else:
            last, (value, _, comment) = match[1], _parted(match[1], match[2])
            fields.setdefault(last, []).append(value.strip())
            if comment:
                fields.setdefault("%", []).append(comment.strip())
            if last == "K":
                return fields, count
    return fields, len(lines)


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


def _split_remarks(body: str) -> tuple[str, list[str]]:
    """The music, and the lines of paragraphs after a blank line that have no bar in them: remarks on the tune."""
    first, *others = _PARAGRAPH.split(body.strip("\n"))
    music = [first, *(paragraph for paragraph in others if "|" in paragraph)]
    remarks = [line.strip() for paragraph in others if "|" not in paragraph for line in paragraph.split("\n")]
    return "\n".join(music), [line for line in remarks if line]


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
