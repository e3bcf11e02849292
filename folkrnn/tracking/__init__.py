"""Runs in MLflow: parameters, curves, findings, files, and how each run ended. Nothing else imports mlflow.

    from folkrnn.tracking import open_store, start_run

    store = open_store("sqlite:///mlflow.db", "folkrnn", repository)      # or "http://127.0.0.1:5000"
    with start_run(store, "first look", repository / "runs" / "first", overrides=["seed=1"]) as run:
        run.log_params(config)                                            # nested dict → flat params and config.yaml
        run.log_dataset("irish", digest, "music21 corpora", {"tunes": 4248})
        run.log_metrics({"val/nats_per_token": 1.35}, step=100)
        run.log_findings("posterior", findings)                           # metrics, figures, tables, arrays
        run.log_text(abc, "tunes/1.abc")
        print(run.link)

Importing this does not import mlflow: `open_store` does. `folkrnn.tracking.lightning.RunLogger(run)` takes the curves
of a Lightning training; `python -m folkrnn.tracking upload FOLDER` sends what a dead server missed, and `… serve` runs
a server with PostgreSQL on this computer.
"""

from __future__ import annotations

from folkrnn.tracking.parents import (
    ChildRun,
    by_key,
    child,
    child_arrays,
    child_images,
    child_numbers,
    children,
    end_child,
    finished_children,
    finished_run,
    parent_run,
    start_parent,
)
from folkrnn.tracking.run import TrackedRun
from folkrnn.tracking.run_context import start_run
from folkrnn.tracking.store import DEFAULT_URI, Store, check_store, located, open_store
from folkrnn.tracking.upload import pending, upload

__all__ = [
    "DEFAULT_URI",
    "ChildRun",
    "Store",
    "TrackedRun",
    "by_key",
    "check_store",
    "child",
    "child_arrays",
    "child_images",
    "child_numbers",
    "children",
    "end_child",
    "finished_children",
    "finished_run",
    "located",
    "open_store",
    "parent_run",
    "pending",
    "start_parent",
    "start_run",
    "upload",
]
