"""What the parent of a sweep says of its jobs: how each ended, and what sets those apart that finished."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from folkrnn.places import readable
from folkrnn.sweep.board import numbers
from folkrnn.sweep.jobs import FINISHED, SKIPPED, Outcome

if TYPE_CHECKING:
    import pandas as pd

    from folkrnn.findings import Findings
    from folkrnn.tracking import Child, TrackedRun

EFFECT = "arrays/effect_tunes.npz"
"""What the analysis `effect` files of its tunes: from it sweeps of interventions are compared."""

PANELS = 12
"""Most metrics in the figure that compares jobs."""


def file_outcomes(tracked: TrackedRun, outcomes: Sequence[Outcome]) -> None:
    """Files how each job ended: the table `sweep_jobs`, a metric for each way to end, and the reasons as a tag."""
    import pandas as pd

    from folkrnn.findings import Findings

    columns = ["job", "status", "reason", "seconds", "run", "overrides"]
    rows = [
        (o.job.number, o.status, readable(o.reason), round(o.seconds, 1), o.run, readable(shlex.join(o.job.overrides)))
        for o in outcomes
    ]
    failed = [outcome for outcome in outcomes if outcome.failed]
    counts = {
        "jobs": len(outcomes),
        "finished": sum(outcome.status == FINISHED for outcome in outcomes),
        "skipped": sum(outcome.status == SKIPPED for outcome in outcomes),
        "failed": len(failed),
    }
    tracked.log_findings("sweep", Findings(metrics=counts, tables={"jobs": pd.DataFrame(rows, columns=columns)}))
    if failed:
        reasons = "; ".join(f"job {o.job.number} ({o.job}): {o.reason}" for o in failed)
        tracked.set_tags({"failed": reasons})
        tracked.failures.append(f"{len(failed)} of {len(outcomes)} jobs failed: {numbers(failed)}")


def file_comparison(tracked: TrackedRun, jobs: Sequence[Child], seed: int) -> str:
    """Files what sets finished jobs apart: a table and a figure, and the dose–response of interventions.

    Returns one line on it; "" where fewer than two jobs have come to their end. `seed` is that of the resampling.
    """
    if len(jobs) < 2:
        return ""
    import numpy as np

    from analyses.dose_response import Condition, compare
    from folkrnn.tracking import child_arrays

    varied = varied_settings([job.overrides for job in jobs])
    arrays = [child_arrays(tracked.store, job, EFFECT) for job in jobs]
    conditions = [
        Condition(settings, tunes) for settings, tunes in zip(varied, arrays, strict=True) if tunes is not None
    ]
    found = compare(conditions, np.random.default_rng(seed)) if conditions else None
    if found is not None:
        tracked.log_findings("dose_response", found)
    comparison = compare_jobs(jobs, varied)
    tracked.log_findings("sweep", comparison)
    captions = [figure.caption for findings in (found, comparison) if findings for figure in findings.figures.values()]
    return captions[0] if captions else ""


def over_seeds(table: pd.DataFrame, varied: Sequence[str], names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Returns the table `seeds` of a sweep over seeds: each metric of `names`, one row for each other setting.

    Mean, least and most over the seeds, and how many there are: settings differ in a metric if their ranges do not
    meet. Nothing where the seed was not varied, or nothing else was named.
    """
    import pandas as pd

    if "seed" not in varied or not names:
        return {}
    others = [name for name in varied if name != "seed"]
    groups = table.groupby(others, sort=False) if others else [((), table)]
    rows = []
    for key, part in groups:
        settings = dict(zip(others, key if isinstance(key, tuple) else (key,), strict=True))
        for name in names:
            values = part[name].dropna()
            row = {"metric": name, "mean": values.mean(), "least": values.min(), "most": values.max()}
            rows.append(settings | row | {"seeds": len(values)})
    return {"seeds": pd.DataFrame(rows)}


def varied_settings(overrides: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Returns of each job's overrides those that are not the same in all jobs ("" where a job lacks one)."""
    keys = list(dict.fromkeys(key for words in overrides for key in words))
    several = [key for key in keys if len({words.get(key, "") for words in overrides}) > 1]
    return [{key: words.get(key, "") for key in several} for words in overrides]


def _label(settings: Mapping[str, str]) -> str:
    """A job by what was varied, for an axis: "cut_random fraction=0.1 seed=2"."""
    words = [value if key == "intervention" else f"{key.rsplit('.', 1)[-1]}={value}" for key, value in settings.items()]
    return " ".join(words)


def compare_jobs(jobs: Sequence[Child], varied: Sequence[Mapping[str, str]]) -> Findings:
    """Returns one row per job with all its metrics, and a figure of those that analyses name first."""
    import pandas as pd

    from analyses.drawings import dose_response as draw
    from folkrnn.findings import Figure, Findings

    rows = [
        {"run": job.run_id, **settings, **dict(sorted(job.metrics.items()))}
        for job, settings in zip(jobs, varied, strict=True)
    ]
    table = pd.DataFrame(rows)
    first = dict.fromkeys(name for job in jobs for name in job.main if not name.startswith("intervention/"))
    names = [name for name in first if name in table.columns]
    labels = [_label(settings) or job.name for job, settings in zip(jobs, varied, strict=True)]
    shown = [name for name in names if table[name].nunique() > 1][:PANELS] or names[:PANELS]
    settings = ", ".join(varied[0])
    figures = {}
    if shown:
        caption = f"{len(jobs)} runs that differ in {settings or 'nothing'}: what their analyses name first."
        figures["comparison"] = Figure(draw.metrics(table, shown, labels), caption)
    return Findings(figures=figures, tables={"comparison": table} | over_seeds(table, list(varied[0]), names))
