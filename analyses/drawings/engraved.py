"""An engraved score as matplotlib shapes: what a figure needs in order to hold notes that verovio has set.

verovio writes a small part of SVG: glyphs that are used by name and moved, straight and curved paths, polygons, dots,
and a little text. Each line of the score (a system) becomes a list of shapes in verovio's own units, in which the lines
of a staff are `SPACE` apart and y grows downwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.axes
    from matplotlib.path import Path

SPACE = 180.0
"""Between two lines of a staff."""
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NOTE = re.compile(r"n\d+-t(\d+)$")


@dataclass(frozen=True)
class Shape:
    """A path, filled unless it is a stroke of a `width`, and the token of the note that it belongs to (−1: none)."""

    path: Path
    width: float
    token: int

    @property
    def points(self) -> np.ndarray:
        """Its vertices, `[N, 2]`."""
        return np.asarray(self.path.vertices)


@dataclass
class System:
    """A line of a score."""

    shapes: list[Shape] = field(default_factory=list)
    words: list[tuple[float, float, str, float]] = field(default_factory=list)
    """x, baseline, text and its height."""
    measures: list[tuple[float, float]] = field(default_factory=list)
    """Left and right end of each bar."""
    heads: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Left and right end of the head that each pitch token has."""
    measure_of: dict[int, int] = field(default_factory=dict)
    """The place in `measures` of each of these tokens."""

    def reach(self) -> tuple[float, float]:
        """Returns the highest and the lowest y of all that is drawn."""
        ends = np.array([shape.path.get_extents().intervaly for shape in self.shapes])
        top = min([float(ends[:, 0].min()), *(y - size for _, y, _, size in self.words)])
        return top, float(ends[:, 1].max())

    def staff(self) -> tuple[float, float]:
        """Returns the y of the highest and of the lowest line of the staff: the strokes as long as the first bar."""
        of_bar = [shape.points for shape in self.shapes if shape.width and _is_level(shape.points)]
        lines = [float(line[0, 1]) for line in of_bar if np.allclose(line[:, 0], self.measures[0], atol=1.0)]
        return min(lines), max(lines)


def systems(svg: str) -> list[System]:
    """Returns the lines of a score that verovio has drawn, `Score.svg` of `folkrnn.notation.score.engrave`."""
    root = ElementTree.fromstring(svg)
    glyphs = {
        node.get("id", ""): _parsed(path.get("d", ""), np.array([1.0, -1.0]))
        for node in root.iter(f"{_SVG}g")
        if (path := node.find(f"{_SVG}path[@transform]")) is not None
    }
    found = []
    for node in root.iter(f"{_SVG}g"):
        if node.get("class") == "system":
            found.append(_system(node, glyphs))
    return found


