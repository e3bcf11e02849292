"""What `--help` prints, read from the comments of the configuration: what is there is what it shows.

One screen says what one may choose; `--help WORD` says all of a group, an option, a section or a key.
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from folkrnn.config.options import alternatives, option_parts
from folkrnn.errors import UserError, did_you_mean
from folkrnn.files.places import COMMAND

HEAD = """\
folkrnn-lab sees inside music models. It loads or trains one, lets it play, watches every gate while it does, may cut
or push what it sees, and files figures, scores and numbers in MLflow. Without arguments it plays the shipped folk-rnn
and runs the default analyses, in about a minute on two CPU cores.

    python run.py [-m] [KEY=VALUE ...]
"""

GROUPS = {
    "dataset": "the tunes or melodies to train on and to compare with",
    "model": "the network",
    "weights": "where its parameters come from; scratch, finetune: train first",
    "intervention": "what is changed inside it; one or several",
    "observation": "what is read while it plays",
    "analysis": "what is asked of that; one or several",
    "control": "what the same analyses are repeated on",
    "recipe": "how it is trained",
    "trainer": "on what it is trained and plays",
    "tracking": "where runs are filed",
    "launcher": "where the jobs of a sweep (-m) run",
    "experiment": "a named study; brings all of the above",
}
"""The groups as data passes them, then those that say where and how."""

FIRST = (
    "seed",
    "sampling.tunes",
    "sampling.temperature",
    "sampling.prime",
    "transcription",
    "cut.fraction",
    "cut.units",
    "trainer.max_epochs",
    "tracking.uri",
    "tracking.folder",
)
"""The settings on the first screen."""

EXAMPLES = (
    ("python run.py sampling.tunes=8 sampling.prime='M:6/8 K:Cdor' seed=42", "eight jigs in dorian"),
    ("python run.py 'transcription=@tune.abc' analysis=posterior", "read a tune of yours with the model"),
    ("python run.py intervention=cut_periodic cut.fraction=0.3", "cut what keeps the time of a bar"),
    ("python run.py weights=scratch model=folkrnn_small trainer.max_epochs=3", "train, then analyse"),
    ("python run.py -m model=folkrnn,folkrnn_small weights=scratch seed=1,2", "four runs under one parent"),
)

FOOT = """\
--help GROUP       every option of a group, as in --help analysis
--help GROUP=NAME  one option with all its settings; also a section (--help sampling) or a key (--help figures.format)
--help settings    every setting that belongs to no group; --help syntax: lists, sweeps, raw text, paths
--cfg job          shows every setting of a run instead of running; -cd FOLDER adds options of your own
-sc install=bash   completes groups, options and keys with the tab key: eval "$(python run.py -sc install=bash)"
"""

SYNTAX = """\
-m runs every combination of values separated by commas, where launcher= says; typed again, it runs only those that are
missing or failed, and its exit status is how many failed. `analysis` and `intervention` take a name or a list:
analysis=posterior, analysis=[posterior,activations]; an option's own settings stand under its name, as in
analysis.posterior.KEY=VALUE. sampling.prime, transcription and tokens take text as it is, @FILE, or - for
standard input. Keys that name files and folders (dataset.path, weights.path, sampling.replay, tracking.folder,
tracking.uri) take text as it is, too: what the shell wants quoted is all there is to quote. ~ is home, and relative
paths count from the working directory. In a sweep A,B are two paths where both are there.

