"""The loop of a sweep whose jobs are processes of their own: start them, see how each ends, pass signals on."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from folkrnn.sweep.jobs import Ending, Launch, Launcher, Outcome, Running
from folkrnn.sweep.progress import Progress

_SECONDS_BETWEEN_LOOKS = 0.1

Settle = Callable[[Launch, Ending, float], Outcome]
"""Records how a job ended, after that many seconds."""


def watch(
    launcher: Launcher, launches: Sequence[Launch], board: Progress, settle: Settle
) -> tuple[list[Outcome], int | None]:
    """Runs all jobs; returns how each that was started ended, and the signal that stopped the sweep, if one did.

    The first signal (Ctrl-C, SIGTERM, a terminal that is closed) is passed on to the running jobs, which save what they
    have; no further ones are started. A second one kills them.
    """
    waiting, running = deque(launches), list[tuple[Launch, Running, float]]()
    outcomes, heeded = [], 0
    with heard() as signals, none_left(running):
        while waiting or running:
            if len(signals) > heeded:
                waiting.clear()
                _pass_on(signals, heeded, running, board)
                heeded = len(signals)
            room = len(waiting) if launcher.at_once is None else launcher.at_once - len(running)
            batch = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            for launch, handle in zip(batch, launcher.start(batch) if batch else (), strict=True):
                running.append((launch, handle, time.monotonic()))
                board.started(launch.job)
            for entry in list(running):
                launch, handle, began = entry
                ending = handle.ending()
                if ending is None:
                    continue
                running.remove(entry)
                outcomes.append(settle(launch, ending, time.monotonic() - began))
                board.ended(outcomes[-1])
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return outcomes, signals[0] if signals else None


def _pass_on(signals: list[int], heeded: int, running: list[tuple[Launch, Running, float]], board: Progress) -> None:
    first = heeded == 0
    again = len(signals) > 1
    if first and running:
        board.say(f"stopping: {len(running)} jobs save what they have; once more (Ctrl-C) kills them")
    for _, handle, _ in running:
        if again:
            handle.kill()
        else:
            handle.stop(signals[0])


@contextmanager
def none_left(running: Sequence[tuple[Launch, Running, float]]) -> Iterator[None]:
    """Kills what still runs where the block ends in an error."""
    try:
        yield
    finally:
        for _, handle, _ in running:
            handle.kill()


@contextmanager
def heard() -> Iterator[list[int]]:
    """Yields a list that grows by each signal that asks the sweep to end: SIGINT, or SIGTERM (also for SIGHUP)."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    heeded = {signal.SIGINT, signal.SIGTERM}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup ignores it
        heeded.add(signal.SIGHUP)

    def hear(number: int, _: object) -> None:
        came.append(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    before = {number: signal.signal(number, hear) for number in heeded}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
