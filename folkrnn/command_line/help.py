"""The page that `--help` prints, read from the comments of the configuration: what is there is what it shows."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

from folkrnn.places import COMMAND

HEAD = """\
folkrnn-lab sees inside music models. It loads or trains one, lets it play, watches every gate while it does, may cut
or push what it sees, and files figures, scores and numbers in MLflow, where runs are compared.

Without arguments it plays the shipped folk-rnn and runs the default analyses, in about a minute on two CPU cores.

    python run.py [-m] [KEY=VALUE ...]
"""

ORDER = (
    "dataset",
    "model",
    "weights",
    "intervention",
    "observation",
    "analysis",
    "control",
    "recipe",
    "trainer",
    "tracking",
    "launcher",
    "experiment",
)
"""The groups as data passes them, then those that say where and how."""

SEVERAL = ("analysis", "intervention")

EXAMPLES = (
    ("python run.py", "play the shipped model, look into it"),
    ("python run.py sampling.tunes=8 sampling.prime='M:6/8 K:Cdor' seed=42", "eight jigs in dorian"),
    ("python run.py 'transcription=@tune.abc' analysis=posterior", "read a tune of yours with the model"),
    ("python run.py weights=scratch model=folkrnn_small trainer.max_epochs=3", "train, then analyse"),
    ("python run.py -m model=folkrnn,folkrnn_small weights=scratch seed=1,2", "four runs under one parent"),
)

FOOT = """\
-m runs every combination of values separated by commas, where launcher= says; typed again, it runs only those that are
missing or failed, and its exit status is how many failed. `analysis` and `intervention` take a name or a list:
analysis=posterior, analysis=[posterior,activations]; an option's own settings stand under its name, as in
analysis.posterior.KEY=VALUE. sampling.prime, transcription and tokens take text as it is, @FILE, or - for
standard input. Keys that name files and folders (dataset.path, weights.path, sampling.replay, tracking.folder,
tracking.uri) take text as it is, too: what the shell wants quoted is all there is to quote. ~ is home, and relative
paths count from the working directory. In a sweep A,B are two paths where both are there.

--cfg job shows every setting instead of running; -cd FOLDER adds options of your own; --hydra-help tells the rest.
HYDRA_FULL_ERROR=1 shows the traceback behind an error. Results are kept at the root of the checkout (of an installed
folkrnn-lab: in the working directory), or where tracking.folder= says; every run ends with the command that shows it.
Figures are filed as PNG, 300 dots per inch; for a paper add figures.format=svg (or pdf), figures.width=17.8cm,
figures.data=true (the numbers drawn, as .csv).
"""


def page(conf: Path, colour: bool = False) -> str:
    """Returns the help text for the configuration in `conf`; with `colour`, headings are bold."""
    width = min(120, max(80, shutil.get_terminal_size((100, 24)).columns))
    lines = [HEAD, _heading("Choices", colour)]
    chosen = dict(_defaults(conf / "config.yaml"))
    for group in _groups(conf):
        several = " (one or several)" if group in SEVERAL else ""
        lines.append(f"  {_heading(f'{group}=', colour)}{several}")
        for option in options(conf, group):
            mark = "*" if option in chosen.get(group, ()) else " "
            lines.append(_entry(f"  {mark} {option}", description(conf / group / f"{option}.yaml"), width))
    lines += ["", "  * the default", "", _heading("Settings", colour)]
    lines += [_entry(f"  {key}={value}", words, width) for key, value, words in settings(conf / "config.yaml")]
    lines += ["", _heading("Examples", colour)]
    lines += [f"  {command}\n      {words}" for command, words in EXAMPLES]
    return "\n".join([*lines, "", FOOT.rstrip()]).replace("python run.py", " ".join(COMMAND))


def options(conf: Path, group: str) -> list[str]:
    """Returns the names of a group's options, `none` last."""
    names = sorted(path.stem for path in (conf / group).glob("*.yaml"))
    return sorted(names, key=lambda name: name == "none")


def description(path: Path) -> str:
    """Returns the first comment of a configuration file that is no instruction to Hydra."""
    comments = (line.strip("# \n") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("@")), "")


def settings(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yields key, default and the comment above it, for every single value of the main configuration file."""
    section, comment = "", ""
    for line in path.read_text(encoding="utf-8").splitlines():
        bare = line.strip()
        if bare.startswith("#"):
            comment = f"{comment} {bare.strip('# ')}".strip()
            continue
        key, colon, value = bare.partition(":")
        if not line.startswith(" "):
            section = key if colon and not value.strip() else ""
        if colon and value.strip() and section not in ("defaults", "hydra") and value.strip() != "{}":
            yield (f"{section}.{key}" if line.startswith(" ") else key), value.strip(), comment
        comment = ""


def _defaults(path: Path) -> Iterator[tuple[str, list[str]]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        group, colon, names = line.strip().removeprefix("- ").partition(":")
        if line.startswith("  - ") and colon:
            yield group, [name.strip() for name in names.strip(" []").split(",")]


def _groups(conf: Path) -> list[str]:
    found = {path.name for path in conf.iterdir() if path.is_dir() and any(path.glob("*.yaml"))} - {"hydra"}
    return [group for group in ORDER if group in found] + sorted(found - set(ORDER))


def _entry(name: str, words: str, width: int, column: int = 30) -> str:
    lead = f"{name:<{column - 2}}  "
    return textwrap.fill(words, width, initial_indent=lead, subsequent_indent=" " * column) if words else name


def _heading(text: str, colour: bool) -> str:
    return f"\033[1m{text}\033[0m" if colour and "NO_COLOR" not in os.environ else text
