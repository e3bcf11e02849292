"""Options of the configuration as files: what each is made of, by its defaults list, and what its comments say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GLOBAL = "# @package _global_"


@dataclass(frozen=True)
class Part:
    """A file of which an option is made, and where its keys stand in the configuration (`""`: at the top)."""

    path: Path
    package: str

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")


def option_parts(conf: Path, path: Path, package: str | None = None) -> Iterator[Part]:
    """Yields the files that an option is made of, what it includes before itself.

    Those that a defaults list names in the same group count; `override` and what a setting decides do not.
    """
    text = path.read_text(encoding="utf-8")
    home = path.parent.relative_to(conf)
    if _GLOBAL in text:
        package = ""
    elif package is None:
        package = ".".join(home.parts)
    for entry in _included(text):
        name, _, at = entry.partition("@")
        inner = {"": None, "_here_": package}.get(at, f"{package}.{at}" if package else at)
        included = path.parent / f"{name}.yaml"
        if not included.is_file():  # of another folder, which Hydra knows
            continue
        yield from option_parts(conf, included, package if not at and "/" not in name else inner)
    yield Part(path, package)


def alternatives(path: Path) -> list[Path]:
    """Returns the files of which the model's family decides which one is part of an option, one a family, by name."""
    names = re.findall(r"^  - (\w+)@_here_: \$\{", path.read_text(encoding="utf-8"), re.MULTILINE)
    return sorted(file for name in names for file in (path.parent / name).glob("*.yaml"))


def _included(text: str) -> list[str]:
    """The entries of a defaults list that name another file of the group."""
    if flow := re.search(r"^defaults: \[(.*)\]$", text, re.MULTILINE):
        entries = re.sub(r"\{.*?\}", "", flow[1]).split(",")
    else:
        block = re.search(r"^defaults:\n((?:  .*\n)+)", text, re.MULTILINE)
        entries = [line.strip().removeprefix("- ") for line in block[1].splitlines()] if block else []
    names = (entry.strip() for entry in entries)
    return [name for name in names if name and name != "_self_" and not re.search(r"[: ]", name)]
