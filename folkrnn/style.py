"""The one look of all figures: sizes, colours, and axes labelled with tokens.

`figure()` returns a `matplotlib.figure.Figure` that draws in this style whatever the user's own matplotlib settings,
and touches neither these nor pyplot. Sizes are inches: a figure goes into a paper without scaling, as wide as the page
that `page()` says, and no text in it is smaller than SMALLEST points.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, cast

from folkrnn.melodies.labels import MelodyLabels, type_of

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

PAGE = 7.0
"""Text width of a page, in inches, where `page()` says no other."""
SMALLEST = 6.0
"""Points: no text is smaller, however wide the page."""

INK = "#222222"
"""Text, axes, and the data where there is one series."""
SOFT = "#B8BEC6"
"""What should stand back: bar lines, single runs behind their mean, ranges."""
ACCENT = "#D55E00"
"""What the figure is about; readable on viridis too."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222", "#F0E442")
"""Series in this order; the colours of Okabe and Ito (2008), which colour-blind readers can tell apart."""

TYPE_COLOURS = {
    "transcription": "#222222",
    "meter": "#E69F00",
    "mode": "#CC79A7",
    "measure": "#D55E00",
    "pitch": "#0072B2",
    "grouping": "#009E73",
    "duration": "#56B4E9",
}
"""The seven token types, the same colour in every figure."""

SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
"""Colour maps for magnitudes and for signed values (white is zero)."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "figure.titlesize": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "patch.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "image.cmap": SEQUENTIAL,
    "image.interpolation": "nearest",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
}
"""What differs from matplotlib's defaults."""

_LARGEST_TOKEN = 7.0
_MOST_LINES = 3
"""In so many lines the labels of a token axis are set, each beyond the other, before some are left out."""
_SHARE_OF_FIGURE = 0.85
_TOKEN_LETTER = 0.61
"""Width of a letter of a token, in its size."""
_TITLE_LETTER = 0.64
"""Width of a letter of a title, in its size."""
_width: ContextVar[float] = ContextVar("width", default=PAGE)

_DRAWING = """
    annotate axhline axhspan axvline axvspan bar bar_label barh boxplot clabel contour contourf errorbar eventplot fill
    fill_between hexbin hist hist2d hlines imshow legend loglog matshow pcolormesh plot scatter semilogx semilogy
    set_title set_xlabel set_ylabel stackplot stairs stem step text tick_params twinx twiny violinplot vlines
"""
_COMPOSING = """
    add_axes add_subplot align_labels colorbar draw legend savefig subplots subplot_mosaic suptitle supxlabel supylabel
    text
"""


@contextmanager
def page(width: float) -> Iterator[None]:
    """Has figures made for a page of `width` inches: those of width PAGE become as wide as that, others in proportion.

    A wider page makes them higher, too; a narrower one does not make them lower, since texts keep their size.
    """
    before = _width.set(width)
    try:
        yield
    finally:
        _width.reset(before)


def page_width() -> float:
    """Returns how wide the page is, in inches."""
    return _width.get()


def figure(width: float = PAGE, height: float | None = None) -> matplotlib.figure.Figure:
    """Returns an empty figure of `width` × `height` inches (default: golden section) that draws in this style.

    The sizes are those on a page of PAGE; see `page`.
    """
    scale = _width.get() / PAGE
    with _in_style():
        size = scale * width, max(1.0, scale) * (height or width / 1.618)
        return _figure_class()(figsize=size, layout="constrained")


