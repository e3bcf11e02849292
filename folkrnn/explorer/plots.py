"""The page's ordinary plots, made with bokeh, whose script travels in the page: axes, zoom and pan are its.

Each is sent with data that nobody sees; the page's script fills its sources when a unit or a neuron is chosen.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

TOOLS = "pan,box_zoom,reset"


def plots(kind: str) -> dict[str, Any]:
    """Returns what `Bokeh.embed.embed_item` needs of each plot of a page, by name."""
    from bokeh.embed import json_item

    figures = _of_units() if kind == "folkrnn" else _of_neurons()
    return {name: json_item(figure) for name, figure in figures.items()}


@cache
def bokeh_script() -> str:
    """Returns bokeh's own script (its core alone), compressed, in base64; the page starts it when a plot is due."""
    from bokeh.resources import Resources

    (file,) = Resources(mode="absolute", components=["bokeh"]).js_files
    return base64.b64encode(gzip.compress(Path(file).read_bytes(), 9, mtime=0)).decode()


def as_script(items: Mapping[str, Any]) -> str:
    """Returns JSON that may stand inside a script element.

    bokeh counts its models from the start of the process; here they are counted anew, for the same page every time.
    """
    text = json.dumps(items, ensure_ascii=True).replace("<", "\\u003c")
    numbers: dict[str, str] = {}
    return re.sub(r'"p\d+"', lambda found: numbers.setdefault(found[0], f'"p{len(numbers)}"'), text)


def _of_units() -> dict[str, Any]:
    trace = _figure("value over the tokens of the tune", "token", "value")
    trace.line("x", "y", source=_source("trace", x=[0, 1], y=[0, 1]), line_width=1.5, line_color="#d55e00")
    _span(trace, "trace_step", "height", "solid")
    _span(trace, "trace_edge", "width", "dashed")
    spectrum = _figure("spectrum", "period in tokens", "share of its peak")
    spectrum.line("x", "y", source=_source("spectrum", x=[0, 1], y=[0, 1]), line_width=1.5, line_color="#0072b2")
    _span(spectrum, "spectrum_bar", "height", "dashed")
    from bokeh.models import FixedTicker

    answer = _figure("mean by event", "", "mean")
    answer.xaxis.ticker = FixedTicker(ticks=[0])
    answer.vbar(
        "x", top="y", width=0.75, source=_source("answer", x=[0, 1], y=[0, 1]), fill_color="#56b4e9", line_color=None
    )
    answer.xaxis.major_label_orientation = 0.9
    return {"trace": trace, "spectrum": spectrum, "answer": answer}


def _of_neurons() -> dict[str, Any]:
    feature = _figure("features along the neuron", "value of the neuron", "in deviations over the grid")
    feature.multi_line(
        "x",
        "y",
        source=_source("feature", x=[[0, 1]], y=[[0, 1]], colour=["#0072b2"], width=[1]),
        line_color="colour",
        line_width="width",
    )
    _span(feature, "feature_now", "height", "solid")
    return {"feature": feature}


def _figure(title: str, x: str, y: str) -> Any:
    from bokeh.plotting import figure

    made = figure(
        title=title,
        x_axis_label=x,
        y_axis_label=y,
        tools=TOOLS,
        active_drag=None,
        sizing_mode="stretch_both",
        toolbar_location="above",
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        min_border=2,
    )
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.grid.grid_line_alpha = 0.35
    return made


def _source(name: str, **columns: list[Any]) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(cast("Any", columns), name=name)


def _span(figure: Any, name: str, dimension: Literal["width", "height"], dash: str) -> None:
    from bokeh.models import Span

    figure.add_layout(Span(dimension=dimension, line_dash=dash, line_width=1, line_color="#8a8578", name=name))
