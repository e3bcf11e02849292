"""Entries done in a store: once, twice, and at the same moment as another process does them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import PIL.Image
import pytest
from mlflow.exceptions import MlflowException

from folkrnn.tracking import start_run
from folkrnn.tracking.entries import insist, perform

ENTRIES = [
    {"kind": "params", "params": {"a": "1", "b": "2"}},
    {"kind": "tags", "tags": {"c": "3"}},
    {"kind": "metrics", "metrics": [["loss", 2.0, 1000, 0], ["loss", 1.0, 1001, 1], ["loss", 1.0, 1001, 2]]},
    {"kind": "metrics", "metrics": [["loss", 0.5, 1001, 2]]},
    {"kind": "file", "path": "tunes/1.abc"},
    {"kind": "image", "path": "heat.png", "key": "posterior/heat map", "step": 3, "timestamp": 1234},
    {"kind": "image", "path": "heat.png", "key": "posterior/heat map", "step": 4, "timestamp": 1234},
    {"kind": "dataset", "context": "training", "name": "irish", "digest": "abc", "source": "x", "profile": {"n": 1}},
    {"kind": "view", "images": ["posterior/heat map"]},
    {"kind": "status", "status": "FINISHED", "time": 2000},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tunes").mkdir()
    (tmp_path / "tunes" / "1.abc").write_text("X:1")
    PIL.Image.new("RGB", (600, 300), "red").save(tmp_path / "heat.png")
    return tmp_path


def filed(store, run_id: str) -> dict[str, object]:
    run = store.client.get_run(run_id)
    paths = [entry.path for place in (None, "tunes", "images") for entry in store.client.list_artifacts(run_id, place)]
    return {
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if key != "mlflow.runName"},
        "loss": sorted((p.step, p.timestamp, p.value) for p in store.client.get_metric_history(run_id, "loss")),
        "artifacts": Counter(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", path) for path in paths),
        "datasets": [entry.dataset.name for entry in run.inputs.dataset_inputs],
        "ended": (run.info.status, run.info.end_time),
        "view": store.client.get_experiment(store.experiment_id).tags["mlflow.sharedViewState.folkrnn"],
    }


def test_what_is_done_twice_leaves_the_store_as_once(store, folder):
    once, twice, wholly = (store.client.create_run(store.experiment_id).info.run_id for _ in range(3))
    for entry in ENTRIES:
        perform(store.client, once, folder, entry)
        perform(store.client, twice, folder, entry)
        perform(store.client, twice, folder, entry)
    for entry in ENTRIES * 2:
        perform(store.client, wholly, folder, entry)
    assert filed(store, once)["loss"] == [(0, 1000, 2.0), (1, 1001, 1.0), (2, 1001, 0.5), (2, 1001, 1.0)]
    assert sum(filed(store, once)["artifacts"].values()) == len(["tunes", "images", "tunes/1.abc"]) + 2 * 2
    assert filed(store, twice) == filed(store, once)
    assert filed(store, wholly) == filed(store, once)


def test_images_are_named_and_sized_as_mlflow_does_it(store, folder, tmp_path):
    ours, theirs = (store.client.create_run(store.experiment_id).info.run_id for _ in range(2))
    perform(store.client, ours, folder, ENTRIES[5])
    with PIL.Image.open(folder / "heat.png") as image:
        store.client.log_image(theirs, image, key="posterior/heat map", step=3, timestamp=1234)
    assert filed_images(store, ours, tmp_path / "ours") == filed_images(store, theirs, tmp_path / "theirs")
    tags = [store.client.get_run(run_id).data.tags["mlflow.loggedImages"] for run_id in (ours, theirs)]
    assert tags[0] == tags[1]


def filed_images(store, run_id: str, place: Path) -> dict[str, tuple[int, int]]:
    place.mkdir()
    store.client.download_artifacts(run_id, "images", str(place))
    drawn = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return {re.sub(drawn, "", file.name): PIL.Image.open(file).size for file in (place / "images").iterdir()}


def test_a_file_that_was_removed_does_not_stand_in_the_way_of_the_rest(store, tmp_path, caplog):
    with start_run(store, "a", tmp_path / "r") as run:
        run.journal.add({"kind": "file", "path": "gone.txt"})
        run.log_metrics({"loss": 1.0})
    assert "gone.txt was removed" in caplog.text
    assert store.client.get_run(run.run_id).data.metrics == {"loss": 1.0}


def test_a_conflict_with_another_process_is_tried_again_and_other_errors_are_not():
    said = ["(psycopg2.errors.UniqueViolation) duplicate key", "UNIQUE constraint failed: tags.key"]

    def sometimes() -> str:
        if said:
            raise MlflowException(said.pop())
        return "done"

    assert insist(sometimes) == "done"
    calls = []

    def never() -> None:
        calls.append(1)
        raise MlflowException("no such run")

    with pytest.raises(MlflowException, match="no such run"):
        insist(never)
    assert len(calls) == 1
