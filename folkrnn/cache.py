"""Where what was computed or downloaded is kept between runs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from folkrnn.files import write_whole

log = logging.getLogger(__name__)

_told: set[Path] = set()


def cache_folder() -> Path:
    """Returns `$XDG_CACHE_HOME/folkrnn`, or `~/.cache/folkrnn`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "folkrnn"


def write_atomically(path: Path, data: bytes) -> None:
    """Writes all of a file of the cache or nothing; where it cannot be written, which only costs time, says so once."""
    try:
        write_whole(path, data)
    except OSError as error:
        if path.parent not in _told:
            _told.add(path.parent)
            log.warning(
                "nothing is kept in the cache %s (%s), so that later runs take as long as this one; another folder: "
                "XDG_CACHE_HOME",
                path.parent,
                error.strerror or error,
            )
