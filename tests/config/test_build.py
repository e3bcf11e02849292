"""An option builds what its group takes, from public classes and functions of that group, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from folkrnn.config import extensions
from folkrnn.config.build import GROUPS, build, locate
from folkrnn.errors import UserError

ROOT = Path(__file__).parents[2]
POSTERIOR = "analyses.posterior.Posterior"


def node(**keys: Any) -> Any:
    return OmegaConf.create({"analysis": {"it": keys}}).analysis.it


def test_a_target_is_built_from_its_keys() -> None:
    from analyses.posterior import Posterior

    assert build(node(_target_=POSTERIOR, tune=3), "analysis") == Posterior(tune=3)


def test_containers_arrive_plain_and_interpolations_resolved() -> None:
    config = OmegaConf.create({"some": ["l1.h"], "it": {"_target_": "analyses.unit_events.UnitEvents"}})
    config.it.sites = "${some}"
    found = build(config.it, "analysis").sites
    assert found == ["l1.h"]
    assert type(found) is list


def test_a_function_is_a_target_too() -> None:
    built = build({"_target_": "folkrnn.interventions.cuts.cut", "where": "both", "select": "random"}, "intervention")
    assert built.where == "both"


def test_the_name_of_an_option_is_dropped() -> None:
    assert build(node(_target_=POSTERIOR, name="posterior"), "analysis") == build(node(_target_=POSTERIOR), "analysis")


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
    "folkrnn.findings.Findings",
    "folkrnnx.findings.Findings",
    "analyses_of_mine.x.Y",
    "folkrnn.config.build.importlib",
    "folkrnn.config.build.importlib.import_module",
    "folkrnn.tracking.provenance.git_state",
    "folkrnn.tracking.postgresql._version",
    "folkrnn.tracking.models.file_model",
    "folkrnn.tracking.store.open_store",
    "folkrnn.sweep.remote._written",
    "folkrnn.sweep.remote.ask_to_stop",
    "folkrnn.weights.folder.write_whole",
    "folkrnn.weights.folder.save",
    "folkrnn.study.run",
    "folkrnn.files.cache.cached_arrays",
    "analyses.posterior.Findings",
    "analyses.posterior.dataclass",
    "analyses.posterior.Posterior.__init__.__globals__",
    "analyses..posterior.Posterior",
    "analyses.posterior.",
    ".analyses.posterior.Posterior",
    "",
    None,
    7,
    ["analyses.posterior.Posterior"],
]


@pytest.mark.parametrize("target", FOREIGN, ids=repr)
def test_a_foreign_target_is_refused_by_name_in_every_group(target: Any) -> None:
    for group in GROUPS:
        with pytest.raises(UserError, match=rf"^analysis.it._target_: {re.escape(repr(target))} is not allowed"):
            build(node(_target_=target), group)


def targets() -> dict[str, set[str]]:
    """Every target in `conf` by its group."""
    found: dict[str, set[str]] = {group: set() for group in GROUPS}
    for path in (ROOT / "conf").rglob("*.yaml"):
        found.get(path.relative_to(ROOT / "conf").parts[0], set()).update(
            re.findall(r"^\s*_target_: (\S+)", path.read_text(), re.MULTILINE)
        )
    return found


def test_what_one_group_takes_no_other_does() -> None:
    known = targets()
    assert all(known.values())
    for group, names in known.items():
        for target in names:
            locate(target, group)
            for other in set(GROUPS) - {group}:
                with pytest.raises(UserError, match="is not allowed"):
                    locate(target, other)


def test_no_module_outside_the_group_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="is not allowed"):
        locate("evil.Evil", "analysis")


@pytest.mark.parametrize("inside", ["tune", "name"])
def test_a_target_inside_another_is_refused_wherever_it_stands(inside: str) -> None:
    deep = {"a": [{"b": {"_target_": POSTERIOR}}]}
    with pytest.raises(UserError, match=rf"^analysis.it.{inside}.a\[0\].b._target_: .* inside another"):
        build(node(_target_=POSTERIOR, **{inside: deep}), "analysis")


def test_a_target_that_hides_behind_an_interpolation_is_refused() -> None:
    config = OmegaConf.create({"word": "os.system", "it": {"_target_": "${word}"}})
    with pytest.raises(UserError, match=r"os\.system"):
        build(config.it, "analysis")


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_convert_", "_recursive_"])
def test_keys_that_steer_hydra_are_refused(key: str) -> None:
    with pytest.raises(UserError, match=rf"analysis\.it\.{key}: of Hydra's own keys"):
        build(node(_target_=POSTERIOR, **{key: True}), "analysis")


def test_an_unknown_parameter_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        UserError, match=r"analysis.it.tunes: no such parameter \(did you mean tune\?\); Posterior takes "
    ):
        build(node(_target_=POSTERIOR, tunes=1), "analysis")


def test_keys_that_a_target_passes_on_are_known_by_their_names() -> None:
    target = "folkrnn.interventions.distributions.suppress"
    assert build({"_target_": target, "tokens": "|", "steps": [3, 5]}, "intervention").window.steps == (3, 5)
    with pytest.raises(
        UserError, match=r"stepps: no such parameter \(did you mean steps\?\).* takes tokens, how, steps"
    ):
        build({"_target_": target, "stepps": 3}, "intervention")


def test_a_parameter_that_is_lacking_is_named() -> None:
    with pytest.raises(UserError, match=r"^weights.path is not given; checkpoint needs it"):
        build(OmegaConf.create({"weights": {"_target_": "folkrnn.weights.sources.checkpoint"}}).weights, "weights")


@pytest.mark.parametrize(
    ("target", "meant"), [("analyses.posterior.Posterir", "Posterior"), ("analyses.posterir.Posterior", "no module")]
)
def test_a_target_that_does_not_exist_is_refused(target: str, meant: str) -> None:
    with pytest.raises(UserError, match=f"does not exist.*{meant}"):
        locate(target, "analysis")


def test_a_node_without_a_target_is_refused() -> None:
    with pytest.raises(UserError, match=r"analysis\.it names no _target_"):
        build(node(tune=1), "analysis")


def test_a_refusal_of_the_target_comes_through() -> None:
    with pytest.raises(UserError, match="units"):
        build({"_target_": "folkrnn.models.folkrnn.FolkRNN", "units": 0}, "model")


@pytest.fixture
def mylab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that the environment names, with an analysis, and things that are none."""
    name = f"mylab_{tmp_path.name}".replace("-", "_")
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine.py").write_text(
        "from os import system\n"
        "from folkrnn.analysis import Analysis\n"
        "class Mine(Analysis):\n    families = ('musicvae',)\n    def __call__(self, observation):\n        pass\n"
        "def number():\n    return 7\n"
        "PLACE = 'here'\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setenv(extensions.VARIABLE, name)
    return f"{name}.mine"


