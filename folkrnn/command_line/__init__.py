"""From the words typed to the study and its exit status. Nothing heavy is imported before there is something to do."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from folkrnn import console
from folkrnn.command_line import errors, foreign
from folkrnn.command_line.help import page
from folkrnn.command_line.quoting import is_override, quoted, unquoted
from folkrnn.config import extensions
from folkrnn.config.settings import check, folders, known_keys
from folkrnn.errors import UserError
from folkrnn.files.places import place, results_home

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.sweep import Job

    Study = Callable[[DictConfig, list[str]], int]

WITH_VALUE = ("-cd", "--config-dir", "-cn", "--config-name", "-cp", "--config-path", "-p", "--package", "-c", "--cfg")
"""Flags of Hydra's whose value is the next word."""

__all__ = ["main", "page", "quoted", "unquoted"]


def main(arguments: list[str], conf: Path, study: Study) -> int:
    """Composes the configuration in `conf` with `arguments` and hands it, and the overrides as typed, to `study`.

    In a sweep (`-m`) the jobs go where `launcher=` says. Returns the exit status: that of the study, or how many jobs
    of the sweep failed.
    """
    console.forgiving()
    if {"-h", "--help"} & set(arguments):
        values = {second for first, second in pairwise(arguments) if first in WITH_VALUE}
        return _helped([word for word in arguments if not word.startswith("-") and word not in values], conf)
    with errors.interruptions() as received:
        status = _guarded(arguments, conf, study)
        if received:
            status = 128 + received[0]
            print("interrupted" if received[0] == signal.SIGINT else "terminated (SIGTERM)", file=sys.stderr)
    errors.say_what_was_lost()  # a run that is filed is filed
    return status


def _helped(words: list[str], conf: Path) -> int:
    """Prints the help on `words`, or its first screen; returns the exit status."""
    try:
        print(page(conf, words, colour=sys.stdout.isatty()), flush=True)
    except UserError as error:
        return errors.refuse(str(error), error)
    return errors.say_what_was_lost()


def _guarded(arguments: list[str], conf: Path, study: Study) -> int:
    """Returns the exit status, having said on standard error what went wrong, if anything did."""
    try:
        with errors.environment(extensions.VARIABLE, os.environ.get(extensions.VARIABLE)):
            return _composed(quoted(arguments), conf, study)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except KeyboardInterrupt:
        return errors.BUG
    except Exception as error:
        line = errors.explained(error, conf)
        return errors.expose(error) if line is None else errors.refuse(line, error)


