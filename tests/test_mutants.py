"""Would the tests notice? Small plausible bugs in another tenth of the modules every day."""

from __future__ import annotations

import ast
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

sys.path.append(str(ROOT / "benchmarks"))

from mutants import enough, is_numerical  # noqa: E402
from mutations import changes  # noqa: E402


def test_numbers_are_changed_where_they_compute_and_not_where_they_are_settings():
    tree = ast.parse("MOST = 3\nclass A:\n    most: int = 3\ndef f(x, most=3, *, least=3):\n    return x[3] + 4\n")
    found = [change.mutated(tree)[1] for change in changes(tree)]
    assert found == ["5  x[3] + 4  →  x[3] - 4", "5  3  →  4", "5  3  →  2", "5  4  →  5", "5  4  →  3"]


def test_a_bar_is_missed_where_so_few_would_be_caught_in_less_than_one_draw_of_a_hundred():
    assert enough(20, 20, 0.9)
    assert enough(15, 20, 0.9)  # as few in 4.3 % of the draws
    assert not enough(13, 20, 0.9)  # in 0.24 %
    assert enough(0, 0, 0.9)
    assert enough(0, 20, 0.0)


def test_numerical_code_imports_numpy_or_torch():
    assert is_numerical(Path("folkrnn/sampling/cached.py"))
    assert not is_numerical(Path("folkrnn/errors.py"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nine_tenths_of_the_bugs_put_into_numerical_code_are_noticed(capsys: pytest.CaptureFixture[str]):
    """Of a tenth of the modules, as much as three minutes allow; the survivors are printed for whoever reads them."""
    today = date.today().toordinal()
    words = f"--tenth {today} --seed {today} --each 2 --files 2 --longest 8 --minutes 3 --bar 0.9".split()
    done = subprocess.run(
        [sys.executable, "benchmarks/mutants.py", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    with capsys.disabled():
        print(f"\nbenchmarks/mutants.py {' '.join(words)}\n{done.stdout}", end="")
    assert done.returncode == 0, done.stderr
