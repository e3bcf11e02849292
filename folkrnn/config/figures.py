"""`figures.…`: which figures a run files, how wide they are and as what they are filed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from folkrnn.errors import UserError

MOST = 15
"""So many figures a run files unless all are asked for: the named ones, and the first of each analysis."""
OF_THE_RUN = 2
"""Of these, how many are of no analysis: the summary of what was observed, and the comparison with controls."""
FORMATS = ("png", "svg", "pdf")
INCHES = {"cm": 1 / 2.54, "in": 1.0}
NARROWEST, WIDEST = 3.0, 20.0

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Figures:
    """The settings of `figures`, checked."""

    format: str = "png"
    """What each is filed as beside the PNG that the report and MLflow show."""
    width: float = 7.0
    """Inches of a figure as wide as the page."""
    data: bool = False
    """Whether the numbers drawn in each are filed as CSV."""
    all: bool = False
    """Whether every figure is filed."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What figures are called in the place of their own names, by `<analysis>/<figure>`."""

    def kept(self, analysis: str, figures: Mapping[str, Drawn], room: int) -> dict[str, Drawn]:
        """Returns the figures of an analysis that are filed, by the names that they bear: those that have one of their
        own, and the first of the others as long as there is `room`, in the order in which they came.
        """
        own = {label: self.names.get(f"{analysis}/{label}") for label in figures}
        others = [label for label in figures if own[label] is None]
        chosen = set(others if self.all else others[: max(0, room)])
        return {own[label] or label: figure for label, figure in figures.items() if own[label] or label in chosen}

    def room(self, analyses: Sequence[str]) -> int:
        """Returns how many figures without a name of their own these analyses file together."""
        named = sum(name.partition("/")[0] in analyses for name in self.names)
        return max(0, MOST - OF_THE_RUN - named)


AS_PNG = Figures()


def read(settings: Mapping[str, object]) -> Figures:
    """Returns the section `figures` of a configuration, checked. Raises UserError for a value that it does not take."""
    return Figures(
        str(settings["format"]),
        inches(str(settings["width"])),
        bool(settings["data"]),
        bool(settings["all"]),
        names_of(list(cast("Iterable[str]", settings["names"]))),
    )


def inches(width: str) -> float:
    """Returns a width such as 17.8cm or 7in in inches. Raises UserError for anything else, and where none would fit."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(cm|in)\s*", width)
    if not match:
        raise UserError(f"figures.width={width}: must be a number with its unit, such as 17.8cm or 7in")
    found = float(match[1]) * INCHES[match[2]]
    if not NARROWEST <= found <= WIDEST:
        raise UserError(
            f"figures.width={width}: must be from {NARROWEST:g}in ({NARROWEST * 2.54:.1f}cm) to {WIDEST:g}in "
            f"({WIDEST * 2.54:.1f}cm)"
        )
    return found


def names_of(entries: Sequence[str]) -> dict[str, str]:
    """Returns the name of each figure that has one of its own: {"softmax_svd/plane": "fig7"} of its entry in
    `figures.names`.

    Raises UserError for an entry that is not `<analysis>/<figure>=<name>`.
    """
    for entry in entries:
        figure, _, name = entry.partition("=")
        if "/" not in figure or not name:
            raise UserError(
                f"figures.names: {entry!r} must be <analysis>/<figure>=<name>, such as softmax_svd/plane=fig7"
            )
    return dict(entry.split("=", 1) for entry in entries)
