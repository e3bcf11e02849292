"""What configuration files may say: experiments, and all of a folder from elsewhere (`-cd FOLDER`, `hydra.searchpath`).

Such files come along with data and weights, from anybody: they choose and set what a study is of. What acts on this
machine is for the command line to say, or for `conf/config.yaml`, `conf/launcher` and `conf/tracking`: `hydra` runs
callbacks and log handlers, sets environment variables and makes folders, `launcher` writes scripts for a cluster,
`tracking` sends results, and passwords, to a server. Targets are looked at when they are built (see `build`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from folkrnn.errors import UserError, shown

if TYPE_CHECKING:
    from omegaconf import DictConfig

OF_THE_MACHINE = {
    "hydra": "type it on the command line",
    "launcher": "type it on the command line, or make it an option in the project's conf/launcher",
    "tracking": "type it on the command line, or make it an option in the project's conf/tracking",
    "extensions": "type it on the command line",
}
"""Sections that a file may neither set nor choose an option of, and what to do instead."""

ADDRESSES = {"weights": ("uri", "folder", "address"), "dataset": ("address",)}
"""Settings that name another machine or store, by section: a file leaves them as they are."""

LARGEST = 10_000
"""Values of a file with its references written out, and of all references of a configuration; ours has some 500."""

DEEPEST = 32
"""Levels of a file, of which OmegaConf reads no more than some 90; ours have five."""

MOST_FILES = 2_000
"""Files that a configuration is composed of, one as often as it is named; ours are of some 100."""

_LONG_NUMBER = re.compile(r"(?<![\w.])[-+]?[\d_:xob.a-fA-F]{1000,}(?![\w.])")
"""What YAML may take for a number that Python does not print."""

_REFERENCE = re.compile(r"\$\{(\.*)([\w.\[\]/@-]+)\}")
"""`${key}` and `${..key}`; what calls a resolver, as `${name:value}` does, is none."""

MAIN = "config"
"""The project's main configuration file, in its folder."""

READABLE = ("HOME", "MLFLOW_TRACKING_URI", "SCRATCH", "TMPDIR")
"""Environment variables that `${oc.env:…}` may read: what it gives is filed with the run, in names and parameters."""

OF_HYDRA = r"(runtime\.(cwd|output_dir)|job\.(name|num|id|override_dirname)|overrides\.task|mode)"
"""What `${hydra:…}` may read, for the same reason."""


def check_flags(words: Sequence[str]) -> None:
    """Raises UserError for flags of Hydra that replace the project's main configuration file, or read a pickle."""
    from hydra._internal.utils import get_args_parser

    try:
        flags, _ = get_args_parser().parse_known_args(list(words))
    except SystemExit:
        return  # Hydra says the same once more
    for name in ("config_path", "config_name", "experimental_rerun"):
        if getattr(flags, name) is not None:
            raise UserError(
                f"--{name.replace('_', '-')}: this program has one main configuration file, conf/config.yaml; options "
                "and experiments of your own come from a folder that -cd FOLDER names"
            )


@contextmanager
def guarded() -> Iterator[None]:
    """Has Hydra, within the block, refuse what files from elsewhere may not say, before anything is done with it."""
    from hydra._internal import hydra as internal
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.config_repository import ConfigRepository

    class Repository(ConfigRepository):
        def load_config(self, config_path: str) -> Any:
            _check_size(config_path, self)
            return super().load_config(config_path)

    class Guarded(ConfigLoaderImpl):
        def __init__(self, config_search_path: Any) -> None:
            super().__init__(config_search_path)
            self.repository = Repository(config_search_path)
            self.asked: dict[str, str] = {}

        def load_configuration(self, config_name: str | None, overrides: list[str], *more: Any, **named: Any) -> Any:
            self.asked.clear()
            try:
                config = super().load_configuration(config_name, overrides, *more, **named)
            except RecursionError:
                raise UserError(
                    "configuration files name each other in a circle in their defaults lists, or interpolations are "
                    "nested without end"
                ) from None
            check_references(config)
            _check_given(config, self.asked, overrides)
            return config

        def _parse_overrides_and_create_caching_repo(self, *arguments: Any, **named: Any) -> Any:
            overrides, repo = super()._parse_overrides_and_create_caching_repo(*arguments, **named)
            cast("Any", repo).load_config = counted(repo.load_config)
            return overrides, repo

        def _load_single_config(self, default: Any, repo: Any) -> Any:
            path = default.config_path
            _check_path(path)
            read = repo.load_config(config_path=path)
            placed = super()._load_single_config(default, repo)
            file = f"{read.path.removeprefix('file://')}/{path}.yaml"
            own = _own_sections(read.provider, path)
            _check_choices(read.defaults_list or (), file, own)
            _check_content(cast("DictConfig", placed.config), file, own)
            note_asked(self.asked, cast("DictConfig", placed.config), file)
            return placed

    before = internal.ConfigLoaderImpl
    internal.ConfigLoaderImpl = Guarded  # Hydra offers no way of its own to look at a file between reading and using it
    try:
        yield
    finally:
        internal.ConfigLoaderImpl = before


