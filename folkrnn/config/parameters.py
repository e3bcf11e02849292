"""Which settings of a run are filed as parameters, and in which order: what sets it apart comes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.config.digest import determining

if TYPE_CHECKING:
    from omegaconf import DictConfig

GROUPS = frozenset({"dataset", "model", "weights", "recipe", "trainer", "observation", "control"})
"""Config groups whose option a run files as `<group>.name`."""


def parameters(config: DictConfig, overrides: Sequence[str], conf: Path) -> dict[str, Any]:
    """Returns the settings that determine the result, by dotted keys: typed ones first, then those that differ from the
    defaults in `conf` (of a recipe, say), then the rest.

    What only says where a run is made and filed, and targets, is left to `config.yaml`.
    """
    flat = flat_settings(determining(config))
    usual = flat_settings(determining(defaults(conf)))
    typed = [word.lstrip("+").partition("=")[0] for word in overrides]
    place = {key: _place(key, flat[key] != usual.get(key, _NOTHING), typed) for key in flat}
    return {key: flat[key] for key in sorted(flat, key=lambda key: place[key])}  # sorted keeps the order of equals


_NOTHING = object()


def _place(key: str, differs: bool, typed: Sequence[str]) -> tuple[int, int]:
    """Typed settings in the order typed; options of groups that were typed likewise, with what differs by them."""
    for place, word in enumerate(typed):
        if key == word or (word in GROUPS and key == f"{word}.name") or key.startswith(f"{word}."):
            return (0, place) if key == word or key.endswith(".name") or differs else (2, 0)
    return (1, 0) if differs else (2, 0)


def defaults(conf: Path) -> DictConfig:
    """Returns the configuration that `python run.py` alone has."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    if GlobalHydra.instance().is_initialized():  # within `python run.py`
        return compose("config")
    with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        return compose("config")


def flat_settings(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the settings by dotted keys, without targets; those of an empty group are none."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        if key == "_target_":
            continue
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
