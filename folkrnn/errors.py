"""How the program says no: one clear line about what is wrong, where, and how to mend it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class UserError(ValueError):
    """Input that cannot be used. Its text is one line for the user; `run.py` prints it without a traceback."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, on the same way out as Ctrl-C: checkpoints are kept and runs get their status."""


def signal_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Returns the Ctrl-C or SIGTERM that an error came of: what one breaks off may raise an error of its own."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, KeyboardInterrupt):
        found = found.__cause__ or found.__context__
    return found


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Returns ' (did you mean X?)' for the closest of `options`, or an empty string."""
    close = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def shown(address: str) -> str:
    """Returns the address of a server as it may be shown: what may be a user, a password or a token in it is `…`."""
    return re.sub(r"\?.*", "?…", re.sub(r"^(.*?//|).*@", r"\1…@", address))
