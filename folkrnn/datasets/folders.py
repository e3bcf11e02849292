"""Which files of a folder are read for tunes, and why the others are not."""

from __future__ import annotations

import os
from pathlib import Path

from folkrnn.datasets.corpus import LeftOut
from folkrnn.files.places import readable

SUFFIXES = (".abc", ".txt", ".csv", ".json", ".jsonl", ".gz")
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".bz2", ".xz", ".zst")
_NOT_FILES = ("__MACOSX",)


def files_in(folder: Path) -> tuple[list[Path], list[LeftOut]]:
    """Returns the files of a folder and the folders in it that may hold tunes, by name, and what is left out."""
    files: list[Path] = []
    unused: list[LeftOut] = []
    for place, folders, names in os.walk(folder):
        hidden = [name for name in folders if name.startswith(".") or name in _NOT_FILES]
        folders[:] = sorted(set(folders) - set(hidden))
        paths = [(Path(place) / name, _why_not(Path(place) / name)) for name in [*hidden, *names]]
        unused += [LeftOut(inside(path, folder), *why) for path, why in paths if why]
        files += [path for path, why in paths if why is None]
    return sorted(files), sorted(unused)


def inside(path: Path, folder: Path) -> str:
    """Returns a path as it is shown: from the folder on."""
    return readable(str(path.relative_to(folder)) if path != folder else path.name)


def _why_not(path: Path) -> tuple[str, str] | None:
    """Reason and detail why a file is not read, from its name and kind."""
    name = path.name.lower()
    if name.startswith(".") or path.name in _NOT_FILES:
        return "hidden", "a folder" if path.is_dir() else ""
    if name.endswith(_ARCHIVES):
        return "archive", ""
    if not name.endswith(SUFFIXES):
        return "other_kind", path.suffix
    try:
        return None if path.is_file() else ("unreadable", "no regular file, or a link that leads nowhere")
    except OSError as error:
        return "unreadable", error.strerror or str(error)
