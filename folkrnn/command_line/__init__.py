"""From the words typed to the study and its exit status. Nothing heavy is imported before there is something to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from folkrnn.command_line import errors
from folkrnn.command_line.help import page
from folkrnn.command_line.quoting import quoted, unquoted
from folkrnn.refusal import Refusal

if TYPE_CHECKING:
    from omegaconf import DictConfig

    Study = Callable[[DictConfig, list[str]], int]

__all__ = ["main", "page", "quoted", "unquoted"]


def main(arguments: list[str], conf: Path, study: Study) -> int:
    """Composes the configuration in `conf` with `arguments` and hands it, and the overrides as typed, to `study`.

    In a sweep (`-m`) once per job. Returns the exit status: that of the study, or that of the first job that failed.
    """
    if {"-h", "--help"} & set(arguments):
        try:
            print(page(conf, colour=sys.stdout.isatty()), flush=True)
        except BrokenPipeError:
            return errors.silence()
        return 0
    from folkrnn import sweep

    with errors.interruptions() as received:
        status = _guarded(arguments, conf, study)
        if received:
            status = 128 + received[0]
            print("interrupted", file=sys.stderr)
        try:
            sweep.close(status)
        except Exception as error:
            status = status or errors.expose(error)
    return status


def _guarded(arguments: list[str], conf: Path, study: Study) -> int:
    """Returns the exit status, having said on standard error what went wrong, if anything did."""
    from folkrnn.sweep import Unignored

    try:
        return _composed(quoted(arguments), conf, study)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else int(leave.code is not None)
    except KeyboardInterrupt:
        return errors.BUG
    except BrokenPipeError:
        return errors.silence()
    except Unignored as stop:
        return _told(stop.error, conf)
    except Exception as error:
        return _told(error, conf)


def _told(error: Exception, conf: Path) -> int:
    line = errors.explained(error, conf)
    return errors.expose(error) if line is None else errors.refuse(line, error)


def _composed(words: list[str], conf: Path, study: Study) -> int:
    import hydra
    from omegaconf import OmegaConf

    from folkrnn import sweep

    root = conf.resolve().parent
    OmegaConf.register_new_resolver(
        "repository", lambda *parts: str(root.joinpath(*(part for part in parts if part is not None))), replace=True
    )
    full_error = os.environ.get(errors.FULL_ERROR)
    statuses: list[int] = []

    @hydra.main(version_base="1.3", config_path=str(conf.resolve()), config_name="config")
    def job(config: DictConfig) -> None:
        with errors.environment(errors.FULL_ERROR, full_error):
            statuses.append(_job(config, study))

    typed = sys.argv[1:]
    sys.argv[1:] = words
    try:
        # so told, Hydra raises what goes wrong instead of printing it
        with errors.environment(errors.FULL_ERROR, "1"):
            job()
    finally:
        sys.argv[1:] = typed
    sweep.summarise(statuses)
    return next((status for status in statuses if status), 0)


def _job(config: DictConfig, study: Study) -> int:
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from folkrnn import sweep
    from folkrnn.settings import check, folders, known_keys

    hydra = HydraConfig.get()
    # unresolved: what was typed may contain an interpolation
    typed = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    overrides = [unquoted(str(override)) for override in typed]
    sweep.announce(overrides)
    try:
        check(config, known_keys(folders(hydra)))
        return study(config, overrides)
    except Refusal as error:
        return errors.refuse(str(error), error)
    except Exception as error:
        return errors.expose(error)
