"""How the program says no: one clear line about what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Refusal(ValueError):
    """Input that cannot be used. Its text is one line for the user; `run.py` prints it without a traceback."""


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Returns ' (did you mean X?)' for the closest of `options`, or an empty string."""
    close = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
