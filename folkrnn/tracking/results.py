"""The runs of a store as a frame, and what a run filed, by name.

runs = folkrnn.results("experiment=part6 and cut.fraction>0.1")
runs[["cut.fraction", "effect/counting_kept"]]
one = folkrnn.result(runs.index[0])
one.table("metrics"), one.arrays("effect_tunes"), one.tables
"""

from __future__ import annotations

import fnmatch
import io
import json
import re
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, cast

from folkrnn.errors import UserError, did_you_mean
from folkrnn.tracking.names import allowed_name
from folkrnn.tracking.parents import overrides_of
from folkrnn.tracking.reading import reader

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

GROUPS = ("dataset", "model", "weights", "recipe", "trainer", "observation", "control")
"""Config groups whose option a run files as `<group>.name`."""

LISTS = ("intervention", "analysis")
"""Config groups of which a run may have several options, each under its own key."""

_WORDS = {"=": "=", "==": "=", "!=": "!=", "≠": "!=", ">=": ">=", "≥": ">=", "<=": "<=", "≤": "<=", ">": ">", "<": "<"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<bracket>[()])|(?P<word>and|or|not)(?=[\s()])"""
    r"""|(?P<key>[^\s()=!<>≥≤≠'"]+)\s*(?P<sign>==|!=|>=|<=|[=<>≥≤≠])\s*(?P<value>"[^"]*"|'[^']*'|[^\s()=!<>'"]+))""",
    re.IGNORECASE,
)


def results(
    query: str = "",
    numbers: str | Sequence[str] = (),
    *,
    uri: str | None = None,
    folder: str | None = None,
    experiment: str = "folkrnn",
) -> pd.DataFrame:
    """Returns the runs of a store, one row each, the newest first, by their ids.

    Columns: `name`, `status`, `started`, `experiment` (the recipe) and `sweep` (the id of the parent run); parameters
    as numbers, truth values, lists and text, those that were typed or differ from the defaults first; then metrics.
    `dataset`, `model`, `weights`, `control` … are the options that were chosen, `intervention` and `analysis` lists of
    them. `numbers` adds, from the tables of all numbers that the runs found, those whose names match a pattern
    (`effect/*`); a run that filed none has none.

    `query` chooses runs by any of these columns: `experiment=part6 and (cut.fraction>0.1 or not status=FINISHED)`.
    Values with blanks stand in quotes; a list is equal to what it contains; a run that lacks a value is on neither side
    of it. `uri`, `folder` and `experiment` name the store as `tracking.uri`, `tracking.folder` and
    `tracking.experiment` do. The parents of sweeps are no rows.

    Raises UserError where there is no such store, experiment or column, and for what is no query.
    """
    import pandas as pd

    client, store = reader(uri, folder, "folkrnn.results")
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise UserError(f"folkrnn.results: there is no experiment {experiment!r} in {store}")
    runs = [run for run in _all(client, found.experiment_id) if run.data.tags.get("sweep") != "parent"]
    rows = [_row(run) for run in runs]
    for run, row in zip(runs, rows, strict=True):
        row.update(_matching(StoredRun(client, run), [numbers] if isinstance(numbers, str) else numbers))
    index = pd.Index([run.info.run_id for run in runs], name="run")
    frame = pd.DataFrame(rows, index=index, columns=_in_order(rows))
    chosen = frame[matches(query, frame)] if query.strip() else frame
    return chosen.dropna(axis="columns", how="all").infer_objects() if len(chosen) else chosen


def result(run: str, *, uri: str | None = None, folder: str | None = None) -> StoredRun:
    """Returns what the run with the id `run` filed. Raises UserError where the store has no such run."""
    from mlflow.exceptions import MlflowException

    client, store = reader(uri, folder, "folkrnn.result")
    try:
        return StoredRun(client, client.get_run(run))
    except MlflowException:
        raise UserError(f"folkrnn.result: there is no run {run!r} in {store}") from None


@dataclass(frozen=True)
class StoredRun:
    """A run in a store, and what it filed."""

    _client: MlflowClient = field(repr=False)
    _run: Run = field(repr=False)

    @property
    def id(self) -> str:
        return self._run.info.run_id

    @property
    def name(self) -> str:
        return self._run.info.run_name or ""

    @property
    def parameters(self) -> dict[str, Any]:
        """The configuration by dotted keys, and the options chosen."""
        return _parameters(self._run)

    @property
    def metrics(self) -> dict[str, float]:
        """The main numbers; all of them are in `table("metrics")`."""
        return dict(self._run.data.metrics)

    @cached_property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return self._names("tables", ".csv")

    @cached_property
    def arrays_filed(self) -> list[str]:
        """The names of its sets of arrays."""
        return self._names("arrays", ".npz")

    def table(self, name: str) -> pd.DataFrame:
        """Returns a table. Raises UserError where the run filed none of this name."""
        import pandas as pd

        return pd.read_csv(io.BytesIO(self._content("tables", name, ".csv", self.tables)), keep_default_na=True)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Returns a set of arrays by name. Raises UserError where the run filed none of this name."""
        import numpy as np

        with np.load(io.BytesIO(self._content("arrays", name, ".npz", self.arrays_filed)), allow_pickle=False) as found:
            return dict(found)

    def text(self, path: str) -> str:
        """Returns any file of the run as text: `config.yaml`, `tunes/all.abc`."""
        return self._file(path).decode()

    def _names(self, folder: str, ending: str) -> list[str]:
        paths = [Path(entry.path).name for entry in self._client.list_artifacts(self.id, folder)]
        return sorted(path.removesuffix(ending) for path in paths if path.endswith(ending))

    def _content(self, folder: str, name: str, ending: str, names: Collection[str]) -> bytes:
        if name not in names:
            there = f"; there are {', '.join(names)}" if names else ""
            raise UserError(f"run {self.id[:12]} has no {folder}/{name}{ending}{did_you_mean(name, names)}{there}")
        return self._file(f"{folder}/{name}{ending}")

    def _file(self, path: str) -> bytes:
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as place:
            try:
                return Path(self._client.download_artifacts(self.id, path, place)).read_bytes()
            except (MlflowException, OSError) as error:
                raise UserError(f"run {self.id[:12]}: {path} cannot be read ({str(error).splitlines()[0]})") from error


def matches(query: str, frame: pd.DataFrame) -> pd.Series:
    """Returns for each row of `frame` whether `query` holds. Raises UserError for what is none, naming the place."""
    import pandas as pd

    words, conditions, place = list[str](), dict[str, Any](), 0
    while place < len(query.rstrip()):
        found = _TOKEN.match(query, place)
        if found is None:
            rest = query[place:].strip()
            raise UserError(f"folkrnn.results: {rest!r} is no condition; write seed=1 and cut.fraction>0.1")
        if found["key"]:
            conditions[f"c{len(conditions)}"] = _condition(frame, found["key"], _WORDS[found["sign"]], found["value"])
            words.append(f"c{len(conditions) - 1}")
        else:
            words.append((found["bracket"] or found["word"]).lower())
        place = found.end()
    try:
        held = cast("pd.Series", pd.DataFrame(conditions, index=frame.index).eval(" ".join(words), engine="python"))
    except (SyntaxError, TokenError, ValueError, TypeError, AttributeError, NotImplementedError):
        raise UserError(
            f"folkrnn.results: {query!r} is no query; join conditions by and, or, not and brackets: "
            "seed=1 and not (cut.layer=3 or status=FAILED)"
        ) from None
    return held


def _condition(frame: pd.DataFrame, key: str, sign: str, text: str) -> list[bool]:
    if key not in frame.columns:
        raise UserError(f"folkrnn.results: no run has {key!r}{did_you_mean(key, map(str, frame.columns))}")
    wanted = text[1:-1] if text[0] in "'\"" else _value(text)
    return [_holds(value, sign, wanted) for value in frame[key]]


def _holds(value: Any, sign: str, wanted: Any) -> bool:
    if isinstance(value, list):
        inside = wanted == value or wanted in value
        return inside if sign == "=" else not inside if sign == "!=" else False
    if value is None or value != value:  # NaN and NaT
        return False
    if sign in ("=", "!="):
        same = value == wanted or str(value) == str(wanted)
        return same == (sign == "=")
    if isinstance(value, str) != isinstance(wanted, str):
        value, wanted = str(value), str(wanted)  # dates
    return {">": value > wanted, "<": value < wanted, ">=": value >= wanted, "<=": value <= wanted}[sign]


def _all(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], order_by=["attributes.start_time DESC"], max_results=1000, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


_FIRST = ("name", "status", "started", "experiment", "sweep")


def _row(run: Run) -> dict[str, Any]:
    import pandas as pd

    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "started": pd.Timestamp(run.info.start_time, unit="ms"),
        "experiment": None,
        "sweep": run.data.tags.get("mlflow.parentRunId"),
        **_parameters(run),
        **dict(sorted(run.data.metrics.items())),
    }


def _parameters(run: Run) -> dict[str, Any]:
    """The configuration in the order in which it was filed, and as options what groups were chosen."""
    settings = {key: _value(text) for key, text in run.data.params.items() if not key.endswith("_target_")}
    typed = overrides_of(run.data.tags.get("command", ""))
    options: dict[str, Any] = {group: settings[f"{group}.name"] for group in GROUPS if f"{group}.name" in settings}
    for group in LISTS:
        keys = [key.split(".")[1] for key in settings if key.startswith(f"{group}.")]
        options[group] = list(dict.fromkeys(keys))
    if "experiment" in typed:
        options["experiment"] = typed["experiment"]
    return {**options, **{key: value for key, value in settings.items() if key not in options}}


def _value(text: str) -> Any:
    """A parameter as it was before it became text: a number, a truth value, a list, None, or text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _in_order(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    metrics = {name for row in rows for name in row if "/" in name}
    keys = dict.fromkeys(key for row in rows for key in row if key not in metrics)
    return [*_FIRST, *(key for key in keys if key not in _FIRST), *sorted(metrics)]


def _matching(run: StoredRun, patterns: Sequence[str]) -> dict[str, float]:
    """All numbers of a run whose names match, the ends of their intervals beside them."""
    if not patterns or "metrics" not in run.tables:
        return {}
    found: dict[str, float] = {}
    for row in run.table("metrics").to_dict("records"):
        if any(fnmatch.fnmatchcase(row["name"], pattern) for pattern in patterns):
            ends = {"": row["value"], "_low": row["low"], "_high": row["high"]}
            found |= {allowed_name(f"{row['name']}{end}"): value for end, value in ends.items() if value == value}
    return found
