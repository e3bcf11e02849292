"""What a run has to say to the claims of the source documents, filed and shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from analyses.drawings import controls as draw
from folkrnn.claims import Verdict, circumstances, document, judge, table
from folkrnn.claims.judge import FAILS, HOLDS, INDEPENDENT, NULL, OPEN, STATED_FOR
from folkrnn.claims.judge import published_numbers as printed
from folkrnn.findings import Figure, Findings, Main
from folkrnn.tracking import TrackedRun
from folkrnn.tracking.names import allowed_name

_MAIN_EACH, _MOST_MAIN = 4, 24
"""Numbers of each analysis, and of all together, that the figure of model and controls shows."""

Controls = Mapping[str, Mapping[str, Findings]]
"""By control (untrained, shuffled) the findings of the analyses on it."""

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from folkrnn.claims import Document
    from folkrnn.datasets.dataset import Dataset
    from folkrnn.models.model import Model
    from folkrnn.report.page import JudgedClaim
    from folkrnn.weights.folder import Weights


def file_claims(
    tracked: TrackedRun,
    config: DictConfig,
    documents: Sequence[Document],
    weights: Weights[Model],
    corpus: Dataset,
    findings: Mapping[str, Findings],
    controls: Controls,
) -> list[Verdict]:
    """Judges the claims of the documents, files `claims.csv` and how many hold, and returns the verdicts.

    Where the run names no documents, only the claims that its analyses can answer under its settings are kept.
    """
    from omegaconf import OmegaConf

    found = tracked.metrics | lists_of(findings)
    others = {name: metrics_of(control) | lists_of(control) for name, control in controls.items()}
    if any(one.null for one in findings.values()):
        others[NULL] = {f"{name}/{key}": value for name, one in findings.items() for key, value in one.null.items()}
    failed = [failure.split(":", 1)[0] for failure in tracked.failures]
    plain = cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))
    here = circumstances(plain, weights, len(corpus) + sum(corpus.rejections.values()), findings, failed)
    claims = [claim for document in documents for claim in document.claims]
    if config.claims is None:
        claims = [claim for claim in claims if here.ran.issuperset(claim.analyses)]
    verdicts = judge(claims, found, others, here)
    if config.claims is None:
        verdicts = [verdict for verdict in verdicts if not verdict.why.startswith(STATED_FOR)]
    if verdicts:
        tracked.log_text(table(verdicts).to_csv(index=False), "claims.csv")
        names = {HOLDS: "hold", FAILS: "do_not_hold", INDEPENDENT: "independent", OPEN: "not_judged"}
        statuses = [verdict.status for verdict in verdicts]
        counts = {name: float(statuses.count(status)) for status, name in names.items()}
        tracked.log_numbers("claims", Findings(counts, main=dict.fromkeys(("hold", "do_not_hold"), Main(""))))
    return verdicts


def metrics_of(findings: Mapping[str, Findings]) -> dict[str, float]:
    """Returns the metrics of all findings by `<analysis>/<quantity>`, under the names they are filed by."""
    return {
        allowed_name(f"{name}/{key}"): float(value)
        for name, found in findings.items()
        for key, value in found.metrics.items()
    }


def lists_of(findings: Mapping[str, Findings]) -> dict[str, list[str]]:
    """Returns the lists of all findings by `<analysis>/<quantity>`."""
    return {f"{name}/{key}": items for name, found in findings.items() for key, items in found.lists.items()}


def beside(findings: Mapping[str, Findings], controls: Controls, behind: str) -> Findings:
    """Returns every number that the model has in common with any of its controls: a table, and a figure of the main
    ones. `behind` says how much was observed (64 tunes); nothing where there are no controls.
    """
    own, others = metrics_of(findings), {name: metrics_of(control) for name, control in controls.items()}
    shared = [
        key for key in own if not key.endswith(("_low", "_high")) and any(key in other for other in others.values())
    ]
    if not shared:
        return Findings()
    columns = {
        f"{side}{end}": [values.get(f"{key}{end}", math.nan) for key in shared]
        for side, values in ({"model": own} | others).items()
        for end in ("", "_low", "_high")
    }
    table = pd.DataFrame({"quantity": shared} | columns).dropna(axis="columns", how="all").assign(behind=behind)
    analysis = table["quantity"].str.partition("/")[0]
    main = (
        table[analysis.groupby(analysis).cumcount() < _MAIN_EACH]
        .head(_MOST_MAIN)
        .reindex(columns=["quantity", *columns])
    )
    drawn = Figure(
        draw.beside(main, list(controls)),
        f"The first numbers of each analysis, of the model and of its controls, read on the same {behind}, each on a "
        "scale of its own from 0 (grey stroke), or its lowest value, to its highest. Lines: 95 % intervals. "
        "On the right the values. The table holds all.",
        f"The model beside {' and '.join(controls)}",
    )
    return Findings(tables={"model_and_control": table}, figures={"beside": drawn})


def shown_claim(verdict: Verdict) -> JudgedClaim:
    """Returns a verdict as the report shows it."""
    from folkrnn.report.page import JudgedClaim, number

    claim, interval = verdict.claim, ""
    if verdict.low is not None and verdict.high is not None:
        interval = f"{number(verdict.low)} to {number(verdict.high)}"
    title = document(claim.source).title
    elsewhere = ", ".join(
        f"{name} {_words(one.value) if not isinstance(one.value, float) else number(one.value)}"
        for name, one in verdict.elsewhere.items()
        if one.value is not None
    )
    control = elsewhere if verdict.elsewhere and not claim.control else _words(verdict.control)
    criterion = claim.criterion.text
    return JudgedClaim(
        claim.id,
        title,
        claim.statement,
        _words(printed(claim)),
        _words(verdict.value),
        interval,
        control,
        criterion,
        verdict.status,
        verdict.why,
        verdict.beside,
    )


def _words(value: object) -> object:
    """A list as the words in it, the first dozen; anything else as it is."""
    if not isinstance(value, list | tuple):
        return value
    return " ".join(map(str, value[:12])) + (" …" if len(value) > 12 else "") if value else "none"


def in_a_line(metrics: Mapping[str, float]) -> list[str]:
    """Returns one line on the claims that were judged, or none where there were none."""
    names = ("hold", "do_not_hold", "independent", "not_judged")
    hold, fail, independent, open_ = (int(metrics.get(f"claims/{name}", 0)) for name in names)
    apart = f", {independent} do not depend on the model" if independent else ""
    said = f"claims   {hold} of {hold + fail} hold{apart}, {open_} not judged"
    return [said] if hold + fail + independent + open_ else []
