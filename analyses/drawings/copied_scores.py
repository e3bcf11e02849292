"""A tune and the data tune that is nearest to it, engraved line by line, what both have in common marked.

After Figs. 1 and 2 of the paper on the softmax layer, which show a tune and the nearest one that its authors found.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

from analyses.drawings import engraved, side_by_side
from analyses.drawings.aligned import aligned
from analyses.drawings.engraved import SPACE, System
from analyses.measures.common_runs import Run
from analyses.measures.tune_index import body
from folkrnn import style
from folkrnn.notation.score import Score, engrave

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd

RUN_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#B58900", "#6A51A3")
"""One for each run, again from the first where there are more: letters tell them apart, too."""

_SIDE = 24600.0
"""Room for a score, in verovio's units."""
_LETTERS, _TITLE_LINE = 7.0, 0.125
"""Points of what stands above the scores, and inches of a line of it."""
_ABOVE, _BELOW = 2.6 * SPACE, 2.6 * SPACE
"""Room above a line for the letters of runs, and below it for the counts of bars."""


@dataclass(frozen=True)
class Marked:
    """A score and what is to be marked in it."""

    score: Score | None
    """None where there is no such tune."""
    runs: Sequence[tuple[str, int, int]]
    """Letter of a run, index of its first token and of the one behind its last."""
    counts: Sequence[tuple[int, int, str]] = ()
    """First token of a bar, the one behind its last, and what is written below it."""
    underlined: tuple[int, int] = (0, 0)
    """First token of a passage, and the one behind its last."""
    title: str = ""


def marked(
    tokens: Sequence[str],
    other: Sequence[str] | None,
    shared: Sequence[Run],
    row: pd.Series,
    counts: Sequence[tuple[int, int, str]],
) -> tuple[Marked, Marked]:
    """Returns the score of a tune and that of the nearest data tune, `other` (None: there is none).

    `shared` are the runs that stand in the bodies of both, `row` is that of the tune in the table of the analysis,
    `counts` is written below its bars.
    """
    drawn = engrave([tokens] if other is None else [tokens, other])
    here = len(tokens) - len(body(tokens))
    named = list(zip(_letters(len(shared)), sorted(shared, key=lambda run: run.first), strict=True))
    underlined = (here + row["longest_run_at"], here + row["longest_run_at"] + row["longest_run"])
    left = Marked(
        drawn[0],
        [(name, here + run.first, here + run.first + run.length) for name, run in named],
        counts,
        underlined,
        "Upper staff: the tune; below a bar: data tunes that hold it (as the bar of this number); "
        f"underlined: the longest run in any data tune, {row['longest_run']} tokens of “{_short(row['run_in'])}”",
    )
    if other is None:
        return left, Marked(None, ())
    there = len(other) - len(body(other))
    marks = [(name, there + run.second, there + run.second + run.length) for name, run in named]
    title = (
        f"Lower staff: the nearest data tune, “{_short(row['nearest_title'])}” ({row['nearest_similarity']:.0%} of "
        "n-grams shared); in colour: runs of tokens that stand in both"
    )
    return left, Marked(drawn[1], marks, title=title)


