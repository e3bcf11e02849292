"""Every configuration composes, alone and beside the others, for a second family of models too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from folkrnn.command_line import main
from folkrnn.config.build import locate
from folkrnn.config.settings import check, known_keys

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
OPTIONS = sorted(path.relative_to(CONF).with_suffix("") for path in CONF.glob("*/*.yaml"))
NEEDED = ("weights.path", "dataset.path", "weights.run")


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))


def with_needed(config: Any) -> Any:
    """Gives a value to the settings that an option leaves to the user."""
    for key in OmegaConf.missing_keys(config):
        assert key in NEEDED, f"{key} has no default; a user would have to know it"
        OmegaConf.update(config, key, "somewhere")
    return config


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_option_composes_and_passes_the_check(option: Path) -> None:
    config = with_needed(composed(f"{option.parent}={option.name}"))
    check(config, known_keys([CONF]))


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_option_says_in_its_first_comment_what_it_is(option: Path) -> None:
    lines = (CONF / option).with_suffix(".yaml").read_text().splitlines()
    first = next(line for line in lines if not line.startswith("# @"))
    assert first.startswith("# ")
    assert len(first) > 10


@pytest.mark.parametrize("group", ["analysis", "intervention"])
def test_each_option_of_a_list_stands_under_its_own_name(group: str) -> None:
    for option in (CONF / group).glob("*.yaml"):
        keys = [key for key in OmegaConf.load(option) if key != "defaults"]
        assert keys == ([] if option.stem == "none" else [option.stem])


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_states_claim_command_and_minutes(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# @package _global_\n")
    for heading in ("claim:", f"command: python run.py experiment={path.stem}", "minutes:"):
        assert heading in text


def targets() -> list[tuple[str, str]]:
    """Every (file, _target_) in the configuration."""
    found: list[tuple[str, str]] = []

    def walk(node: Any, name: str) -> None:
        if isinstance(node, dict):
            if "_target_" in node:
                found.append((name, node["_target_"]))
            for value in node.values():
                walk(value, name)

    for path in CONF.rglob("*.yaml"):
        walk(OmegaConf.to_container(OmegaConf.load(path)), str(path.relative_to(CONF)))
    return sorted(found)


@pytest.mark.parametrize(("file", "target"), targets())
def test_every_target_exists(file: str, target: str) -> None:
    assert callable(locate(target, file.split("/")[0], file))


@pytest.fixture
def second_family(tmp_path: Path) -> list[str]:
    """The override that shows Hydra a folder with a model that brings its own dataset and analyses."""
    files = {
        "model/grid": """\
            # @package _global_
            # a model of another family
            defaults:
              - override /dataset: melodies_of_grid
              - override /analysis: [latents]
            model:
              name: grid
              latents: 8
            """,
        "model/grid_small": """\
            # @package _global_
            # the same, smaller
            defaults:
              - grid
              - _self_
            model:
              name: grid_small
              latents: 2
            """,
        "dataset/melodies_of_grid": "# melodies\nname: melodies_of_grid\npath: null\n",
        "analysis/latents": "# latents\nlatents:\n  _target_: analyses.latents.Latents\n",
        "experiment/grid_on_tunes": """\
            # @package _global_
            # an experiment that chooses for itself
            defaults:
              - override /model: grid
              - override /dataset: irish
              - override /analysis: none
            seed: 7
            """,
    }
    for name, text in files.items():
        path = tmp_path / "family" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        path.write_text("\n".join(line[indent:] for line in lines) + "\n")
    return [f"hydra.searchpath=[file://{tmp_path / 'family'}]"]


@pytest.mark.parametrize(
    ("typed", "dataset", "analyses"),
    [
        (["model=folkrnn"], "irish", ["posterior", "activations", "tune_statistics"]),
        (["model=grid"], "melodies_of_grid", ["latents"]),
        (["model=grid", "dataset=irish"], "irish", ["latents"]),
        (["dataset=irish", "model=grid"], "irish", ["latents"]),
        (["model=grid", "analysis=none"], "melodies_of_grid", []),
        (["model=grid", "analysis=[posterior,latents]"], "melodies_of_grid", ["posterior", "latents"]),
        (["experiment=grid_on_tunes"], "irish", []),
        (["experiment=grid_on_tunes", "analysis=latents"], "irish", ["latents"]),
        (["experiment=grid_on_tunes", "model=folkrnn"], "irish", []),
    ],
)
def test_a_model_brings_its_dataset_and_analyses_and_what_is_typed_wins(
    second_family: list[str], typed: list[str], dataset: str, analyses: list[str]
) -> None:
    config = composed(*second_family, *typed)
    assert (config.dataset.name, list(config.analysis)) == (dataset, analyses)


def test_a_model_of_another_family_has_no_setting_of_the_first(second_family: list[str]) -> None:
    assert OmegaConf.to_container(composed(*second_family, "model=grid").model) == {"name": "grid", "latents": 8}


def test_a_sweep_crosses_the_families(second_family: list[str], tmp_path: Path) -> None:
    seen: list[tuple[str, str, list[str]]] = []

    def record(config: Any, _: list[str]) -> int:
        seen.append((config.model.name, config.dataset.name, list(config.analysis)))
        return 0

    there = [f"hydra.sweep.dir={tmp_path}", f"tracking.folder={tmp_path}", "launcher=here"]
    assert main(["-m", *second_family, *there, "model=folkrnn,grid,folkrnn_gru"], CONF, record) == 0
    assert seen == [
        ("folkrnn", "irish", ["posterior", "activations", "tune_statistics"]),
        ("grid", "melodies_of_grid", ["latents"]),
        ("folkrnn_gru", "irish", ["posterior", "activations", "tune_statistics"]),
    ]


@pytest.mark.slow
def test_a_sweep_crosses_both_model_families(tmp_path: Path) -> None:
    seen: list[tuple[str, str, list[str], int]] = []

    def record(config: Any, _: list[str]) -> int:
        seen.append((config.model._target_, config.dataset.name, list(config.analysis), config.sampling.tunes))
        return 0

    there = [f"hydra.sweep.dir={tmp_path}", f"tracking.folder={tmp_path}", "launcher=here"]
    assert main(["-m", *there, "model=folkrnn,musicvae_2bar", "seed=1,2"], CONF, record) == 0
    tunes = ("folkrnn.models.folkrnn.FolkRNN", "irish", ["posterior", "activations", "tune_statistics"], 64)
    melodies = ("folkrnn.models.musicvae.MusicVAE", "melodies", ["latent_example", "latent_spread"], 2000)
    assert seen == [tunes, tunes, melodies, melodies]


def test_a_typing_error_in_an_experiment_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "typo.yaml").write_text("# @package _global_\n# a typo\nsampling:\n  tune: 8\n")
    status = main(["experiment=typo", f"hydra.searchpath=[file://{tmp_path}]"], CONF, lambda *_: 0)
    assert status == 2
    assert "sampling.tune: no such key (did you mean sampling.tunes?)" in capsys.readouterr().err


def test_options_of_the_users_own_folder_bring_their_own_settings(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text("# mine\nname: mine\npath: here\nstyle: polska\n")
    seen: list[str] = []

    def record(config: Any, _: list[str]) -> int:
        seen.append(config.dataset.style)
        return 0

    assert main(["-cd", str(tmp_path), "dataset=mine"], CONF, record) == 0
    assert seen == ["polska"]


def test_the_models_differ_only_in_what_their_names_say() -> None:
    base = OmegaConf.to_container(composed("model=folkrnn").model)
    assert isinstance(base, dict)
    for name, change in {
        "folkrnn_small": {"units": 128},
        "folkrnn_gru": {"cell": "gru"},
        "folkrnn_nodropout": {"dropout": 0.0},
    }.items():
        assert OmegaConf.to_container(composed(f"model={name}").model) == {**base, "name": name, **change}