--hydra-help tells the rest of the flags. HYDRA_FULL_ERROR=1 shows the traceback behind an error. Results are kept at
the root of the checkout (of an installed folkrnn-lab: in the working directory), or where tracking.folder= says; every
run ends with the command that shows it.
Figures are filed as PNG, 300 dots per inch; for a paper add figures.format=svg (or pdf), figures.width=17.8cm,
figures.data=true (the numbers drawn, as .csv).
"""

SEVERAL = ("analysis", "intervention")

OWN = ("settings", "syntax")


class Entry(NamedTuple):
    """A setting: its key, the value in the file and the comment above it."""

    key: str
    value: str
    words: str


def page(conf: Path, words: list[str] | None = None, colour: bool = False) -> str:
    """Returns the help text for the configuration in `conf`: the first screen, or all that `words` name.

    With `colour` headings are bold. Raises UserError for a word that is no group, option, section or key.
    """
    if words:
        text = "\n\n".join("\n".join(_about(conf, word, colour)) for word in words)
    else:
        text = "\n".join(_first(conf, colour))
    return text.replace("python run.py", " ".join(COMMAND))


def _first(conf: Path, colour: bool) -> Iterator[str]:
    chosen = _defaults(conf)
    known = {entry.key: entry for entry in _every(conf)}
    yield from (HEAD, _heading("Groups", colour) + "   (default, how many there are)")
    for group in groups(conf):
        named = ", ".join(chosen.get(group, ())) or "none"
        count = len(options(conf, group))
        named = named if len(named) < 32 else f"[{named.split(', ')[0]}, … {named.count(',')} more]"
        yield f"  {group + '=':<14}{named:<33}{count:>3}  {GROUPS.get(group, '')}"
    yield from ("", _heading("Settings", colour))
    for key in FIRST:
        yield _entry(known[key], 1)
    yield from ("", _heading("Examples", colour))
    yield from (f"  {command}\n      {words}" for command, words in EXAMPLES)
    yield from ("", FOOT.rstrip())


def _about(conf: Path, word: str, colour: bool) -> Iterator[str]:
    """The lines on one word: a group, GROUP=OPTION, a section of settings, or a key."""
    left, equals, right = word.lstrip("+~").partition("=")
    if word == "syntax":
        yield SYNTAX.rstrip()
    elif word == "settings":
        yield from map(_entry, settings(conf / "config.yaml"))
    elif left in groups(conf) and equals and right not in ("", "null"):
        for name in right.strip("[]").split(","):
            yield from _option(conf, left, name.strip(), colour)
    elif left in groups(conf):
        yield from _group(conf, left, colour)
    else:
        yield from _keys(conf, left)


def _group(conf: Path, group: str, colour: bool) -> Iterator[str]:
    chosen = _defaults(conf).get(group, [])
    several = ", a name or a list" if group in SEVERAL else ""
    yield _heading(f"{group}=", colour) + f"   {GROUPS.get(group, '')}{several}; * is the default"
    for name in options(conf, group):
        words = description(conf / group / f"{name}.yaml")
        yield _filled(f"  {'*' if name in chosen else ' '} {name}", words)
    if group not in SEVERAL and chosen and (lines := [_entry(one) for one in _of(conf, group, chosen[0])]):
        yield from ("", _heading(f"Settings of {group}={chosen[0]}", colour), *lines)
    else:
        yield from ("", f"--help {group}=NAME shows the settings of one")


def _option(conf: Path, group: str, name: str, colour: bool) -> Iterator[str]:
    if name not in (known := options(conf, group)):
        raise UserError(f"--help {group}={name}: no such option{did_you_mean(name, known)}; --help {group} lists them")
    yield _heading(f"{group}={name}", colour)
    path = conf / group / f"{name}.yaml"
    if group == "experiment":  # what it claims, and what it chooses
        yield from (f"  {line}".rstrip() for line in path.read_text(encoding="utf-8").splitlines()[1:])
        return
    yield _filled("", description(path), 2)
    yield from map(_entry, _of(conf, group, name))
    for file in alternatives(path):
        yield from (
            "",
            _heading(f"for models of the family {file.stem}", colour),
            *map(_entry, entries(file.read_text("utf-8"), group)),
        )


def _keys(conf: Path, word: str) -> Iterator[str]:
    """The lines on a key, on all keys of a section, or on all that bear a name: `fraction`."""
    every = _every(conf)
    found = [one for one in every if one.key == word or one.key.startswith(f"{word}.") or one.key.endswith(f".{word}")]
    if not found:
        names = [*groups(conf), *OWN, *(one.key.rpartition(".")[2] for one in every), *(one.key for one in every)]
        meant = did_you_mean(word, names)
        raise UserError(f"--help {word}: no such group, option or key{meant}; --help alone lists the groups")
    yield from map(_entry, found)


def groups(conf: Path) -> list[str]:
    """Returns the names of the groups, in the order of GROUPS."""
    found = {path.name for path in conf.iterdir() if path.is_dir() and any(path.glob("*.yaml"))} - {"hydra"}
    return [group for group in GROUPS if group in found] + sorted(found - set(GROUPS))


def options(conf: Path, group: str) -> list[str]:
    """Returns the names of a group's options, `none` last."""
    names = sorted(path.stem for path in (conf / group).glob("*.yaml"))
    return sorted(names, key=lambda name: name == "none")


