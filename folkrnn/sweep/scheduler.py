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

Record = Callable[[Launch, Ending, float], Outcome]
"""Records how a job ended, after that many seconds."""


def run_jobs(
    launcher: Launcher, launches: Sequence[Launch], progress: Progress, record: Record
) -> tuple[list[Outcome], int | None]:
    """Runs all jobs; returns how each that was started ended, and the signal that stopped the sweep, if one did.

    The first signal (Ctrl-C, SIGTERM, a terminal that is closed) is passed on to the running jobs, which save what they
    have; no further ones are started. A second one kills them.
    """
    waiting, running = deque(launches), list[tuple[Launch, Running, float]]()
    outcomes, handled = [], 0
    with signals_received() as signals, none_left(running):
        while waiting or running:
            if len(signals) > handled:
                waiting.clear()
                _pass_on(signals, handled, running, progress)
                handled = len(signals)
            room = len(waiting) if launcher.at_once is None else launcher.at_once - len(running)
            batch = [waiting.popleft() for _ in range(min(room, len(waiting)))]
            for launch, handle in zip(batch, launcher.start(batch) if batch else (), strict=True):
                running.append((launch, handle, time.monotonic()))
                progress.started(launch.job)
            for entry in list(running):
                launch, handle, began = entry
                ending = handle.ending()
                if ending is None:
                    continue
                running.remove(entry)
                outcomes.append(record(launch, ending, time.monotonic() - began))
                progress.ended(outcomes[-1])
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return outcomes, signals[0] if signals else None


def _pass_on(
    signals: list[int], handled: int, running: list[tuple[Launch, Running, float]], progress: Progress
) -> None:
    first = handled == 0
    again = len(signals) > 1
    if first and running:
        progress.say(f"stopping: {len(running)} jobs save what they have; once more (Ctrl-C) kills them")
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
def signals_received() -> Iterator[list[int]]:
    """Yields a list that grows by each signal that asks the sweep to end: SIGINT, or SIGTERM (also for SIGHUP)."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    handled = {signal.SIGINT, signal.SIGTERM}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # nohup ignores it
        handled.add(signal.SIGHUP)

    def receive(number: int, _: object) -> None:
        came.append(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    before = {number: signal.signal(number, receive) for number in handled}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
