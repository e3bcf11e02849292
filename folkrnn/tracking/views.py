"""A view in the MLflow pages of an experiment that shows the main figures of its runs side by side.

MLflow keeps saved views in tags of the experiment; its own default puts each figure, very small, under a list of all
parameters. A version of MLflow that knows no such view ignores the tag.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "folkrnn-figures"
"""Key of the view in the address of a page: `viewStateShareKey=folkrnn-figures`."""

_TAG = f"mlflow.sharedViewState.{VIEW}"
_KIND = "mlflow.experimentKind"
_NAME = "figures side by side"
_CARD_HEIGHT = 520
_TRIES = 5


def furnish(client: MlflowClient, experiment_id: str) -> None:
    """Makes the pages of an experiment open on its runs, not on the traces of chat models, and gives them the view."""
    if _KIND not in client.get_experiment(experiment_id).tags:
        client.set_experiment_tag(experiment_id, _KIND, "custom_model_development")
    show_side_by_side(client, experiment_id, ())


def show_side_by_side(client: MlflowClient, experiment_id: str, images: Iterable[str]) -> None:
    """Adds cards for the images with these keys to the view, and leaves what somebody changed in it as it is."""
    wanted = set(images)
    for _ in range(_TRIES):  # again, since another run may have written between our reading and our writing
        saved = client.get_experiment(experiment_id).tags.get(_TAG)
        state = _unpacked(saved) if saved else _empty()
        shown = {key for card in state["compareRunCharts"] for key in card.get("imageKeys", ())}
        new = sorted(wanted - shown)
        if saved and not new:
            return
        state["compareRunCharts"] += [_card(key) for key in new]
        client.set_experiment_tag(experiment_id, _TAG, _packed(state))


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
        "selectedColumns": ["attributes.`Source`", "attributes.`Dataset`"],
        "columnOrder": [],
        "columnWidths": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "viewMaximized": False,
        "runListHidden": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
