"""Packages of your own whose classes and functions options may name: `extensions=[mylab]`, or FOLKRNN_EXTENSIONS=mylab.

They are code that runs, so they are named on the command line or in the environment alone: a file that sets
`extensions` is refused, since files travel with weights and data.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from folkrnn.errors import UserError

VARIABLE = "FOLKRNN_EXTENSIONS"
"""Environment variable with their names, separated by commas; processes that this one starts read it too."""


def named() -> tuple[str, ...]:
    """Returns the packages that may define targets beside our own."""
    return tuple(name for part in os.environ.get(VARIABLE, "").split(",") if (name := part.strip()))


def defines(module: str) -> bool:
    """Whether a module belongs to one of these packages."""
    return any(module == name or module.startswith(f"{name}.") for name in named())


def use(packages: Sequence[str], folders: Iterable[Path]) -> None:
    """Lets options name what `packages` define, besides those of the environment.

    A package that Python does not find by itself is looked for in `folders`; the one that has it goes to the end of
    `sys.path`. Raises UserError for a package that is nowhere.
    """
    places = list(dict.fromkeys(folder.absolute() for folder in folders))
    for package in packages:
        top = package.split(".")[0]
        if not all(part.isidentifier() for part in package.split(".")):
            raise UserError(f"extensions: {package!r} is not the name of a package; give names such as [mylab]")
        if not _is_found(top):
            home = next((place for place in places if _holds(place, top)), None)
            if home is None:
                looked = ", ".join(map(str, places))
                raise UserError(f"extensions: there is no package {package}: it is not installed, nor in {looked}")
            sys.path.append(str(home))
            importlib.invalidate_caches()
    for name in dict.fromkeys([*named(), *packages]):
        if not _is_found(name.split(".")[0]):
            raise UserError(f"{VARIABLE}: there is no package {name}; install it, or add its folder to PYTHONPATH")
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*named(), *packages]))


def _is_found(top: str) -> bool:
    return top in sys.modules or importlib.util.find_spec(top) is not None


def _holds(folder: Path, top: str) -> bool:
    return (folder / top).is_dir() or (folder / f"{top}.py").is_file()
