"""Values of a configuration and the annotations that they are held to."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from folkrnn.config.build import GROUPS, build, locate
from folkrnn.config.kinds import refusal
from folkrnn.errors import UserError

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = [path for path in sorted(CONF.glob("**/*.yaml")) if path.relative_to(CONF).parts[0] in GROUPS]


def target() -> None:
    """Stands for one whose annotations are those of this module."""


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("abc", "int", "a whole number"),
        (2.5, "int", "a whole number"),
        (True, "int", "a whole number"),
        ("abc", "float | None", "a number or null"),
        (float("nan"), "float", "a number"),
        (1, "bool", "true or false"),
        (None, "str", "text"),
        ([1], "str", "text"),
        (3, "Sequence[int]", "a list of whole numbers"),
        (["a"], "tuple[int, ...]", "a list of whole numbers"),
        ("x", "Sequence[str] | None", "a list or null"),
        (3, "Mapping[str, Any]", "a section"),
    ],
)
def test_a_value_of_another_kind_is_refused_in_words(value, annotation, words):
    assert refusal(value, target, annotation) == words


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (2, "float"), (None, "int | None"), (["a", 2], "Sequence[str]"), ([[1, 2]], "list[list[int]]"), ({}, "dict"),
        ("x", 'Literal["a"]'), ("x", "OfTheTypeCheckerAlone"), ("x", "Any"), ([1, "b"], "tuple[int, str]"), (5, "str"),
    ],
)  # fmt: skip
def test_what_fits_or_cannot_be_told_is_let_through(value, annotation):
    assert refusal(value, target, annotation) == ""
    assert Literal and Mapping and Sequence and Any


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()), st.data())
def test_a_union_takes_what_one_of_its_parts_takes(value, data):
    parts = data.draw(
        st.lists(st.sampled_from(["int", "float", "bool", "None", "str", "list[int]"]), min_size=1, unique=True)
    )
    alone = [refusal(value, target, part) == "" for part in parts]
    assert (refusal(value, target, " | ".join(parts)) == "") == any(alone)


def targets(content: Any) -> list[dict[str, Any]]:
    """The nodes with a `_target_` at any depth."""
    if not isinstance(content, dict):
        return []
    return [content] if "_target_" in content else [node for inner in content.values() for node in targets(inner)]


@pytest.mark.parametrize("path", OPTIONS, ids=[str(path.relative_to(CONF)) for path in OPTIONS])
def test_what_the_options_say_themselves_fits(path):
    group = path.relative_to(CONF).parts[0]
    for node in targets(OmegaConf.to_container(OmegaConf.load(path), resolve=False)):
        found = locate(node["_target_"], group)
        parameters = inspect.signature(found).parameters
        for key, value in node.items():
            if key in parameters and not (isinstance(value, str) and ("${" in value or value == "???")):
                assert refusal(value, found, parameters[key].annotation) == "", key


@pytest.mark.parametrize(("key", "value"), [("batch_size", 2.5), ("batch_size", "abc"), ("learning_rate", "abc")])
def test_a_setting_of_an_option_is_refused_by_its_name(key, value):
    node = OmegaConf.create({"recipe": {"_target_": "folkrnn.training.language_model.ModernRecipe", key: value}})
    with pytest.raises(UserError, match=rf"^recipe\.{key}={value}: must be a (whole )?number$"):
        build(node.recipe, "recipe")
