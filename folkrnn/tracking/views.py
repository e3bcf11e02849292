"""A view in the MLflow pages of an experiment: its runs with four telling metrics, and their main figures side by side.

MLflow keeps saved views in tags of the experiment; its own default lists runs without a metric, and puts each figure,
very small, under a list of all parameters. A version of MLflow that knows no such view ignores the tag.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "folkrnn"
"""Key of the view in the address of a page: `viewStateShareKey=folkrnn`."""

COLUMNS = 4
"""Metrics in the list of runs."""

TELLING = (
    "tune_statistics/full_bars",
    "posterior/nats_per_token",
    "effect/counting_kept",
    "claims/hold",
    "latent_spread/music_neurons_by_sigma",
    "held_out_melodies/free_onsets",
)
"""Metrics that are shown before others, if runs have them."""

_TAG = f"mlflow.sharedViewState.{VIEW}"
_KIND = "mlflow.experimentKind"
_NAME = "main numbers and figures"
_RUN_NAME, _DATE = "attributes.`Run Name`", "runDateAndNestInfo"
_WIDTHS = {_RUN_NAME: 260, _DATE: 130}
_WIDTH = 190
_CARD_HEIGHT = 520
_TRIES = 5


def furnish(client: MlflowClient, experiment_id: str) -> None:
    """Makes the pages of an experiment open on its runs, not on the traces of chat models, and gives them the view."""
    if _KIND not in client.get_experiment(experiment_id).tags:
        client.set_experiment_tag(experiment_id, _KIND, "custom_model_development")
    show(client, experiment_id, (), ())


def show(client: MlflowClient, experiment_id: str, images: Iterable[str], metrics: Iterable[str]) -> None:
    """Adds cards for the images with these keys to the view, and columns for those of the metrics that tell most.

    What somebody changed in it stays as it is.
    """
    wanted, named = set(images), list(metrics)
    for _ in range(_TRIES):  # again, since another run may have written between our reading and our writing
        saved = client.get_experiment(experiment_id).tags.get(_TAG)
        state = _unpacked(saved) if saved else _empty()
        shown = {key for card in state["compareRunCharts"] for key in card.get("imageKeys", ())}
        new = sorted(wanted - shown)
        columns = _columns(state, named)
        if saved and not new and columns is None:
            return
        if columns is not None:
            state |= _list_of(columns)
        state["compareRunCharts"] += [_card(key) for key in new]
        client.set_experiment_tag(experiment_id, _TAG, _packed(state))


def _columns(state: dict[str, Any], metrics: Sequence[str]) -> list[str] | None:
    """The metrics to show where they are others than now; None where they are not, or are somebody's own choice."""
    shown = state.get(VIEW)
    if shown is None or state["selectedColumns"] != _list_of(shown)["selectedColumns"]:
        return None
    rank = {name: place for place, name in enumerate(TELLING)}
    every = [*shown, *(name for name in metrics if name not in shown)]
    chosen = sorted(every, key=lambda name: rank.get(name, len(rank)))[:COLUMNS]
    return chosen if chosen != shown else None


def _list_of(metrics: Sequence[str]) -> dict[str, Any]:
    """What of the state of the page belongs to the list of runs."""
    columns = [f"metrics.`{name}`" for name in metrics]
    return {
        VIEW: list(metrics),
        "selectedColumns": columns,
        "columnOrder": [_RUN_NAME, _DATE, *columns],
        "columnWidths": _WIDTHS | dict.fromkeys(columns, _WIDTH),
    }


def _unpacked(saved: str) -> dict[str, Any]:
    packed = json.loads(saved)["state"].removeprefix("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def _packed(state: dict[str, Any]) -> str:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    now = time.time_ns() // 1_000_000
    return json.dumps({"name": _NAME, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"})


def _card(key: str) -> dict[str, Any]:
    return {
        "uuid": f"{VIEW}-{key}", "type": "IMAGE", "metricSectionId": VIEW, "imageKeys": [key], "step": 0,
        "showRunParams": False, "runsCountToCompare": 10, "deleted": False, "isGenerated": True,
    }  # fmt: skip


def _empty() -> dict[str, Any]:
    """The state of the page with one section of wide cards at the top; MLflow adds the metrics below it."""
    section = {
        "uuid": VIEW, "name": _NAME, "display": True, "isReordered": True, "deleted": False, "isGenerated": False,
        "columns": 1, "cardHeight": _CARD_HEIGHT,
    }  # fmt: skip
    return {
        "compareRunCharts": [],
        "compareRunSections": [section],
        "isAccordionReordered": True,
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        **_list_of([]),
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
