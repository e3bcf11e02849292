"""`recipe=` means the recipes of the family that `model=` is of."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from folkrnn.config.build import build
from folkrnn.training import autoencoder, language_model, musicvae_published, published

CONF = str(Path(__file__).parents[2] / "conf")


@pytest.mark.parametrize(("typed", "kind"), [
    ([], language_model.ModernRecipe),
    (["recipe=published"], published.PublishedRecipe),
    (["model=musicvae_2bar"], autoencoder.ModernAutoencoderRecipe),
    (["recipe=published", "model=musicvae_16bar"], musicvae_published.PublishedAutoencoderRecipe),
    (["model=musicvae_16bar_small", "recipe=modern"], autoencoder.ModernAutoencoderRecipe),
    (["model=folkrnn_gru", "recipe=modern"], language_model.ModernRecipe),
])  # fmt: skip
def test_a_model_brings_its_family_of_recipes(typed, kind):
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("config", overrides=typed)
    assert type(build(config.recipe, "recipe")) is kind
    assert config.recipe.name == ("published" if "recipe=published" in typed else "modern")


@pytest.mark.parametrize("family", ["folkrnn", "musicvae"])
def test_the_defaults_of_a_recipe_are_those_of_its_class(family):
    model = "folkrnn" if family == "folkrnn" else "musicvae_2bar"
    for name in ("modern", "published"):
        with initialize_config_dir(CONF, version_base="1.3"):
            found = build(compose("config", overrides=[f"model={model}", f"recipe={name}"]).recipe, "recipe")
        assert found == type(found)(), name


def test_the_shipped_musicvae_is_trained_by_the_modern_recipe_as_it_is():
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("config", overrides=["experiment=train_musicvae_shipped"])
    assert build(config.recipe, "recipe") == autoencoder.ModernAutoencoderRecipe()
    assert config.dataset.collections == "irish"


@pytest.mark.parametrize("experiment", ["part8_sweep", "train_nodropout"])
def test_trainings_that_differ_in_the_models_dropout_train_with_it(experiment):
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("config", overrides=[f"experiment={experiment}", "model.dropout=0.125"])
    model = build(config.model, "model")
    assert config.recipe.dropout is None
    assert model.dropout == 0.125
