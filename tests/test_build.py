"""Only classes and functions of ours are built, and only with parameters that they have."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from folkrnn.build import build, locate
from folkrnn.findings import Figure, Findings
from folkrnn.refusal import Refusal

ROOT = Path(__file__).parents[1]
FINDINGS = "folkrnn.findings.Findings"
FIGURE = "folkrnn.findings.Figure"


def node(**keys: Any) -> Any:
    return OmegaConf.create({"analysis": {"it": keys}}).analysis.it


def test_a_target_is_built_from_its_keys() -> None:
    built = build(node(_target_=FINDINGS, metrics={"entropy": 1.5}))
    assert isinstance(built, Findings)
    assert built.metrics == {"entropy": 1.5}
    assert type(built.metrics) is dict


def test_what_is_passed_along_arrives_as_it_is() -> None:
    drawing = Figure(drawing=None, caption="inner")  # a dataclass, which Hydra would turn into configuration
    assert build(node(_target_=FIGURE, caption="outer"), drawing=drawing).drawing is drawing


def test_nested_targets_are_built_first() -> None:
    built = build(node(_target_=FINDINGS, figures={"main": {"_target_": FIGURE, "drawing": None, "caption": "c"}}))
    assert built.figures == {"main": Figure(None, "c")}


def test_interpolations_are_resolved() -> None:
    config = OmegaConf.create({"cut": 0.1, "it": {"_target_": FINDINGS, "metrics": {"share": "${cut}"}}})
    assert build(config.it).metrics == {"share": 0.1}


def test_a_function_is_a_target_too() -> None:
    assert build({"_target_": "folkrnn.refusal.did_you_mean", "word": "hous", "options": ["house"]}) == (
        " (did you mean house?)"
    )


def test_the_name_of_an_option_is_dropped() -> None:
    assert build(node(_target_=FINDINGS, name="posterior")) == Findings()


FOREIGN = [
    "os.system",
    "subprocess.run",
    "builtins.eval",
    "torch.hub.load",
    "torch.nn.Linear",
    "numpy.load",
    "pickle.loads",
    "folkrnn",
    "folkrnn.findings",
    "folkrnnx.findings.Findings",
    "analyses_of_mine.x.Y",
    "folkrnn.build.importlib",
    "folkrnn.build.importlib.import_module",
    "folkrnn.build.OmegaConf",
    "folkrnn.build.Any",
    "folkrnn.findings.field",
    "folkrnn.refusal.difflib.get_close_matches",
    "folkrnn.findings.Findings.__init__.__globals__",
    "folkrnn..findings.Findings",
    "",
    None,
    7,
    ["folkrnn.findings.Findings"],
]


@pytest.mark.parametrize("target", FOREIGN, ids=repr)
def test_a_foreign_target_is_refused_by_name(target: Any) -> None:
    with pytest.raises(Refusal, match=re.escape(repr(target))):
        build(node(_target_=target))


@pytest.mark.parametrize("target", ["os.system", "folkrnn.build.importlib"])
@pytest.mark.parametrize("inside", ["figures", "tables"])
def test_a_foreign_target_is_refused_wherever_it_stands(target: str, inside: str) -> None:
    deep = {"a": [{"b": {"_target_": target, "command": "true"}}]}
    with pytest.raises(Refusal, match=rf"^analysis.it.{inside}.a\[0\].b._target_: "):
        build(node(_target_=FINDINGS, **{inside: deep}))


def test_a_target_that_hides_behind_an_interpolation_is_refused() -> None:
    config = OmegaConf.create({"word": "os.system", "it": {"_target_": FINDINGS, "tables": {"_target_": "${word}"}}})
    with pytest.raises(Refusal, match=r"os\.system"):
        build(config.it)


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_convert_", "_recursive_"])
def test_keys_that_steer_hydra_are_refused(key: str) -> None:
    with pytest.raises(Refusal, match=rf"analysis\.it\.{key}: of Hydra's own keys"):
        build(node(_target_=FINDINGS, **{key: True}))


def test_an_unknown_parameter_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        Refusal, match=r"analysis.it.metric: no such parameter \(did you mean metrics\?\); Findings takes "
    ):
        build(node(_target_=FINDINGS, metric={}))


@pytest.mark.parametrize(
    ("target", "meant"), [("folkrnn.findings.Finding", "Findings"), ("folkrnn.finding.Findings", "no module")]
)
def test_a_target_that_does_not_exist_is_refused(target: str, meant: str) -> None:
    with pytest.raises(Refusal, match=f"does not exist.*{meant}"):
        locate(target)


def test_a_node_without_a_target_is_refused() -> None:
    with pytest.raises(Refusal, match=r"analysis\.it names no _target_"):
        build(node(metrics={}))


def test_a_refusal_of_the_target_comes_through_from_any_depth() -> None:
    model = {"_target_": "folkrnn.models.folkrnn.FolkRNN", "units": 0}
    with pytest.raises(Refusal, match="units"):
        build(node(**model))
    with pytest.raises(Refusal, match="units"):
        build(node(_target_=FINDINGS, tables={"model": model}))


def test_nothing_else_instantiates() -> None:
    for path in [*ROOT.glob("folkrnn/**/*.py"), *ROOT.glob("analyses/**/*.py"), ROOT / "run.py"]:
        if path == ROOT / "folkrnn" / "build.py":
            continue
        for part in ast.walk(ast.parse(path.read_text())):
            imported = []
            if isinstance(part, ast.ImportFrom):
                imported = [f"{part.module}.{alias.name}" for alias in part.names]
            elif isinstance(part, ast.Import):
                imported = [alias.name for alias in part.names]
            assert not [name for name in imported if re.match(r"hydra(\.utils|\._internal\.instantiate)", name)], path
