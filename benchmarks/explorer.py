"""What the explorer's page costs: seconds and megabytes of the default run's, and how fast a browser draws it.

    python benchmarks/explorer.py [--tunes 64] [--clock cpu] [--libraries]

Prints how long `explore` takes, what the parts of the page weigh, how long the browser needs for the first picture and,
on average, for what follows a movement of the pointer, and what the sound would weigh as the report's MP3s. With
`--libraries` the same heat map of 512 units by 300 steps, with three plots and twelve bars that follow the pointer, is
also made with bokeh, with plotly (`pip install plotly`) and on a canvas of our own, and timed in the browser.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measuring import CLOCKS

import folkrnn
from folkrnn.explorer import Page, explore, plots
from folkrnn.explorer.pack import to_text
from folkrnn.explorer.picture import chromium
from folkrnn.notation.audio import record

MOVES = 60
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
WATCH = """() => {
  window.late = [];
  document.addEventListener("pointermove", () => {
    const start = performance.now(), answered = window.moved || 0;
    window.pending = new Promise((done) => {
      const look = () => {
        const now = performance.now();
        if ((window.moved || 0) > answered) setTimeout(() => done(window.late.push(performance.now() - start)));
        else if (now - start < 1000) requestAnimationFrame(look);
        else done(0);
      };
      requestAnimationFrame(look);
    });
  }, true);
}"""
"""Times movements from the event until the picture that answers it is drawn; after a second none does."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tunes", type=int, default=64)
    clock = "wall time, or processor time of the process, where others use the machine"
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="wall", help=clock)
    parser.add_argument("--libraries", action="store_true", help="also time bokeh, plotly and a canvas on one heat map")
    chosen = parser.parse_args()
    weights = folkrnn.pretrained()
    sampling = folkrnn.Sampling(tunes=chosen.tunes)
    tunes = folkrnn.generate(weights.model, weights.vocabulary, sampling, seed=1)
    seen = folkrnn.Observation(weights.model, weights.vocabulary, tunes)
    now = CLOCKS[chosen.clock]
    began = now()
    page = explore(seen)
    print(f"explore: {now() - began:.1f} s ({chosen.clock} time)")
    weigh(page)
    mp3s = sum(len(record(tune.tokens(weights.vocabulary)).mp3) for tune in tunes[:8]) / 8
    print(f"sound as MP3: {mp3s / 1e3:.0f} kB a tune")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        draw(browser, page.save(Path(folder) / "explore.html"))
        for name, html in trial_pages() if chosen.libraries else ():
            file = Path(folder) / f"{name}.html"
            file.write_text(html)
            hover(browser, name, file)


def weigh(page: Page) -> None:
    """Prints the size of the page and of its parts."""
    parts = {name: len(to_text(pack)) for name, pack in page.packs.items()} | {"bokeh": len(plots.library())}
    told = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in parts.items())
    print(f"page: {len(page.html.encode()) / 1e6:.2f} MB ({told})")
    arrays = [array for pack in page.packs.values() for name, array in pack.arrays.items() if name.endswith("/notes")]
    print(f"sound as notes: {sum(array.nbytes for array in arrays) / 1e3 / len(arrays):.1f} kB a tune")


