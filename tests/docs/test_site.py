"""The documentation as a site: complete, without a broken link, and read without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OUTSIDE = re.compile(
    r"""<(?:script|link|img|iframe|source|audio|video|object|embed)\b[^>]*\b(?:src|href|data)=["']?(?:https?:)?//[^"'\s>]*"""
    r"""|@import[^;]*//[^;]*|url\(["']?(?:https?:)?//[^)]*\)"""
)
"""What a browser fetches from elsewhere on its own; links to follow are none."""


def pages(entries: list) -> list[str]:
    """Every page that a navigation leads to."""
    found = []
    for entry in entries:
        inside = entry if isinstance(entry, str) else next(iter(entry.values()))
        found += pages(inside) if isinstance(inside, list) else [inside]
    return found


def test_every_page_is_in_the_navigation_once() -> None:
    nav = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    own = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "docs/notebooks").glob("*.py")}
    assert len(nav) == len(set(nav))
    assert own | notebooks <= set(nav)


@pytest.mark.parametrize("text", ['<script src="https://a.b/c.js">', "@import url(//a.b)", '<img src="//a.b/c.png">'])
def test_what_would_be_fetched_is_found(text: str) -> None:
    assert OUTSIDE.search(text)
    assert not OUTSIDE.search('<a href="https://a.b">a.b</a> <img src="here.png">')


@pytest.mark.slow
def test_it_builds_strictly_and_fetches_nothing_when_it_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    made = [path for path in (tmp_path / "site").rglob("*") if path.suffix in (".html", ".css")]
    assert len(made) > 40
    fetched = {found for path in made for found in OUTSIDE.findall(path.read_text(encoding="utf-8"))}
    assert fetched == set()
    reference = (tmp_path / "site/reference/analyses.html").read_text(encoding="utf-8")
    assert 'id="analyses.posterior.Posterior"' in reference
