"""Where the paths that users type lead: `~` is home, relative ones count from the working directory.

The text of a path is taken as it is. A file name need not be UTF-8: Python keeps the bytes that are none as lone
surrogates (PEP 383), which no file, store or console takes; `readable` is what is shown and filed instead.
"""

from __future__ import annotations

import os
from pathlib import Path

from folkrnn.errors import UserError

_HERE = Path(__file__).resolve().parents[1]

CHECKOUT = _HERE.parent if (_HERE.parent / "run.py").is_file() and (_HERE.parent / "conf").is_dir() else None
"""The root of the checkout that this code lies in; None where it was installed from a wheel."""

CONF = CHECKOUT / "conf" if CHECKOUT else _HERE / "conf"
"""The configuration: beside this package in a checkout, inside it where it is installed (pyproject.toml)."""

COMMAND = ("python", "run.py") if CHECKOUT else ("folkrnn-lab",)
"""What one types to start this program."""


def results_home() -> Path:
    """Returns the folder that holds results unless `tracking.folder=` names one: a checkout's root, or where one is."""
    return CHECKOUT or Path.cwd()


def place(text: str | os.PathLike[str], key: str = "") -> Path:
    """Returns the absolute path that `text` means.

    Raises UserError, naming `key`, for `~` where there is no home folder, and for text that no system takes as a path.
    """
    text = os.fspath(text)
    named = f"{key}={text}" if key else text
    if not text or "\0" in text:
        raise UserError(f"{named!r}: no file can have such a name")
    if text == "~" or text.startswith("~/"):
        own = home()
        if own is None:
            raise UserError(
                f"{named}: ~ means nothing here, as this user has no home folder (set HOME, or write it out)"
            )
        return own / text[2:].lstrip("/")
    return Path(os.path.expanduser(text)).absolute()  # noqa: PTH111 - a file may be called ~x, which Path refuses


def home() -> Path | None:
    """Returns the user's home folder; None where there is none, as for a number without a name in some containers."""
    found = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises
    return Path(found) if os.environ.get("HOME") != "" and Path(found).is_absolute() else None


def existing(key: str, text: str | os.PathLike[str], kinds: str = "") -> Path:
    """Returns the path of the file or folder that the value of `key` names.

    Raises UserError where it is not there or cannot be reached; `kinds` says what it should be.
    """
    found = place(text, key)
    try:
        found.stat()
    except (FileNotFoundError, NotADirectoryError):
        where = "" if Path(text).is_absolute() else f" in {Path.cwd()}"
        wanted = f"; it should be {kinds}" if kinds else ""
        raise UserError(f"{key}={text}: no such file or folder{where}{wanted}") from None
    except OSError as error:
        raise UserError(f"{key}={text}: {(error.strerror or str(error)).lower()}") from None
    return found


def file_named(text: str) -> Path | None:
    """Returns the file that a text names, which may as well be a tune or a name; None where it names none."""
    try:
        found = place(text)
        return found if found.is_file() else None
    except (OSError, UserError):
        return None


def content(key: str, file: Path, name: str = "") -> bytes:
    """Returns what is in a file. Raises UserError, naming `key` and the file as typed, where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{key}: cannot read {name or file}: {error.strerror or error}") from None


def readable(text: str) -> str:
    r"""Returns the text with what is no Unicode as bytes in hexadecimal: `l\xe5tar.abc`; other text as it is."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte, as JSON can spell one
        return text.encode("utf-8", "backslashreplace").decode()
