"""What the parent of a sweep says of its jobs: how each ended, and what sets those apart that finished."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from folkrnn.files.places import COMMAND, readable
from folkrnn.sweep.jobs import FINISHED, SKIPPED, Outcome
from folkrnn.sweep.progress import numbers
from folkrnn.tracking.folders import REPORT

if TYPE_CHECKING:
    import pandas as pd

    from folkrnn.findings import Figure, Findings
    from folkrnn.tracking import ChildRun, Store, TrackedRun

EFFECT = "arrays/effect_tunes.npz"
"""What the analysis `effect` files of its tunes: from it sweeps of interventions are compared."""

OPTIONS = frozenset({"experiment", "transcription", "intervention", "analysis", "model", "weights", "dataset"})
"""Settings whose values say enough by themselves."""

SAID = 4
"""Sentences on what jobs differ in."""

BESIDE = 4
"""Most jobs whose figures are put into one."""

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
    counts: dict[str, float] = {
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


def file_comparison(tracked: TrackedRun, jobs: Sequence[ChildRun], seed: int) -> dict[str, Findings]:
    """Files what sets finished jobs apart: a table and a figure, and the dose–response of interventions.

    Returns what was found, by name; nothing where fewer than two jobs have come to their end. `seed` is that of the
    resampling.
    """
    if len(jobs) < 2:
        return {}
    import numpy as np

    from analyses.dose_response import Condition, compare
    from folkrnn.tracking import child_arrays, child_numbers

    varied = varied_settings([job.overrides for job in jobs])
    arrays = [child_arrays(tracked.store, job, EFFECT) for job in jobs]
    conditions = [
        Condition(settings, tunes) for settings, tunes in zip(varied, arrays, strict=True) if tunes is not None
    ]
    found = compare(conditions, np.random.default_rng(seed)) if conditions else None
    if found is not None:
        tracked.log_findings("dose_response", found)
    comparison = compare_jobs(jobs, [child_numbers(tracked.store, job) for job in jobs], varied)
    comparison.figures.update(of_models(tracked.store, jobs, varied))
    tracked.log_findings("sweep", comparison)
    return ({} if found is None else {"dose_response": found}) | {"comparison": comparison}


def captions(found: Mapping[str, Findings]) -> list[str]:
    """Returns what stands under the figures of a comparison, which says what came out."""
    return [figure.caption for findings in found.values() for figure in findings.figures.values()]


def file_report(
    tracked: TrackedRun, typed: Sequence[str], outcomes: Sequence[Outcome], found: Mapping[str, Findings], best: str
) -> None:
    """Files `report.html` of a sweep: what came out, its jobs with their pages, and what compares them."""
    from folkrnn.report.page import JobEntry as Row
    from folkrnn.report.page import Report, Section, write_report

    places = results_of(tracked.folder.parents[1])
    rows = [Row(str(o.job), o.status, readable(o.reason), _page(tracked.folder, places.get(o.run))) for o in outcomes]
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in (FINISHED, SKIPPED)}
    ended = f"{sum(counts.values())} of {len(outcomes)} jobs have come to their end."
    said = [ended, best, *captions(found)[:1], *ranges(found["comparison"].tables["comparison"] if found else None)]
    command = shlex.join([*COMMAND, "-m", *typed])
    report = Report(
        tracked.name,
        {"jobs": str(len(outcomes)), "run": tracked.run_id},
        [words for words in said if words],
        rows,
        sections=[Section(name, findings) for name, findings in found.items()],
        command=command,
        warnings=tracked.failures,
    )
    write_report(tracked.folder / REPORT, report)
    tracked.log_file(tracked.folder / REPORT)
    tracked.describe("\n\n".join([*(words for words in said if words), f"`{command}`"]))


def ranges(table: pd.DataFrame | None) -> list[str]:
    """Returns a sentence for each of the first main numbers that jobs differ in: least and most, and whose."""
    if table is None:
        return []
    from folkrnn.report.page import number

    numbers = [c for c in table.columns if "/" in c and not c.endswith(("_low", "_high")) and c[:7] != "claims/"]
    settings = [c for c in table.columns if c != "run" and "/" not in c]
    labels = [label({key: str(row[key]) for key in settings}) for row in table.to_dict("records")]
    found = []
    for name in numbers:
        values = table[name].to_numpy(float)
        known = [place for place, value in enumerate(values) if value == value]
        if len({values[place] for place in known}) < 2:
            continue
        least, most = (of(known, key=lambda place: values[place]) for of in (min, max))
        ends = " to ".join(f"{number(float(values[place]))} ({labels[place]})" for place in (least, most))
        found.append(f"{name.replace('/', ': ').replace('_', ' ').capitalize()} goes from {ends}.")
    return found[:SAID]


def results_of(runs: Path) -> dict[str, Path]:
    """Returns the results folder of every run below the folder `runs`, by the id of the run."""
    found = {}
    for about in runs.glob("*/.tracking/run.json"):
        try:
            found[json.loads(about.read_text(encoding="utf-8"))["run_id"]] = about.parents[1]
        except (OSError, ValueError, KeyError):
            continue  # a run that is just being begun, or whose journal is damaged, has no page to show
    return found


def _page(folder: Path, other: Path | None) -> str:
    """The report in another folder, from this one; "" where there is none."""
    if other is None or not (other / REPORT).is_file():
        return ""
    return quote(Path(os.path.relpath(other / REPORT, folder)).as_posix())


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


def label(settings: Mapping[str, str]) -> str:
    """Returns a job by what was varied, for an axis: "cut_random fraction=0.1 seed=2"."""
    words = [
        (value or f"default {key}") if key in OPTIONS else f"{key.rpartition('.')[2]}={value or 'default'}"
        for key, value in settings.items()
    ]
    return " ".join(words)


def of_models(store: Store, jobs: Sequence[ChildRun], varied: Sequence[Mapping[str, str]]) -> dict[str, Figure]:
    """Returns the main figures that all jobs have, each of all of them in one, where models or weights were varied.

    Nothing where there are more than BESIDE jobs: no figure could show them.
    """
    from analyses.drawings.stacked import stacked
    from folkrnn.findings import Figure
    from folkrnn.tracking import child_images

    models = [key for key in varied[0] if key.partition(".")[0] in ("model", "weights")]
    if not models or len(jobs) > BESIDE:
        return {}
    pictures = [child_images(store, job) for job in jobs]
    labels = [label(settings) for settings in varied]
    shared = [key for key in pictures[0] if all(key in others for others in pictures)]
    return {
        key.replace("/", "_"): Figure(
            stacked([own[key] for own in pictures], labels),
            f"{key.partition('/')[0].replace('_', ' ').capitalize()} of {' and '.join(labels)}.",
        )
        for key in shared
    }


def compare_jobs(
    jobs: Sequence[ChildRun], numbers: Sequence[Mapping[str, float]], varied: Sequence[Mapping[str, str]]
) -> Findings:
    """Returns one row per job with its main numbers and their intervals, and a figure of them.

    `numbers` are all that each job found; of a job that filed no such table, its metrics.
    """
    import pandas as pd

    from analyses.drawings import dose_response as draw
    from folkrnn.findings import Figure, Findings

    found = [own or job.metrics for job, own in zip(jobs, numbers, strict=True)]
    main = dict.fromkeys(name for job, own in zip(jobs, found, strict=True) for name in own if name in job.metrics)
    ends = [f"{name}{end}" for name in main for end in ("", "_low", "_high")]
    rows = [
        {"run": job.run_id, **settings, **{name: own[name] for name in ends if name in own}}
        for job, own, settings in zip(jobs, found, varied, strict=True)
    ]
    table = pd.DataFrame(rows)
    names = [name for name in main if not name.startswith(("claims/", "intervention/"))]
    labels = [label(settings) or job.name for job, settings in zip(jobs, varied, strict=True)]
    shown = [name for name in names if table[name].nunique() > 1][:PANELS] or names[:PANELS]
    settings = ", ".join(varied[0])
    figures = {}
    if shown:
        said = f"{len(jobs)} runs that differ in {settings or 'nothing'}: the main numbers of their analyses"
        caption = f"{said}, with 95 % intervals where there are any."
        figures["comparison"] = Figure(draw.metrics(table, shown, labels), caption)
    return Findings(figures=figures, tables={"comparison": table} | over_seeds(table, list(varied[0]), names))
