"""What a run found, in a few sentences: the main numbers of its analyses, each with its interval and its control."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from folkrnn.claims.judge import FAILS, HOLDS, INDEPENDENT, WORDS
from folkrnn.report.page import number

if TYPE_CHECKING:
    from folkrnn.claims import Verdict
    from folkrnn.findings import Findings

    Controls = Mapping[str, Mapping[str, Findings]]

MOST = 6
"""Sentences of a report."""


@dataclass(frozen=True)
class FormattedNumber:
    """A number as it stands in a sentence: `{}` as it is, `{:%}` as a share."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def __format__(self, spec: str) -> str:
        words = _percent if spec == "%" else _number
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return words(self.value)
        return f"{words(self.value)} ({words(self.low)} to {words(self.high)})"


def _percent(value: float) -> str:
    return f"{100 * value:.{0 if abs(value) >= 0.095 or value == 0 else 1}f} %".replace("-", "−")


def _number(value: float) -> str:
    if value == int(value) or not 1e-3 <= abs(value) < 1000:
        return number(value)
    return f"{value:.3g}".replace("-", "−")


def sentences(
    findings: Mapping[str, Findings], controls: Controls, verdicts: Sequence[Verdict] = (), most: int = MOST
) -> list[str]:
    """Returns up to `most` sentences: the foremost number of each analysis, then its second, …, and last the claims.

    Each gives the number, its interval, and what it is beside where it is known: another number of the same analysis,
    each control, and what there is where nothing was changed.
    """
    judged = _of_claims(verdicts)
    room = most - len(judged)
    turns = max((len(found.main or ()) for found in findings.values()), default=0)
    said = [
        sentence(found, list(found.main)[turn], controls_of(controls, name), found.null)
        for turn in range(turns)
        for name, found in findings.items()
        if found.main and turn < len(found.main)
    ]
    return [words for words in said if words][:room] + judged


def controls_of(controls: Controls, analysis: str) -> dict[str, Mapping[str, float]]:
    """Returns the numbers of one analysis on each control."""
    return {name: found[analysis].metrics for name, found in controls.items() if analysis in found}


def sentence(
    found: Findings, name: str, controls: Mapping[str, Mapping[str, float]], null: Mapping[str, float] | None = None
) -> str:
    """Returns one main number in words; "" where it is none."""
    main, value = (found.main or {})[name], found.metrics[name]
    if not math.isfinite(value) or not main.says:
        return ""
    ends = (found.metrics.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
    spec = "{:%}" if "{:%}" in main.says else "{}"
    beside = {main.of: found.metrics.get(main.beside, math.nan)} if main.beside else {}
    beside |= {WORDS.get(control, control): numbers.get(name, math.nan) for control, numbers in controls.items()}
    beside |= {"where nothing is changed": (null or {}).get(name, math.nan)}
    told = [f"{of}: {spec.format(FormattedNumber(other))}" for of, other in beside.items() if math.isfinite(other)]
    return main.says.format(FormattedNumber(value, *ends)) + (f" ({'; '.join(told)})" if told else "") + "."


def _of_claims(verdicts: Sequence[Verdict]) -> list[str]:
    statuses = [verdict.status for verdict in verdicts]
    hold, fail, apart = (statuses.count(status) for status in (HOLDS, FAILS, INDEPENDENT))
    if not hold + fail + apart:
        return []
    failing = [verdict.claim.id for verdict in verdicts if verdict.status == FAILS]
    which = f" (not: {', '.join(failing[:4])}{' …' if len(failing) > 4 else ''})" if failing else ""
    also = f"; {apart} would hold of a control as well" if apart else ""
    return [f"Of the published claims that could be judged, {hold} of {hold + fail} hold{which}{also}."]
