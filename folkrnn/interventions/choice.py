"""The selector that settings describe."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from folkrnn.errors import UserError, did_you_mean
from folkrnn.interventions.layers import layers_named
from folkrnn.interventions.selectors import Complement, Indices, Random, Ranked, Selector
from folkrnn.interventions.windows import When

SELECTS = ("indices", "periodic", "random", "largest", "smallest", "token")


def selector(
    select: str = "indices",
    *,
    layer: int | str | Sequence[int] | None = None,
    units: Sequence[int] | None = None,
    units_base: int = 0,
    fraction: float | None = None,
    count: int | None = None,
    threshold: float | None = None,
    by: str = "norm",
    jointly: bool = False,
    period: float = 9.0,
    half_width: float = 0.5,
    dc: bool = True,
    token: str = "measure",
    tunes: int = 16,
    complement: bool = False,
) -> Selector:
    """Returns the selector that settings describe: `select` is one of SELECTS."""
    if select not in SELECTS:
        raise UserError(f"select={select}: no such way{did_you_mean(select, SELECTS)}; there are {', '.join(SELECTS)}")
    layers = layers_named(layer)
    statistic = {"periodic": "period", "random": "period", "token": "token"}.get(select, by)
    sizes = {"layers": layers, "fraction": fraction, "count": count}
    measured = {"period": period, "half_width": half_width, "dc": dc, "token": token, "tunes": tunes}
    ranked = Ranked(statistic, **sizes, threshold=threshold, smallest=select == "smallest", jointly=jointly, **measured)
    if select == "indices":
        if units is None:
            raise UserError("which units? Give cut.units=[60,97,156] (from 0), or another way to select them")
        found: Selector = Indices(tuple(units), layers, units_base)
    elif select == "random":
        found = Random(layers, fraction, count, ranked if threshold is not None else None)
    else:
        found = ranked
    return Complement(found) if complement else found


def parted(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what of the settings says which units (`selector`) and what says when (`where.window`).

    Raises UserError for a name that is neither.
    """
    choice, when = inspect.signature(selector).parameters, When.__annotations__
    for name in settings:
        if name not in choice and name not in when:
            names = [*choice, *when]
            raise UserError(f"{name}: no such parameter{did_you_mean(name, names)}; there are {', '.join(names)}")
    which, at = ({name: value for name, value in settings.items() if name in known} for known in (choice, when))
    return which, at
