"""One run: parameters, curves, findings and files, written locally first and then sent to the store."""

from __future__ import annotations

import io
import logging
import math
import os
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from folkrnn.config.figures import AS_PNG, Figures
from folkrnn.errors import UserError
from folkrnn.files.places import readable
from folkrnn.tracking import journal as journals
from folkrnn.tracking.entries import ENDED, Entry, insist, perform
from folkrnn.tracking.figures import as_vector, drawn_data, gif, png
from folkrnn.tracking.journal import Journal, file_whole, in_one_line, now, upload_command
from folkrnn.tracking.names import TAG_LENGTH, allowed_name, file_name, flatten
from folkrnn.tracking.numbers import MOST, TABLE, Numbers, named
from folkrnn.tracking.provenance import PROVENANCE
from folkrnn.tracking.remote import answers
from folkrnn.tracking.store import Store

if TYPE_CHECKING:
    from folkrnn.findings import Findings

_SECONDS_BETWEEN_TRIES = 60.0

CURVES = "tables/curves.csv"
"""Curves of a training that are no metrics: name, step, value."""

LISTS = "tables/lists.csv"
"""Answers that are no number: name, place, item."""

log = logging.getLogger(__name__)


@dataclass
class TrackedRun:
    """A run that is being written. Every `log_…` writes to `folder` first; what the store misses is sent later."""

    store: Store
    run_id: str
    name: str
    folder: Path
    journal: Journal
    figures: Figures = AS_PNG
    """As what figures are written beside `.png`, and whether with the numbers drawn in them as `.csv`."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The last finite value of each number, whether a metric in MLflow or only in the table of all numbers."""
    numbers: Numbers = field(default_factory=Numbers)
    """What analyses found; the main ones become metrics when the run ends."""
    apart: re.Pattern[str] | None = None
    """Which curves are kept in CURVES alone, as MLflow shows every metric."""
    wanted: tuple[str, ...] = ()
    """Numbers that become metrics in any case."""
    failures: list[str] = field(default_factory=list)
    """What went wrong without ending the run; the run ends as FAILED if there is any."""
    _undefined: dict[str, str] = field(default_factory=dict)
    _captions: dict[str, str] = field(default_factory=dict)
    _images: set[str] = field(default_factory=set)
    _provenance: dict[str, str] = field(default_factory=dict)
    _steps: dict[str, int] = field(default_factory=dict)
    """The metrics filed so far, and the last step of each."""
    _lists: dict[str, list[str]] = field(default_factory=dict)
    _last_try: float | None = None  # None while the store answers

    def __post_init__(self) -> None:
        self._steps |= {name: int(step) for name, _, _, step in self.journal.metrics(["metrics"])}

    @property
    def link(self) -> str:
        """The command and the address that show this run."""
        return self.store.link(self.run_id)

    @property
    def upload_command(self) -> str | None:
        """What to type for the store to get what it lacks; None while it lacks nothing."""
        return upload_command(self.folder, self.store.uri) if self.journal.pending else None

    def log_params(self, params: Mapping[str, Any], file: str | None = "config.yaml") -> None:
        """Logs a nested configuration: flat parameters (`model.layers`), and the whole as YAML in `file`.

        Parameters are write-once in MLflow: one that this run already has keeps its value; a resumed run lists what
        differs in the tag `resumed.changed`.
        """
        if file is not None:
            import yaml

            self.log_text(yaml.safe_dump(_plain(params), sort_keys=False, allow_unicode=True), file)
        flat = flatten(params)
        known = self.journal.params
        changed = {key: value for key, value in flat.items() if known.get(key, value) != value}
        if changed:
            self.set_tags({"resumed.changed": ", ".join(f"{key}={value}" for key, value in changed.items())})
        new = {key: value for key, value in flat.items() if key not in known}
        if new:
            self._record({"kind": "params", "params": new})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags; values are cut at 5000 characters."""
        self._record({"kind": "tags", "tags": {allowed_name(key): str(tags[key])[:TAG_LENGTH] for key in tags}})

    def log_provenance(self, facts: Mapping[str, str]) -> None:
        """Adds to what PROVENANCE says of where the run came from: code, versions, device, digests."""
        self._provenance |= {key: readable(str(value)) for key, value in facts.items()}
        self.log_bytes(_json(self._provenance), PROVENANCE)

    def describe(self, markdown: str) -> None:
        """Sets the description that heads the page of the run."""
        self.set_tags({"mlflow.note.content": markdown})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs numbers, in one batch; one without a step takes the place of the last under its name.

        NaN and ±inf, which spoil the charts, are not logged but listed in the tag `metrics.undefined`, each with the
        step at which it first came.
        """
        values = {allowed_name(name): float(value) for name, value in metrics.items()}
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        new = {
            name: f"{value}" + ("" if step is None else f" at step {step}")
            for name, value in values.items()
            if not math.isfinite(value) and name not in self._undefined
        }
        if new:
            self._undefined |= new
            self.set_tags({"metrics.undefined": ", ".join(f"{name}={what}" for name, what in self._undefined.items())})
        if finite:
            self.metrics |= finite
            when = now()
            rows = [
                [name, value, when, self._steps.get(name, 0) if step is None else step]
                for name, value in finite.items()
            ]
            own = [row for row in rows if self.apart is not None and self.apart.fullmatch(row[0])]
            told = [row for row in rows if row not in own]
            self._steps |= {name: at for name, _, _, at in told}
            for kind, some in (("metrics", told), ("curves", own)):
                if some:
                    self._record({"kind": kind, "metrics": some})

    def history(self, *names: str) -> dict[str, list[tuple[int, float]]]:
        """Returns (step, value) of every number logged under these names so far, also before a resumption, by step."""
        found: dict[str, dict[int, float]] = {name: {} for name in names}
        for name, value, _, step in self.journal.metrics():
            if name in found:
                found[name][int(step)] = float(value)
        return {name: sorted(values.items()) for name, values in found.items()}

    def log_findings(self, name: str, findings: Findings, step: int | None = None) -> None:
        """Files what the analysis `name` found.

        Numbers are `<name>/<quantity>` in the table of all numbers, the main ones metrics when the run ends; figures
        `figures/<name>_<figure>.png` (as `figures` says also `.svg` or `.pdf`, and `.csv` with the numbers drawn),
        animations `.gif` beside them; tables `tables/<name>_<table>.csv`; arrays `arrays/<name>_<array>.npz`; pages
        `pages/<name>_<page>.html`. The first figure is also the image `<name>/<figure>`, which the charts of several
        runs show side by side and, with steps, as a series. With a `step`, all numbers are metrics at that step, and
        files carry it in their names.
        """
        if step is None:
            self.log_numbers(name, findings)
        else:
            self.log_metrics({f"{name}/{quantity}": value for quantity, value in findings.metrics.items()}, step)
        suffix = "" if step is None else f"_step{step:06d}"
        for i, (label, figure) in enumerate(findings.figures.items()):
            stem = f"figures/{file_name(f'{name}_{label}')}{suffix}"
            self._log_figure(stem, figure.drawing, figure.caption)
            if i == 0:
                key = allowed_name(f"{name}/{label}").replace(":", ".")
                image = {"path": f"{stem}.png", "key": key, "step": step or 0, "timestamp": now()}
                self._record({"kind": "image", **image})
                self._images.add(key)
        for label, animation in findings.animations.items():
            stem = f"figures/{file_name(f'{name}_{label}')}{suffix}"
            self.log_bytes(gif(animation), f"{stem}.gif")
            self._log_caption(f"{stem}.gif", animation.caption)
        for label, table in findings.tables.items():
            keep_index = table.index.name is not None or table.index.nlevels > 1
            self.log_text(table.to_csv(index=keep_index), f"tables/{file_name(f'{name}_{label}')}{suffix}.csv")
        self._lists |= {f"{name}/{label}": list(items) for label, items in findings.lists.items()}
        for label, arrays in findings.arrays.items():
            self.log_bytes(_npz(arrays), f"arrays/{file_name(f'{name}_{label}')}{suffix}.npz")
        for label, page in findings.pages.items():
            self.log_text(page, f"pages/{file_name(f'{name}_{label}')}{suffix}.html")

    def log_numbers(self, name: str, findings: Findings) -> None:
        """Takes the numbers of the analysis `name` into the table of all; the main ones are metrics at the end."""
        self.numbers.add(name, findings)
        self.metrics |= {key: value for key, value in named(name, findings.metrics).items() if math.isfinite(value)}

    def log_control(self, control: str, name: str, findings: Findings) -> None:
        """Files what the analysis `name` found on a control: under `control/`, its numbers beside its own."""
        self.numbers.beside(control, name, findings.metrics)
        self.metrics |= {
            key: one for key, one in named(f"control/{name}", findings.metrics).items() if math.isfinite(one)
        }
        self.log_findings(f"control/{name}", replace(findings, metrics={}, null={}))

    def _log_figure(self, stem: str, drawing: Any, caption: str) -> None:
        self.log_bytes(png(drawing, caption), f"{stem}.png")
        if self.figures.format != "png":
            self.log_bytes(as_vector(drawing, self.figures.format, caption), f"{stem}.{self.figures.format}")
        if self.figures.data:
            self.log_text(drawn_data(drawing).to_csv(index=False), f"{stem}.csv")
        self._log_caption(stem, caption)

    def _log_caption(self, stem: str, caption: str) -> None:
        if caption:
            self._captions[Path(stem).name] = caption
            self.log_text(
                "".join(f"**{label}**: {text}\n\n" for label, text in self._captions.items()), "figures/captions.md"
            )

    def log_text(self, text: str, path: str) -> None:
        """Files `text` (UTF-8) as `path`, relative to the results folder and to the artifacts."""
        self.log_bytes(readable(text).encode(), path)

    def log_bytes(self, content: bytes, path: str) -> None:
        """Files `content` as `path`."""
        file_whole(self._inside(path), content)
        self._record({"kind": "file", "path": path})

    def log_file(self, file: Path | str, path: str | None = None) -> None:
        """Files a copy of `file` as `path` (default: its place in the results folder, or its name)."""
        file = Path(file).absolute()
        if path is None:
            path = file.relative_to(self.folder).as_posix() if file.is_relative_to(self.folder) else file.name
        place = self._inside(path)
        if file != place:
            file_whole(place, file.read_bytes())
        self._record({"kind": "file", "path": path})

    def log_dataset(
        self, name: str, digest: str, source: str, profile: Mapping[str, Any], context: str = "training"
    ) -> None:
        """Logs a dataset as an MLflow input.

        `digest` is cut at 36 digits; `source` says where it came from; `profile` holds counts (JSON); `context` is
        what it was used for (training, validation, evaluation).
        """
        entry = {"name": name[:500], "digest": digest[:36], "source": source, "profile": _plain(profile)}
        self._record({"kind": "dataset", "context": context, **entry})

    def log_failure(self, name: str, error: BaseException) -> None:
        """Reports that the part `name` failed, with its traceback as an artifact; the run goes on and ends FAILED."""
        text = "".join(traceback.format_exception(error))
        self.log_text(text, f"tracebacks/{file_name(name)}.txt")
        self.failures.append(f"{name}: {in_one_line(error)}")

    def finish(self, status: str, reason: str = "") -> None:
        """Writes the final status (FINISHED, FAILED or KILLED) and sends what is left; then says what could not be.

        Raises UserError where the results folder has no room left, after telling the store all the same.
        """
        try:
            if reason:
                self.set_tags({ENDED: reason})
            self._log_all_numbers()
            if self._images:
                telling = [name for name in self._steps if name in self.numbers.values]
                self._record({"kind": "view", "images": sorted(self._images), "columns": telling})
            file_whole(self.folder / "metrics.json", _json(self.metrics))
        finally:
            self._end(status)

    def _log_all_numbers(self) -> None:
        """Files the tables of all numbers and lists, and the main numbers as metrics, as far as there is room."""
        if self._lists:
            import pandas as pd

            rows = [(name, place, item) for name, items in self._lists.items() for place, item in enumerate(items, 1)]
            self.log_text(pd.DataFrame(rows, columns=["name", "place", "item"]).to_csv(index=False), LISTS)
        own = [(name, step, value) for name, value, _, step in self.journal.metrics(["curves"])]
        if own:
            import pandas as pd

            self.log_text(pd.DataFrame(own, columns=["name", "step", "value"]).to_csv(index=False), CURVES)
        if self.numbers.values:
            self.log_text(self.numbers.table().to_csv(index=False), TABLE)
            whole = dict(self.metrics)
            self.log_metrics(self.numbers.chosen(MOST - len(self._steps), self.wanted))
            self.metrics = whole  # in full precision

    def _end(self, status: str) -> None:
        entry = {"kind": "status", "status": status, "time": now()}
        try:
            self._record(entry, last=True)
        except UserError:
            try:
                insist(lambda: perform(self.store.client, self.run_id, self.folder, entry))
            except Exception as error:
                log.error("the status %s could not be written either: %s", status, in_one_line(error))
            raise
        if self._last_try is not None:
            log.warning(
                "the tracking store lacks %d of %d entries of this run, which are kept; when it is back, type\n    %s",
                len(self.journal.pending), self.journal.written, upload_command(self.folder, self.store.uri),
            )  # fmt: skip

    def _inside(self, path: str) -> Path:
        place = Path(os.path.normpath(self.folder / path))
        if not place.is_relative_to(self.folder) or place == self.folder:
            raise ValueError(f"{path!r} is not a place inside the results folder")
        return place

    def _record(self, entry: Entry, last: bool = False) -> None:
        """Writes an entry to the journal and sends what waits, unless the store was silent less than a minute ago."""
        self.journal.add(entry)
        silent = self._last_try is not None
        if self._last_try is not None and not last and time.monotonic() - self._last_try < _SECONDS_BETWEEN_TRIES:
            return
        if silent and not answers(self.store.uri):
            self._last_try = time.monotonic()
            self.journal.mark_pending(f"no answer from {self.store.uri}")
            return
        try:
            self.journal.send(self.store.client)
        except Exception as error:
            if journals.is_rejection(error) or not journals.is_trouble(error):
                raise
            self._fall_silent(error)
            return
        if silent:
            self._last_try = None
            self.journal.clear_pending()
            log.warning("the tracking store is back; it has everything up to now")

    def _fall_silent(self, error: Exception) -> None:
        if self._last_try is None:
            log.warning(
                "the tracking store %s does not take what is sent (%s); the run goes on, results are kept in %s",
                self.store.uri, in_one_line(error)[:160], self.folder,
            )  # fmt: skip
        self._last_try = time.monotonic()
        self.journal.mark_pending(in_one_line(error))


def _npz(arrays: Mapping[str, Any]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    """Returns mappings as dicts, sequences as lists and numbers of numpy as numbers, for JSON and YAML."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return value.item() if hasattr(value, "item") else str(value)


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value, indent=1, ensure_ascii=False).encode()