def _composed(words: list[str], conf: Path, study: Study) -> int:
    """Has Hydra compose the configuration, or in a sweep all of them, and runs what it describes."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    foreign.check_flags(words)
    foreign.guard_resolvers()
    root = conf.resolve().parent
    OmegaConf.register_new_resolver(
        "results",
        lambda folder: str(results_home() if folder is None else place(folder, "tracking.folder")),
        replace=True,
    )
    full_error = os.environ.get(errors.FULL_ERROR)
    statuses: list[int] = []
    jobs: list[Job] = []
    known: list[str] = []

    @hydra.main(version_base="1.3", config_path=str(conf.resolve()), config_name="config")
    def job(config: DictConfig) -> _Later | None:
        hydra = cast("DictConfig", HydraConfig.get())
        foreign.guard_resolvers()  # Hydra has put its own back
        try:
            known[:] = known or known_keys(folders(hydra))
            extensions.use(_listed(config.get("extensions")), _homes(hydra))
        except UserError as error:  # Hydra would add a line of its own
            with errors.environment(errors.FULL_ERROR, full_error):
                statuses[:] = statuses or [errors.refuse(str(error), error)]
            return _Later()
        if hydra.mode == RunMode.MULTIRUN:
            jobs.append(_job(len(jobs) + 1, config, hydra, sys.argv[1:]))
            return _Later()
        if config.sweep.metric is not None:
            _check_searched()
        with errors.environment(errors.FULL_ERROR, full_error):
            statuses.append(_performed(config, _typed(hydra), known, study))
        return None

    def listed(words: list[str]) -> list[Job]:
        """Runs what the words describe, or in a sweep returns its jobs."""
        typed, sys.argv[1:] = sys.argv[1:], words
        jobs.clear()
        try:
            # so told, Hydra raises what goes wrong instead of printing it
            with errors.environment(errors.FULL_ERROR, "1"), foreign.guarded():
                job()
        finally:
            sys.argv[1:] = typed
        return list(jobs)

    def perform(job: Job) -> int:
        return _performed(job.config, list(job.overrides), known, study)

    asked = [unquoted(word) for word in words if is_override(word)]
    if not {"-m", "--multirun"}.isdisjoint(words) and any(word.startswith("sweep.metric=") for word in words):
        from folkrnn.sweep import search

        return search.run(words, listed, known, asked, root, perform)
    if not listed(words):
        return next((status for status in statuses if status), 0)
    from folkrnn import sweep

    return sweep.run_sweep(jobs, known, asked, root, perform)


def _check_searched() -> None:
    """Refuses `sweep.metric` in a single run that is no job of a search."""
    from folkrnn.sweep.environment import job_tags  # loads what a sweep needs

    if not job_tags():
        raise UserError("sweep.metric: a search is a sweep, with -m and values to choose from: -m seed=1,2,3")


def _listed(names: Any) -> list[str]:
    """The names in `extensions=`, of which one alone needs no brackets."""
    found: list[str] = [names] if isinstance(names, str) else list(names or ())
    if not all(isinstance(name, str) for name in found):
        raise UserError(f"extensions={names}: must be a list of packages such as [mylab]")
    return found


def _homes(hydra: DictConfig) -> list[Path]:
    """Where packages of the user's own may lie: beside a folder that -cd names, in it, or here."""
    given = [Path(source.path) for source in hydra.runtime.config_sources if source.provider == "command-line"]
    return [*(folder.absolute().parent for folder in given), *given, Path.cwd()]


class _Later:
    """What a job of a sweep has to show for itself while its sweeper lists the jobs: nothing that could be read."""

    def __float__(self) -> float:
        raise UserError(repr(self))

    def __repr__(self) -> str:
        """What such sweepers quote when they find no number."""
        return (
            "hydra/sweeper: it wants the result of a job before it lists the next one, and here all are listed before "
            "the first one starts; leave the sweeper out and write the values: seed=1,2 or seed=range(1,9), or have "
            "Optuna choose them by a metric: sweep.metric=NAME"
        )


def _job(number: int, config: DictConfig, hydra: DictConfig, words: list[str]) -> Job:
    """Returns a job of a sweep, with the arguments that make a run of it alone."""
    from folkrnn.sweep.jobs import Job

    flags = [word for word in words if not is_override(word) and word not in ("-m", "--multirun")]
    task, own = (_words_of(hydra, part) for part in ("task", "hydra"))
    kept = [word for word in own if not word.lstrip("+").startswith("hydra.mode=")]
    return Job(number, tuple(_typed(hydra)), config, (*flags, *task, *kept, "hydra.mode=RUN"))


def _typed(hydra: DictConfig) -> list[str]:
    return [unquoted(word) for word in _words_of(hydra, "task")]


def _words_of(hydra: DictConfig, part: str) -> list[str]:
    """The overrides of a part as they were typed, unresolved: they may contain an interpolation."""
    from omegaconf import OmegaConf

    return [str(word) for word in cast("list[str]", OmegaConf.to_container(hydra.overrides[part], resolve=False))]


def _performed(config: DictConfig, overrides: list[str], known: list[str], study: Study) -> int:
    try:
        check(config, known)
        return study(config, overrides)
    except UserError as error:
        return errors.refuse(str(error), error)
    except Exception as error:
        line = errors.no_room(error)
        return errors.expose(error) if line is None else errors.refuse(line, error)
