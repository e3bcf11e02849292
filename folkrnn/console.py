"""Standard output and standard error that never end a run, whatever the console can print and whoever still reads.

A character that the console lacks is spelled in ASCII. Where a stream cannot be written any longer (`| head` has left,
the disk of a log is full), what would still come is dropped: what a run finds is in its folder and in MLflow.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata

_SIGNS = {
    "×": "x", "→": "->", "←": "<-", "↔": "<->", "–": "-", "—": "-", "−": "-", "…": "...", "·": ".", "•": "*",
    "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "±": "+-", "÷": "/", "’": "'", "‘": "'", "“": '"', "”": '"',
    "σ": "sigma", "μ": "mu", "β": "beta", "§": "section ", "✓": "+", "✗": "x", "▸": ">", "─": "-", "│": "|", "═": "=",
    "♯": "#", "♭": "b", "♮": "=", "©": "(c)", "⇄": "<->", "█": "#", "ß": "ss", "ø": "o", "æ": "ae", "Ø": "O", "Æ": "AE",
    "ı": "i",
}  # fmt: skip


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is printed where a character has no code: signs in words, letters without accents, the rest in hexadecimal.

    A byte of a file name that is no text comes out as that byte, as `ls` prints it.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in text):
        return bytes(ord(character) - 0xDC00 for character in text), error.end
    return "".join(map(_spelled, text)), error.end


def _spelled(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    plain = "".join(part for part in unicodedata.normalize("NFKD", character) if part.isascii())
    return plain or character.encode("ascii", "backslashreplace").decode()


codecs.register_error("folkrnn.spell", _spell)


class _Stream(io.TextIOWrapper):
    """Text to a file descriptor until that fails; from then on it takes what comes and drops it."""

    lost: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        self.lost = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        super().flush()  # what was left


def forgiving() -> None:
    """Makes standard output and standard error of this process such streams; they are opened where they were closed."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # else the next file to be opened, such as a database, would be taken for it
            os.open(os.devnull, os.O_RDWR)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None or (type(stream) is io.TextIOWrapper and stream is getattr(sys, f"__{name}__")):
            setattr(sys, name, _over(stream, descriptor))


def _over(stream: io.TextIOWrapper | None, descriptor: int) -> _Stream:
    if stream is not None:
        stream.flush()
    if os.name == "posix":
        os.set_blocking(descriptor, True)  # else a slow reader would look like one that left
    encoding = "utf-8" if stream is None else stream.encoding
    chosen = stream.errors if stream is not None else ""
    if chosen not in ("replace", "ignore", "xmlcharrefreplace", "namereplace"):
        chosen = "folkrnn.spell"
    lines = descriptor == 2 or (stream is not None and (stream.line_buffering or stream.write_through))
    buffer = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return _Stream(buffer, encoding, chosen, line_buffering=lines)


def lost_output() -> str | None:
    """Returns why standard output could not be written to its end; None where it could, or its reader has left."""
    if not isinstance(sys.stdout, _Stream):
        return None
    sys.stdout.flush()
    error = sys.stdout.lost
    return None if error is None or error.errno == errno.EPIPE else error.strerror
