"""What mkdocs does besides: pages that lie elsewhere in the repository, notebooks that are kept as Python."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import jupytext
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]

ELSEWHERE = {
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/README.md": "benchmarks.md",
    **{
        f"folkrnn/weights/{name}/README.md": f"weights/{name}.md"
        for name in ("folkrnn", "folkrnn_copying", "folkrnn_small", "musicvae_2bar")
    },
}
"""Where a page of the site lies in the repository, outside of docs/."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of ELSEWHERE, with their pictures, and the notebooks."""
    for source, page in ELSEWHERE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
        for mark, _, target, _ in _LINK.findall(text):
            picture = (ROOT / source).parent / target
            if mark and ROOT / "docs" not in picture.resolve().parents:
                files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    for notebook in sorted((ROOT / "docs/notebooks").glob("*.py")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=_as_page(notebook)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Returns the page with its links, which are those of the repository, leading to pages of the site.

    A link to a file that is no page becomes its text.
    """
    here = page.file.src_uri
    home = next((source for source, name in ELSEWHERE.items() if name == here), f"docs/{here}")
    return _LINK.sub(lambda found: _led(found, PurePosixPath(home).parent, PurePosixPath(here).parent), markdown)


def _led(found: re.Match[str], home: PurePosixPath, here: PurePosixPath) -> str:
    mark, text, target, anchor = found.groups()
    place = os.path.normpath(home / target).replace(os.sep, "/")
    page = ELSEWHERE.get(place) or (place.removeprefix("docs/") if place.startswith("docs/") else None)
    if page is None and mark:
        page = f"pictures/{PurePosixPath(place).name}"
    if page is None:
        return text if (ROOT / place).exists() else found[0]
    return f"{mark}[{text}]({os.path.relpath(page, here).replace(os.sep, '/')}{anchor or ''})"


def _as_page(notebook: Path) -> str:
    """A notebook as a page, without the header that names its format."""
    cells = jupytext.read(notebook)
    note = (
        f"*Run it yourself: `docs/notebooks/{notebook.name}` opens in Jupyter with jupytext, and in editors as it is.*"
    )
    text = re.sub(r"\A---\n.*?\n---\n", "", jupytext.writes(cells, "md"), flags=re.S)
    title, _, rest = text.strip().partition("\n")
    return f"{title}\n\n{note}\n{rest}"
