"""What runs and their folders are called: short enough for a list, and by what sets them apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from folkrnn.errors import UserError

NAME_LENGTH = 40
"""Longest name of a run: MLflow's list shows about as much, and its cards grow as wide as it is."""

DIGITS = 8
"""Of the digest, in the name of a folder."""

REPORT = "report.html"
"""The file that a run writes last."""

_WHERE = ("tracking=", "tracking.", "hydra.", "hydra/", "launcher=", "launcher.", "sweep.", "explorer=", "rerun=")
_BY_VALUE = ("experiment", "transcription", "intervention", "analysis", "model", "weights", "dataset", "control")
"""Settings whose values say enough by themselves; a recipe comes first, then a tune."""

_FOLDER_LENGTH = 40


def run_name(overrides: Sequence[str], transcription: str | None = None) -> str:
    """Returns the name of a run: "part5 · swing_swang_swung", "cut_random · fraction=0.1 · seed=2", or "default".

    It tells what was typed, but for where the run is made and filed; `transcription` is the tune that is read, where a
    recipe may have chosen it.
    """
    typed = [word.lstrip("+").partition("=") for word in overrides if "=" in word and not word.startswith(_WHERE)]
    values = dict.fromkeys(_BY_VALUE, "") | {key: value for key, _, value in typed if key in _BY_VALUE}
    values["transcription"] = _tune(values["transcription"] or transcription or "")
    words = [value.strip("[]").replace(",", "+") for value in values.values()]
    words += [f"{key.rpartition('.')[2]}={value}" for key, _, value in typed if key not in _BY_VALUE]
    words += [word for word in overrides if word.startswith("~")]
    name = " · ".join(" ".join(word.split()) for word in words if word) or "default"
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1].rstrip(' ·')}…"


def _tune(text: str) -> str:
    """What a tune is called: its name, its file, its title, or that it was typed."""
    title = re.search(r"(?:^|\s)T:\s*([^\n]+?)\s*(?:$|\n|[A-Z]:)", text)
    if title:
        return title[1]
    if re.search(r"\s", text.strip()) or text == "-":
        return "own tune"
    return Path(text.removeprefix("@")).stem if "/" in text or text.startswith("@") else text


def results_folder(runs: Path, name: str, digest: str, resume: bool) -> Path:
    """Returns where a run keeps its results: `runs/2026-11-30_part5-swing_swang_swung_02d5d78f`.

    Where another run of this digest is there, whatever it is called, `-2` and so on stands behind it. A new folder is
    made at once, so that no process that starts at the same time takes it too. With `resume` it is the latest one,
    whose training was cut off. Raises UserError where such a training is there and is not to be resumed, and where
    there is none to resume.
    """
    found = _of_digest(runs, digest)
    unfinished = is_unfinished(runs, digest)
    latest = found[-1][1] if found else runs / f"…_{digest[:DIGITS]}"
    if resume and not unfinished:
        raise UserError(f"trainer.resume=true, but there is no unfinished training of this configuration ({latest})")
    if unfinished and not resume:
        raise UserError(f"{latest} holds an unfinished training of this configuration; go on with trainer.resume=true")
    return latest if resume else _taken(runs, name, digest)


def is_unfinished(runs: Path, digest: str) -> bool:
    """Whether the latest run of this digest has a training that was cut off, or was cut off after its training."""
    found = _of_digest(runs, digest)
    if not found:
        return False
    latest = found[-1][1]
    return (latest / "checkpoints" / "last.ckpt").is_file() and not (latest / REPORT).is_file()


def folder_name(name: str, digest: str) -> str:
    """Returns the name of a folder: the day, what the run is called, the first digits of the digest."""
    what = re.sub(r"[^A-Za-z0-9._=+-]+", "-", name.replace(" · ", "-").replace("…", "")).strip("-.")
    return f"{date.today().isoformat()}_{what[:_FOLDER_LENGTH].rstrip('-.')}_{digest[:DIGITS]}"


def _taken(runs: Path, name: str, digest: str) -> Path:
    first = folder_name(name, digest)
    count = max((number for number, _ in _of_digest(runs, digest)), default=0) + 1
    while True:
        free = runs / (first if count == 1 else f"{first}-{count}")
        try:
            free.mkdir(parents=True)
        except FileExistsError:
            count += 1
            continue
        except OSError:
            pass  # no folder can be made there: whoever opens the run says so
        return free


def _of_digest(runs: Path, digest: str) -> list[tuple[int, Path]]:
    """The folders of the runs of a digest with their numbers, in order."""
    ending = re.compile(rf"_{re.escape(digest[:DIGITS])}(?:-(\d+))?")
    found = [(match, place) for place in runs.glob("*_*") if (match := ending.search(place.name))]
    whole = [(int(match[1] or 1), place) for match, place in found if match.end() == len(place.name)]
    return sorted(whole, key=lambda one: (one[0], one[1].name))
