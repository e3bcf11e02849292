"""The signs of a staff as matplotlib strokes. The unit is the distance of two staff lines; y = 0 is the lowest line."""

from __future__ import annotations

from fractions import Fraction

from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

INK = "black"
THIN, STEM, THICK = 0.7, 0.9, 3.2  # line widths in points
_SHARPS, _FLATS = (4, 2.5, 4.5, 3, 1.5, 3.5, 2), (2, 3.5, 1.5, 3, 1, 2.5, 0.5)
_SIGNS = {-2: "♭♭", -1: "♭", 0: "♮", 1: "♯", 2: "×"}

# A treble clef as one pen stroke: from its curl around the second line outward, up through the loop, down the stem.
_CLEF = (
    *((0.05, 0.55), (-0.45, 0.75), (-0.45, 1.55), (0.1, 1.6), (0.9, 1.65), (1.0, 0.3), (0.15, 0.08)),
    *((-0.85, -0.1), (-1.4, 0.75), (-0.95, 1.65), (-0.6, 2.6), (0.75, 3.3), (0.6, 4.5)),
    *((0.5, 5.6), (0.0, 5.4), (-0.2, 4.4), (-0.35, 3.6), (0.15, 1.2), (0.4, -0.6)),
    *((0.55, -1.75), (-0.5, -1.8), (-0.6, -1.1)),
)


def line(ax: Axes, x: tuple[float, float], y: tuple[float, float], width: float = THIN) -> None:
    ax.plot(x, y, color=INK, linewidth=width, solid_capstyle="butt")


def words(ax: Axes, x: float, y: float, text: str, size: float, style: str = "normal", weight: str = "normal") -> None:
    """Text as outlines, `size` spaces high, its left edge at x and its baseline at y."""
    from matplotlib.font_manager import FontProperties

    path = TextPath((0, 0), text, size=10, prop=FontProperties(family="DejaVu Sans", style=style, weight=weight))
    placed = Affine2D().scale(size / 7.3).translate(x, y)  # capitals of a 10 point font are 7.3 high
    ax.add_patch(PathPatch(placed.transform_path(path), facecolor=INK, linewidth=0))


def clef(ax: Axes, x: float) -> None:
    path = Path([(x + px, py) for px, py in _CLEF], [Path.MOVETO] + [Path.CURVE4] * (len(_CLEF) - 1))
    ax.add_patch(PathPatch(path, fill=False, edgecolor=INK, linewidth=1.7, capstyle="round"))
    ax.add_patch(Ellipse((x - 0.38, -1.1), 0.5, 0.5, color=INK, linewidth=0))


def key_signature(ax: Axes, x: float, fifths: int) -> float:
    """Draws it from x on; returns where it ends."""
    for place in (_SHARPS if fifths > 0 else _FLATS)[: abs(fifths)]:
        accidental(ax, x, place, 1 if fifths > 0 else -1)
        x += 1.15
    return x


def time_signature(ax: Axes, x: float, beats: int, unit: int) -> float:
    """Draws it from x on; returns where it ends."""
    for number, y in ((beats, 2.1), (unit, 0.1)):
        words(ax, x, y, str(number), 1.8, weight="bold")
    return x + 1.6 * max(len(str(beats)), len(str(unit)))


def accidental(ax: Axes, x: float, y: float, alteration: int) -> None:
    words(ax, x, y - 0.75, _SIGNS.get(alteration, "♮"), 2.0)


def head(ax: Axes, x: float, y: float, value: Fraction) -> None:
    """The head of a note of `value` eighths, x its middle, with its ledger lines."""
    for ledger in [*range(-1, round(y - 0.6), -1), *range(5, round(y + 0.6))]:
        line(ax, (x - 1.0, x + 1.0), (ledger, ledger))
    if value >= 16:
        ax.add_patch(Rectangle((x - 0.7, y - 0.4), 1.4, 0.8, fill=False, edgecolor=INK, linewidth=1.6))
        return
    hollow = value >= 4
    size = (1.5, 0.9) if value >= 8 else (1.3, 0.85)
    ax.add_patch(
        Ellipse((x, y), *size, angle=22, fill=not hollow, facecolor=INK, edgecolor=INK, linewidth=1.3 if hollow else 0)
    )


