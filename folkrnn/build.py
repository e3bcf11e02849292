"""Turns configuration into objects: the only place that calls Hydra's `instantiate`, and only on targets of our own.

A configuration may come from a stranger, along with weights. So a `_target_`, wherever it stands, must be a class or
function that a module of `folkrnn` or `analyses` defines. `check` reads the keys that every run has.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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


@dataclass(frozen=True)
class Rule:
    """What a value must be: in words, and as a question."""

    words: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _whole(least: int) -> Rule:
    return Rule(
        f"a whole number from {least}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least,
    )


def _one_of(*words: str) -> Rule:
    return Rule(f"one of {', '.join(words)}", lambda value: value in words)


def _or_null(rule: Rule) -> Rule:
    return Rule(f"{rule.words}, or null", lambda value: value is None or rule.holds(value))


_POSITIVE = Rule("a number above 0", lambda value: _is_number(value) and 0 < value < float("inf"))
_SHARE = Rule("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
_FLAG = Rule("true or false", lambda value: isinstance(value, bool))
_TEXT = Rule("text", lambda value: isinstance(value, str) and value != "")
_SITES = Rule("a list of sites such as [l*.h]", lambda value: isinstance(value, list) and all(map(_TEXT.holds, value)))
_CHOSEN = Rule("chosen by name", lambda value: isinstance(value, dict))

RULES: dict[str, Rule] = {
    "seed": Rule("a whole number from 0 to 2**32 - 1", lambda value: _whole(0).holds(value) and value < 2**32),
    "sampling.tunes": _whole(1),
    "sampling.temperature": _POSITIVE,
    "sampling.prime": _or_null(_TEXT),
    "sampling.max_tokens": _whole(3),
    "sampling.rng": _one_of("per_tune", "legacy", "legacy_webapp"),
    "sampling.live": _whole(1),
    "sampling.replay": _or_null(_TEXT),
    "transcription": _or_null(_TEXT),
    "cut.fraction": _or_null(_SHARE),
    "rerun": _FLAG,
    "trainer.accelerator": _one_of("auto", "cpu", "gpu", "cuda", "mps", "tpu"),
    "trainer.devices": Rule(
        "a number of devices, -1 for all, auto, or a list of indices",
        lambda value: (
            value == "auto"
            or (_whole(-1).holds(value) and value != 0)
            or (isinstance(value, list) and len(value) > 0 and all(map(_whole(0).holds, value)))
        ),
    ),
    "trainer.strategy": _TEXT,
    "trainer.precision": _TEXT,
    "trainer.max_epochs": _whole(1),
    "trainer.resume": _FLAG,
    "trainer.workers": _whole(0),
    "observation.name": _TEXT,
    "observation.sites": _SITES,
    "observation.keep": _SITES,
    "tracking.uri": _or_null(_TEXT),
    "tracking.experiment": _TEXT,
    "tracking.vector": _FLAG,
    "dataset": _CHOSEN,
    "model": _CHOSEN,
    "weights": _CHOSEN,
    "recipe": _CHOSEN,
    "control": _CHOSEN,
    "launcher": _CHOSEN,
    "intervention": _CHOSEN,
    "analysis": _CHOSEN,
    "weights.path": _or_null(_TEXT),
    "dataset.path": _or_null(_TEXT),
}
"""The keys that every run has. A section whose keys are listed here (`sampling`, `trainer`, …) has no others."""

_OPEN = {"dataset", "model", "weights", "recipe", "control", "launcher", "intervention", "analysis"}
"""Sections whose keys depend on the option chosen."""


def check(config: DictConfig) -> None:
    """Raises Refusal for the first key that is unknown, missing or has a value that its rule does not allow."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        plain = OmegaConf.to_container(config, resolve=not missing)
    except OmegaConfBaseException as error:
        raise Refusal(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    if missing:
        raise Refusal(_missing(missing[0], config))
    for key, value in _leaves(plain):
        if key not in RULES:
            raise Refusal(_unknown(key))
        if not RULES[key].holds(value):
            raise Refusal(f"{key}={_shown(value)}: must be {RULES[key].words}")


def _leaves(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every key with its value; of open sections the section itself and what RULES lists of it."""
    for key, value in plain.items():
        full = f"{prefix}{key}"
        if full in _OPEN and isinstance(value, dict):
            yield full, value
            yield from ((f"{full}.{name}", item) for name, item in value.items() if f"{full}.{name}" in RULES)
        elif isinstance(value, dict) and full not in RULES:
            yield from _leaves(value, f"{full}.")
        else:
            yield full, value


def _missing(key: str, config: DictConfig) -> str:
    section, _, name = key.rpartition(".")
    chosen = OmegaConf.select(config, f"{section}.name") if section else None
    by = f": {section}={chosen} needs it" if chosen else ""
    return f"{key} is not given{by}; add {key}={name.upper()}"


def _unknown(key: str) -> str:
    if inside := [rule for rule in RULES if rule.startswith(f"{key}.")]:
        return f"{key} is a section, no single value; set {', '.join(inside)}"
    section, _, name = key.rpartition(".")
    start = f"{section}." if section else ""
    siblings = list(dict.fromkeys(rule[len(start) :].split(".")[0] for rule in RULES if rule.startswith(start)))
    owner = section or "the configuration"
    return f"{key}: no such key{did_you_mean(name, siblings)}; {owner} has {', '.join(siblings)}"


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
