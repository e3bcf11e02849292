"""Turns configuration into objects: the only place that calls Hydra's `instantiate`, and only on targets of our own.

A configuration may come from a stranger, along with weights. So a `_target_`, wherever it stands, must be a class or
function that a module of `folkrnn` or `analyses` defines.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from folkrnn.refusal import Refusal, did_you_mean

HOME = ("folkrnn", "analyses")
"""Packages whose classes and functions a configuration may name."""


def build(node: Mapping[str, Any], **extra: Any) -> Any:
    """Returns what the node's `_target_` makes of its other keys and of `extra`, which are passed on as they are.

    Nested targets are built first; containers arrive as plain dicts and lists. The key `name`, by which an option calls
    itself, is dropped where the target has no such parameter. Raises Refusal for a target outside `folkrnn` and
    `analyses`, for one that does not exist, and for a parameter that it does not have.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    where = str(node._get_full_key(None)) if isinstance(node, DictConfig) else ""
    plain = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    if "_target_" not in plain:
        raise Refusal(f"{where or 'this node'} names no _target_ to build; its keys are {', '.join(plain)}")
    plain = _checked(plain, where)
    try:
        # `extra` goes past Hydra, which would turn dataclasses among it into configuration
        return instantiate(plain, _partial_=True, _convert_="all")(**extra)
    except InstantiationException as error:
        raise _refusal_inside(error) or error from error


def _checked(value: Any, where: str) -> Any:
    """Returns the value without labels that its targets do not take; raises Refusal as `build` says."""
    if isinstance(value, list):
        return [_checked(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "_target_" not in value:
        return {key: _checked(item, f"{where}.{key}") for key, item in value.items()}
    target = locate(value["_target_"], where)
    parameters = inspect.signature(target).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    keys = {}
    for key, item in value.items():
        if key == "_target_":
            keys[key] = item
        elif str(key).startswith("_"):
            raise Refusal(f"{where}.{key}: of Hydra's own keys only _target_ may be used here")
        elif takes_any or key in parameters:
            keys[key] = _checked(item, f"{where}.{key}")
        elif key != "name":
            raise Refusal(
                f"{where}.{key}: no such parameter{did_you_mean(key, parameters)}; "
                f"{target.__name__} takes {', '.join(parameters) or 'none'}"
            )
    return keys


def locate(target: object, where: str = "") -> Callable[..., Any]:
    """Returns the class or function of ours that `target` names (`folkrnn.models.folkrnn.FolkRNN`).

    Raises Refusal for anything else, and for a name that does not exist.
    """
    at = f"{where}._target_: " if where else "_target_: "
    parts = target.split(".") if isinstance(target, str) else []
    if len(parts) < 3 or parts[0] not in HOME or not all(part.isidentifier() for part in parts):
        raise Refusal(f"{at}{target!r} is not allowed; a target is a class or function in folkrnn. or analyses.")
    module, name = ".".join(parts[:-1]), parts[-1]
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise Refusal(f"{at}{target!r} does not exist: there is no module {error.name}") from None
        raise
    if found is None:
        names = [name for name in vars(importlib.import_module(module)) if not name.startswith("_")]
        raise Refusal(f"{at}{target!r} does not exist{did_you_mean(name, names)}")
    # a module also shows what it imports: `folkrnn.build.importlib` is not ours
    if not callable(found) or getattr(found, "__module__", "").split(".")[0] not in HOME:
        raise Refusal(f"{at}{target!r} is not allowed; a target is a class or function that folkrnn or analyses define")
    return found


def _refusal_inside(error: BaseException) -> Refusal | None:
    """Returns the Refusal that a nested constructor raised, which Hydra wraps."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Refusal):
            return cause
        cause = cause.__cause__
    return None
