"""Writing figures to files fit for a paper, and the numbers that were drawn in them."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import matplotlib.artist
    import matplotlib.axes
    import matplotlib.figure
    import pandas as pd
    from matplotlib.container import BarContainer
    from PIL import Image

    from folkrnn.findings import Animation

PAPER_DPI = 300
"""Dots per inch of `.png` figures: 7 inches wide are 2100 dots."""
MOST_PIXELS, LONGEST_SIDE = 40_000_000, 30_000
"""A larger drawing has fewer dots per inch: programs refuse pictures of more than some 90 million, as a trap."""
SCREEN_DPI = 150
"""Dots per inch of animations: 7 inches wide are 1,050 dots."""
GIF_COLOURS = 128
LARGEST_SVG = 120_000
"""Bytes beyond which a page has a drawing as dots."""


@lru_cache(maxsize=32)  # the report embeds what the run files
def png(drawing: matplotlib.figure.Figure, caption: str = "") -> bytes:
    """Returns the drawing as PNG at PAPER_DPI, with its caption inside as the field Description.

    A drawing that would have more than MOST_PIXELS dots has fewer per inch.
    """
    width, height = drawing.get_size_inches()
    dpi = min(PAPER_DPI, (MOST_PIXELS / (width * height)) ** 0.5, LONGEST_SIDE / max(width, height))
    return _saved(drawing, "png", dpi=dpi, metadata={"Software": None, "Description": caption})


def as_vector(drawing: matplotlib.figure.Figure, kind: str, caption: str = "") -> bytes:
    """Returns the drawing as `svg` or `pdf`, with its caption inside; the same drawing gives the same bytes.

    Letters stay letters in both; what was drawn as dots has PAPER_DPI.
    """
    import matplotlib

    about = {"Date": None, "Description": caption} if kind == "svg" else {"CreationDate": None, "Subject": caption}
    kept: dict[Any, Any] = {"svg.hashsalt": "folkrnn", "svg.fonttype": "none", "pdf.fonttype": 42}
    with matplotlib.rc_context(kept):
        return _saved(drawing, kind, dpi=PAPER_DPI, metadata={"Creator": None, **about})


@lru_cache(maxsize=32)  # the report embeds what the run files
def gif(animation: Animation) -> bytes:
    """Returns the frames as an animated GIF that loops for ever, at SCREEN_DPI."""
    from PIL import Image

    frames = [_few_colours(Image.open(io.BytesIO(_saved(frame, "png", dpi=SCREEN_DPI)))) for frame in animation.frames]
    buffer = io.BytesIO()
    each = animation.seconds
    times = [each] * len(frames) if isinstance(each, int | float) else each
    milliseconds = [round(1000 * time) for time in times]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, optimize=True)
    return buffer.getvalue()


def _few_colours(picture: Image.Image) -> Image.Image:
    """Returns the picture in GIF_COLOURS; an octree keeps those of a key, however few points they have."""
    from PIL import Image

    return picture.convert("RGB").quantize(GIF_COLOURS, method=Image.Quantize.FASTOCTREE)


def for_screens(drawing: matplotlib.figure.Figure, caption: str = "") -> tuple[str, bytes]:
    """Returns (media type, picture) for a page: SVG, its letters as outlines, or PNG where that is smaller.

    A picture of many points or cells is one whose SVG would have more than LARGEST_SVG bytes; it has half of PAPER_DPI.
    """
    import matplotlib
    from PIL import Image

    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "report"}):
        vectors = _saved(drawing, "svg", metadata={"Date": None, "Creator": None})
    if len(vectors) <= LARGEST_SVG:
        return "image/svg+xml", vectors
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png(drawing, caption))).convert("RGB").reduce(2).save(buffer, "PNG")
    return "image/png", buffer.getvalue()


def _saved(drawing: matplotlib.figure.Figure, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    drawing.savefig(buffer, format=kind, **options)
    drawing.set_layout_engine("none")  # what is drawn again keeps its places, and takes half the time
    return buffer.getvalue()


def drawn_data(drawing: matplotlib.figure.Figure) -> pd.DataFrame:
    """Returns what was drawn, one row per point: `panel`, `kind`, `series`, `x`, `y`, `value`.

    `kind` is line, bar, points, area (the points of its outline) or image; `value` is the height of a bar or the cell
    of an image (`x` is its column, `y` its row), empty otherwise. Panels count from 1, in the order in which the axes
    were made; colour bars are left out.
    """
    import pandas as pd

    rows: list[pd.DataFrame] = []
    for panel, axes in enumerate(drawing.axes, start=1):
        if hasattr(axes, "_colorbar"):
            continue
        for frame in _drawn_in(axes):
            frame.insert(0, "panel", panel)
            rows.append(frame)
    columns = ["panel", "kind", "series", "x", "y", "value"]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def _drawn_in(axes: matplotlib.axes.Axes) -> list[pd.DataFrame]:
    import numpy as np
    import pandas as pd
    from matplotlib.collections import PathCollection, PolyCollection, QuadMesh
    from matplotlib.container import BarContainer

    frames = []
    for line in axes.lines:
        if line.get_transform().contains_branch(axes.transData):  # neither a rule across the panel nor a legend key
            x, y = (np.asarray(values, dtype=object) for values in line.get_data(orig=True))
            frames.append(pd.DataFrame({"kind": "line", "series": _label(line), "x": x, "y": y, "value": None}))
    for bars in (container for container in axes.containers if isinstance(container, BarContainer)):
        boxes = [(bar.get_x() + bar.get_width() / 2, bar.get_y(), bar.get_height()) for bar in bars.patches]
        frame = pd.DataFrame(boxes, columns=["x", "y", "value"])
        frames.append(frame.assign(kind="bar", series=_label(bars)))
    for points in (collection for collection in axes.collections if isinstance(collection, PathCollection)):
        frame = pd.DataFrame(np.ma.getdata(points.get_offsets()), columns=["x", "y"])
        frames.append(frame.assign(kind="points", series=_label(points), value=points.get_array()))
    for area in (collection for collection in axes.collections if isinstance(collection, PolyCollection)):
        outline = np.concatenate([path.vertices for path in area.get_paths()])
        frame = pd.DataFrame(outline, columns=["x", "y"]).drop_duplicates()
        frames.append(frame.assign(kind="area", series=_label(area), value=None))
    meshes = [collection for collection in axes.collections if isinstance(collection, QuadMesh)]
    for image in [*axes.images, *meshes]:
        cells = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        if cells.ndim != 2:  # an RGB picture has no values
            continue
        y, x = (index.ravel() for index in np.indices(cells.shape))
        frame = pd.DataFrame({"x": x, "y": y, "value": cells.ravel()})
        frames.append(frame.assign(kind="image", series=_label(image)))
    return frames


def _label(artist: matplotlib.artist.Artist | BarContainer) -> str:
    label = str(artist.get_label())
    return "" if label.startswith("_") else label
