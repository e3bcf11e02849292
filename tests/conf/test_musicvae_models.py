"""The MusicVAE models that can be named: their sizes, what they bring along, and what is said where weights lack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from folkrnn.config.build import build
from folkrnn.datasets.melodies import random_notes
from folkrnn.errors import UserError
from folkrnn.families.musicvae import FAMILY
from folkrnn.models.melody_tensors import NOTHING
from folkrnn.weights.folder import Weights

CONF = Path(__file__).parents[2] / "conf"

TOTALS = {
    "musicvae_2bar_small": 4_423_770,
    "musicvae_2bar": 5_472_858,
    "musicvae_2bar_big": 134_571_098,
    "musicvae_16bar_small": 4_819_546,
    "musicvae_16bar": 176_061_530,
    "musicvae_16bar_flat": 235_250_778,
}
"""Trainable parameters: of Magenta's four configs as the facts sheet has them (section 1), of our two as built."""

TINY = ("model.encoder=[6]", "model.decoder=[5]", "model.z_size=4")


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


@pytest.mark.parametrize(("name", "total"), TOTALS.items())
def test_a_named_model_has_its_number_of_parameters(name: str, total: int) -> None:
    with torch.device("meta"):
        model = build(composed(f"model={name}").model, "model")
    assert model.parameter_counts() == {"weights": total}
    first = (CONF / "model" / f"{name}.yaml").read_text().splitlines()[1]
    assert f"{total:,}" in first


@pytest.mark.parametrize("name", TOTALS)
def test_a_named_model_brings_melodies_as_long_as_it_reads(name: str) -> None:
    config = composed(f"model={name}")
    assert 16 * config.dataset.bars == config.model.max_seq_len
    assert config.dataset.name == "melodies"


@pytest.mark.parametrize(
    ("name", "extra"), [("musicvae_16bar", ["model.conductor=[7]"]), ("musicvae_16bar_flat", []), ("musicvae_2bar", [])]
)
def test_a_named_model_encodes_decodes_and_is_observed_at_its_own_length(name: str, extra: list[str]) -> None:
    config = composed(f"model={name}", *TINY, *extra, "sampling.tunes=20", "seed=3")
    model, steps = build(config.model, "model").eval(), config.model.max_seq_len
    corpus = random_notes(30, bars=steps // 16)
    seen = FAMILY.observe(config, model, Weights(model, None, "", ""), corpus, [], {})
    assert seen.mu.shape == seen.sigma.shape == (20, 4)
    assert seen.reconstruction(0).shape == (steps,)
    assert seen.reconstruction(0).max() < 90
    assert seen.reconstruction(0).min() > NOTHING
    z, melodies = torch.from_numpy(seen.mu[:2]), torch.from_numpy(seen.classes[:2]).long()
    assert model.decode(z, melodies).shape == (2, steps, 90)


def test_a_model_of_16_bars_refuses_melodies_of_two() -> None:
    config = composed("model=musicvae_16bar", *TINY, "model.conductor=[7]")
    model = build(config.model, "model").eval()
    with pytest.raises(UserError, match=r"dataset\.bars=16"):
        FAMILY.observe(config, model, Weights(model, None, "", ""), random_notes(5), [], {})


@pytest.mark.parametrize("name", ["musicvae_16bar", "musicvae_16bar_flat", "musicvae_16bar_small"])
def test_where_no_weights_ship_it_is_said_how_to_get_some(name: str) -> None:
    with pytest.raises(UserError, match=r"weights=scratch.*weights=magenta weights\.path="):
        build(composed(f"model={name}").weights, "weights")


def test_a_folkrnn_without_weights_is_not_told_of_magenta() -> None:
    with pytest.raises(UserError, match=r"weights=scratch$"):
        build(composed("model=folkrnn_gru").weights, "weights")
