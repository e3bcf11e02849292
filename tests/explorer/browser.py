"""Pages opened in the system's Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def opened(browser: Any, file: Path, width: int = 1360, height: int = 900, **context: Any) -> Iterator[Any]:
    """Yields a page, fully drawn; fails where it asks the network for anything or writes an error to the console."""
    place = browser.new_context(viewport={"width": width, "height": height}, **context)
    tab = place.new_page()
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    inside = ("file:", "blob:", "data:")
    tab.on("request", lambda request: None if request.url.startswith(inside) else wrong.append(request.url))
    tab.goto(file.as_uri())
    tab.wait_for_selector("body[data-ready]", timeout=60_000)
    try:
        yield tab
        tab.wait_for_timeout(50)
    finally:
        place.close()
    assert wrong == []
