"""What the settings may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from folkrnn.config.settings import RULES, check, known_keys
from folkrnn.errors import UserError

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def config() -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config")


def test_an_address_that_would_file_a_password_is_refused_without_showing_it() -> None:
    for key in ("launcher.address", "weights.address", "dataset.address"):
        section, _, name = key.partition(".")
        for value in ("https://ann:hunter2@mirror.example/data", "https://mirror.example/data?signature=hunter2"):
            with pytest.raises(UserError, match=rf"^{key}=https://.*: must be an address without user") as refusal:
                check(OmegaConf.create({section: {"_target_": "any", name: value}}))
            assert "hunter2" not in str(refusal.value)
        check(OmegaConf.create({section: {name: "https://mirror.example/data"}}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", -1),
        ("seed", 2**32),
        ("seed", True),
        ("sampling.tunes", 0),
        ("sampling.tunes", 2.5),
        ("sampling.temperature", 0),
        ("sampling.temperature", float("nan")),
        ("sampling.temperature", float("inf")),
        ("sampling.max_tokens", 2),
        ("sampling.rng", "per_step"),
        ("sampling.prime", ["G", "A"]),
        ("sampling.prime", ""),
        ("cut.fraction", 1.1),
        ("rerun", "yes"),
        ("trainer.max_epochs", 0),
        ("trainer.devices", 0),
        ("trainer.devices", []),
        ("trainer.devices", "all"),
        ("observation.sites", "l*.h"),
        ("tracking.uri", 5000),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key_and_what_is_allowed(
    config: DictConfig, key: str, value: Any
) -> None:
    OmegaConf.update(config, key, value)
    with pytest.raises(UserError, match=f"^{key}=.*: must be ") as refusal:
        check(config)
    assert RULES[key].words in str(refusal.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sampling.temperature", 1),
        ("cut.fraction", 0),
        ("cut.fraction", 1),
        ("trainer.devices", -1),
        ("trainer.devices", [0, 2]),
        ("trainer.devices", "auto"),
        ("sampling.prime", "M:6/8 K:Cdor"),
        ("seed", 0),
    ],
)
def test_a_value_within_its_range_passes(config: DictConfig, key: str, value: Any) -> None:
    OmegaConf.update(config, key, value)
    check(config, known_keys([CONF]))


def test_every_rule_belongs_to_a_setting_that_exists() -> None:
    assert set(RULES) <= set(known_keys([CONF]))


def test_a_missing_value_is_asked_for(config: DictConfig) -> None:
    OmegaConf.update(config, "weights", {"name": "checkpoint", "path": "???"}, force_add=True)
    with pytest.raises(
        UserError, match=r"weights.path is not given: weights=checkpoint needs it; add weights.path=PATH"
    ):
        check(config)


def test_the_parameters_of_a_target_are_left_to_it(config: DictConfig) -> None:
    OmegaConf.update(config, "analysis.posterior.threshold", 0.5, force_add=True)
    check(config, known_keys([CONF]))


def test_an_unknown_section_is_refused(config: DictConfig) -> None:
    OmegaConf.update(config, "samplings", {"tunes": 3}, force_add=True)
    with pytest.raises(UserError, match=r"samplings: no such key \(did you mean sampling\?\)"):
        check(config, known_keys([CONF]))
