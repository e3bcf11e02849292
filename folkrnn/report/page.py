"""One HTML file that holds all of a run that is worth reading: tunes to see and hear, figures, numbers.

It asks the network for nothing: pictures, sound and MIDI are inside, and its content security policy forbids the rest.
"""

from __future__ import annotations

import base64
import hashlib
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.files.places import readable
from folkrnn.findings import Figure, Findings
from folkrnn.tracking.figures import for_screens, gif
from folkrnn.tracking.journal import file_whole
from folkrnn.tracking.names import file_name

if TYPE_CHECKING:
    import jinja2
    import pandas as pd

_MOST_ROWS = 25
_TUNES_OPEN = 2
_VERDICTS = ("holds", "does not hold", "does not depend on the model", "n/a")
"""Bytes of a figure up to which it stays a drawing; a scatter of many thousand points is smaller as a picture."""
_SCREEN_DPI = 96

_SCRIPT = """
for (const block of document.querySelectorAll(".copied")) {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = block.querySelector("pre");
    getSelection().selectAllChildren(text);
    try { await navigator.clipboard.writeText(text.textContent); } catch { document.execCommand("copy"); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  block.append(button);
}
for (const play of document.querySelectorAll(".play")) {
  const sound = play.querySelector("audio"), link = play.querySelector("[data-sound]");
  if (sound && link) { link.href = sound.src; link.hidden = false; }
}
"""
"""Adds the buttons that copy, and the links that save the sound, which is in the page once."""


@dataclass(frozen=True)
class ReportEntry:
    """A tune to show. What is empty is left out."""

    title: str
    tokens: Sequence[str]
    abc: str = ""
    svg: str = ""
    """The engraved score, one SVG element; where there is none, the ABC stands open."""
    narrow: str = ""
    """The same for a telephone, with fewer bars on a line."""
    mp3: bytes = b""
    midi: bytes = b""
    notes: Sequence[str] = ()
    """What a reader should know: flaws, a recording that was cut."""


@dataclass(frozen=True)
class Section:
    """What one analysis found."""

    name: str
    findings: Findings
    text: str = ""
    """A sentence or two that come before the numbers."""


@dataclass(frozen=True)
class JudgedClaim:
    """A claim of a source document beside what was found here, ready to be shown."""

    id: str
    source: str
    statement: str
    published: Any
    """What the document prints: a number, text, or nothing."""
    value: Any
    interval: str
    control: Any
    criterion: str
    verdict: str
    """`holds`, `does not hold`, `does not depend on the model` or `n/a`."""
    why: str = ""
    beside: str = ""
    """Other numbers that the criterion speaks of."""


@dataclass(frozen=True)
class JobEntry:
    """A job of a sweep, with the page of its run."""

    name: str
    """What sets it apart."""
    status: str
    reason: str = ""
    link: str = ""
    """The page, beside this one; "" where there is none."""


@dataclass(frozen=True)
class Report:
    """All that goes into `report.html`: what was found, tunes, figures, claims, and numbers last."""

    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    """Model, weights, dataset, seed, commit and the like."""
    said: Sequence[str] = ()
    """What was found, in sentences."""
    jobs: Sequence[JobEntry] = ()
    """Those of a sweep."""
    remarks: Sequence[str] = ()
    """What was changed in what the user gave."""
    tunes: Sequence[ReportEntry] = ()
    sections: Sequence[Section] = ()
    claims: Sequence[JudgedClaim] = ()
    numbers: Findings = field(default_factory=Findings)
    """Tables of the whole run, last of all."""
    command: str = ""
    """The command line that makes this run again."""
    warnings: Sequence[str] = ()
    """Shown at the top: an analysis that failed, a run that was cut short."""
    explorer: str = ""
    """The page beside this one in which the run is explored."""


def write_report(path: Path, report: Report) -> None:
    """Writes `report` as one HTML file at `path`, all of it or nothing. Raises UserError where that cannot be
    written.
    """
    file_whole(path, readable(render(report)).encode())


def render(report: Report) -> str:
    """Returns the HTML. The same report gives the same text."""
    numbering = {"figure": 0, "table": 0}
    sections = [_section(section, numbering) for section in report.sections]
    tunes = [_tune(number, tune) for number, tune in enumerate(report.tunes, 1)]
    return _template().render(
        report=report,
        tunes=tunes,
        opened=_TUNES_OPEN,
        sections=sections,
        whole=_tables(report.numbers, numbering),
        claims=_by_source(report.claims),
        verdicts={verdict: sum(c.verdict == verdict for c in report.claims) for verdict in _VERDICTS},
        script=_raw(_SCRIPT),
        script_digest=f"sha256-{base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()}",
    )


def number(value: Any) -> str:
    """Returns a value as a reader likes it: 4 significant digits, thousands apart, `n/a` for what is missing.

    Whole numbers stay whole; very large and very small ones are powers of ten. What is no number is returned as text.
    """
    kind = type(value).__name__
    if value is None or kind in ("NAType", "NaTType") or (isinstance(value, numbers.Real) and math.isnan(value)):
        return "n/a"
    if kind in ("bool", "bool_"):
        return "yes" if value else "no"
    if not isinstance(value, numbers.Real):
        return str(value)
    value = float(value) if not isinstance(value, int) else value
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e15:
        text = f"{int(value):,}"
    elif 1e-4 <= abs(value) < 1e15:
        digits = max(3 - math.floor(math.log10(abs(value))), 0)
        text = f"{value:,.{digits}f}"
    else:
        mantissa, exponent = f"{value:.3e}".split("e")
        text = f"{mantissa}·10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
    return text.replace("-", "−")


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["number"] = number
    return environment.from_string(resources.files("folkrnn.report").joinpath("page.html.jinja").read_text("utf-8"))