def note_asked(asked: dict[str, str], content: DictConfig, file: str) -> None:
    """Notes in `asked` which keys a file leaves open (`???`), and of those before it which ones it gives."""
    from omegaconf import OmegaConf

    for key, value in _leaves(OmegaConf.to_container(content, resolve=False)):
        if value == "???":
            asked[key] = file
        else:
            asked.pop(key, None)


def _leaves(plain: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in plain.items() if isinstance(plain, dict) else ():
        yield f"{prefix}{key}", value
        yield from _leaves(value, f"{prefix}{key}.")


def _check_given(config: DictConfig, asked: Mapping[str, str], overrides: Sequence[str]) -> None:
    """Raises UserError for a value that a file asks for and nobody typed: OmegaConf would keep that of another file."""
    from omegaconf import OmegaConf

    typed = {word.lstrip("+~").partition("=")[0] for word in overrides}
    for key, file in asked.items():
        given = any(word == key or f"{word}.".startswith(f"{key}.") or key.startswith(f"{word}.") for word in typed)
        left = OmegaConf.to_container(config, resolve=False)
        for part in key.split("."):
            left = left.get(part, "???") if isinstance(left, dict) else "???"
        if not given and left != "???" and not key.startswith("hydra."):
            raise UserError(f"{key} is not given: {file} asks for it; add {key}={key.rpartition('.')[2].upper()}")


def counted(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns `load`, which raises UserError where it is called more than MOST_FILES times."""
    times = count(1)

    def counting(config_path: str) -> Any:
        if next(times) > MOST_FILES:
            raise UserError(
                f"the defaults lists of configuration files name more than {MOST_FILES:,} files, {config_path} the last"
            )
        return load(config_path)

    return counting


def _check_path(path: str) -> None:
    if ".." in path.split("/"):
        raise UserError(f"{path}: an option lies in a folder of options, not above it")


def _check_size(path: str, repo: Any) -> None:
    """Raises UserError for a file whose references to references stand for more than can be held, or its numbers."""
    source = next((each for each in repo.get_sources() if each.is_config(path)), None)
    if source is None or source.scheme() != "file":
        return
    file = Path(source.path.removeprefix("file://"), path if path.endswith((".yaml", ".yml")) else f"{path}.yaml")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 ({error.reason} at byte {error.start})") from None
    if match := _LONG_NUMBER.search(text):
        raise UserError(f"{file}: {match[0][:20]}… is longer than any number")
    if (values := written_out(text)) > LARGEST:
        raise UserError(
            f"{file}: with every reference (*name) written out it has {_number(values)} values, or they are nested "
            f"deeper than {DEEPEST} levels; up to {LARGEST:,} are taken"
        )


def _number(values: float) -> str:
    return f"over {10**12:,}" if values > 10**12 else f"{values:,.0f}"


def written_out(text: str) -> float:
    """Returns how many values a YAML text has where each reference stands for a copy.

    Infinity where one holds itself, and below DEEPEST levels; what is no YAML, whoever reads it will say.
    """
    import yaml

    sizes: dict[str | None, float] = {}
    around: list[tuple[str | None, float]] = [(None, 0.0)]  # the name of each open collection, and what it has so far
    with suppress(yaml.YAMLError):
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.CollectionStartEvent):
                around.append((event.anchor, 1.0))
                if event.anchor is not None:
                    sizes[event.anchor] = inf  # until all that is in it is known
                if len(around) > DEEPEST:
                    return inf
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                name, values = around.pop()
            elif isinstance(event, yaml.AliasEvent):
                name, values = None, sizes.get(event.anchor, 0.0)
            elif isinstance(event, yaml.ScalarEvent):
                name, values = event.anchor, 1.0
            else:
                continue
            if name is not None:
                sizes[name] = values
            around[-1] = (around[-1][0], around[-1][1] + values)
    return sum(values for _, values in around)


def check_references(config: DictConfig) -> None:
    """Raises UserError where `${name}` in `${name}` in `${name}` … stands for more than can be held.

    A reference to itself is for OmegaConf to refuse.
    """
    from omegaconf import OmegaConf

    plain = cast("dict[str, Any]", OmegaConf.to_container(config, resolve=False))
    sizes: dict[tuple[str, ...], float] = {}

    def at(place: tuple[str, ...]) -> Any:
        node: Any = plain
        for name in place:
            if isinstance(node, list):
                node = node[int(name)] if name.isdecimal() and int(name) < len(node) else None
            else:
                node = node.get(name) if isinstance(node, dict) else None
        return node

    def size(place: tuple[str, ...]) -> float:
        if place not in sizes:
            sizes[place] = 0.0  # until known
            node = at(place)
            if isinstance(node, dict | list):
                names = node if isinstance(node, dict) else range(len(node))
                sizes[place] = 1.0 + sum(size((*place, str(name))) for name in names)
            else:
                sizes[place] = 1.0 + sum(map(size, referred(place, node)))
        return sizes[place]

    def referred(place: tuple[str, ...], node: object) -> Iterator[tuple[str, ...]]:
        for dots, path in _REFERENCE.findall(node) if isinstance(node, str) else ():
            above = place[: len(place) - len(dots)] if dots else ()
            yield (*above, *re.findall(r"[^.\[\]]+", path))

    for name in plain:
        try:
            values = size((str(name),))
        except RecursionError:  # a chain of references, one after the other
            values = inf
        if values > LARGEST:
            raise UserError(
                f"{name}: its references (${{name}}) stand for {_number(values)} values; up to {LARGEST:,} are taken"
            )


def _own_sections(provider: str, path: str) -> frozenset[str]:
    """The sections that a file may say anything of: all, for the main file and Hydra's own; else that of its group."""
    if provider in ("hydra", "schema") or (provider == "main" and path == MAIN):
        return frozenset({*OF_THE_MACHINE, *ADDRESSES})
    return frozenset({path.split("/")[0]}) - {"hydra"} if provider == "main" else frozenset()


def _check_choices(defaults: Sequence[Any], file: str, own: Collection[str]) -> None:
    for entry in defaults:
        place = (getattr(entry, "group", None) or getattr(entry, "path", None) or "").strip("/")
        package = (entry.package or "").removeprefix("_global_.")
        for section in (place.split("/")[0], package.split(".")[0]):
            if section in OF_THE_MACHINE and section not in own:
                raise UserError(f"{file} chooses {place}: {OF_THE_MACHINE[section]}")


def _check_content(content: DictConfig, file: str, own: Collection[str]) -> None:
    for section, instead in OF_THE_MACHINE.items():
        if section in content and section not in own:
            node = cast("Any", content._get_node(section))
            if section == "hydra" and _is_sweep(node):
                continue
            inside = sorted(map(str, node)) if hasattr(node, "keys") and not node._is_interpolation() else []
            raise UserError(f"{file} sets {'.'.join([section, *inside[:1]])}: {instead}")
    for section, names in ADDRESSES.items():
        node = cast("Any", content._get_node(section)) if section in content else None
        if node is None or node._is_none() or section in own:
            continue
        if node._is_interpolation() or not hasattr(node, "keys"):
            raise UserError(f"{file} sets {section} to a single value; a section has keys")
        for name in names:
            if name in node and not node._get_node(name)._is_none():
                raise UserError(f"{file} sets {section}.{name}: type it on the command line")


def _is_sweep(hydra: Any) -> bool:
    """Whether all that is said of Hydra is that values of a study's settings are run one after the other."""
    from omegaconf import OmegaConf

    said = OmegaConf.to_container(hydra, resolve=False) if OmegaConf.is_config(hydra) else None
    if not isinstance(said, dict) or not {*said} <= {"mode", "sweeper"} or said.get("mode") not in (None, "MULTIRUN"):
        return False
    sweeper = said.get("sweeper", {"params": {}})
    if not isinstance(sweeper, dict) or {*sweeper} != {"params"} or not isinstance(sweeper["params"], dict):
        return False
    return all(map(_is_of_the_study, sweeper["params"]))  # each becomes an override: held to what a file may set


def _is_of_the_study(key: object) -> bool:
    parts = str(key).split(".")
    plain = all(re.fullmatch(r"\w+(/\w+)*", part) for part in parts)
    address = len(parts) > 1 and parts[1] in ADDRESSES.get(parts[0], ())
    return plain and not address and parts[0].split("/")[0] not in OF_THE_MACHINE


def guard_resolvers() -> None:
    """Lets interpolations read no more of the environment and of Hydra than READABLE and OF_HYDRA."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    def of_environment(name: str, *default: Any) -> Any:
        if name not in READABLE:
            raise UserError(
                f"${{oc.env:{name}}} may not be read into a configuration, which is filed with the run; readable are "
                f"{', '.join(READABLE)} (the shell's $NAME on the command line is yours)"
            )
        if name not in os.environ and not default:
            raise UserError(f"${{oc.env:{name}}}: there is no environment variable {name}")
        value = os.environ.get(name, *default)
        if name == "MLFLOW_TRACKING_URI" and shown(str(value)) != str(value):
            raise UserError(
                f"{name} holds credentials, which every run would file: give them in variables of their own"
            )
        return value

    def of_hydra(path: str) -> Any:
        if not re.fullmatch(OF_HYDRA, path):
            raise UserError(f"${{hydra:{path}}} may not be read into a configuration, which is filed with the run")
        return OmegaConf.select(cast("DictConfig", HydraConfig.get()), path)

    OmegaConf.register_new_resolver("oc.env", of_environment, replace=True)
    OmegaConf.register_new_resolver("hydra", of_hydra, replace=True)
