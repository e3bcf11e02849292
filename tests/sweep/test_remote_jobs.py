"""A job's command on a machine of a cluster: how it is asked to end."""

from __future__ import annotations

import signal
import sys
import threading
import time

from folkrnn.sweep.jobs import Ending
from folkrnn.sweep.remote import Command, ask_to_stop, ending_of

DEAF = "import signal, sys, time; signal.signal(2, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


def test_a_job_that_is_asked_twice_is_killed_within_its_grace(tmp_path):
    log = tmp_path / "0001.log"

    def ask():
        while not (log.exists() and log.read_text()):
            time.sleep(0.05)
        ask_to_stop(log, signal.SIGINT)
        time.sleep(1)
        signal.raise_signal(signal.SIGINT)  # as Ray's cancellation does: the grace goes on
        time.sleep(1)
        assert ending_of(log) is None
        ask_to_stop(log, signal.SIGKILL)

    asking = threading.Thread(target=ask)
    asking.start()
    began = time.monotonic()
    status = Command((sys.executable, "-c", DEAF), {}, log, grace=50)()
    asking.join()
    assert status == -signal.SIGKILL
    assert ending_of(log) == Ending(-signal.SIGKILL)
    assert time.monotonic() - began < 30


def test_a_job_that_was_asked_to_end_before_it_began_never_starts(tmp_path):
    log = tmp_path / "0001.log"
    ask_to_stop(log, signal.SIGTERM)
    assert Command((sys.executable, "-c", "1"), {}, log)() == -signal.SIGTERM
    assert not log.exists()