def _raw(markup: str) -> Any:
    """Text that is not to be escaped: our own script, scores of our own engraver."""
    import markupsafe

    return markupsafe.Markup(markup)


def _tune(place: int, tune: ReportEntry) -> dict[str, Any]:
    header = [token.strip("[]") for token in tune.tokens[:2] if token.strip("[]").startswith(("M:", "K:"))]
    return {
        "title": tune.title,
        "header": " · ".join(field.replace("M:", "").replace("K:", "") for field in header),
        "tokens": list(tune.tokens),
        "abc": tune.abc,
        "abc_data": _base64(tune.abc.encode()),
        "svg": _raw(tune.svg),
        "narrow": _raw(tune.narrow),
        "mp3": _base64(tune.mp3),
        "midi": _base64(tune.midi),
        "notes": list(tune.notes),
        "file": f"{place:02d} {re.sub(r'[^A-Za-z0-9]+', ' ', tune.title).strip()[:60] or 'tune'}",
    }


def _by_source(claims: Sequence[JudgedClaim]) -> dict[str, list[JudgedClaim]]:
    found: dict[str, list[JudgedClaim]] = {}
    for claim in claims:
        found.setdefault(claim.source, []).append(claim)
    return found


_MOST_LISTED = 60


def _listed(items: Sequence[str]) -> str:
    """A list as text: its first items, and how many more there are."""
    more = len(items) - _MOST_LISTED
    return " ".join(items[:_MOST_LISTED]) + (f" … and {more} more" if more > 0 else "") if items else "none"


def _section(section: Section, numbering: dict[str, int]) -> dict[str, Any]:
    found = section.findings
    figures = []
    for name, figure in found.figures.items():
        numbering["figure"] += 1
        figures.append({"name": name, "number": numbering["figure"], "caption": figure.caption, **_picture(figure)})
    for name, animation in found.animations.items():
        numbering["figure"] += 1
        width = round(animation.frames[0].get_size_inches()[0] * _SCREEN_DPI)
        moving = {"width": width, "data": f"data:image/gif;base64,{_base64(gif(animation))}"}
        figures.append({"name": name, "number": numbering["figure"], "caption": animation.caption, **moving})
    return {
        "anchor": "section-" + re.sub(r"[^A-Za-z0-9]+", "-", section.name),
        "title": section.name.replace("_", " ").capitalize(),
        "text": section.text,
        "main": [_number_of(found, name) for name in found.foremost],
        "metrics": [_number_of(found, name) for name in found.metrics if not _is_end(found, name)],
        "figures": figures,
        "tables": _tables(found, numbering),
        "pages": {name.replace("_", " "): f"pages/{file_name(f'{section.name}_{name}')}.html" for name in found.pages},
        "lists": {name.replace("_", " "): _listed(items) for name, items in found.lists.items()},
        "arrays": [f"arrays/{file_name(f'{section.name}_{name}')}.npz" for name in found.arrays],
    }


def _tables(found: Findings, numbering: dict[str, int]) -> list[dict[str, Any]]:
    tables = []
    for name, table in found.tables.items():
        numbering["table"] += 1
        tables.append({"name": name.replace("_", " "), "number": numbering["table"], **_table(table)})
    return tables


def _is_end(found: Findings, name: str) -> bool:
    """Whether a number is the end of the interval of another."""
    stem, _, end = name.rpartition("_")
    return end in ("low", "high") and stem in found.metrics


def _number_of(found: Findings, name: str) -> tuple[str, float, str]:
    """A number by name, with its interval in words."""
    low, high = (found.metrics.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
    known = math.isfinite(low) and math.isfinite(high)
    return name, found.metrics[name], f"{number(low)} to {number(high)}" if known else ""


def _picture(figure: Figure) -> dict[str, Any]:
    """A data address of the drawing, and its width on a screen."""
    width = round(figure.drawing.get_size_inches()[0] * _SCREEN_DPI)
    kind, data = for_screens(figure.drawing, figure.caption)
    return {"width": width, "data": f"data:{kind};base64,{_base64(data)}"}


def _table(table: pd.DataFrame) -> dict[str, Any]:
    """The first rows of a table; its index comes along where it says more than the number of the row."""
    import pandas as pd

    shown = table.head(_MOST_ROWS)
    if not isinstance(table.index, pd.RangeIndex):
        shown = shown.reset_index(names=None if table.index.names[0] else "")
    types = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in shown.dtypes]
    return {
        "columns": [str(column) for column in shown.columns],
        "numeric": {i for i, numeric in enumerate(types) if numeric},
        "rows": [list(row) for row in shown.itertuples(index=False, name=None)],
        "total": len(table),
        "left_out": len(table) > _MOST_ROWS,
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
