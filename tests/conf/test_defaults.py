"""What a function does by itself is what its option does: the values of conf/ are those of the code."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from folkrnn.interventions.choice import selector
from folkrnn.interventions.windows import window

CONF = Path(__file__).parents[2] / "conf"

OTHERWISE = {
    "clamp": {"value"},
    "displace_token": {"alpha"},
    "patch": {"transcription"},
    "push_hidden": {"box"},
    "suppress_end": {"tokens"},
    "suppress_input": {"weight", "other", "tokens"},
    "suppress_measure": {"tokens"},
}
"""Options that are there to say something else than the function's own default."""


def targets(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node
        for value in node.values():
            yield from targets(value)


def compared(node: dict[str, Any], function: Any) -> dict[str, tuple[Any, Any]]:
    """Of the keys that have a default in the function and a plain value in the file: both."""
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        value, default = node.get(name, "???"), parameter.default
        if default is inspect.Parameter.empty or value == "???" or (isinstance(value, str) and "${" in value):
            continue
        if type(default).__name__ != "_HAS_DEFAULT_FACTORY_CLASS":
            found[name] = (value, list(default) if isinstance(default, tuple) else default)
    return found


FILES = sorted(file for file in CONF.rglob("*.yaml") if "experiment" not in file.parts)


@pytest.mark.parametrize("group", sorted({file.relative_to(CONF).parts[0] for file in FILES} - {"config.yaml"}))
def test_options_say_what_the_functions_do_by_themselves(group: str):
    for file in FILES:
        if file.relative_to(CONF).parts[0] != group:
            continue
        for node in targets(OmegaConf.to_container(OmegaConf.load(file))):
            for name, (value, default) in compared(node, get_object(node["_target_"])).items():
                differs = value != (pytest.approx(default) if isinstance(default, float) else default)
                assert differs == (name in OTHERWISE.get(file.stem, ())), (file.name, name, value, default)


def test_how_units_and_steps_are_chosen_is_said_alike():
    seen: set[str] = set()
    for file in (CONF / "intervention").glob("**/cut*.yaml"):
        if file.stem in ("cut_periodic", "cut_random"):  # which choose in ways of their own
            continue
        whole = OmegaConf.to_container(OmegaConf.load(file))
        for node in [whole, *(node for node in whole.values() if isinstance(node, dict))]:
            for function in (selector, window):
                for name, (value, default) in compared(node, function).items():
                    seen.add(name)
                    assert value == default, (file.name, name, value, default)
    assert {"select", "tunes", "complement", "jointly", "units_base"} <= seen
