"""Makes the small pictures of docs/gallery.md, which say by what command: `python docs/gallery.py [NAME ...]`.

The picture `gallery/posterior_5b_posterior.png` is `figures/posterior_5b_posterior.png` of the run of the command that
stands in its cell. Runs go to the folder `--folder`; those that it has already are not repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
PLACE = HERE / "gallery"
WIDTH, HEIGHT = 380, 250
"""Pixels of a picture."""

CELL = re.compile(r"!\[[^\]]*\]\(gallery/(\w+)\.png\)[^|`]*`python run\.py ([^`]+)`")


def pictures(page: str) -> dict[str, str]:
    """Returns the words of the command behind each picture of a page, by the picture's name."""
    return dict(CELL.findall(page))


def figures(words: str, home: Path) -> Path:
    """Returns the folder of figures of the run of a command, which is made if it is not in `home`."""
    folder = home / hashlib.sha256(words.encode()).hexdigest()[:8]
    if not list(folder.glob("runs/*/figures")):
        command = [sys.executable, str(HERE.parent / "run.py"), *shlex.split(words), f"tracking.folder={folder}"]
        subprocess.run([*command, "figures.all=true", "explorer=false"], check=True)
    (found,) = folder.glob("runs/*/figures")
    return found


def shrink(source: Path, target: Path) -> None:
    """Writes a small picture, with 64 colours: the top of a figure that is higher than wide, else the whole of it."""
    figure = Image.open(source).convert("RGB")
    figure = figure.resize((WIDTH, round(figure.height * WIDTH / figure.width)), Image.Resampling.LANCZOS)
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    picture.paste(figure, (0, max(0, (HEIGHT - figure.height) // 2)))
    target.parent.mkdir(exist_ok=True)
    picture.quantize(64).save(target, optimize=True)


def main() -> None:
    """Makes the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="pictures of the page; all of them if none is named")
    parser.add_argument("--folder", type=Path, default=Path("gallery-runs"), help="where the runs are kept")
    options = parser.parse_args()
    for name, words in pictures((HERE / "gallery.md").read_text(encoding="utf-8")).items():
        if not options.names or name in options.names:
            shrink(figures(words, options.folder.resolve()) / f"{name}.png", PLACE / f"{name}.png")
            print(PLACE / f"{name}.png")


if __name__ == "__main__":
    main()
