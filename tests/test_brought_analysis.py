"""An intervention without a chosen analysis is compared with its control all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from folkrnn.config.digest import job_key
from folkrnn.study import prepare

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
    assert plan.job_key == job_key(composed(*overrides), overrides), "a sweep would not know its finished jobs again"


def test_preparing_leaves_the_configuration_as_it_was_and_nobody_can_change_its_own():
    overrides = ["intervention=clamp"]
    config = composed(*overrides)
    before = OmegaConf.to_yaml(config)
    plan = prepare(config, overrides)
    assert OmegaConf.to_yaml(config) == before
    with pytest.raises(ReadonlyConfigError):
        plan.config.trainer.resume = True
    resumed = plan.resuming(True)
    assert (plan.config.trainer.resume, resumed.config.trainer.resume) == (False, True)
    assert resumed.digest == plan.digest
