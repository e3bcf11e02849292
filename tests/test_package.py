"""The program as it is installed from a wheel: what a checkout does, in any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import folkrnn
from folkrnn import __main__ as program
from folkrnn.errors import UserError
from folkrnn.files import places

ROOT = Path(__file__).parents[1]
TINY = ["sampling.tunes=2", "sampling.max_tokens=40", "explorer=false", "model=folkrnn_small"]
BIN, EXE = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")

Run = Callable[..., subprocess.CompletedProcess[str]]


def start(words: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a command does in a folder, where Python finds nothing but what is installed."""
    every = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    return subprocess.run(words, cwd=folder, env=every, capture_output=True, text=True, timeout=500, check=False)


def test_the_version_is_written_once_and_has_its_entry_in_the_changelog() -> None:
    assert f"\n## {folkrnn.__version__} " in (ROOT / "CHANGELOG.md").read_text()
    assert folkrnn.__version__ not in (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[0]


def test_in_a_checkout_results_are_at_its_root_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert places.results_home() == places.CHECKOUT == ROOT
    monkeypatch.setattr(places, "CHECKOUT", None)
    assert places.results_home() == tmp_path


def test_an_analyses_of_someone_else_is_refused_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.check_analyses()
    theirs = tmp_path / "analyses/__init__.py"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: ModuleSpec(name, None, origin=str(theirs)))
    with pytest.raises(UserError, match=r"analyses that comes with folkrnn-lab .*__init__\.py is in its place"):
        program.check_analyses()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="there is none"):
        program.check_analyses()


def test_as_a_module_it_composes_what_run_py_composes(tmp_path: Path) -> None:
    words = ["--cfg", "job", "experiment=part5", "seed=7"]
    by_file = start([sys.executable, str(ROOT / "run.py"), *words], tmp_path)
    by_name = start([sys.executable, "-m", "folkrnn", *words], tmp_path, PYTHONPATH=str(ROOT))
    assert (by_name.returncode, by_name.stdout) == (0, by_file.stdout), by_name.stderr
    assert "seed: 7" in by_name.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel, made from the source distribution as `python -m build` does, and that."""
    folder = tmp_path_factory.mktemp("dist")
    done = start([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def environment(distributions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; the libraries are lent by the one that runs the tests."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    (wheel,) = distributions.glob("*.whl")
    pip = [str(folder / BIN / f"python{EXE}"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    assert (done := start(pip, folder)).returncode == 0, done.stderr
    own = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    # a line of a .pth names a folder without reading the .pth files in it: the checkout stays out
    Path(own, "lent.pth").write_text(sysconfig.get_path("purelib"))
    return folder


@pytest.mark.slow
def test_wheel_and_source_are_fit_to_be_published(distributions: Path) -> None:
    made = sorted(distributions.iterdir())
    assert [file.name for file in made] == [
        f"folkrnn_lab-{folkrnn.__version__}-py3-none-any.whl",
        f"folkrnn_lab-{folkrnn.__version__}.tar.gz",
    ]
    done = start([sys.executable, "-m", "twine", "check", "--strict", *map(str, made)], distributions)
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(made[0]) as wheel:
        names = set(wheel.namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"folkrnn", "analyses"}
    tracked = start(["git", "ls-files", "folkrnn", "analyses", "conf"], ROOT)
    if tracked.returncode != 0:
        pytest.skip("this is no git checkout: what a wheel must hold is not known")
    wanted = {f"folkrnn/{name}" if name.startswith("conf/") else name for name in tracked.stdout.split()}
    assert wanted <= names


@pytest.mark.slow
@pytest.mark.parametrize("words", [["folkrnn-lab"], ["python", "-m", "folkrnn"]])
def test_installed_it_does_the_job_where_one_stands(words: list[str], environment: Path, tmp_path: Path) -> None:
    (tmp_path / "analyses").mkdir()
    (tmp_path / "analyses/__init__.py").write_text("raise SystemExit('the analyses of someone else')")
    command = [str(environment / BIN / f"{words[0]}{EXE}"), *words[1:]]
    done = start([*command, "analysis=tune_statistics", *TINY], tmp_path)
    assert done.returncode == 0, done.stderr
    (report,) = tmp_path.glob("runs/*/report.html")
    assert "folkrnn-lab analysis=tune_statistics" in report.read_text()
    assert (tmp_path / "mlflow.db").is_file()
    assert str(ROOT) not in report.read_text()


@pytest.mark.slow
def test_installed_it_sweeps_and_helps(environment: Path, tmp_path: Path) -> None:
    command = str(environment / BIN / f"folkrnn-lab{EXE}")
    done = start([command, "-m", "seed=1,2", "analysis=tune_statistics", *TINY], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(tmp_path.glob("runs/*/report.html"))) >= 2
    page = start([command, "--help"], tmp_path).stdout
    assert "folkrnn-lab sampling.tunes=8" in page
    assert "python run.py" not in page
    where = start(
        [str(environment / BIN / f"python{EXE}"), "-c", "import folkrnn, analyses; print(folkrnn, analyses)"], tmp_path
    )
    assert where.stdout.count(str(environment)) == 2
