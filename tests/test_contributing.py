"""The recipes of CONTRIBUTING.md, followed literally in a folder outside of the repository."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_network import network
from test_extensions import CONF, nothing_stays, write  # noqa: F401 - nothing_stays is a fixture

from folkrnn.command_line import main
from folkrnn.config.build import build
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.module import sides
from folkrnn.errors import UserError
from folkrnn.interventions.intervention import RunContext
from folkrnn.vocabulary import V2
from folkrnn.weights import folder, sources

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(part.split("\n", 1) for part in TEXT.partition("## Five recipes")[2].split("\n### ")[1:])


def files(recipe: str) -> dict[str, str]:
    """What the recipe has one write, by the name in the first line of each block."""
    return dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", RECIPES[recipe], re.S))


def words(recipe: str) -> list[str]:
    """The command that ends the recipe, without `python run.py`."""
    (command,) = re.findall(r"```bash\n(.*?)```", RECIPES[recipe], re.S)
    assert command.startswith("python run.py ")
    return shlex.split(command)[2:]


def followed(recipe: str, group: str, check: Any) -> Any:
    """What `check` says of the option that the recipe adds, with its files in the working directory."""
    write(Path.cwd(), files(recipe))
    seen: list[Any] = []

    def study(config: Any, overrides: list[str]) -> int:
        nodes = config[group] if group in ("analysis", "intervention") else {group: config[group]}
        (built,) = [build(node, group) for node in nodes.values()]
        seen.append(check(built))
        return 0

    assert main(words(recipe), CONF, study) == 0
    return seen[0]


def test_there_are_five() -> None:
    assert list(RECIPES) == ["An analysis", "An intervention", "A dataset", "A model family", "A weights source"]


def test_an_analysis() -> None:
    tunes = [SimpleNamespace(ended=ended, ids=[0] * length) for ended, length in [(True, 150), (True, 250), (False, 9)]]
    seen = SimpleNamespace(transcriptions=tunes)
    assert followed("An analysis", "analysis", lambda analysis: analysis(seen).metrics) == {"share": 1 / 3}


def test_an_intervention_adds_to_one_bias_of_a_copy() -> None:
    model = network()
    before = model.softmax_bias.clone()

    def check(favour: Any) -> tuple[torch.Tensor, dict[str, float]]:
        favour.check(model, RunContext(V2))
        with pytest.raises(UserError, match="no token"):
            type(favour)("X").check(model, RunContext(V2))
        changed, effect = favour.edit(model, RunContext(V2))
        return changed.softmax_bias - before, effect.metrics

    difference, metrics = followed("An intervention", "intervention", check)
    assert difference.nonzero().flatten().tolist() == [V2.tokens.index("(3")]
    assert difference.max().item() == pytest.approx(2.0)
    assert metrics == {"by": 2.0}
    assert torch.equal(model.softmax_bias, before)


def test_a_dataset() -> None:
    corpus = followed("A dataset", "dataset", lambda corpus: corpus)
    assert (len(corpus.tunes), corpus.name) == (120, "scales")
    training, validation = sides(corpus)
    assert len(training) > len(validation) > 0
    assert all(set(tune.tokens) <= set(V2.tokens) and tune.tokens.count("|") == 4 for tune in corpus.tunes)


def test_a_model_family_is_trained_by_counting_and_observed_by_drawing() -> None:
    model = followed("A model family", "model", lambda model: model)
    family = family_of_extension("mylab.unigram")
    weights = sources.scratch(model, 1)
    tunes = [Tune(("M:4/4", "K:Cmaj", *"CCCD")) for _ in range(50)]
    fitted = family.fit(None, weights, Corpus("notes", tunes), Path("checkpoints"), None)
    chances = fitted.model.logits.softmax(-1)
    c, d = (chances[V2.tokens.index(token)].item() for token in "CD")
    assert (c, d) == (pytest.approx(151 / 437), pytest.approx(51 / 437))
    asked = SimpleNamespace(seed=1, sampling=SimpleNamespace(tunes=50))
    drawn = family.observe(asked, model, weights, None, [], {})
    assert abs((drawn.ids == V2.tokens.index("C")).mean() - c) < 0.03


def family_of_extension(module: str) -> Any:
    """The family that a module offers, imported from the working directory."""
    sys.path.append(str(Path.cwd()))
    return importlib.import_module(module).FAMILY


@pytest.fixture
def trainings() -> Iterator[list[folder.Weights]]:
    """Two trainings of one small model, where the recipe looks for them."""
    made = [sources.scratch(network(), seed) for seed in (1, 2)]
    for name, weights in zip(("first", "second"), made, strict=True):
        folder.save(Path("mylab") / name, weights.model, V2, "", torch.float32)
    yield made


def test_a_weights_source(trainings: list[folder.Weights]) -> None:
    weights = followed("A weights source", "weights", lambda weights: weights)
    first, second = (training.model.softmax_bias for training in trainings)
    first_w, second_w = (training.model.softmax_weight for training in trainings)
    assert torch.allclose(weights.model.softmax_bias, (first + second) / 2)
    assert torch.allclose(weights.model.softmax_weight, (first_w + second_w) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_command_runs(recipe: str, tmp_path: Path, trainings: list[folder.Weights]) -> None:
    write(tmp_path, files(recipe))
    few = ["sampling.tunes=2", "sampling.max_tokens=40", f"tracking.folder={tmp_path}/results"]
    command = [sys.executable, str(ROOT / "run.py"), *words(recipe), *few]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("results/runs/*/report.html"))
