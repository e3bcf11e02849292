"""Whatever the console can print, and whoever still reads: what is done is done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import folkrnn.console

ROOT = Path(__file__).parents[1]
SPEAKS = """
import sys
from folkrnn.console import forgiving, lost_output
forgiving()
for _ in range(3000):
    print("3 × 128 → é ok " * 10)
sys.stdout.flush()
print("why:", lost_output(), file=sys.stderr)
"""


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = ["bash", "-o", "pipefail", "-c", line.replace("python", sys.executable)]
    every = {**os.environ, "SPEAKS": SPEAKS, **environment}
    return subprocess.run(command, cwd=ROOT, capture_output=True, env=every, timeout=60, check=False)


def test_a_character_that_a_console_lacks_is_spelled() -> None:
    text = "3 × 128 → é … ≤ 𝄞"
    assert text.encode("ascii", "folkrnn.spell") == rb"3 x 128 -> e ... <= \U0001d11e"
    assert text.encode("cp1252", "folkrnn.spell") == b"3 \xd7 128 -> \xe9 \x85 <= \\U0001d11e"


def test_a_byte_of_a_file_name_comes_out_as_it_is() -> None:
    assert os.fsdecode(b"l\xe5tar \xff").encode("utf-8", "folkrnn.spell") == b"l\xe5tar \xff"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "utf-8"},
    ],
)
def test_help_and_refusals_are_printed_on_any_console(environment: dict[str, str]) -> None:
    for command, status in (("--help", 0), ("sampling.tunes=é×→", 2), ("--cfg job sampling.prime=é×→", 0)):
        done = shell(f"python run.py {command}", **environment)
        said = done.stdout + done.stderr
        assert done.returncode == status, said
        assert b"Traceback" not in said
        assert b"Exception" not in said


def test_a_reader_that_has_left_is_no_error() -> None:
    done = shell('python -c "$SPEAKS" | head -1')
    assert (done.returncode, done.stderr) == (0, b"why: None\n")
    assert done.stdout.decode().startswith("3 × 128")


def test_a_log_on_a_full_disk_is_told_of_and_no_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    done = shell('python -c "$SPEAKS" >/dev/full')
    assert (done.returncode, done.stderr) == (0, b"why: No space left on device\n")
    done = shell("python run.py --help >/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: standard output cannot be written (No space left on device)")


def test_where_output_is_closed_no_file_takes_its_place(tmp_path: Path) -> None:
    script = "from folkrnn.console import forgiving; forgiving(); f = open('{}', 'w'); print('said', flush=True); "
    script += "import os; os.write(1, b'said'); assert f.fileno() > 2"
    done = shell(f'python -c "{script.format(tmp_path / "database")}" >&- 2>&- <&-')
    assert done.returncode == 0
    assert (tmp_path / "database").read_text() == ""


def test_what_a_capturing_library_has_put_in_the_place_of_output_stays(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    folkrnn.console.forgiving()
    assert sys.stdout is before
