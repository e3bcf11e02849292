"""Trained models in MLflow: kept with a run so that `mlflow.pyfunc` can play them, and read back as weights.

The model of a run is its weights folder beside a file that names this module as its loader: no code and no pickle
travels with it. `mlflow.pyfunc.load_model("runs:/<run>/model").predict(...)` writes tunes, or encodes and decodes
melodies (`players.py`).
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from folkrnn.errors import UserError
from folkrnn.tracking.pyfunc import Player, player
from folkrnn.tracking.reading import reader
from folkrnn.weights import folder as weights_folder
from folkrnn.weights.folder import Weights

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from folkrnn.tracking.run import TrackedRun

PLACE, WEIGHTS = "model", "weights"
"""Folders of a run's artifacts: the model for `mlflow.pyfunc`, and the weights as such."""

OPTION = "mlflow"


def _load_pyfunc(path: str) -> Player:
    """What MLflow calls to load a model."""
    return player(weights_folder.load(Path(path)))


def file_model(tracked: TrackedRun, place: Path) -> None:
    """Files the weights folder at `place` as a model of the run, with signature and example of its input."""
    import mlflow.pyfunc

    plays = player(weights_folder.load(place))
    example = {name: value for name, value in plays.example.items() if value is not None}
    logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)
    target = tracked.folder / PLACE
    shutil.rmtree(target, ignore_errors=True)  # of a training that was resumed
    mlflow.pyfunc.save_model(
        path=str(target),
        loader_module=__name__,
        data_path=str(place),
        signature=plays.signature,
        input_example=pd.DataFrame([example]),
        pip_requirements=["folkrnn-lab"],
    )
    for file in sorted(path for path in target.rglob("*") if path.is_file()):
        tracked.log_file(file)


def weights(run: str | None = None, name: str = OPTION, uri: str | None = None, folder: str | None = None) -> Weights:
    """Returns the weights that a run keeps, or those of a registered model (`name@alias` or `name/version`).

    `uri` and `folder` say where the tracking store is, as for runs. Raises UserError where there is no such store, run,
    model or alias, and where the run keeps no weights.
    """
    if (run is None) == (name == OPTION):
        raise UserError("weights=mlflow needs either weights.run=RUN_ID or weights.name=MODEL@ALIAS (or MODEL/VERSION)")
    client, store = reader(uri, folder, "weights=mlflow")
    with _said(store), tempfile.TemporaryDirectory() as temporary:
        where = f"run {run}" if run else f"model {name}"
        run_id, source = (run, WEIGHTS) if run else _registered(client, name)
        place = _downloaded(client, run_id, source, Path(temporary), where)
        found = weights_folder.load(place)
    return replace(found, source=f"{where} in {store}")


def _registered(client: MlflowClient, name: str) -> tuple[str, str]:
    """The run of a version of a registered model, and the folder of its artifacts in which it lies."""
    model, at, alias = name.rpartition("@")
    version, slash, number = name.rpartition("/")
    if not (at or slash):
        raise UserError(f"weights.name={name}: say which version, as {name}@ALIAS or {name}/1")
    found = client.get_model_version_by_alias(model, alias) if at else client.get_model_version(version, number)
    if not found.run_id:
        raise UserError(f"weights.name={name} belongs to no run, so that its weights cannot be found")
    return found.run_id, WEIGHTS


def _downloaded(client: MlflowClient, run_id: str, source: str, temporary: Path, where: str) -> Path:
    """The run's weights folder on this disk: the files that such a folder has, up to the size that one may have."""
    names = {file.path.rpartition("/")[2]: file for file in client.list_artifacts(run_id, source)}
    if weights_folder.PARAMETERS not in names:
        raise UserError(f"weights=mlflow: the {where} keeps no weights; only a training (weights=scratch) does")
    known = [name for name in weights_folder.FILES if name in names]
    if sum(names[name].file_size or 0 for name in known) > weights_folder.LARGEST:
        raise UserError(f"weights=mlflow: the weights of {where} are larger than {weights_folder.LARGEST // 2**30} GiB")
    here = [Path(client.download_artifacts(run_id, f"{source}/{name}", str(temporary))) for name in known]
    return here[0].parent


@contextmanager
def _said(store: str) -> Iterator[None]:
    """Turns what MLflow raises into one line."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException, OSError) as error:
        reason = str(error).strip().split("\n")[0][:300]
        raise UserError(f"weights=mlflow: the tracking store {store} says: {reason}") from error
