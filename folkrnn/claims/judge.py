"""Which claims hold in a run, and why the others could not be judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from folkrnn.claims.circumstances import Circumstances
from folkrnn.claims.claim import Claim

if TYPE_CHECKING:
    import pandas as pd

HOLDS, FAILS, OPEN = "holds", "does not hold", "n/a"

STATED_FOR = "stated for"
"""How the reason begins that the settings are not those of a claim."""

COLUMNS = (
    "id",
    "source",
    "scope",
    "statement",
    "published",
    "value",
    "low",
    "high",
    "control",
    "beside",
    "criterion",
    "verdict",
    "why",
    "quantity",
)


@dataclass(frozen=True)
class Verdict:
    """A claim, what was found, and whether it holds."""

    claim: Claim
    status: str
    value: float | Sequence[str] | None = None
    low: float | None = None
    high: float | None = None
    control: float | Sequence[str] | None = None
    beside: str = ""
    """The other numbers that the criterion speaks of, by name."""
    why: str = ""
    """Why it was not judged."""


def judge(
    claims: Iterable[Claim],
    found: Mapping[str, float | Sequence[str]],
    control: Mapping[str, float | Sequence[str]],
    circumstances: Circumstances,
) -> list[Verdict]:
    """Returns a verdict on each claim.

    `found` maps `<analysis>/<quantity>` to a number or a list, for the model as observed; `control` the same for the
    control. Numbers that are not finite count as not found.
    """
    return [_judge(claim, found, control, circumstances) for claim in claims]


def _judge(claim: Claim, found: Mapping[str, Any], control: Mapping[str, Any], here: Circumstances) -> Verdict:
    known = {"published": published(claim)} if claim.published is not None else {}
    quantity = named(claim.quantity, here)
    known |= _with_interval("value", quantity, found)
    if claim.control:
        known |= _with_interval("control", named(claim.control, here), found)
    else:
        known |= _with_interval("control", quantity, control)
    for name, other in claim.also.items():
        if (value := _known(named(other, here), found)) is not None:
            known[name] = value
    why = _obstacle(claim, found, known, here)
    status = OPEN if why else HOLDS if claim.criterion.holds(known) else FAILS
    low, high = (_known(f"{quantity}_{end}", found) for end in ("low", "high"))
    beside = ", ".join(f"{name} = {_shown(known[name])}" for name in claim.also if name in known)
    return Verdict(claim, status, known.get("value"), low, high, known.get("control"), beside, why)


def _obstacle(claim: Claim, found: Mapping[str, Any], known: Mapping[str, Any], here: Circumstances) -> str:
    """Why the claim cannot be judged; empty where it can."""
    for quantity in (named(quantity, here) for quantity in claim.quantities):
        analysis = quantity.split("/", 1)[0]
        if analysis in here.failed:
            return f"analysis {analysis} failed"
        if quantity not in found and analysis not in here.ran:
            return f"run with analysis={analysis}"
    if claim.scope == "v2" and not here.is_v2:
        return "a number of folk-rnn v2, whose weights these are not"
    if claim.scope == "data_v2" and not here.is_data_v2:
        return "a number of v2's data (23,636 tunes), which these are not"
    if unlike := unlike_given(claim.given, here.settings):
        return f"{STATED_FOR} {unlike}"
    for name in sorted(claim.criterion.names.difference(known)):
        if name.startswith("control") and not claim.control:
            return "needs a control to compare with: control=untrained or control=shuffled"
        quantity = named(claim.also.get(name, claim.control if name.startswith("control") else claim.quantity), here)
        return f"{quantity} has no value here"
    return ""


def unlike_given(given: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Returns the first condition that the settings do not meet, as one would type it; empty where there is none."""
    for key, wanted in {"intervention": [], **given}.items():
        is_ = settings.get(key)
        if is_ != wanted and not (_number(is_) and _number(wanted) and math.isclose(is_, wanted)):
            if key == "intervention" and not wanted:
                return "the model as it is, without an intervention"
            shown = f"[{','.join(map(str, wanted))}]" if isinstance(wanted, list) else wanted
            shown = "null" if wanted is None else shown
            return f"{'transcription' if key == 'tune' else key}={shown}"
    return ""


def named(quantity: str, here: Circumstances) -> str:
    """Returns the quantity with `{first}`, `{middle}`, `{last}`, `{cell}` and `{state}` spelled out."""
    places = {"first": 1, "middle": (here.layers + 1) // 2, "last": here.layers}
    streams = {"cell": "g", "state": "c"} if here.cell == "lstm" else {"cell": "n", "state": "h"}
    return quantity.format(**{name: f"l{k}" for name, k in places.items()}, **streams)


def published(claim: Claim) -> Any:
    """Returns what the document printed, lists of units counted from 0."""
    if isinstance(claim.published, tuple) and claim.units_base:
        return tuple(str(int(unit) - claim.units_base) for unit in claim.published)
    return claim.published


def _with_interval(name: str, quantity: str, found: Mapping[str, Any]) -> dict[str, Any]:
    value = _known(quantity, found)
    if value is None:
        return {}
    prefix = "" if name == "value" else f"{name}_"
    ends = {end: _known(f"{quantity}_{end}", found) for end in ("low", "high")}
    return {name: value} | {f"{prefix}{end}": value if part is None else part for end, part in ends.items()}


def _known(quantity: str, found: Mapping[str, Any]) -> Any:
    value = found.get(quantity)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Returns one row per claim, as `claims.csv` has it."""
    import pandas as pd

    rows = [
        (
            v.claim.id,
            v.claim.source,
            v.claim.scope,
            v.claim.statement,
            _shown(published(v.claim)),
            _shown(v.value),
            _shown(v.low),
            _shown(v.high),
            _shown(v.control),
            v.beside,
            v.claim.criterion.text,
            v.status,
            v.why,
            v.claim.quantity,
        )
        for v in verdicts
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _shown(value: Any) -> Any:
    """Whole numbers whole, others with six digits, lists with spaces between their items, nothing as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, int | float):
        return f"{int(value)}" if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"
    return " ".join(map(str, value))
