"""`control=`: on what else the analyses of a study are repeated, and what is said of claims there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from analyses.periodicity import Periodicity
from analyses.vocabulary import VocabularyTable
from folkrnn.errors import UserError
from folkrnn.findings import Findings
from folkrnn.report.claims import beside, in_a_line
from folkrnn.study import build_controls

CONF = str(Path(__file__).parents[1] / "conf")


def config(*overrides: str):
    with initialize_config_dir(CONF, version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.mark.parametrize(
    ("control", "names"),
    [("none", []), ("untrained", ["untrained"]), ("shuffled", ["shuffled"]), ("both", ["untrained", "shuffled"])],
)
def test_a_run_has_the_controls_that_are_asked_for(control, names):
    assert list(build_controls(config(f"control={control}"), {"periodicity": Periodicity()})) == names


def test_controls_that_change_nothing_of_what_is_looked_at_are_refused():
    with pytest.raises(UserError, match="control=both would change nothing"):
        build_controls(config("control=both"), {"vocabulary": VocabularyTable()})


def test_the_model_stands_beside_each_of_its_controls():
    controls = {"untrained": {"a": Findings({"q": 1.0})}, "shuffled": {"a": Findings({"q": 3.0, "other": 4.0})}}
    found = beside({"a": Findings({"q": 2.0, "q_low": 1.5, "own": 5.0})}, controls, "64 tunes")
    assert found.tables["model_and_control"].to_dict("records") == [
        {"quantity": "a/q", "model": 2.0, "model_low": 1.5, "untrained": 1.0, "shuffled": 3.0, "behind": "64 tunes"}
    ]
    assert "the same 64 tunes" in found.figures["beside"].caption


def test_without_controls_nothing_stands_beside_the_model():
    found = beside({"a": Findings({"q": 2.0})}, {}, "64 tunes")
    assert not found.tables and not found.figures


def test_claims_that_do_not_depend_on_the_model_count_apart():
    counts = {"claims/hold": 3, "claims/do_not_hold": 2, "claims/independent": 4, "claims/not_judged": 1}
    assert in_a_line(counts) == ["claims   3 of 5 hold, 4 do not depend on the model, 1 not judged"]
