"""Which settings there are, and what they may be: read before anything is built or started."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from folkrnn.config import figures
from folkrnn.config.options import Part, alternatives, option_parts
from folkrnn.errors import UserError, did_you_mean, shown


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
_ADDRESS = Rule(
    "an address without user, password or ?…, since it is filed with the run",
    lambda value: _TEXT.holds(value) and shown(value) == value,
)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_TEXT.holds, value))


_SITES = Rule("a list of sites such as [l*.h]", lambda value: isinstance(value, list) and all(map(_TEXT.holds, value)))


RULES: dict[str, Rule] = {
    "seed": Rule("a whole number from 0 to 2**32 - 1", lambda value: _whole(0).holds(value) and value < 2**32),
    "sampling.tunes": _whole(1),
    "sampling.temperature": _POSITIVE,
    "sampling.prime": _or_null(_TEXT),
    "sampling.max_tokens": _whole(3),
    "sampling.rng": _one_of("per_tune", "legacy", "legacy_webapp"),
    "sampling.batch_size": _whole(1),
    "sampling.precision": _one_of("fp32", "bf16"),
    "sampling.captured": _FLAG,
    "sampling.replay": _or_null(
        Rule("a tune, or a list of tunes such as [fig1,held_out]", lambda value: _TEXT.holds(value) or _texts(value))
    ),
    "transcription": _or_null(_TEXT),
    "cut.fraction": _or_null(_SHARE),
    "cut.controls": _whole(0),
    "figures.format": _one_of(*figures.FORMATS),
    "figures.width": Rule("a width with its unit, such as 17.8cm or 7in", _TEXT.holds),
    "figures.data": _FLAG,
    "figures.all": _FLAG,
    "figures.names": Rule(
        "a list such as [softmax_svd/plane=fig7]",
        lambda value: isinstance(value, list) and all(map(_TEXT.holds, value)),
    ),
    "claims": _or_null(
        Rule(
            "a list of documents such as [part5,part9]",
            lambda value: isinstance(value, list) and all(map(_TEXT.holds, value)),
        )
    ),
    "files": Rule(
        "a list of formats, of midi and musicxml",
        lambda value: isinstance(value, list) and set(value) <= {"midi", "musicxml"},
    ),
    "rerun": _FLAG,
    "sweep.metric": _or_null(_TEXT),
    "sweep.direction": _one_of("maximize", "minimize"),
    "sweep.trials": _whole(1),
    "extensions": Rule("a list of packages such as [mylab]", lambda value: isinstance(value, str | list)),
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
    "trainer.nodes": Rule("a number of machines, or auto", lambda value: value == "auto" or _whole(1).holds(value)),
    "trainer.precision": _one_of("32-true", "bf16-mixed", "16-mixed", "64-true"),
    "trainer.tf32": _FLAG,
    "trainer.deterministic": _FLAG,
    "trainer.accumulate": _whole(1),
    "trainer.preempt_signal": _or_null(_TEXT),
    "trainer.max_epochs": _whole(1),
    "trainer.resume": _FLAG,
    "trainer.save_every": _or_null(_POSITIVE),
    "trainer.save_every_updates": _or_null(_whole(1)),
    "trainer.keep_every": _or_null(_whole(1)),
    "trainer.patience": _or_null(_whole(1)),
    "observation.sites": _SITES,
    "observation.keep": _SITES,
    "tracking.uri": _or_null(_TEXT),
    "tracking.folder": _or_null(_TEXT),
    "tracking.experiment": _TEXT,
    "launcher.address": _or_null(_ADDRESS),
    "weights.address": _or_null(_ADDRESS),
    "dataset.address": _or_null(_ADDRESS),
    "weights.path": _or_null(_TEXT),
    "dataset.path": _or_null(_TEXT),
}
"""What the settings that every run has must be. A setting without a rule is checked by what is built from it."""


RENAMED = {
    "tracking.vector": "figures.format=svg (or pdf) and figures.data=true",
    "analysis.gramians.streams": "analysis.gramians.sites",
    "sampling.live": "sampling.batch_size",
}
"""What keys of before are called now."""


def check(config: DictConfig, known: Collection[str] | None = None) -> None:
    """Raises UserError for the first setting that is missing, has a value that its rule does not allow, or is unknown.

    Unknown is what is not in `known` (see `known_keys`; None: everything is known). The parameters of a node with a
    `_target_` are left to `build`, which asks the target.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        plain = OmegaConf.to_container(config, resolve=not missing)
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    if missing:
        raise UserError(_missing(missing[0], config))
    for key, value in _settings(plain):
        if known is not None:
            _check_name(key, value, known)
        if key in RULES and not RULES[key].holds(value):
            text = shown(_shown(value)) if key.endswith(".address") else _shown(value)
            raise UserError(f"{key}={text}: must be {RULES[key].words}")