def draw(browser: Any, file: Path) -> None:
    """Prints how fast the page comes up and follows the pointer."""
    tab = browser.new_page(viewport={"width": 1360, "height": 900})
    began = time.monotonic()
    tab.goto(file.as_uri())
    tab.wait_for_selector("body[data-ready]")
    paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    print(f"first picture: {paint / 1e3:.2f} s; everything drawn: {time.monotonic() - began:.2f} s")
    tab.wait_for_timeout(1500)
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        return {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    tab.locator("#timeline").scroll_into_view_if_needed()
    box = tab.locator("#timeline").bounding_box()
    before = spent()
    for k in range(MOVES):
        tab.mouse.move(box["x"] + 60 + 9 * k, box["y"] + 150 + 4 * k)
        tab.evaluate(FRAMES)
    print(f"hover: {1e3 * (spent() - before) / MOVES:.1f} ms of the page's processor time a movement")
    tab.close()


def hover(browser: Any, name: str, file: Path) -> None:
    """Prints how fast a trial page comes up and follows the pointer."""
    tab = browser.new_page(viewport={"width": 1000, "height": 1000})
    tab.goto(file.as_uri())
    tab.wait_for_selector("canvas, .heatmaplayer image", timeout=60_000)
    paint = tab.evaluate(
        "performance.getEntriesByName('first-contentful-paint').map((e) => e.startTime / 1e3)[0] ?? NaN"
    )
    tab.wait_for_timeout(3000)
    tab.evaluate(WATCH)
    for k in range(MOVES):
        tab.mouse.move(150 + 10 * k, 60 + 4 * k)
        tab.evaluate("() => window.pending")
    late = tab.evaluate("window.late") or [np.nan]
    print(
        f"{name}: {len(file.read_bytes()) / 1e6:.1f} MB, first picture {paint:.1f} s, {len(late)} of {MOVES} movements "
        f"answered, median {np.median(late):.0f} ms, 95 % within {np.percentile(late, 95):.0f} ms"
    )
    tab.close()


def trial_pages() -> Iterator[tuple[str, str]]:
    """Yields the name and the page of each way to draw the same heat map."""
    rng = np.random.default_rng(0)
    heat, probs = rng.integers(0, 256, (512, 300)).astype(np.uint8), rng.random((300, 12))
    made: dict[str, Callable[[np.ndarray, np.ndarray], str]] = {
        "bokeh": with_bokeh,
        "plotly": with_plotly,
        "canvas": with_canvas,
    }
    for name, make in made.items():
        try:
            yield name, make(heat, probs)
        except ImportError:
            print(f"{name}: not installed")


def with_bokeh(heat: np.ndarray, probs: np.ndarray) -> str:
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource, CustomJS, LinearColorMapper, Span
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    steps, rows = list(range(300)), ColumnDataSource({"h": [heat.ravel()]})
    image = figure(width=900, height=400, x_range=(0, 300), y_range=(0, 512), tools="pan,wheel_zoom,box_select,reset")
    image.image([heat], x=0, y=0, dw=300, dh=512, color_mapper=LinearColorMapper(palette="Viridis256", low=0, high=255))
    lines, spans = [], [Span(location=0, dimension="height") for _ in range(3)]
    for _ in range(2):
        source = ColumnDataSource({"x": steps, "y": heat[0].astype(float)})
        line = figure(width=900, height=120, x_range=image.x_range)
        line.line("x", "y", source=source)
        lines.append((line, source))
    bar = ColumnDataSource({"y": list(range(12)), "p": probs[0]})
    bars = figure(width=300, height=260)
    bars.hbar("y", right="p", height=0.8, source=bar)
    for plot, span in zip([image, *(line for line, _ in lines)], spans, strict=True):
        plot.add_layout(span)
    code = """
      const t = Math.max(0, Math.min(299, Math.floor(cb_obj.x))), u = Math.max(0, Math.min(511, Math.floor(cb_obj.y)));
      const y = Array.from({length: 300}, (_, i) => rows.data.h[0][u * 300 + i]);
      bar.data = {y: bar.data.y, p: probs[t]};
      for (const source of sources) source.data = {x: source.data.x, y};
      for (const span of spans) span.location = t;
      window.moved = (window.moved || 0) + 1;"""
    known = {
        "bar": bar,
        "sources": [source for _, source in lines],
        "spans": spans,
        "rows": rows,
        "probs": probs.tolist(),
    }
    image.js_on_event("mousemove", CustomJS(args=known, code=code))
    return file_html(column(image, *(line for line, _ in lines), bars), INLINE, "trial")


def with_plotly(heat: np.ndarray, probs: np.ndarray) -> str:
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    plot = make_subplots(rows=4, cols=1, row_heights=[0.5, 0.15, 0.15, 0.2])
    plot.add_trace(graph_objects.Heatmap(z=heat, colorscale="Viridis"), 1, 1)
    for row in (2, 3):
        plot.add_scatter(y=heat[0], row=row, col=1)
    plot.add_bar(x=probs[0], y=list(range(12)), orientation="h", row=4, col=1)
    plot.update_layout(height=900, width=900)
    script = """<script>
      const probs = %s, plot = document.getElementById("plot");
      plot.on("plotly_hover", (event) => {
        const {curveNumber, x: t, y: u} = event.points[0];
        if (curveNumber !== 0) return;
        const y = Array.from(plot.data[0].z[u] || []);
        Plotly.restyle(plot, {x: [probs[t]]}, [3]);
        Plotly.restyle(plot, {y: [y, y]}, [1, 2]);
        const line = {type: "line", yref: "paper", x0: t, x1: t, y0: 0, y1: 1};
        Plotly.relayout(plot, {shapes: [2, 3].map((k) => ({...line, xref: "x" + k}))});
        window.moved = (window.moved || 0) + 1;
      });
    </script></body>"""
    html = plot.to_html(include_plotlyjs=True, div_id="plot")
    return html.replace("</body>", script % json.dumps(probs.tolist()))


def with_canvas(heat: np.ndarray, probs: np.ndarray) -> str:
    script = """<!doctype html><body><p>trial</p><canvas id="heat" width="900" height="400"></canvas>
    <canvas id="line" width="900" height="240"></canvas><div id="bars"></div><script>
      const heat = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0)), probs = %s;
      const canvas = document.getElementById("heat"), pen = canvas.getContext("2d");
      const image = new ImageData(300, 512);
      heat.forEach((value, i) => image.data.set([value, value, 255 - value, 255], 4 * i));
      createImageBitmap(image).then((picture) => {
        pen.drawImage(picture, 0, 0, 900, 400);
        canvas.onmousemove = (event) => {
          const t = Math.floor(event.offsetX / 3), u = Math.floor(event.offsetY / 400 * 512);
          pen.drawImage(picture, 0, 0, 900, 400);
          pen.fillRect(t * 3, 0, 1, 400);
          const line = document.getElementById("line").getContext("2d");
          line.clearRect(0, 0, 900, 240);
          for (const top of [0, 120]) {
            line.beginPath();
            for (let i = 0; i < 300; i += 1) line.lineTo(i * 3, top + heat[u * 300 + i] / 2.2);
            line.stroke();
          }
          document.getElementById("bars").innerHTML = probs[t]
            .map((p) => `<div style="width:${300 * p}px;height:18px;background:#07c">${p.toFixed(3)}</div>`).join("");
          window.moved = (window.moved || 0) + 1;
        };
      });
    </script></body>"""
    return script % (base64.b64encode(heat.tobytes()).decode(), json.dumps(probs.tolist()))


if __name__ == "__main__":
    main()
