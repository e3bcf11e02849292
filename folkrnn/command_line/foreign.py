"""What configuration files from elsewhere may say (`-cd FOLDER`, `hydra.searchpath`): choices and settings of a study.

Such files come along with data and weights, from anybody. What acts on this machine is for the command line and the
project's own `conf` to say: `hydra` runs callbacks and log handlers, sets environment variables and makes folders,
`launcher` writes scripts for a cluster, `tracking` sends results, and passwords, to a server. Targets are looked at
when they are built (see `build`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from folkrnn.refusal import Refusal

if TYPE_CHECKING:
    from omegaconf import DictConfig

OF_THE_MACHINE = ("hydra", "launcher", "tracking", "extensions")
"""Sections that a file from elsewhere may neither set nor choose an option of."""

ADDRESSES = {"weights": ("uri", "folder", "address"), "dataset": ("address",)}
"""Settings that name another machine or store, by section: a file from elsewhere leaves them as they are."""

OURS = ("main", "hydra", "schema")
"""Providers, in Hydra's words, of the project's own files and of Hydra's."""

READABLE = ("HOME", "MLFLOW_TRACKING_URI", "SCRATCH", "TMPDIR")
"""Environment variables that `${oc.env:…}` may read: what it gives is filed with the run, in names and parameters."""

OF_HYDRA = r"(runtime\.(cwd|output_dir)|job\.(name|num|id|override_dirname)|overrides\.task|mode)"
"""What `${hydra:…}` may read, for the same reason."""


def check_flags(words: Sequence[str]) -> None:
    """Raises Refusal for flags of Hydra that replace the project's main configuration file, or read a pickle."""
    from hydra._internal.utils import get_args_parser

    try:
        flags, _ = get_args_parser().parse_known_args(list(words))
    except SystemExit:
        return  # Hydra says the same once more
    for name in ("config_path", "config_name", "experimental_rerun"):
        if getattr(flags, name) is not None:
            raise Refusal(
                f"--{name.replace('_', '-')}: this program has one main configuration file, conf/config.yaml; options "
                "and experiments of your own come from a folder that -cd FOLDER names"
            )


@contextmanager
def guarded() -> Iterator[None]:
    """Has Hydra, within the block, refuse what files from elsewhere may not say, before anything is done with it."""
    from hydra._internal import hydra as internal
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    class Guarded(ConfigLoaderImpl):
        def _load_single_config(self, default: Any, repo: Any) -> Any:
            _check_path(default.config_path)
            read = repo.load_config(config_path=default.config_path)
            placed = super()._load_single_config(default, repo)
            if read.provider not in OURS:
                file = f"{read.path.removeprefix('file://')}/{default.config_path}.yaml"
                _check_choices(read.defaults_list or (), file)
                _check_content(placed.config, file)
            return placed

    before = internal.ConfigLoaderImpl
    internal.ConfigLoaderImpl = Guarded  # Hydra offers no way of its own to look at a file between reading and using it
    try:
        yield
    finally:
        internal.ConfigLoaderImpl = before


def _check_path(path: str) -> None:
    if ".." in path.split("/"):
        raise Refusal(f"{path}: an option lies in a folder of options, not above it")


def _check_choices(defaults: Sequence[Any], file: str) -> None:
    for entry in defaults:
        place = getattr(entry, "group", None) or getattr(entry, "path", None) or ""
        package = (entry.package or "").removeprefix("_global_.")
        for section in (place.strip("/").split("/")[0], package.split(".")[0]):
            if section in OF_THE_MACHINE:
                raise Refusal(_words(file, f"chooses {place.strip('/')}", section))


def _check_content(content: DictConfig, file: str) -> None:
    for section in OF_THE_MACHINE:
        if section in content:
            node = content._get_node(section)
            inside = sorted(map(str, node)) if hasattr(node, "keys") and not node._is_interpolation() else []
            raise Refusal(_words(file, f"sets {'.'.join([section, *inside[:1]])}", section))
    for section, names in ADDRESSES.items():
        node = content._get_node(section) if section in content else None
        if node is None or node._is_none():
            continue
        if node._is_interpolation() or not hasattr(node, "keys"):
            raise Refusal(f"{file} sets {section} to a single value; a section has keys")
        for name in names:
            if name in node and not node._get_node(name)._is_none():
                raise Refusal(_words(file, f"sets {section}.{name}", f"{section}.{name}"))


def _words(file: str, does: str, what: str) -> str:
    return f"{file} {does}: of {what} a file from elsewhere says nothing; type it, or write it into the project's conf"


def guard_resolvers() -> None:
    """Lets interpolations read no more of the environment and of Hydra than READABLE and OF_HYDRA."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    def of_environment(name: str, *default: Any) -> Any:
        if name not in READABLE:
            raise Refusal(
                f"${{oc.env:{name}}} may not be read into a configuration, which is filed with the run; readable are "
                f"{', '.join(READABLE)} (the shell's $NAME on the command line is yours)"
            )
        if name not in os.environ and not default:
            raise Refusal(f"${{oc.env:{name}}}: there is no environment variable {name}")
        return os.environ.get(name, *default)

    def of_hydra(path: str) -> Any:
        if not re.fullmatch(OF_HYDRA, path):
            raise Refusal(f"${{hydra:{path}}} may not be read into a configuration, which is filed with the run")
        return OmegaConf.select(HydraConfig.get(), path)

    OmegaConf.register_new_resolver("oc.env", of_environment, replace=True)
    OmegaConf.register_new_resolver("hydra", of_hydra, replace=True)
