"""Which settings are filed as parameters, and in which order."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir

from folkrnn.config.parameters import parameters

CONF = Path(__file__).parents[2] / "conf"


def keys(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", list(overrides))
    return list(parameters(config, list(overrides), CONF))


def test_what_was_typed_comes_first_then_what_a_recipe_changed():
    found = keys("seed=3", "experiment=part5", "sampling.tunes=8")
    assert found[:2] == ["seed", "sampling.tunes"]
    assert found.index("transcription") < found.index("sampling.temperature")


def test_the_option_of_a_group_that_was_typed_comes_first_too():
    assert keys("control=untrained")[0] == "control.name"


def test_what_determines_nothing_is_no_parameter():
    found = keys("tracking.experiment=mine")
    assert not [key for key in found if "_target_" in key or key.startswith(("tracking.", "launcher.", "hydra"))]
    assert not [key for key in found if key.startswith(("recipe.", "trainer."))]
    assert [key for key in keys("weights=scratch") if key.startswith("recipe.")]
