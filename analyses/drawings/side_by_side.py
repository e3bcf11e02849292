"""Tunes before and after an intervention, side by side: as text in a figure, and as engraved scores on a page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

from folkrnn import style
from folkrnn.notation.bars import bars
from folkrnn.notation.score import describe_flaws, engrave, flaws
from folkrnn.vocabulary import token_type

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

Pair = tuple[str, Sequence[str], Sequence[str], float]
"""(title, tokens before, tokens after, index of the first that differs), tokens without markers."""

WRONG = "#B2182B"
_SIZE, _LINE = 6.2, 0.135
"""Points of the letters, inches from line to line."""
_WIDTH, _BARS_A_LINE = 3.3, 4


def as_text(pairs: Sequence[Pair]) -> matplotlib.figure.Figure:
    """Returns one row per pair, tokens before on the left, after on the right.

    Grey: the same as before; black: after the two part; red: in a bar that is not full.
    """
    columns = int(_WIDTH / (_SIZE / 72 * 0.602))
    laid = [[_lines(tokens, columns) for tokens in pair[1:3]] for pair in pairs]
    heights = [0.32 + _LINE * max(map(len, both)) for both in laid]
    figure = style.figure(height=sum(heights) + 0.2)
    panels = figure.subplots(len(pairs), 2, squeeze=False, height_ratios=heights)
    for row, (title, before, after, apart) in enumerate(pairs):
        for side, (axes, tokens) in enumerate(zip(panels[row], (before, after), strict=True)):
            _write(axes, tokens, laid[row][side], apart if side else float("inf"), heights[row], columns)
            axes.set_title(f"{title}: {'intervention' if side else 'control'}", fontsize=7, loc="left", pad=2)
    return figure


def _lines(tokens: Sequence[str], columns: int) -> list[list[int]]:
    """Indices of the tokens on each line: four bars, or what fits."""
    lines: list[list[int]] = [[]]
    width = signs = 0
    for place, token in enumerate(tokens):
        if lines[-1] and (width + len(token) > columns or (signs >= _BARS_A_LINE and token_type(token) != "measure")):
            lines.append([])
            width = signs = 0
        lines[-1].append(place)
        width += len(token) + 1
        signs += token_type(token) == "measure"
    return lines


def _write(
    axes: matplotlib.axes.Axes,
    tokens: Sequence[str],
    lines: list[list[int]],
    apart: float,
    height: float,
    columns: int,
) -> None:
    wrong = {place for bar in bars(tokens) if not bar.full for place in range(bar.start, bar.stop)}
    axes.set_xlim(0, columns)
    axes.set_ylim((height - 0.3) / _LINE, -0.5)
    axes.set_axis_off()
    for row, line in enumerate(lines):
        x = 0
        for place in line:
            colour = WRONG if place in wrong else style.INK if place >= apart or apart == float("inf") else "#8A929B"
            weight = "bold" if token_type(tokens[place]) == "measure" else "normal"
            axes.text(
                x, row, tokens[place], color=colour, fontsize=_SIZE, fontweight=weight, va="center",
                family="DejaVu Sans Mono", parse_math=False,
            )  # fmt: skip
            x += len(tokens[place]) + 1


def as_page(pairs: Sequence[Pair], title: str) -> str:
    """Returns an HTML page of its own with both scores of each pair; notes after the two part are in colour."""
    scores = engrave([tokens for pair in pairs for tokens in pair[1:3]])
    rules, rows = [], []
    for k, (name, before, after, apart) in enumerate(pairs):
        cells = []
        for side, tokens in enumerate((before, after)):
            number = 2 * k + side + 1
            if side and apart < len(tokens):
                rules += [f"#n{number}-t{place}" for place in range(int(apart), len(tokens))]
            words = "intervention" if side else "control"
            note = describe_flaws(flaws(tokens)) or "no flaw"
            above = f"{html.escape(f'{name}: {words}')} <small>({html.escape(note)})</small>"
            cells.append(cell(above, scores[number - 1].html))
        rows.append(cells)
    colour = f"{','.join(rules)}{{fill:{style.ACCENT};color:{style.ACCENT}}}" if rules else ""
    words = (
        "Left as the model writes it, right after the intervention, drawn with the same random numbers; in colour what "
        "stands after the first token that differs."
    )
    return page(title, words, colour, rows)


def cell(above: str, drawn: str) -> str:
    """Returns a score of a page (`drawn`) and what stands above it, both HTML."""
    return f"<figure><figcaption>{above}</figcaption>{drawn}</figure>"


def page(title: str, words: str, rules: str, rows: Sequence[Sequence[str]]) -> str:
    """Returns an HTML page of rows of two cells, with style `rules` of its own."""
    body = "\n".join(f'<div class="pair">{"".join(cells)}</div>' for cells in rows)
    return _PAGE.format(title=html.escape(title), words=html.escape(words), colour=rules, body=body)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #222; }}
.pair {{ display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; border-top: 1px solid #ccc; padding: 1rem 0; }}
figure {{ margin: 0; min-width: 0; }} svg {{ width: 100%; height: auto; }} small {{ color: #666; }}
{colour}
</style></head><body><h1>{title}</h1>
<p>{words}</p>
{body}
</body></html>
"""
