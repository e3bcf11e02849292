"""An intervention without a chosen analysis is compared with its control all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from folkrnn.build import build
from folkrnn.digest import config_digest
from folkrnn.study import bring_analysis, prepare

CONF = Path(__file__).parents[1] / "conf"
DEFAULT = ["posterior", "activations", "tune_statistics"]


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.mark.parametrize(
    ("overrides", "analyses"),
    [
        (["intervention=clamp"], [*DEFAULT, "effect"]),
        (["intervention=clamp", "analysis.posterior.tune=0"], [*DEFAULT, "effect"]),
        (["intervention=clamp", "analysis=posterior"], ["posterior"]),
        (["intervention=none"], DEFAULT),
    ],
)
def test_an_intervention_brings_the_analysis_that_compares_it_unless_others_are_chosen(overrides, analyses):
    plan = prepare(composed(*overrides), overrides)
    assert list(plan.analyses) == list(plan.config.analysis) == analyses
    assert plan.asked == config_digest(composed(*overrides)), "a sweep would not know its finished jobs again"


def test_what_is_brought_knows_the_tokens_that_are_watched():
    config = composed("intervention=suppress_tokens", "intervention.suppress_tokens.tokens=measure")
    assert build(bring_analysis(config, "effect"), "analysis").tokens == "measure"