def test_what_an_extension_defines_is_built(mylab: str) -> None:
    built = build(node(_target_=f"{mylab}.Mine"), "analysis")
    assert (built.families, built.sites, built.of_interventions) == (("musicvae",), (), False)


def test_what_an_extension_imports_or_what_does_not_fit_is_not(mylab: str) -> None:
    for target, says in (
        ("system", "not allowed"),
        ("PLACE", "not allowed"),
        ("Analysis", "defined in folkrnn.analysis, which is no extension"),
        ("Mina", "does not exist.*did you mean Mine"),
        ("number", "takes an Analysis; .*mine.number gives a int"),
    ):
        with pytest.raises(UserError, match=says):
            build(node(_target_=f"{mylab}.{target}"), "analysis")


def test_a_package_that_nobody_named_is_no_extension(mylab: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extensions.VARIABLE)
    with pytest.raises(UserError, match=r"not allowed.*add extensions=\[PACKAGE\]"):
        build(node(_target_=f"{mylab}.Mine"), "analysis")
    monkeypatch.setenv(extensions.VARIABLE, mylab.partition(".")[0][:-1])  # a name that begins alike
    with pytest.raises(UserError, match="not allowed"):
        build(node(_target_=f"{mylab}.Mine"), "analysis")


def test_nothing_else_instantiates() -> None:
    for path in [*ROOT.glob("folkrnn/**/*.py"), *ROOT.glob("analyses/**/*.py"), ROOT / "run.py"]:
        for part in ast.walk(ast.parse(path.read_text())):
            imported = []
            if isinstance(part, ast.ImportFrom):
                imported = [f"{part.module}.{alias.name}" for alias in part.names]
            elif isinstance(part, ast.Import):
                imported = [alias.name for alias in part.names]
            assert not [name for name in imported if re.match(r"hydra(\.utils|\._internal\.instantiate)", name)], path