def description(path: Path) -> str:
    """Returns the first comment of a configuration file that is no instruction to Hydra."""
    comments = (line.strip("# \n") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("@")), "")


def settings(path: Path) -> Iterator[Entry]:
    """Yields every setting of the main configuration file."""
    yield from (one for one in entries(path.read_text(encoding="utf-8")) if not one.key.startswith("hydra."))


def entries(text: str, package: str = "") -> Iterator[Entry]:
    """Yields the settings in the text of a configuration file, whose keys stand in `package`.

    `name` and what is Hydra's (`_target_`, `defaults`) are none.
    """
    sections: list[tuple[int, str]] = []
    comment, described = "", False
    for line in text.splitlines():
        bare, depth = line.strip(), len(line) - len(line.lstrip())
        if bare.startswith("#"):
            comment = f"{comment} {bare.strip('# ')}".strip() if described or bare.startswith("# @") else ""
            described = described or not bare.startswith("# @")
            continue
        key, colon, value = bare.partition(":")
        if colon and not bare.startswith("- "):
            sections = [section for section in sections if section[0] < depth]
            path = ".".join(filter(None, (package, *(name for _, name in sections), key.strip('"'))))
            value = value.partition(" #")[0].strip()
            if not value:
                sections.append((depth, key.strip('"')))
            elif (value != "{}" or package) and key not in ("_target_", "name", "defaults") and "defaults" not in path:
                yield Entry(path, value, comment)
        comment = ""


def _of(conf: Path, group: str, name: str) -> list[Entry]:
    """The settings of an option, those that it includes first where they are not its own."""
    found: dict[str, Entry] = {}
    for part in option_parts(conf, conf / group / f"{name}.yaml"):
        for one in entries(part.text, part.package):
            words = one.words or (found[one.key].words if one.key in found else "")
            found[one.key] = one._replace(words=words)
    return list(found.values())


@cache
def _every(conf: Path) -> tuple[Entry, ...]:
    """Every setting: of the main file, and of all options, those of the defaults first."""
    found: dict[str, Entry] = {}
    chosen = _defaults(conf)
    several = [(group, name) for group in groups(conf) if group != "experiment" for name in options(conf, group)]
    several.sort(key=lambda option: option[1] not in chosen.get(option[0], ()))
    for one in [*settings(conf / "config.yaml"), *(one for option in several for one in _of(conf, *option))]:
        found.setdefault(one.key, one)
    for group, name in several:
        for file in alternatives(conf / group / f"{name}.yaml"):
            for one in entries(file.read_text("utf-8"), group):
                found.setdefault(one.key, one)
    return tuple(found.values())


def _defaults(conf: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (conf / "config.yaml").read_text(encoding="utf-8").splitlines():
        group, colon, names = line.strip().removeprefix("- ").partition(":")
        if line.startswith("  - ") and colon:
            found[group] = [name.strip() for name in names.strip(" []").split(",") if name.strip() != "null"]
    return found


def _entry(one: Entry, most: int | None = None) -> str:
    return _filled(f"  {one.key}={one.value}", one.words, most=most)


def _filled(name: str, words: str, column: int = 30, most: int | None = None) -> str:
    width = min(120, max(80, shutil.get_terminal_size((100, 24)).columns))
    if not words:
        return name
    lead = f"{name:<{column - 2}}  "
    filled = textwrap.wrap(
        words, width, initial_indent=lead, subsequent_indent=" " * column, max_lines=most, placeholder=" …"
    )
    return "\n".join(filled)


def _heading(text: str, colour: bool) -> str:
    return f"\033[1m{text}\033[0m" if colour and "NO_COLOR" not in os.environ else text
