"""A picture of a page, as a browser draws it: `python -m folkrnn.explorer.picture explore.html docs/explorer.png`.

Needs playwright (`pip install -e ".[test]"`) and the system's Chromium (`.ci/install_chromium`), which stays offline.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from folkrnn.errors import UserError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTH, HEIGHT = 1440, 1340
COLOURS = 128
"""Of the PNG: the page has few, and the file is a third as large."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Yields the system's Chromium, headless. Raises UserError where it, or what drives it, is not installed."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise UserError(f"no Chromium here ({', '.join(PROGRAMS)}); .ci/install_chromium installs it")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise UserError('playwright is not installed; pip install -e ".[test]" brings it') from None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


def picture(browser: Any, page: Path, step: int, scheme: str = "light", unit: int | None = None) -> bytes:
    """Returns a PNG of the top of a page with the cursor at token `step`, with `unit` also with that unit chosen."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
    tab.goto(page.absolute().as_uri())
    tab.wait_for_selector("body[data-ready]")
    tab.keyboard.press("Home")
    for _ in range(step):
        tab.keyboard.press("ArrowRight")
    if unit is not None:
        tab.fill("#find", str(unit))
        tab.locator("#found button").last.click()
    tab.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    tab.wait_for_timeout(500)
    png = tab.screenshot()
    tab.close()
    return _few_colours(png)


def _few_colours(png: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return buffer.getvalue()


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m folkrnn.explorer.picture", description=__doc__)
    parser.add_argument("page", type=Path, help="explore.html of a run")
    parser.add_argument("png", type=Path, help="where the picture goes")
    parser.add_argument("--step", type=int, default=37, help="the token under the cursor")
    parser.add_argument("--unit", type=int, help="the unit of the last layer that is drawn under the score")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args(words)
    try:
        with chromium() as browser:
            scheme = "dark" if options.dark else "light"
            options.png.write_bytes(picture(browser, options.page, options.step, scheme, options.unit))
    except UserError as refusal:
        print(refusal, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
