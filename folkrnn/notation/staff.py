"""A plain staff drawn with matplotlib: what stands in for verovio where that refuses a tune or dies of it."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from folkrnn.notation import glyphs
from folkrnn.notation.notes import signature
from folkrnn.notation.symbols import DrawnBar, Head, Sheet, Symbol, beam_spans, lay_out, meter_parts, tuplet_spans

_WIDTH = 120.0
"""Of a page, in staff spaces."""
_LOWEST, _HIGHEST = -4.0, 8.0
"""Room of a line around its staff, where no note asks for more."""
_TIGHTEST = 1.05
"""A line takes this much of what would fill a page width at natural spacing, and is drawn closer."""
_INCHES_A_SPACE = 0.08
_STEM_LENGTH = 3.4
_LETTERS = "CDEFGAB"


@dataclass
class _Placed:
    """A symbol with the place of its head."""

    symbol: Symbol
    x: float

    @property
    def ys(self) -> list[float]:
        return [height(head) for head in self.symbol.heads]


def draw_staff(tokens: Sequence[str]) -> str:
    """Returns an SVG of any string of tokens on a five-line staff. Never raises.

    The picture refers to nothing outside itself and takes the colour of the text around it.
    """
    sheet = lay_out(tokens)
    systems = _systems(sheet)
    reaches = [_reach(bars) for bars in systems]
    total = sum(top - bottom for bottom, top in reaches)
    figure = Figure(figsize=(_WIDTH * _INCHES_A_SPACE, total * _INCHES_A_SPACE))
    fifths = _fifths(sheet.header, 0)
    above = 0.0
    for place, (bars, (bottom, top)) in enumerate(zip(systems, reaches, strict=True)):
        above += top - bottom
        frame = (0, 1 - above / total, 1, (top - bottom) / total)
        ax = figure.add_axes(frame, xlim=(-1, _WIDTH + 1), ylim=(bottom, top))
        ax.set_axis_off()
        fifths = _draw_system(ax, bars, sheet.header if place == 0 else (), fifths)
        for drawn in ax.get_children():
            drawn.set_clip_on(False)
    return _to_svg(figure)


def height(head: Head) -> float:
    """Spaces above the lowest line: E4 lies on 0, F4 in the space above at 0.5. Held within nine ledger lines."""
    steps = 7 * (head.octave - 4) + _LETTERS.index(head.letter) - _LETTERS.index("E")
    return min(max(steps / 2, -9.0), 13.0)


def _reach(bars: list[DrawnBar]) -> tuple[float, float]:
    """The lowest and highest place that a line needs, stems, tuplet numbers and endings included."""
    heights = [height(head) for bar in bars for symbol in bar.symbols for head in symbol.heads]
    return min([_LOWEST, *(y - 4.5 for y in heights)]), max([_HIGHEST, *(y + 6.5 for y in heights)])


def _fifths(tokens: Sequence[str], before: int) -> int:
    modes = [token for token in tokens if token.strip("[]").startswith("K:")]
    return min(max(signature(modes[-1]), -7), 7) if modes else before


def _symbol_width(symbol: Symbol) -> float:
    accidentals = any(head.accidental_drawn for head in symbol.heads)
    return 1.4 + 1.0 * float(symbol.value) ** 0.5 + 0.5 * symbol.dots + 1.2 * accidentals


def _bar_width(bar: DrawnBar) -> float:
    return 1.6 + 1.8 * bar.begins_repeat + 6.0 * bool(bar.header) + sum(_symbol_width(s) for s in bar.symbols)


def _systems(sheet: Sheet) -> list[list[DrawnBar]]:
    """The bars line by line; at least one line, even for a tune without bars."""
    lines: list[list[DrawnBar]] = [[]]
    filled = 0.0
    for bar in sheet.bars:
        width = _bar_width(bar)
        if lines[-1] and (bar.new_line or filled + width > _TIGHTEST * _WIDTH):
            lines.append([])
            filled = 0.0
        lines[-1].append(bar)
        filled += width
    return lines


def _draw_system(ax: Axes, bars: list[DrawnBar], header: tuple[str, ...], fifths: int) -> int:
    """Draws one line; returns the key signature that holds at its end."""
    glyphs.clef(ax, 1.4)
    x = glyphs.key_signature(ax, 3.2, fifths) + 0.8
    for token in header:
        if parts := meter_parts(token):
            x = glyphs.time_signature(ax, x, *parts) + 0.6
    natural = sum(_bar_width(bar) for bar in bars)
    stretch = (_WIDTH - x) / natural if natural > 0.6 * (_WIDTH - x) else 1.0
    end = x + stretch * natural if bars else _WIDTH
    for y in range(5):
        glyphs.line(ax, (0, end), (y, y))
    for bar in bars:
        if bar.header:
            fifths = _fifths(bar.header, fifths)
        _draw_bar(ax, bar, x, stretch, fifths)
        x += stretch * _bar_width(bar)
    return fifths


def _draw_bar(ax: Axes, bar: DrawnBar, left: float, stretch: float, fifths: int) -> None:
    x = left + 0.8
    if bar.begins_repeat:
        glyphs.repeat_begin(ax, left)
        x += 1.8
    for token in bar.header:
        if parts := meter_parts(token):
            x = glyphs.time_signature(ax, x, *parts) + 0.6
        else:
            x = glyphs.key_signature(ax, x, fifths) + 0.4
    right = left + stretch * _bar_width(bar)
    symbols = bar.symbols
    room = (right - x - 0.8) / max(sum(map(_symbol_width, symbols)), 1.0)
    placed = []
    for symbol in symbols:
        before = 1.3 if any(head.accidental_drawn for head in symbol.heads) else 0.0
        placed.append(_Placed(symbol, x + before * min(room, 1.0) + 0.7))
        x += room * _symbol_width(symbol)
    beamed = beam_spans(bar.groups)
    tips = _draw_stems(ax, placed, beamed)
    for item in placed:
        _draw_symbol(ax, item)
    _draw_ties(ax, placed, right)
    for start, stop, tuplet in tuplet_spans(symbols):
        top = max([4.6, *(y for tip in tips[start:stop] if tip is not None for y in (tip + 0.7,))])
        middle = (placed[start].x + placed[stop - 1].x) / 2
        glyphs.words(ax, middle - 0.4, top, str(tuplet.count), 1.1, style="italic")
    if bar.ending:
        glyphs.line(ax, (left + 0.2, right - 0.4), (7.4, 7.4), glyphs.STEM)
    if bar.begins_ending:
        glyphs.line(ax, (left + 0.2, left + 0.2), (5.6, 7.4), glyphs.STEM)
        glyphs.words(ax, left + 0.8, 5.9, f"{bar.ending}.", 1.1, weight="bold")
    glyphs.bar_line(ax, right, bar.right)


def _draw_symbol(ax: Axes, item: _Placed) -> None:
    symbol = item.symbol
    if not symbol.heads:
        glyphs.rest(ax, item.x, symbol.value)
        glyphs.dots(ax, item.x + 1.1, 2.5, symbol.dots)
    for head, y in zip(symbol.heads, item.ys, strict=True):
        glyphs.head(ax, item.x, y, symbol.value)
        glyphs.dots(ax, item.x + 1.1, y, symbol.dots)
        if head.accidental_drawn:
            glyphs.accidental(ax, item.x - 2.1, y, head.alteration)


def _draw_stems(ax: Axes, placed: list[_Placed], beamed: list[tuple[int, int]]) -> list[float | None]:
    """Draws stems, beams and flags; returns the height of each stem's tip, None where there is no stem."""
    tips: list[float | None] = [None] * len(placed)
    for start, stop in [*beamed, *((i, i + 1) for i in range(len(placed)) if not any(a <= i < b for a, b in beamed))]:
        group = placed[start:stop]
        if not group[0].symbol.heads or group[0].symbol.value >= 8:
            continue
        up = sum(sum(item.ys) / len(item.ys) for item in group) / len(group) < 2
        direction = 1 if up else -1
        ends = _stem_ends(group, direction)
        for i, (item, tip) in enumerate(zip(group, ends, strict=True)):
            x = item.x + direction * 0.58
            root = min(item.ys) if up else max(item.ys)
            glyphs.line(ax, (x, x), (root, tip), glyphs.STEM)
            tips[start + i] = tip if up else max(item.ys)
        if len(group) > 1:
            _draw_beams(ax, group, ends, direction)
        else:
            glyphs.flags(ax, group[0].x + direction * 0.58, ends[0], glyphs.levels(group[0].symbol.value), up)
    return tips


