"""Work shared among processes: none of them is missed when it is killed, and none outlives the one that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil

from folkrnn.parallel.pool import in_parallel


def double(number: int) -> int:
    return 2 * number


def double_or_die(chunk: tuple[int, int]) -> int:
    number, first = chunk
    if number == 3 and os.getpid() != first:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def test_results_come_in_their_order():
    assert list(in_parallel(double, range(9), "Doubling", workers=2)) == list(range(0, 18, 2))


def test_where_a_worker_is_killed_this_process_does_the_rest(caplog):
    chunks = [(number, os.getpid()) for number in range(9)]
    assert list(in_parallel(double_or_die, chunks, "Doubling", workers=2)) == list(range(0, 18, 2))
    (line,) = caplog.messages
    assert "Doubling: the system ended a process" in line


def test_workers_end_with_the_process_that_started_them(tmp_path):
    script = tmp_path / "sleeping.py"
    script.write_text(
        "import time\n"
        "from folkrnn.parallel.pool import in_parallel\n"
        "if __name__ == '__main__':\n"
        "    list(in_parallel(time.sleep, [0, 0, 60, 60], 'Sleeping', workers=2))\n"
    )
    parent = subprocess.Popen([sys.executable, script])
    deadline, children = time.monotonic() + 60, []
    while time.monotonic() < deadline and len(children) < 3:  # two, and the tracker of what multiprocessing shares
        time.sleep(0.1)
        children = psutil.Process(parent.pid).children(recursive=True)
    time.sleep(2)
    parent.kill()
    parent.wait(10)
    gone, alive = psutil.wait_procs(children, timeout=3)
    for child in alive:
        child.kill()
    assert not alive
    assert len(gone) >= 2
