"""Every option of `intervention=` builds, fits the shipped kind of model, and shares the settings of `cut.*`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from small_network import SAMPLING, network

from folkrnn.config.build import build
from folkrnn.interventions import composition
from folkrnn.interventions.intervention import RunContext
from folkrnn.vocabulary import V2

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = sorted(path.stem for path in (CONF / "intervention").glob("*.yaml") if path.stem != "none")
NEEDS = {"cut_units": ["cut.units=[1,2]"], "truncate_softmax": ["intervention.truncate_softmax.rank=4"]}


def built(*overrides: str) -> dict:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides))
    return {name: build(node, "intervention") for name, node in config.intervention.items()}


@pytest.mark.parametrize("option", [option for option in OPTIONS if not option.startswith("latent_")])
def test_every_option_builds_and_fits_a_folkrnn(option):
    found = built(f"intervention={option}", *NEEDS.get(option, []))
    composition.check(found, network(), RunContext(V2, 1, 1.0, SAMPLING.max_tokens))


def test_shared_settings_reach_all_and_own_ones_win():
    found = built(
        "intervention=[cut_periodic,cut_random]", "cut.fraction=0.2", "cut.bars=[5,8]", "cut.layer=1",
        "intervention.cut_random.fraction=0.3",
    )  # fmt: skip
    assert [found[name].select.fraction for name in ("cut_periodic", "cut_random")] == [0.2, 0.3]
    assert {found[name].window.bars for name in found} == {(5, 8)}
    assert {found[name].select.layers for name in found} == {(1,)}
    assert list(found) == ["cut_periodic", "cut_random"]


@pytest.mark.parametrize("option", ["clamp", "noise", "patch"])
def test_activations_are_written_to_units_chosen_in_any_way(option):
    at = f"intervention.{option}"
    found = built(f"intervention={option}", f"{at}.select=largest", f"{at}.by=variance", f"{at}.count=3")
    assert (found[option].select.by, found[option].select.count) == ("variance", 3)
    assert built(f"intervention={option}")[option].select is None
    composition.check(found, network(), RunContext(V2, 1, 1.0, SAMPLING.max_tokens))