def dots(ax: Axes, x: float, y: float, count: int) -> None:
    height = y + 0.5 if y == round(y) else y  # on a line they move into the space above
    for i in range(count):
        ax.add_patch(Ellipse((x + 0.55 * i, height), 0.32, 0.32, color=INK, linewidth=0))


def flags(ax: Axes, x: float, y: float, count: int, up: bool) -> None:
    """The flags of a lone short note from the tip of its stem."""
    down = -1 if up else 1
    for i in range(count):
        tip = y + down * 0.75 * i
        curve = [(x, tip), (x + 0.15, tip + down * 0.9), (x + 1.2, tip + down * 1.0), (x + 0.85, tip + down * 2.2)]
        path = Path(curve, [Path.MOVETO] + [Path.CURVE4] * 3)
        ax.add_patch(PathPatch(path, fill=False, edgecolor=INK, linewidth=1.4))


def beam(ax: Axes, left: tuple[float, float], right: tuple[float, float], down: float) -> None:
    """A bar half a space thick between two stem tips; `down` is -1 when it hangs below them, 1 when it lies above."""
    (x0, y0), (x1, y1) = left, right
    ax.add_patch(Polygon([(x0, y0), (x1, y1), (x1, y1 + down * 0.5), (x0, y0 + down * 0.5)], color=INK, linewidth=0))


def rest(ax: Axes, x: float, value: Fraction) -> None:
    """A rest of `value` eighths, x its middle."""
    if value >= 4:
        bottom = 2.5 if value >= 8 else 2.0
        ax.add_patch(Rectangle((x - 0.6, bottom), 1.2, 0.5, color=INK, linewidth=0))
        return
    if value >= 2:
        bent = [(x - 0.3, 3.4), (x + 0.3, 2.6), (x - 0.25, 1.9), (x + 0.4, 1.1), (x - 0.4, 1.2), (x + 0.1, 0.4)]
        ax.plot(*zip(*bent, strict=True), color=INK, linewidth=2.0, solid_joinstyle="round")
        return
    count = levels(value)
    line(ax, (x - 0.15, x + 0.5), (1.6 - count, 2.6), STEM)
    for i in range(count):
        ax.add_patch(Ellipse((x - 0.3 - 0.15 * i, 2.4 - i), 0.5, 0.5, color=INK, linewidth=0))
        line(ax, (x - 0.3 - 0.15 * i, x + 0.45 - 0.22 * i), (2.2 - i, 2.5 - i), STEM)


def levels(value: Fraction) -> int:
    """Flags or beams of a note of `value` eighths: 1 for an eighth, 2 for a sixteenth."""
    return value.denominator.bit_length() if value <= 1 else 0


def tie(ax: Axes, x: tuple[float, float], y: float, below: bool) -> None:
    bend = -1.1 if below else 1.1
    edge = y + (-0.6 if below else 0.6)
    curve = [(x[0], edge), (x[0] + 0.5, edge + bend), (x[1] - 0.5, edge + bend), (x[1], edge)]
    ax.add_patch(PathPatch(Path(curve, [Path.MOVETO] + [Path.CURVE4] * 3), fill=False, edgecolor=INK, linewidth=1.1))


def bar_line(ax: Axes, x: float, kind: str) -> None:
    """The line that ends at x: `single`, `double`, `end`, `repeat`, `none`."""
    if kind == "none":
        return
    if kind in ("end", "repeat"):
        line(ax, (x - 0.2, x - 0.2), (0, 4), THICK)
        line(ax, (x - 0.85, x - 0.85), (0, 4), STEM)
    else:
        line(ax, (x, x), (0, 4), STEM)
    if kind == "double":
        line(ax, (x - 0.55, x - 0.55), (0, 4), STEM)
    if kind == "repeat":
        repeat_dots(ax, x - 1.4)


def repeat_begin(ax: Axes, x: float) -> None:
    line(ax, (x + 0.2, x + 0.2), (0, 4), THICK)
    line(ax, (x + 0.85, x + 0.85), (0, 4), STEM)
    repeat_dots(ax, x + 1.4)


def repeat_dots(ax: Axes, x: float) -> None:
    for y in (1.5, 2.5):
        ax.add_patch(Ellipse((x, y), 0.42, 0.42, color=INK, linewidth=0))
