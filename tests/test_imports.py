"""Data goes forward only, and so do imports."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ORDER = (
    "errors",
    "files",
    "console",
    "config",
    "vocabulary",
    "notation",
    "melodies",
    "sites",
    "spectra",
    "style",
    "parallel",
    "datasets",
    "models",
    "weights",
    "interventions",
    "sampling",
    "observation",
    "training",
    "findings",
    "analysis",
    "claims",
    "analyses.measures",
    "analyses.drawings",
    "analyses",
    "explorer",
    "tracking",
    "lab",
    "report",
    "families",
    "sweep",
    "study",
    "command_line",
    "__main__",
    "run",
)
"""Each may import what stands before it."""

FORBIDDEN = {"analyses": ("mlflow", "hydra", "omegaconf", "pytorch_lightning", "lightning")}


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    files = [*ROOT.glob("folkrnn/**/*.py"), *ROOT.glob("analyses/**/*.py"), ROOT / "run.py"]
    names = {path: list(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): path for path, parts in names.items()}


def layer(module: str) -> str:
    """The name in ORDER that a module belongs to: the package below folkrnn, analyses or a part of it, or run."""
    parts = module.split(".")
    if parts[0] == "analyses":
        return next((part for part in ORDER if module.startswith(f"{part}.") and part != "analyses"), "analyses")
    return parts[1] if parts[0] == "folkrnn" and len(parts) > 1 else parts[0]


def imported(source: str, module: str, known: set[str]) -> Iterator[str]:
    """Yields what a source imports, at its top, inside functions and for types: modules of ours as such, else names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: -node.level] if module in known else []
                base = ".".join([*package, base]).strip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in known else base


def back_edges(source: str, module: str, known: set[str]) -> list[str]:
    """The modules of ours that `module` must not import, yet does."""
    here = ORDER.index(layer(module))
    ours = [name for name in imported(source, module, known) if name.split(".")[0] in ("folkrnn", "analyses", "run")]
    return [name for name in ours if name != "folkrnn" and ORDER.index(layer(name)) > here]


MODULES = modules()


def test_every_module_has_its_place() -> None:
    assert {layer(module) for module in MODULES} - {"folkrnn"} <= set(ORDER)


@pytest.mark.parametrize("module", [module for module in MODULES if module != "folkrnn"])
def test_imports_go_forward_only(module: str) -> None:
    assert back_edges(MODULES[module].read_text(), module, set(MODULES)) == []


@pytest.mark.parametrize("module", [module for module in MODULES if layer(module) != "tracking"])
def test_tracking_alone_imports_mlflow(module: str) -> None:
    names = imported(MODULES[module].read_text(), module, set(MODULES))
    assert [name for name in names if name.split(".")[0] == "mlflow"] == []


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("analyses")])
def test_analyses_know_neither_mlflow_nor_hydra_nor_lightning(module: str) -> None:
    names = imported(MODULES[module].read_text(), module, set(MODULES))
    assert [name for name in names if name.split(".")[0] in FORBIDDEN["analyses"]] == []


@pytest.mark.parametrize(
    "source",
    [
        "from folkrnn.tracking import open_store",
        "import folkrnn.study",
        "from folkrnn import sampling",
        "def late():\n    from analyses.posterior import Posterior",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from folkrnn.training import x",
    ],
)
def test_a_back_edge_would_be_found(source: str) -> None:
    assert back_edges(source, "folkrnn.models.folkrnn", set(MODULES) | {"folkrnn.sampling"}) != []


def at_the_top(source: str) -> str:
    """The import statements of a module, those for annotations too, but not those inside functions."""
    body = ast.parse(source).body
    body += [node for block in body if isinstance(block, ast.If) for node in block.body]
    return ast.unparse(ast.Module([node for node in body if isinstance(node, ast.Import | ast.ImportFrom)], []))


def test_no_modules_know_each_other_in_a_circle() -> None:
    known = set(MODULES)
    loaded = {
        name: known.intersection(imported(at_the_top(path.read_text()), name, known)) for name, path in MODULES.items()
    }
    assert set(TopologicalSorter(loaded).static_order()) == known  # raises CycleError, which names the circle


def test_the_package_itself_imports_nothing_of_ours_at_its_top() -> None:
    # else `import folkrnn.command_line` would load all of it, and --help with it
    top = [
        node for node in ast.parse((ROOT / "folkrnn/__init__.py").read_text()).body if isinstance(node, ast.ImportFrom)
    ]
    assert [node.module for node in top if (node.module or "").startswith(("folkrnn", "analyses"))] == []


def test_files_of_tests_have_names_of_their_own() -> None:
    # pytest imports them by these alone
    names = Counter(path.name for path in ROOT.glob("tests/**/test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
