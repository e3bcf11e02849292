"""Equal results, equal names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from folkrnn.config.digest import job_key, run_digest

CONF = Path(__file__).parents[2] / "conf"
DEFAULT = "analysis=[posterior,activations,tune_statistics]"


def of(*overrides: str, **also: str) -> str:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return run_digest(compose("config", overrides=list(overrides)), **also)


@pytest.mark.parametrize(
    "override",
    [
        "trainer.resume=true",
        "trainer.devices=2",
        "trainer.save_every=9",
        "trainer.keep_every=9",
        "trainer=cpu",
        "sampling.batch_size=7",
        "tracking.uri=http://host:5000",
        "tracking.experiment=other",
        "rerun=true",
        "launcher=slurm",
        "launcher.jobs=4",
        "observation.limit_gib=2",
    ],
)
def test_where_and_how_a_run_is_made_does_not_change_its_name(override: str) -> None:
    assert of(override) == of()


@pytest.mark.parametrize("override", ["trainer.max_epochs=3", "recipe.learning_rate=0.1", "trainer.precision=64-true"])
def test_settings_of_training_count_only_where_there_is_a_training(override: str) -> None:
    assert of(override) == of()
    assert of("weights=scratch", override) != of("weights=scratch")


@pytest.mark.parametrize(
    "override", ["seed=2", "sampling.tunes=8", "model=folkrnn_small", "analysis=none", "weights=scratch"]
)
def test_what_determines_the_result_changes_its_name(override: str) -> None:
    assert of(override) != of()


def test_the_order_of_typing_does_not_count() -> None:
    assert of("seed=2", "sampling.tunes=8") == of("sampling.tunes=8", "seed=2")
    assert of("analysis=[posterior,activations]") == of("analysis=[activations,posterior]")


def test_the_order_of_interventions_counts() -> None:
    first, second = "+intervention.cut.fraction=0.1", "+intervention.noise.scale=1"
    assert of(first, second) != of(second, first)


def test_the_digest_of_the_weights_counts() -> None:
    assert of(weights="a") != of(weights="b")
    assert len(of()) == 12


def of_config(*overrides: str) -> str:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return job_key(compose("config", overrides=list(overrides)), overrides)


def test_a_sweep_knows_a_job_again_wherever_it_is_run() -> None:
    assert of_config() == of_config("launcher=here", "rerun=true", "tracking.uri=http://host:5000")
    assert of_config() != of_config("seed=2")


def test_a_job_whose_analyses_were_typed_is_not_the_one_that_an_intervention_brings_another_to() -> None:
    brought, typed = of_config("intervention=clamp"), of_config("intervention=clamp", DEFAULT)
    assert brought != typed
    assert of_config() == of_config(DEFAULT), "without an intervention none is brought"


def test_a_job_is_known_again_whatever_stands_in_folders_that_it_does_not_read(tmp_path: Path, monkeypatch) -> None:
    overrides = ("weights=mlflow", "weights.run=abc", f"tracking.folder={tmp_path}")
    before, kept = of_config(), of_config(*overrides)
    (tmp_path / "folkrnn").mkdir()  # as the model is called
    (tmp_path / "folkrnn" / "any.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert of_config() == before
    assert of_config(*overrides) == kept


def test_a_job_whose_file_or_folder_changed_is_another(tmp_path: Path) -> None:
    tunes = tmp_path / "tunes" / "one.abc"
    tunes.parent.mkdir()
    tunes.write_text("X:1")
    overrides = ("dataset=abc", f"dataset.path={tunes.parent}")
    before = of_config(*overrides)
    assert of_config(*overrides) == before
    tunes.write_text("X:1\nK:C")
    changed = of_config(*overrides)
    (tunes.parent / "two.abc").write_text("X:2")
    assert len({before, changed, of_config(*overrides)}) == 3
