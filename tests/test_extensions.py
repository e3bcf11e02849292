"""Analyses, interventions, datasets and models of a user's own, in a folder outside of the repository."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from folkrnn.command_line import main
from folkrnn.config import extensions
from folkrnn.config.build import build
from folkrnn.study import prepare

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"

SECTION = (ROOT / "CONTRIBUTING.md").read_text().partition("### An analysis")[2].partition("\n### ")[0]
BLOCKS = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", SECTION, re.S)
(COMMAND,) = re.findall(r"```bash\n(.*?)```", SECTION, re.S)

OURS = {
    "ourlab/__init__.py": "",
    "ourlab/things.py": """\
        import copy
        from dataclasses import dataclass
        from typing import ClassVar

        import numpy as np
        import torch

        from folkrnn.analysis import Analysis
        from folkrnn.datasets.corpus import Corpus, Tune
        from folkrnn.findings import Findings
        from folkrnn.interventions.intervention import EffectRecord, Intervention
        from folkrnn.interventions.windows import ALWAYS
        from folkrnn.models.folkrnn import FolkRNN


        @dataclass(frozen=True)
        class Bias(Analysis):
            \"\"\"The mean bias of the softmax layer.\"\"\"

            def __call__(self, observation):
                return Findings({"mean": float(observation.model.softmax_bias.mean())})


        @dataclass(frozen=True)
        class Lift(Intervention):
            families: ClassVar[tuple[str, ...]] = ("folkrnn",)
            by: float = 1.0
            window = ALWAYS

            @torch.no_grad()
            def edit(self, model, context):
                changed = copy.deepcopy(model)
                changed.softmax_bias += self.by
                return changed, EffectRecord("lift", {"by": self.by})


        def scales(tunes=120):
            rng = np.random.default_rng(0)
            made = [Tune(("M:4/4", "K:Cmaj", *rng.choice(list("CDEFGAB|"), 12))) for _ in range(tunes)]
            return Corpus("scales", made)


        class Narrow(FolkRNN):
            def __init__(self, vocabulary_size=137, units=12):
                super().__init__(vocabulary_size, units=units, layers=1, dropout=0.0)
        """,
    "ourlab/conf/analysis/bias.yaml": "bias:\n  _target_: ourlab.things.Bias\n",
    "ourlab/conf/intervention/lift.yaml": "lift:\n  _target_: ourlab.things.Lift\n  by: 3.0\n",
    "ourlab/conf/dataset/scales.yaml": "_target_: ourlab.things.scales\nname: scales\n",
    "ourlab/conf/model/narrow.yaml": "_target_: ourlab.things.Narrow\nname: narrow\nvocabulary_size: 137\nunits: 16\n",
}
ALL_FOUR = ["model=narrow", "dataset=scales", "intervention=lift", "analysis=bias", "weights=scratch"]
ALL_FOUR += ["trainer.max_epochs=1", "trainer.accelerator=cpu"]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv(extensions.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] in ("mylab", "ourlab")]:
        del sys.modules[name]


def composed(*words: str) -> Any:
    """The configuration that the words give and what becomes of it while the extensions are in place."""
    seen: list[Any] = []

    def record(config: Any, overrides: list[str]) -> int:
        seen.append((config, prepare(config, overrides) if "weights=scratch" in words else None))
        seen[-1] += ({name: build(node, "analysis") for name, node in config.analysis.items()},)
        return 0

    status = main(list(words), CONF, record)
    return status, *(seen[0] if seen else (None, None, None))


def test_what_is_named_may_run_for_this_command_alone(tmp_path: Path) -> None:
    write(tmp_path, dict(BLOCKS))
    status, config, _, analyses = composed(*shlex.split(COMMAND)[2:])
    assert status == 0
    assert config.extensions == ["mylab"]
    assert (analyses["endings"].tokens, analyses["endings"].families) == (200, ("folkrnn",))
    assert extensions.VARIABLE not in os.environ


def test_a_folder_of_ones_own_brings_all_four(tmp_path: Path) -> None:
    write(tmp_path, OURS)
    status, _, plan, analyses = composed("-cd", str(tmp_path / "ourlab/conf"), "extensions=ourlab", *ALL_FOUR)
    assert status == 0
    assert (plan.weights.model.units, len(plan.corpus)) == (16, 120)
    assert plan.interventions["lift"].by == 3.0
    assert type(analyses["bias"]).__module__ == "ourlab.things"


def test_an_analysis_that_cannot_be_called_is_refused_by_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    things = """
        from dataclasses import dataclass
        from folkrnn.analysis import Analysis

        @dataclass(frozen=True)
        class Idle(Analysis):
            pass
        """
    idle = "idle:\n  _target_: idlelab.Idle\n"
    write(tmp_path, {"idlelab/__init__.py": things, "idlelab/conf/analysis/idle.yaml": idle})
    status, *_ = composed("-cd", "idlelab/conf", "extensions=idlelab", "analysis=idle", "weights=scratch")
    assert status == 2
    assert "lacks __call__()" in capsys.readouterr().err


def test_without_being_named_nothing_of_it_is_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, dict(BLOCKS) | {"mylab/__init__.py": "raise SystemExit('imported')"})
    status, *_ = composed("-cd", "mylab", "analysis=endings")
    assert status == 1 or status == 2
    assert "mylab" not in sys.modules


def test_a_package_that_is_nowhere_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, dict(BLOCKS))
    assert composed("-cd", "mylab", "extensions=[herlab]")[0] == 2
    said = capsys.readouterr().err
    assert "there is no package herlab" in said
    assert str(tmp_path) in said
    assert said.count("\n") == 1
    assert composed("-cd", "mylab", "extensions=[herlab]", "-m", "seed=1,2")[0] == 2
    assert capsys.readouterr().err.count("there is no package herlab") == 1


def test_a_package_of_the_environment_is_not_looked_for_beside_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "stranger", dict(BLOCKS))
    monkeypatch.setenv(extensions.VARIABLE, "mylab")
    assert composed("-cd", str(tmp_path / "stranger/mylab"), "analysis=endings")[0] == 2
    assert "FOLKRNN_EXTENSIONS: there is no package mylab" in capsys.readouterr().err
    monkeypatch.syspath_prepend(tmp_path / "stranger")
    assert composed("-cd", str(tmp_path / "stranger/mylab"), "analysis=endings")[0] == 0


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    words = (*words, "sampling.tunes=2", "sampling.max_tokens=40", f"tracking.folder={folder}/results")
    command = [sys.executable, str(ROOT / "run.py"), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
def test_all_four_run_alone_in_several_processes_and_in_a_sweep(tmp_path: Path) -> None:
    write(tmp_path, OURS)
    words = ["-cd", "ourlab/conf", "extensions=[ourlab]", *ALL_FOUR]
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert "bias/mean" in done.stdout
    done = run(tmp_path, *words[:3], "-m", "intervention=lift", "intervention.lift.by=1,2", "analysis=bias")
    assert done.returncode == 0, done.stderr + done.stdout
    several = [
        "intervention=lift",
        "analysis=bias",
        "sampling.tunes=40",
        "trainer.accelerator=cpu",
        "trainer.devices=2",
    ]
    done = run(tmp_path, *words[:3], *several)
    assert done.returncode == 0, done.stderr + done.stdout