def draw(
    axes: matplotlib.axes.Axes, system: System, points: float, colours: Mapping[int, str], x: float, y: float
) -> None:
    """Draws a line of a score, `points` a unit; its left end comes to lie at x, the first line of its staff at y.

    `colours` gives the colours of notes by their tokens. The axes' units are verovio's.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.transforms import Affine2D

    shift = Affine2D().translate(x, y - system.staff()[0])
    for shape in system.shapes:
        colour = colours.get(shape.token, style.INK)
        stroke = {"fill": False, "edgecolor": colour, "linewidth": shape.width * points, "capstyle": "butt"}
        look = stroke if shape.width else {"facecolor": colour, "linewidth": 0}
        axes.add_patch(PathPatch(shift.transform_path(shape.path), zorder=3, **look))
    for left, baseline, text, size in system.words:
        x, y = shift.transform((left, baseline))
        axes.text(x, y, text, fontsize=size * points, va="baseline", color=style.INK, zorder=3)


def _system(node: ElementTree.Element, glyphs: Mapping[str, Path]) -> System:
    system = System()
    for measure in node.iter(f"{_SVG}g"):
        if measure.get("class") == "measure":
            _read_measure(measure, glyphs, system)
    for ending in node.iter(f"{_SVG}g"):
        if ending.get("class") == "voltaBracket":
            _read(ending, glyphs, system, -1)
    return system


def _read_measure(measure: ElementTree.Element, glyphs: Mapping[str, Path], system: System) -> None:
    before = len(system.shapes)
    _read(measure, glyphs, system, -1)
    lines = [shape.points for shape in system.shapes[before:] if shape.width and _is_level(shape.points)]
    longest = max(lines, key=lambda line: np.ptp(line[:, 0]))
    system.measures.append((float(longest[:, 0].min()), float(longest[:, 0].max())))
    for token in {shape.token for shape in system.shapes[before:]} - {-1}:
        system.measure_of[token] = len(system.measures) - 1


def _read(node: ElementTree.Element, glyphs: Mapping[str, Path], system: System, token: int) -> None:
    """Adds what stands under a node of the picture."""
    for child in node:
        name = child.tag.removeprefix(_SVG)
        number = _NOTE.search(child.get("id", ""))
        own = int(number[1]) if number else token
        for path, width in _shapes(child, name, glyphs):
            system.shapes.append(Shape(path, width, own))
            if node.get("class") == "notehead":
                left, right = path.get_extents().intervalx
                system.heads[own] = (float(left), float(right))
        if name == "text":
            size = max(float(part.get("font-size", "0").removesuffix("px")) for part in child.iter())
            place = float(child.get("x", 0)), float(child.get("y", 0))
            system.words.append((*place, "".join(child.itertext()).strip(), size))
        else:
            _read(child, glyphs, system, own)


def _shapes(node: ElementTree.Element, name: str, glyphs: Mapping[str, Path]) -> Iterator[tuple[Path, float]]:
    """The path that a node draws, and how wide its stroke is (0: it is filled)."""
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    if name == "use":
        x, y, sx, sy = map(float, _NUMBER.findall(node.get("transform", "")))
        glyph = glyphs[(node.get("href") or node.get(_LINK, "")).removeprefix("#")]
        yield Affine2D().scale(sx, sy).translate(x, y).transform_path(glyph), 0.0
    elif name == "path":
        path = _parsed(node.get("d", ""))
        closed = "z" in node.get("d", "").lower()
        yield path, 0.0 if closed else float(node.get("stroke-width", 0))
    elif name == "polygon":
        corners = np.array([float(n) for n in _NUMBER.findall(node.get("points", ""))]).reshape(-1, 2)
        yield Path(np.vstack([corners, corners[:1]]), closed=True), 0.0
    elif name == "ellipse":
        x, y, radius = (float(node.get(key, 0)) for key in ("cx", "cy", "rx"))
        yield Path.circle((x, y), radius), 0.0
    elif name == "rect":
        x, y, width, height = (float(node.get(key, 0)) for key in ("x", "y", "width", "height"))
        yield Affine2D().scale(width, height).translate(x, y).transform_path(Path.unit_rectangle()), 0.0


def _parsed(data: str, scale: np.ndarray | float = 1.0) -> Path:
    """The path that SVG writes as `data`."""
    from fontTools.pens.recordingPen import RecordingPen
    from fontTools.svgLib.path import parse_path
    from matplotlib.path import Path

    pen = RecordingPen()
    parse_path(data, pen)
    codes: list[Any] = []
    points: list[Sequence[float]] = []
    kinds = {"moveTo": Path.MOVETO, "lineTo": Path.LINETO, "qCurveTo": Path.CURVE3, "curveTo": Path.CURVE4}
    for command, places in pen.value:
        if command in kinds:
            codes += [kinds[command]] * len(places)
            points += places
        elif command == "closePath":
            codes.append(Path.CLOSEPOLY)
            points.append((0.0, 0.0))
    return Path(np.array(points) * scale, codes)


def _is_level(points: np.ndarray) -> bool:
    return len(points) == 2 and points[0, 1] == points[1, 1]
