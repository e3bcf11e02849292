"""The notebooks run from top to bottom, offline, and what they end their cells with can be shown."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.py"))


def perform(notebook: Path) -> list[Any]:
    """Runs all cells as a kernel does; returns what they end with, each as a notebook would show it."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for number, cell in enumerate(jupytext.read(notebook).cells):
        if cell.cell_type != "code":
            continue
        tree = ast.parse(cell.source, f"{notebook.name}, cell {number}")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{notebook.name}, cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"{notebook.name}, cell {number}", "eval"), names)
            shown.append((value._repr_html_() if hasattr(value, "_repr_html_") else None) or repr(value))
    return shown


def test_there_are_seven_and_each_begins_with_its_title() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == list("1234567")
    for path in NOTEBOOKS:
        cells = jupytext.read(path).cells
        assert (cells[0].cell_type, cells[0].source[:4]) == ("markdown", f"# {path.name[0]} ")


def test_cells_run_in_order_and_what_ends_them_is_shown(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(
        "# %% [markdown]\n# # 1 Small\n\n# %%\na = 1\n\n# %%\na += 1\na\n\n# %%\nprint(a)\n"
    )
    assert perform(tmp_path / "small.py") == ["2", "None"]
    (tmp_path / "small.py").write_text("# %%\nraise ValueError('no')\n")
    with pytest.raises(ValueError, match="no"):
        perform(tmp_path / "small.py")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook: Path, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from test_notebooks import perform; print(perform(Path(sys.argv[1])))"
    paths = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", code, str(notebook)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout
    assert "error:" not in done.stdout