def _stem_ends(group: list[_Placed], direction: int) -> list[float]:
    """The tips of the stems of a group: on one straight line that slants a little the way the notes go."""
    far = [direction * max(direction * y for y in item.ys) for item in group]
    depth = max(glyphs.levels(item.symbol.value) for item in group)
    length = _STEM_LENGTH + 0.5 * max(depth - 2, 0)
    if len(group) == 1:
        return [far[0] + direction * length]
    span = group[-1].x - group[0].x
    slope = min(max((far[-1] - far[0]) / span, -0.15), 0.15)
    slanted = [slope * (item.x - group[0].x) for item in group]
    base = direction * max(direction * (y - s) for y, s in zip(far, slanted, strict=True)) + direction * (length - 0.6)
    return [base + s for s in slanted]


def _draw_beams(ax: Axes, group: list[_Placed], ends: list[float], direction: int) -> None:
    """One bar for each level that two neighbours share, a stub where a note is shorter than both."""
    xs = [item.x + direction * 0.58 for item in group]
    counts = [glyphs.levels(item.symbol.value) for item in group]
    slope = (ends[-1] - ends[0]) / (xs[-1] - xs[0])
    for level in range(max(counts)):
        shift = -direction * 0.8 * level
        for i in range(len(group)):
            here = (xs[i], ends[i] + shift)
            joined = i + 1 < len(group) and counts[i] > level and counts[i + 1] > level
            if joined:
                glyphs.beam(ax, here, (xs[i + 1], ends[i + 1] + shift), -direction)
            elif counts[i] > level and (i == 0 or counts[i - 1] <= level):
                reach = 1.0 if i == 0 else -1.0
                glyphs.beam(ax, here, (xs[i] + reach, here[1] + slope * reach), -direction)


def _draw_ties(ax: Axes, placed: list[_Placed], right: float) -> None:
    for i, item in enumerate(placed):
        if item.symbol.tie in ("i", "m"):
            end = placed[i + 1].x - 0.6 if i + 1 < len(placed) else right
            for y in item.ys:
                glyphs.tie(ax, (item.x + 0.6, end), y, below=y < 2)


def _to_svg(figure: Figure) -> str:
    """The figure without its declarations, which name places in the network, and in the colour of the text around."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "staff"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>.*?</defs>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'(<svg [^>]*?) ?width="[^"]*"|(?<=") ?height="[^"]*"(?=[^>]*>)', r"\1", svg, count=2)
    svg = re.sub(r' id="[^"]*"| xmlns:xlink="[^"]*"', "", svg).replace("#000000", "currentColor")
    svg = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", svg)
    return re.sub(r"\s+", " ", svg)