def entitle(figure: matplotlib.figure.Figure, title: str) -> None:
    """Writes `title` above all panels, in as many lines as it takes."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = STYLE["figure.titlesize"]
    letters = int(72 * figure.get_size_inches()[0] / (_TITLE_LETTER * size))
    text = textwrap.fill(title, letters)
    place = {"ha": "left", "va": "top", "fontweight": "bold", "parse_math": False}
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.suptitle(text, x=0.008, **place)
        return
    # panels were placed by hand: the figure grows by what the title takes
    width, height = figure.get_size_inches()
    more = (text.count("\n") + 1) * 1.25 * size / 72 + 0.08
    share = height / (height + more)
    for axes in figure.axes:
        left, bottom, across, up = axes.get_position().bounds
        axes.set_position((left, bottom * share, across, up * share))
    for written in figure.texts:
        x, y = written.get_position()
        written.set_position((x, y * share))
    figure.set_size_inches(width, height + more)
    figure.suptitle(text, x=0.008, y=1 - 0.04 / (height + more), **place)


def token_axis(
    axes: matplotlib.axes.Axes, tokens: Sequence[str], axis: Literal["x", "y"] = "x", every: int | None = None
) -> None:
    """Labels positions 0, 1, 2, … of an axis with `tokens`, in the colours of their types, and fits its limits to them.

    Where they are many, neighbours are set in two or three lines. `every` labels each so many-th token; by default as
    many as can be read.
    """
    room = 72 * _SHARE_OF_FIGURE * _inches(axes, axis) / max(1, len(tokens)) / 1.15
    lines = next((n for n in range(1, _MOST_LINES + 1) if n * room >= SMALLEST), _MOST_LINES)
    every = every or max(1, round(SMALLEST / (lines * room) + 0.499))
    places = range(0, len(tokens), every)
    size = min(_LARGEST_TOKEN, max(SMALLEST, lines * every * room))
    label = axes.set_xticks if axis == "x" else axes.set_yticks
    label(places, [tokens[i] for i in places], fontsize=size, family="DejaVu Sans Mono", parse_math=False)
    axes.tick_params(axis=axis, length=1.5, pad=1.5, labelrotation=90 if axis == "x" else 0)
    stagger(axes, axis, 1.15 * every * room, size)
    texts = axes.get_xticklabels() if axis == "x" else axes.get_yticklabels()
    for text, place in zip(texts, places, strict=True):
        text.set_color(_for_text(TYPE_COLOURS[type_of(tokens[place])]))
    ends = (-0.5, len(tokens) - 0.5)
    if axis == "x":
        axes.set_xlim(*(ends[::-1] if axes.xaxis_inverted() else ends))
    else:
        axes.set_ylim(*(ends[::-1] if axes.yaxis_inverted() else ends))


def stagger(axes: matplotlib.axes.Axes, axis: str, apart: float, size: float) -> None:
    """Moves each label of an axis, whose ticks are `apart` points, outwards until it touches none before it."""
    ticks = (axes.xaxis if axis == "x" else axes.yaxis).get_major_ticks()
    near = int(size / apart)  # so many neighbours on each side are as close as a letter is high
    taken: list[tuple[float, float]] = []
    for place, tick in enumerate(ticks):
        length = (_TOKEN_LETTER * len(tick.label1.get_text()) + 0.6) * size
        others = sorted(taken[max(0, place - near) : place])
        start = 0.0
        for low, high in others:
            if start < high and low < start + length:
                start = high
        taken.append((start, start + length))
        tick.set_pad(1.5 + start)


def bar_lines(axes: matplotlib.axes.Axes, tokens: Sequence[str], axis: Literal["x", "y"] = "x") -> None:
    """Draws a thin line behind the data at each measure token; repeats and endings are drawn stronger."""
    line = axes.axvline if axis == "x" else axes.axhline
    if isinstance(tokens, MelodyLabels):
        for place in (tokens.place_in_bar == 0).nonzero()[0]:
            line(place - 0.5, color=SOFT, linewidth=0.8, zorder=0.5)
        return
    for place, token in enumerate(tokens):
        if type_of(token) == "measure":
            line(place, color=SOFT, linewidth=0.5 if token == "|" else 1.1, zorder=0.5)


def _for_text(colour: str) -> tuple[float, float, float]:
    """A darker shade, since small letters on white need more contrast than areas."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.72 * red, 0.72 * green, 0.72 * blue


def _inches(axes: matplotlib.axes.Axes, axis: str) -> float:
    """How long the axis will be about: its share of the grid of panels, of the figure's size."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = figure.get_size_inches()
    spec = axes.get_subplotspec()
    if spec is None:
        return float(width if axis == "x" else height)
    grid = spec.get_gridspec()
    if axis == "x":
        shares, span = cast("list[float]", grid.get_width_ratios()), spec.colspan
    else:
        shares, span = cast("list[float]", grid.get_height_ratios()), spec.rowspan
    return float((width if axis == "x" else height) * sum(shares[span.start : span.stop]) / sum(shares))


def _in_style() -> Any:
    import matplotlib
    from cycler import cycler

    return matplotlib.rc_context(cast("Any", {**STYLE, "axes.prop_cycle": cycler(color=PALETTE)}))


def _styled(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method, run within the style: matplotlib reads its settings whenever it makes an artist."""

    @functools.wraps(method)
    def inside(*arguments: Any, **options: Any) -> Any:
        with _in_style():
            return method(*arguments, **options)

    return inside


@functools.cache
def _figure_class() -> type[matplotlib.figure.Figure]:
    """A figure whose panels are in the style, made here because importing matplotlib takes half a second."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    class StyledAxes(Axes):
        """Axes whose drawing methods run within the style."""

    class StyledFigure(Figure):
        """A figure whose methods run within the style."""

        def add_subplot(self, *arguments: Any, **options: Any) -> Any:
            if not options.keys() & {"projection", "polar", "axes_class"}:
                options["axes_class"] = StyledAxes
            return super().add_subplot(*arguments, **options)

    for name in _DRAWING.split():
        setattr(StyledAxes, name, _styled(getattr(Axes, name)))
    for name in _COMPOSING.split():
        setattr(StyledFigure, name, _styled(getattr(StyledFigure, name)))
    return StyledFigure
