"""Which claims hold in a run, and why the others could not be judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from folkrnn.claims.circumstances import Circumstances
from folkrnn.claims.claim import Claim

if TYPE_CHECKING:
    import pandas as pd

HOLDS, FAILS, INDEPENDENT, OPEN = "holds", "does not hold", "does not depend on the model", "n/a"
STATUSES = (HOLDS, FAILS, INDEPENDENT, OPEN)

UNTRAINED, SHUFFLED, NULL = CONTROLS = ("untrained", "shuffled", "null")
"""Where a criterion is evaluated besides: an untrained network, shuffled tokens, nothing changed (other seeds)."""

WORDS = {
    UNTRAINED: "an untrained network",
    SHUFFLED: "shuffled tokens",
    NULL: "the unchanged model with other random numbers",
}

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
    "untrained",
    "shuffled",
    "null",
    "holds_on",
    "beside",
    "criterion",
    "verdict",
    "why",
    "quantity",
)

Found = Mapping[str, float | Sequence[str]]
"""`<analysis>/<quantity>` to a number or a list. Numbers that are not finite count as not found."""


@dataclass(frozen=True)
class Elsewhere:
    """A claim on one of the controls: the quantity there, and whether the criterion holds; None where it has none."""

    value: float | Sequence[str] | None
    holds: bool | None


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
    """Why it was not judged, or does not depend on the model."""
    elsewhere: Mapping[str, Elsewhere] = field(default_factory=dict)
    """By control, of those that the run has."""


def judge(
    claims: Iterable[Claim], found: Found, controls: Mapping[str, Found], circumstances: Circumstances
) -> list[Verdict]:
    """Returns a verdict on each claim: `found` of the model as observed, `controls` of each of CONTROLS there is."""
    return [_judge(claim, found, controls, circumstances) for claim in claims]


def _judge(claim: Claim, found: Found, controls: Mapping[str, Found], here: Circumstances) -> Verdict:
    known = _knowledge(claim, found, controls, here)
    quantity = named(claim.quantity, here)
    why = _obstacle(claim, found, known, here)
    status = OPEN if why else HOLDS if claim.criterion.holds(known) else FAILS
    elsewhere = {} if why else {name: _elsewhere(claim, controls, name, here) for name in controls}
    expected = {name for name, says in ((SHUFFLED, claim.any_order), (NULL, claim.unaffected)) if says}
    too = [WORDS[name] for name, other in elsewhere.items() if other.holds and name not in expected]
    if status == HOLDS and (too or claim.about):
        status, why = INDEPENDENT, f"about {claim.about}" if claim.about else f"so it is of {' and of '.join(too)}"
    low, high = (_known(f"{quantity}_{end}", found) for end in ("low", "high"))
    beside = ", ".join(f"{name} = {_shown(known[name])}" for name in claim.also if name in known)
    return Verdict(claim, status, known.get("value"), low, high, known.get("control"), beside, why, elsewhere)


def _knowledge(claim: Claim, found: Found, controls: Mapping[str, Found], here: Circumstances) -> dict[str, Any]:
    """What the criterion may speak of, as far as it was found."""
    known = {"published": published_numbers(claim)} if claim.published is not None else {}
    quantity = named(claim.quantity, here)
    known |= _with_interval("value", quantity, found)
    for name in (UNTRAINED, SHUFFLED):
        known |= _with_interval(name, quantity, controls.get(name, {}))
    if claim.control:
        known |= _with_interval("control", named(claim.control, here), found)
    elif (first := next((name for name in (UNTRAINED, SHUFFLED) if name in known), None)) is not None:
        known |= _with_interval("control", quantity, controls[first])
    for name, other in claim.also.items():
        if (value := _known(named(other, here), found)) is not None:
            known[name] = value
    return known


def _elsewhere(claim: Claim, controls: Mapping[str, Found], name: str, here: Circumstances) -> Elsewhere:
    known = _knowledge(claim, controls[name], controls, here)
    complete = claim.criterion.names <= known.keys()
    return Elsewhere(known.get("value"), claim.criterion.holds(known) if complete else None)


def _obstacle(claim: Claim, found: Found, known: Mapping[str, Any], here: Circumstances) -> str:
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
            return "needs a control to compare with: control=untrained, shuffled or both"
        if (of := name.split("_")[0]) in (UNTRAINED, SHUFFLED) and of not in claim.also:
            return f"needs a control to compare with: control={of} or both"
        quantity = named(claim.also.get(name, claim.control if name.startswith("control") else claim.quantity), here)
        return f"{quantity} has no value here"
    return ""


def unlike_given(given: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Returns the first condition that the settings do not meet, as one would type it; empty where there is none."""
    for key, wanted in {"intervention": [], **given}.items():
        is_ = settings.get(key)
        if is_ != wanted and not (_number(is_) and _number(wanted) and math.isclose(float(is_ or 0), wanted)):
            if key == "intervention" and not wanted:
                return "the model as it is, without an intervention"
            shown = f"[{','.join(map(str, wanted))}]" if isinstance(wanted, list) else wanted
            shown = "null" if wanted is None else shown
            return f"{'transcription' if key == 'tune' else key}={shown}"
    return ""


def named(quantity: str, here: Circumstances) -> str:
    """Returns the quantity with `{first}`, `{middle}`, `{last}`, `{cell}`, `{state}` and `{learned}` spelled out."""
    places = {"first": 1, "middle": (here.layers + 1) // 2, "last": here.layers}
    streams = {"cell": "g", "state": "c"} if here.cell == "lstm" else {"cell": "n", "state": "h"}
    learned = "learned/" if here.learned else ""
    return quantity.format(learned=learned, **{name: f"l{k}" for name, k in places.items()}, **streams)


def published_numbers(claim: Claim) -> Any:
    """Returns what the document printed, lists of units counted from 0."""
    if isinstance(claim.published, tuple) and claim.units_base:
        return tuple(str(int(unit) - claim.units_base) for unit in claim.published)
    return claim.published


def _with_interval(name: str, quantity: str, found: Found) -> dict[str, Any]:
    value = _known(quantity, found)
    if value is None:
        return {}
    prefix = "" if name == "value" else f"{name}_"
    ends = {end: _known(f"{quantity}_{end}", found) for end in ("low", "high")}
    return {name: value} | {f"{prefix}{end}": value if part is None else part for end, part in ends.items()}


def _known(quantity: str, found: Found) -> Any:
    value = found.get(quantity, found.get(quantity.replace("/learned/", "/", 1)))  # of fresh parameters nothing is
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
            _shown(published_numbers(v.claim)),
            _shown(v.value),
            _shown(v.low),
            _shown(v.high),
            _shown(v.control),
            *(_shown(v.elsewhere[name].value if name in v.elsewhere else None) for name in CONTROLS),
            " ".join(name for name, other in v.elsewhere.items() if other.holds),
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
