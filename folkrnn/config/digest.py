"""A short name for what determines a result: two runs with the same digest compute the same.

To the bit on a CPU in single precision. On a GPU, and in less precision, the last bits of probabilities, and now and
then a token, depend on how many tunes are in progress at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

WITHOUT_EFFECT = {
    "rerun",
    "sweep",
    "explorer",
    "files",
    "figures",
    "extensions",
    "launcher",
    "tracking",
    "hydra",
    "sampling.batch_size",
    "sampling.captured",
    "observation.limit_gib",
    "trainer.resume",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.strategy",
    "trainer.nodes",
    "trainer.deterministic",
    "trainer.accumulate",
    "trainer.preempt_signal",
    "trainer.save_every",
    "trainer.save_every_updates",
    "trainer.keep_every",
}
"""Keys that say where and how a run is made and filed, not what comes out."""

NOT_READ = {"name", "model", "_target_", "folder"}
"""Keys whose texts name nothing that a job reads, though it may be there: the package `folkrnn` of `model.name`, or the
folder that runs are filed in, which every run changes."""

OF_TRAINING = {"recipe", "trainer"}
"""Sections that count only where something is trained."""

TRAINED = ("scratch", "finetune")
"""Options of `weights=` whose parameters are trained before anything is looked at."""


def trains(config: DictConfig) -> bool:
    """Whether a configuration asks for a training."""
    return config.weights.name in TRAINED


def run_digest(config: DictConfig, **also: str) -> str:
    """Returns 12 hexadecimal digits of the resolved configuration without WITHOUT_EFFECT, and of `also`.

    `also` takes what the configuration only points at, such as the digest of the weights. The order of interventions
    counts, since they are applied in that order; that of all other keys does not.
    """
    kept = determining(config)
    interventions = list(kept.pop("intervention", {}).items())
    text = json.dumps([kept, interventions, also], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def determining(config: DictConfig) -> dict[str, Any]:
    """Returns the resolved configuration without WITHOUT_EFFECT, and where nothing is trained without OF_TRAINING."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    if plain["weights"]["name"] not in TRAINED:
        plain = {key: value for key, value in plain.items() if key not in OF_TRAINING}
    return _kept(plain)


def analyses_chosen(overrides: Iterable[str]) -> bool:
    """Whether analyses were asked for; without, an intervention brings the one that compares what it does."""
    return any(re.match(r"[+~]*(analysis|experiment)\b(?!\.)", word) for word in overrides)


def job_key(config: DictConfig, overrides: Iterable[str] = ()) -> str:
    """Returns what a sweep knows a job by before anything of it is read: which of its jobs finished before.

    In the place of what the digest of a run takes from weights, data and tunes, it has the size and the time of change
    of the files and folders that the configuration, as it was composed, names. Of the words that were typed only one
    thing counts that the configuration does not tell: whether they chose analyses.
    """
    kept = _kept(cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True)))
    named = sorted({text for text in _texts(kept) if os.path.exists(text)})  # noqa: PTH110 - Path.exists raises for text too long for a path
    chosen = {"analyses": "chosen"} if config.intervention and analyses_chosen(overrides) else {}
    return run_digest(config, files=json.dumps([(text, _stamps(Path(text))) for text in named]), **chosen)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if not (key in NOT_READ and isinstance(item, str)):
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _stamps(place: Path) -> list[tuple[str, int, int]]:
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    found = [(path, path.stat()) for path in files]
    return [(str(path.relative_to(place)), stat.st_size, stat.st_mtime_ns) for path, stat in found]


def _kept(plain: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    return {
        str(key): _kept(value, f"{prefix}{key}.") if isinstance(value, dict) else value
        for key, value in plain.items()
        if f"{prefix}{key}" not in WITHOUT_EFFECT
    }
