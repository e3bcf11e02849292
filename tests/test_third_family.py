"""A model family of a user's own, in one module: trained, observed and analysed by the study of all others."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import mlflow
import pytest

from folkrnn.command_line import main
from folkrnn.config import extensions
from folkrnn.errors import UserError
from folkrnn.families import family_of
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.study import run

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"

FILES = {
    "dicelab/__init__.py": "",
    "dicelab/dice.py": """\
        from dataclasses import dataclass, field

        import numpy as np
        import torch

        from folkrnn.analysis import Analysis
        from folkrnn.datasets.corpus import Corpus, Tune
        from folkrnn.families.family import Family
        from folkrnn.findings import Findings
        from folkrnn.models.model import Model
        from folkrnn.training.fit import Fitted
        from folkrnn.vocabulary import V2


        class Dice(Model):
            \"\"\"Every token comes with the same probability, whatever stood before it.\"\"\"

            family = "dice"

            def __init__(self, vocabulary_size=137):
                super().__init__()
                self.logits = torch.nn.Parameter(torch.zeros(vocabulary_size))

            @property
            def sites(self):
                return {"logits": len(self.logits)}

            @property
            def shape(self):
                return f"a die with {len(self.logits)} sides"

            @torch.no_grad()
            def reset_parameters(self, generator=None):
                self.logits.zero_()


        @dataclass
        class Throws:
            \"\"\"Tokens that a die has thrown.\"\"\"

            model: Dice
            ids: np.ndarray
            seed: int = 1
            control: object = None
            effects: list = field(default_factory=list)


        class DiceFamily(Family):
            data = Corpus

            @torch.no_grad()
            def fit(self, config, weights, corpus, checkpoints, tracked):
                counts = np.bincount([i for tune in corpus.tunes for i in V2.encode(tune.tokens)], minlength=len(V2))
                weights.model.logits.copy_(torch.from_numpy(np.log(counts + 1e-9)))
                return Fitted(weights.model, 0.5, 1, checkpoints)

            def observe(self, config, model, weights, corpus, given, interventions):
                drawn = torch.multinomial(model.logits.softmax(-1), 1000, replacement=True)
                return Throws(model, drawn.numpy(), config.seed)

            def file_observation(self, tracked, observation, settings):
                tracked.log_text(" ".join(V2.decode(observation.ids)), "throws.txt")


        FAMILY = DiceFamily()


        @dataclass(frozen=True)
        class Bars(Analysis):
            \"\"\"The share of bar lines among the tokens thrown.\"\"\"

            families = ("dice",)

            def __call__(self, observation):
                return Findings({"share": float((observation.ids == V2.index["|"]).mean())})


        def halves():
            \"\"\"Tunes of which every other token is a bar line.\"\"\"
            return Corpus("halves", [Tune(("M:4/4", "K:Cmaj", *(note, "|") * 50)) for note in "CDEFGAB"])
        """,
    "dicelab/conf/model/dice.yaml": """\
        # @package _global_
        # a die
        model:
          _target_: dicelab.dice.Dice
          name: dice
          vocabulary_size: 137
        observation:
          sites: [logits]
        """,
    "dicelab/conf/analysis/bars.yaml": "bars:\n  _target_: dicelab.dice.Bars\n",
    "dicelab/conf/dataset/halves.yaml": "_target_: dicelab.dice.halves\nname: halves\n",
}
WORDS = ["-cd", "dicelab/conf", "extensions=[dicelab]", "model=dice", "dataset=halves", "weights=scratch"]


@pytest.fixture(autouse=True)
def in_a_folder_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(extensions.VARIABLE, raising=False)


def test_a_third_family_is_trained_observed_analysed_and_filed(tmp_path: Path) -> None:
    assert main([*WORDS, "analysis=bars", f"tracking.folder={tmp_path}"], CONF, run) == 0
    (found,) = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["1"])
    assert found.info.status == "FINISHED"
    assert 0.4 < found.data.metrics["bars/share"] < 0.6
    (throws,) = (tmp_path / "runs").glob("*/throws.txt")
    assert len(throws.read_text().split()) == 1000


def test_analyses_of_other_families_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "analysis=posterior", f"tracking.folder={tmp_path}"], CONF, run) == 2
    assert "analysis=posterior looks into folkrnn; these weights are of a dice" in capsys.readouterr().err


def test_a_family_that_is_nowhere_is_refused_with_where_it_was_looked_for() -> None:
    model = FolkRNN(units=4, layers=1)
    model.family = "dice"
    with pytest.raises(UserError, match=r"FolkRNN is of the family dice, and there is no folkrnn\.families\.dice"):
        family_of(model)


def test_only_families_ask_whose_a_model_is() -> None:
    files = [path for path in (ROOT / "folkrnn").rglob("*.py") if "families" not in path.parts]
    asking = re.compile(r"isinstance\([^()]*\b(FolkRNN|MusicVAE)\b")
    assert [str(path) for path in [*files, *(ROOT / "analyses").rglob("*.py")] if asking.search(path.read_text())] == []
