"""Who looks at a step: callables that read or replace streams by name, and which of them they want."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

Visit = Callable[[str, Tensor], Tensor]
"""Called with a stream's name and its value `[B, H]`; what it returns takes the value's place."""

SiteVisit = Callable[[str, Tensor], Tensor]
"""Called with a site's name (`l2.c`, `x`, `logits`) and value; what it returns takes the value's place.

A visit with an attribute `sites` (names, without units) is called for those alone: the others then cost nothing.
"""


@dataclass(frozen=True)
class Visitor:
    """A visit of some sites: `Visitor({"l3.h"}, change)` is called for l3.h only."""

    sites: Collection[str]
    visit: SiteVisit

    def __call__(self, site: str, value: Tensor) -> Tensor:
        return self.visit(site, value)


def wants(visit: SiteVisit | None, site: str) -> bool:
    """Whether `visit` is to be called for the site: it names it, or names none at all."""
    if visit is None:
        return False
    sites = getattr(visit, "sites", None)
    return sites is None or site in sites


def of_layer(visit: SiteVisit | None, names: Mapping[str, str]) -> Visit | None:
    """Returns the visit of one layer, whose streams have these full names; None where it wants none of them."""
    if visit is None:
        return None
    sites = getattr(visit, "sites", None)
    if sites is None:
        return lambda stream, value: visit(names[stream], value)
    wanted = {stream: name for stream, name in names.items() if name in sites}
    if not wanted:
        return None
    return lambda stream, value: visit(wanted[stream], value) if stream in wanted else value
