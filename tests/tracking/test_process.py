import os
import subprocess
import sys
from pathlib import Path

import pytest

from folkrnn.tracking.process import _start, is_gone, process_tags


def test_a_running_process_is_not_gone():
    assert not is_gone(process_tags())


def test_a_process_that_ended_is_gone():
    tags = process_tags()
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    assert is_gone({**tags, "process.id": child.stdout.decode().strip()})


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_a_process_that_has_ended_is_gone_though_nobody_has_asked_how():
    """A zombie has a number, a start, and nothing that runs."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        tags = {**process_tags(), "process.id": str(child.pid), "process.start": _start(child.pid)}
        assert not is_gone(tags)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
        assert Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        assert is_gone(tags)
    finally:
        child.kill()
        child.wait()


def test_a_process_id_that_was_used_again_belongs_to_another_process():
    assert is_gone({**process_tags(), "process.start": "0ld00b00:17"})


def test_a_process_on_another_computer_or_of_unknown_start_is_left_alone():
    gone = {**process_tags(), "process.id": "999999999"}
    assert not is_gone({**gone, "process.host": "another"})
    assert not is_gone({**gone, "process.start": "unknown"})
    assert not is_gone({})


def test_the_tags_name_no_computer():
    assert os.uname().nodename not in " ".join(process_tags().values())
