"""Whether a value of a configuration is of the kind that a parameter is annotated with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from math import isnan
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", NoneType: "null", str: "text"}


def refusal(value: Any, target: Callable[..., Any], annotation: Any) -> str:
    """Returns in words what a value should have been, empty where it is that or where the annotation does not say.

    Numbers, truth values, null, lists and sections are told apart; what is no list and no section passes for text, and
    other classes are left to the target.
    """
    try:
        hint = eval(annotation, vars(sys.modules[target.__module__])) if isinstance(annotation, str) else annotation
    except (NameError, AttributeError, TypeError):  # imported, or written, for a type checker alone
        return ""
    return "" if _fits(value, hint) else " or ".join(dict.fromkeys(map(_words, _parts(hint))))


def _fits(value: Any, hint: Any) -> bool:
    return any(_is(value, part) for part in _parts(hint))


def _is(value: Any, part: Any) -> bool:
    kind = get_origin(part) or part
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and not isnan(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (bool, NoneType):
        return isinstance(value, kind)
    if kind is str:
        return not isinstance(value, list | dict | NoneType)
    if kind in (Sequence, list, tuple):
        items = [hint for hint in get_args(part) if hint is not ...]
        return isinstance(value, list) and (len(items) != 1 or all(_fits(item, items[0]) for item in value))
    return isinstance(value, dict) if kind in (Mapping, dict) else True


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (NoneType if hint is None else hint,)


def _words(part: Any) -> str:
    kind = get_origin(part) or part
    if kind in (Sequence, list, tuple):
        items = [hint for hint in get_args(part) if hint is not ...]
        several = " or ".join(f"{_words(hint).removeprefix('a ')}s" for hint in _parts(items[0])) if items else ""
        return f"a list of {several}" if len(items) == 1 and several != "texts" else "a list"
    return "a section" if kind in (Mapping, dict) else _WORDS.get(kind, str(kind))