def _short(text: str, longest: int = 34) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _letters(count: int) -> list[str]:
    """A, B, …, Z, A2, B2, …"""
    size = len(ascii_uppercase)
    return [ascii_uppercase[k % size] + (str(k // size + 1) if k >= size else "") for k in range(count)]


def beside(first: Marked, second: Marked) -> matplotlib.figure.Figure:
    """Returns both scores, each line of the second below that of the first; one that cannot be engraved says so."""
    drawn = [engraved.systems(side.score.svg) if side.score and side.score.svg else [] for side in (first, second)]
    sides = list(zip((first, second), drawn, strict=True))
    for row in range(min(map(len, drawn))):
        drawn[0][row], drawn[1][row] = aligned(drawn[0][row], drawn[1][row])
    across = style.page_width()
    points = 72 * across / _SIDE
    letters = int(72 * across / (0.52 * _LETTERS))
    words = [textwrap.fill(line, letters) for side, _ in sides for line in _said(side, bool(side.score)).splitlines()]
    heading = "\n".join(words)
    top = _TITLE_LINE * (1 + heading.count("\n")) + 0.08
    height = sum(_height(lines, row) for lines in drawn for row in range(len(lines))) or SPACE
    figure = style.figure()
    figure.set_layout_engine("none")
    figure.set_size_inches(across, top + height * points / 72)
    axes = figure.add_axes((0, 0, 1, height * points / 72 / figure.get_figheight()))
    axes.set_axis_off()
    axes.set_xlim(0, _SIDE)
    axes.set_ylim(height, 0)
    figure.text(0.008, 1 - 0.04 / figure.get_figheight(), heading, fontsize=_LETTERS, va="top", parse_math=False)
    y = 0.0
    for row in range(max(map(len, drawn))):
        for side, lines in sides:
            if row < len(lines):
                y += _reach(lines, row)[0] + _ABOVE
                _draw(axes, lines[row], side, points, 300, y)
                y += _height(lines, row) - _reach(lines, row)[0] - _ABOVE
        axes.axhline(y, color=style.SOFT, linewidth=0.4)
    return figure


def _said(side: Marked, known: bool) -> str:
    """What stands above the scores on one of them."""
    if side.score and not side.score.svg:
        return f"{side.title}\n{side.score.refusal}\n{side.score.abc}"
    return side.title if known else "no data tune shares an n-gram with it"


def _height(lines: Sequence[System], row: int) -> float:
    """The room of a line, with that for what is written above and below it."""
    return sum(_reach(lines, row)) + _ABOVE + _BELOW


def _reach(lines: Sequence[System], row: int) -> tuple[float, float]:
    """How far a line reaches above the first line of its staff, and below it."""
    if row >= len(lines):
        return 0.0, 4 * SPACE
    top, bottom = lines[row].reach()
    first = lines[row].staff()[0]
    return first - top, bottom - first


def _draw(axes: matplotlib.axes.Axes, system: System, side: Marked, points: float, x: float, y: float) -> None:
    from matplotlib.patches import Rectangle

    colours = {token: colour for token in system.heads if (colour := _colour_at(side.runs, token))}
    engraved.draw(axes, system, points, colours, x, y)
    over, under = (part + sign * 0.6 * SPACE for part, sign in zip(_reach([system], 0), (1, 1), strict=True))
    for name, start, stop in side.runs:
        if ends := _ends(system, start, stop):
            place, colour = (x + ends[0], y - 1.6 * SPACE), _colour(name)
            band = {"facecolor": colour, "alpha": 0.17, "linewidth": 0, "zorder": 1}
            axes.add_patch(Rectangle(place, ends[1] - ends[0], 7.2 * SPACE, **band))
            known = {"color": colour, "fontsize": 6.5, "fontweight": "bold", "va": "bottom"}
            axes.text(x + ends[0], y - over, name, **known)
    if ends := _ends(system, *side.underlined):
        axes.plot([x + ends[0], x + ends[1]], [y + under] * 2, color=style.INK, linewidth=1.4, solid_capstyle="butt")
    for start, stop, words in side.counts:
        tokens = [token for token in system.heads if start <= token < stop]
        if tokens:
            left, right = system.measures[system.measure_of[min(tokens)]]
            axes.text(
                x + (left + right) / 2,
                y + under + 0.9 * SPACE,
                words,
                fontsize=6,
                ha="center",
                va="top",
                color="#555555",
            )


def _ends(system: System, start: int, stop: int) -> tuple[float, float] | None:
    """Where the heads of the tokens from `start` to before `stop` begin and end on a line; None if none is there."""
    heads = [ends for token, ends in system.heads.items() if start <= token < stop]
    return (min(a for a, _ in heads) - 60, max(b for _, b in heads) + 60) if heads else None


def _colour(name: str) -> str:
    return RUN_COLOURS[ascii_uppercase.index(name[0]) % len(RUN_COLOURS)]


def _colour_at(runs: Sequence[tuple[str, int, int]], token: int) -> str:
    return next((_colour(name) for name, start, stop in runs if start <= token < stop), "")


def as_page(sides: Sequence[Marked], title: str) -> str:
    """Returns an HTML page of its own with both scores, the notes of common runs in their colours."""
    rules, cells = [], []
    for number, side in enumerate(sides, 1):
        for name, start, stop in side.runs:
            notes = ",".join(f"#n{number}-t{token}" for token in range(start, stop))
            rules.append(f"{notes}{{fill:{_colour(name)};color:{_colour(name)}}}")
        drawn = side.score.html if side.score else "no data tune shares an n-gram with it"
        cells.append(side_by_side.cell(html.escape(side.title), drawn))
    words = "In one colour: a run of tokens that stands in both, each token in one run at most."
    return side_by_side.page(title, words, "".join(rules), [cells])
