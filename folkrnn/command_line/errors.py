"""What the terminal shows when something goes wrong: one line for a user's mistake, a traceback for one of ours.

Exit statuses: 1 a bug or a failed analysis, 2 a refusal, 130 Ctrl-C, 143 SIGTERM; of a sweep, how many jobs failed.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from folkrnn.command_line.help import options
from folkrnn.command_line.quoting import in_quotes
from folkrnn.config.settings import known_keys, no_such_key
from folkrnn.console import lost_output
from folkrnn.errors import Terminated, UserError, did_you_mean, signal_behind

FULL_ERROR = "HYDRA_FULL_ERROR"

BUG, REFUSED = 1, 2

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
"""What a system says of a disk that takes no more: whatever was being written, that is no bug."""


def refuse(message: str, error: BaseException) -> int:
    """Prints `error: message` on standard error, after the traceback if HYDRA_FULL_ERROR=1; returns the exit status.

    What a signal broke off is no mistake of the user: of that nothing is said.
    """
    if signal_behind(error) is not None:
        return BUG
    if os.environ.get(FULL_ERROR) == "1":
        traceback.print_exception(error)
    coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print("\033[31merror:\033[0m" if coloured else "error:", message, file=sys.stderr, flush=True)
    return REFUSED


def expose(error: BaseException) -> int:
    """Prints the traceback of a bug, unless a signal broke something off; returns the exit status."""
    if signal_behind(error) is None:
        traceback.print_exception(error)
    return BUG


def say_what_was_lost() -> int:
    """Says so on standard error where standard output could not be written; returns the exit status, 0 if it could."""
    why = lost_output()
    if why is not None:
        print(f"error: standard output cannot be written ({why}): what it would have said is lost", file=sys.stderr)
    return 0 if why is None else BUG


@contextmanager
def environment(name: str, value: str | None) -> Iterator[None]:
    """Sets (None: unsets) an environment variable while the block runs."""
    before = os.environ.get(name)
    _set(name, value)
    try:
        yield
    finally:
        _set(name, before)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """Turns SIGTERM into Terminated and SIGINT into KeyboardInterrupt; yields the list of signals that came.

    The list outlives the exception: Lightning catches it, shuts down and leaves with status 1. A terminal that closes
    (SIGHUP, which nohup ignores) is a SIGTERM, for whoever listens to that at the time. A signal that comes while
    Python frees an object, where no exception can be raised, is sent again a moment later.
    """
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    def again(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, KeyboardInterrupt) or not received:
            hook(lost)
            return
        threading.Timer(0.05, os.kill, (os.getpid(), received.pop())).start()

    hook, sys.unraisablehook = sys.unraisablehook, again
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield received
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def explained(error: Exception, conf: Path) -> str | None:
    """Returns one line for an error met while composing the configuration in `conf`, or None if it is a bug of ours."""
    from hydra.errors import HydraException, MissingConfigException, OverrideParseException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    if isinstance(error, UserError):
        return str(error)
    if (line := no_room(error)) is not None:
        return line
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error.missing_cfg_file, error.options, conf) + _named_in(text)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if match := re.search(r"Ambiguous value for argument '([^=]+)=(.*)'", text):
        key, values = match.groups()
        several = f"{key}={values} names several values"
        return f"{several}: add -m to run one after the other, or write {key}=[{values}] for a list"
    if match := re.match(r"Could not override '([^']+)'\.", text):
        return _unknown_key(match[1], conf)
    match = re.match(r"Error merging override ([a-z_.]+)=", text)
    if match and "Cannot merge DictConfig" in str(error.__cause__):
        known = known_keys([conf])
        inside = [key for key in known if key.startswith(f"{match[1]}.") and key.count(".") == match[1].count(".") + 1]
        return f"{match[1]} is a section; set {', '.join(inside)}"
    if match := re.match(r"Config group override must be a string or a list", text):
        return (
            "a choice takes the name of an option (or a list of names, for analysis and intervention); none is a name"
        )
    if isinstance(error, HydraException | OmegaConfBaseException | YAMLError | ValueError):
        cause = f": {error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
        return _one_line(text + cause)
    return None


def no_room(error: Exception) -> str | None:
    """Returns one line for an error of a disk that takes no more; None for any other."""
    if not isinstance(error, OSError):
        return None
    if "No usable temporary directory" in str(error):
        return "there is no room for temporary files: free some space there, or name another folder in TMPDIR"
    if error.errno not in _NO_ROOM:
        return None
    return (
        f"cannot write {error.filename or 'a file'} ({error.strerror}): free some space there, or choose another "
        "folder with tracking.folder= (temporary files: TMPDIR; what is kept between runs: XDG_CACHE_HOME)"
    )


def _unknown_option(path: str, known: object, conf: Path) -> str:
    group, _, option = path.rpartition("/")
    names = list(known) if isinstance(known, list | tuple) and known else options(conf, group)
    if not names:
        return f"there is no configuration {path} in {conf}"
    return f"{group}={option}: no such option{did_you_mean(option, names)}; {group} takes {', '.join(names)}"


def _named_in(text: str) -> str:
    match = re.match(r"In '([^']+)'", text)
    return f" (named in {match[1]}.yaml)" if match and match[1] != "config" else ""


def _unreadable(override: str) -> str:
    if "=" not in override:
        return f"{override!r} is neither a flag nor KEY=VALUE; see --help"
    return f"cannot read the value in {override!r}; to pass it as text, type {in_quotes(override)}"


def _unknown_key(key: str, conf: Path) -> str:
    group, _, rest = key.partition(".")
    if group == "hydra":
        return f"{key}: Hydra has no such key; --cfg hydra shows those that it has"
    known = known_keys([conf])
    if key not in known:
        return no_such_key(key, known)
    option = rest.partition(".")[0]
    if option in options(conf, group):
        return f"{key}: {option} is not part of this run; add it with {group}={option}"
    return f"{key}: the option chosen with {group}= has no such setting, others have"


def _one_line(text: str) -> str:
    kept = text.partition("\nConfig search path:")[0]
    lines = [line.strip() for line in kept.splitlines() if line.strip() and "hydra.cc/docs" not in line]
    return " ".join(lines)