def _check_name(key: str, value: Any, known: Collection[str]) -> None:
    if key not in known:
        raise UserError(no_such_key(key, known))
    if not isinstance(value, dict) and (names := _inside(key, known)):
        raise UserError(f"{key}={_shown(value)}: {key} is a section; set {key}.{f', {key}.'.join(names)}")


def no_such_key(key: str, known: Collection[str]) -> str:
    """Returns the line that says so and what there is instead, in the section that exists."""
    if key in RENAMED:
        return f"{key}: is now {RENAMED[key]}"
    section, _, name = key.rpartition(".")
    while section and section not in known:
        section, _, name = section.rpartition(".")
    names = _inside(section, known)
    start = f"{section}." if section else ""
    # `tunes=8` means sampling.tunes
    elsewhere = [other for other in known if other.endswith(f".{name}")]
    meant = did_you_mean(name, names).replace("mean ", f"mean {start}")
    if not meant and elsewhere:
        meant = f" (did you mean {elsewhere[0]}?)"
    return f"{key}: no such key{meant}; {section or 'the configuration'} has {', '.join(names) or 'none'}"


def _inside(section: str, known: Collection[str]) -> list[str]:
    start = f"{section}." if section else ""
    names = [name[len(start) :] for name in known if name.startswith(start)]
    return [name for name in names if "." not in name and not name.startswith("_")]


def folders(hydra: DictConfig) -> list[Path]:
    """Returns the folders that a composed configuration was read from, given its `hydra` node."""
    return [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]


def known_keys(folders: Iterable[Path]) -> list[str]:
    """Returns every setting and section that the configuration files in `folders` name, experiments left out."""
    found: list[str] = []
    for folder in folders:
        for path in [*folder.glob("*.yaml"), *sorted(folder.glob("*/*.yaml"))]:
            group = "" if path.parent == folder else path.parent.name
            if group in ("hydra", "experiment"):
                continue
            found += [group] if group else []
            for part in _parts(folder, path):
                found += _names(_content(part.path), f"{part.package}." if part.package else "")
            for file in alternatives(path):
                found += _names(_content(file), f"{group}.")
    return list(dict.fromkeys(found))


def _parts(folder: Path, path: Path) -> list[Part]:
    try:
        return list(option_parts(folder, path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no configuration file: {' '.join(str(error).split())}") from None


def _content(path: Path) -> DictConfig:
    """What a configuration file holds."""
    try:
        content = OmegaConf.create(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path} is no configuration file: {' '.join(str(error).split())}") from None
    return content if isinstance(content, DictConfig) else OmegaConf.create()


def _names(node: Any, prefix: str) -> Iterator[str]:
    for key in node:
        if key in ("defaults", "hydra"):
            continue
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            yield from _names(child, f"{prefix}{key}.")


def _settings(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each section and setting with its value, but of a node with a `_target_` only what has a rule."""
    for key, value in plain.items():
        full = f"{prefix}{key}"
        yield full, value
        if not isinstance(value, dict) or full in RULES:
            continue
        if "_target_" in value:
            yield from ((f"{full}.{name}", value[name]) for name in value if f"{full}.{name}" in RULES)
        else:
            yield from _settings(value, f"{full}.")


def _missing(key: str, config: DictConfig) -> str:
    section, _, name = key.rpartition(".")
    chosen = OmegaConf.select(config, f"{section}.name") if section else None
    by = f": {section}={chosen} needs it" if chosen else ""
    return f"{key} is not given{by}; add {key}={name.upper()}"


def resolved(config: DictConfig) -> DictConfig:
    """Returns a copy with a value in the place of each reference; reading it again looks nothing up."""
    return DictConfig(_literal(OmegaConf.to_container(config, resolve=True)))


def _literal(value: Any) -> Any:
    """The same with every `${` as a sign in a text, such as the name of a folder."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
