"""Turns an option of a configuration into what it describes: the only place where a `_target_` is looked up and called.

A configuration may come from a stranger, along with weights or data. So an option may only name what its group is for:
a public class or function that is defined in the packages of the group and gives what the group takes, as a dataset
gives a corpus. Nothing is registered: a new file in such a package is enough. For packages of one's own see
`extensions`.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from folkrnn.config import extensions, kinds
from folkrnn.errors import UserError, did_you_mean


@dataclass(frozen=True)
class OptionGroup:
    """What the options of a config group may name."""

    takes: str
    """In words."""
    packages: tuple[str, ...]
    """Where a target is defined: in a module of one of these."""
    bases: tuple[str, ...] = ()
    """It gives one of these: is such a class, or a function that says it returns one."""
    members: tuple[str, ...] = ()
    """Where there is no such class: what it has, as a class."""

    def fits(self, kind: object) -> bool:
        """Whether objects of the class `kind` are what the group takes."""
        if not isinstance(kind, type):
            return False
        above = {f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__}
        return (not self.bases or bool(above & set(self.bases))) and all(hasattr(kind, name) for name in self.members)

    def defines(self, module: str) -> bool:
        """Whether a module lies in its packages, and is none that is private to them."""
        if any(part.startswith("_") for part in module.split(".")):
            return False
        return any(module == package or module.startswith(f"{package}.") for package in self.packages)


GROUPS = {
    "dataset": OptionGroup(
        "a corpus", ("folkrnn.datasets",), ("folkrnn.datasets.corpus.Corpus", "folkrnn.datasets.melodies.MelodyCorpus")
    ),
    "model": OptionGroup("a model", ("folkrnn.models",), members=("family", "reset_parameters")),
    "weights": OptionGroup(
        "weights", ("folkrnn.weights", "folkrnn.tracking.models"), ("folkrnn.weights.folder.Weights",)
    ),
    "intervention": OptionGroup(
        "an Intervention", ("folkrnn.interventions",), ("folkrnn.interventions.intervention.Intervention",)
    ),
    "analysis": OptionGroup("an Analysis", ("analyses",), ("folkrnn.analysis.Analysis",)),
    "control": OptionGroup(
        "a control", ("folkrnn.observation.controls",), members=("__call__", "__dataclass_fields__")
    ),
    "recipe": OptionGroup("a recipe", ("folkrnn.training",), members=("batch_size", "__dataclass_fields__")),
    "launcher": OptionGroup("a launcher", ("folkrnn.sweep",), members=("check", "__dataclass_fields__")),
}


def build(node: Mapping[str, Any], group: str) -> Any:
    """Returns what the node's `_target_` makes of its other keys, as an option of a group in GROUPS.

    Containers arrive as plain dicts and lists. The key `name`, by which an option calls itself, is dropped where the
    target has no such parameter. Raises UserError for a target that the group does not take or that does not exist, for
    a target inside another one, for a parameter that it does not have, for one that is lacking, and for a value of
    another kind than the target says.
    """
    where = str(node._get_full_key(None)) if isinstance(node, DictConfig) else ""
    container = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else dict(node)
    plain = cast("dict[str, Any]", container)
    if "_target_" not in plain:
        raise UserError(f"{where or 'this node'} names no _target_ to build; its keys are {', '.join(plain)}")
    target = locate(plain.pop("_target_"), group, where)
    keys = _parameters(target, plain, where)
    built = target(**keys)
    if not GROUPS[group].fits(type(built)) and group != "dataset":  # a family looks at the dataset itself
        raise UserError(
            f"{where}: {group}= takes {GROUPS[group].takes}; {_name(target)} gives a {type(built).__name__}"
        )
    return built


def locate(target: object, group: str, where: str = "") -> Callable[..., Any]:
    """Returns the class or function that `target` names (`folkrnn.models.folkrnn.FolkRNN`), as `build` calls it.

    Raises UserError for one that the group does not take, and for a name that does not exist.
    """
    at = f"{where}._target_: " if where else "_target_: "
    module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
    ours = GROUPS[group].defines(module)
    parts = [*module.split("."), name]
    public = all(part.isidentifier() for part in parts) and not name.startswith("_")
    if not (ours or extensions.defines(module)) or not public:
        raise UserError(f"{at}{target!r} is not allowed; {_allowed(group)}")
    found = _attribute(module, name, f"{at}{target!r}")
    # a module also shows what it imports: `folkrnn.datasets.files.Path` is not ours
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise UserError(f"{at}{target!r} is not allowed; {_allowed(group)}")
    if ours and (found.__module__ != module or not GROUPS[group].fits(_kind(found))):
        raise UserError(f"{at}{target!r} is not allowed; {_allowed(group)}")
    if not ours and not extensions.defines(found.__module__):
        raise UserError(f"{at}{target!r} is not allowed: it is defined in {found.__module__}, which is no extension")
    if inspect.isabstract(found):
        lacking = [name for name, kind in inspect.getmembers(found) if getattr(kind, "__isabstractmethod__", False)]
        raise UserError(f"{at}{target!r} lacks {'() and '.join(lacking)}()")
    return found


def _allowed(group: str) -> str:
    own = " or ".join(f"{package}" for package in GROUPS[group].packages)
    more = " or ".join(extensions.named())
    return (
        f"{group}= takes a public class or function of {own} that gives {GROUPS[group].takes}"
        + (f", or one of {more}" if more else "")
        + ("" if more else " (one of a package of yours: add extensions=[PACKAGE])")
    )


def _attribute(module: str, name: str, at: str) -> Any:
    try:
        content = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UserError(f"{at} does not exist: there is no module {error.name}") from None
        raise
    if not hasattr(content, name):
        names = [name for name in vars(content) if not name.startswith("_")]
        raise UserError(f"{at} does not exist{did_you_mean(name, names)}")
    return getattr(content, name)


def _kind(found: Any) -> object:
    """The class of what a target gives: itself, or what a function says that it returns."""
    if inspect.isclass(found):
        return found
    returns = found.__annotations__.get("return")
    return found.__globals__.get(returns) if isinstance(returns, str) else returns


def _parameters(target: Callable[..., Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What the target is called with; raises UserError as `build` says."""
    parameters = inspect.signature(target).parameters
    plain = [p for p in parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    rest = next((p for p in parameters.values() if p.kind is p.VAR_KEYWORD), None)
    further = None if rest is None else _unpacked(target, rest.annotation)
    names = [*(p.name for p in plain), *(further or ())]
    takes_any = rest is not None and further is None
    for key, value in given.items():
        if str(key).startswith("_"):
            raise UserError(f"{where}.{key}: of Hydra's own keys only _target_ may be used here")
        if not takes_any and key not in names and key != "name":
            raise UserError(
                f"{where}.{key}: no such parameter{did_you_mean(key, names)}; "
                f"{target.__name__} takes {', '.join(names) or 'none'}"
            )
        _refuse_targets(value, f"{where}.{key}")
        if key in parameters and (words := kinds.refusal(value, target, parameters[key].annotation)):
            raise UserError(f"{where}.{key}={value}: must be {words}")
    keys = {key: value for key, value in given.items() if takes_any or key in names}
    if lacking := [p.name for p in plain if p.default is p.empty and p.name not in keys]:
        raise UserError(f"{where}.{lacking[0]} is not given; {target.__name__} needs it")
    return keys


def _unpacked(target: Callable[..., Any], annotation: object) -> list[str] | None:
    """The keys of `**rest: Unpack[SomeTypedDict]`; None where whatever is given is taken."""
    name = re.fullmatch(r"Unpack\[(\w+)\]", annotation if isinstance(annotation, str) else "")
    return None if name is None else list(target.__globals__[name[1]].__annotations__)


def _refuse_targets(value: Any, where: str) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_targets(item, f"{where}[{index}]")
    elif isinstance(value, dict):
        if "_target_" in value:
            raise UserError(
                f"{where}._target_: {value['_target_']!r} stands inside another one; only an option has one"
            )
        for key, item in value.items():
            _refuse_targets(item, f"{where}.{key}")


def _name(target: Callable[..., Any]) -> str:
    return f"{target.__module__}.{target.__qualname__}"
