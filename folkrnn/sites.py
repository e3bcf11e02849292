"""The grammar that names every place in a model that can be read or written.

A site is an activation of a layer, `l3.h`, `l1.f`, `l2.o.pre`, `enc.fw.l1.c`, or an activation of the whole model, `x`,
`logits`, `probs`. In a pattern `*` stands for any run of characters without a dot, and units may follow: `l*.h`,
`l3.h[60,97,156]`, `l1.c[0:32]`. Layers count from 1, units from 0. The layers of a MusicVAE's decoder may be called
without its name: `l1.h` for `dec.l1.h`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from folkrnn.errors import UserError, did_you_mean

_PATTERN = re.compile(r"(?P<name>[a-z0-9.*]+)(?:\[(?P<units>[\d,:\s]*)\])?", re.IGNORECASE)

DECODERS = ("dec.", "core.")
"""How the sites of a MusicVAE's decoder begin, in a flat and in a hierarchical model."""


@dataclass(frozen=True)
class Site:
    """An activation and the units looked at; `units=None` means all."""

    name: str
    units: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return self.name if self.units is None else f"{self.name}[{','.join(map(str, self.units))}]"


def parse(patterns: str | Iterable[str], available: Mapping[str, int]) -> list[Site]:
    """Returns the sites that `patterns` name among `available` (site name to number of units), each once, in order.

    Raises UserError for a pattern that is no site, matches none, or asks for a unit beyond the activation's width; the
    line names what there is.
    """
    words = [patterns] if isinstance(patterns, str) else list(patterns)
    found: dict[str, Site] = {}
    for word in words:
        for site in _match(word.strip(), available):
            found.setdefault(str(site), site)
    return list(found.values())


def _match(word: str, available: Mapping[str, int]) -> list[Site]:
    match = _PATTERN.fullmatch(word)
    if match is None:
        raise UserError(f"{word!r} is not a site; write for example l3.h, l*.c, l1.i.pre or l3.h[60,97,156]")
    pattern = re.compile("[^.]*".join(map(re.escape, match["name"].split("*"))))
    names = [name for name in available if pattern.fullmatch(name)] or _of_the_decoder(match["name"], available)
    if not names:
        raise UserError(
            f"no site {match['name']!r}{did_you_mean(match['name'], available)}; this model has {_summary(available)}"
        )
    return [Site(name, _units(match["units"], word, name, available[name])) for name in names]


def _of_the_decoder(name: str, available: Mapping[str, int]) -> list[str]:
    """The sites that a pattern names if `dec.` or `core.` is put before it, or taken from it where there are none."""
    for prefix in DECODERS:
        other = name.removeprefix(prefix) if name.startswith(prefix) else f"{prefix}{name}"
        pattern = re.compile("[^.]*".join(map(re.escape, other.split("*"))))
        if found := [site for site in available if pattern.fullmatch(site)]:
            return found
    return []


def _units(text: str | None, word: str, name: str, width: int) -> tuple[int, ...] | None:
    if text is None:
        return None
    units: list[int] = []
    for piece in text.replace(" ", "").split(","):
        first, colon, last = piece.partition(":")
        if not (first or colon):
            raise UserError(f"{word!r} names no unit between its brackets; {name} has units 0 to {width - 1}")
        low = int(first or 0)
        units += range(low, int(last or width)) if colon else [low]
    beyond = [unit for unit in units if unit >= width]
    if beyond:
        raise UserError(f"{word!r} asks for unit {beyond[0]}; {name} has units 0 to {width - 1}")
    return tuple(dict.fromkeys(units))


def _summary(available: Mapping[str, int]) -> str:
    """The available sites in a few words: layers folded together, pre-activations left out."""
    plain = [name for name in available if not name.endswith(".pre")]
    folded = dict.fromkeys(re.sub(r"\bl\d+\.", "l*.", name) for name in plain)
    layers = sorted({found[0] for name in available if (found := re.findall(r"\bl(\d+)\.", name))}, key=int)
    span = f" with layers {layers[0]} to {layers[-1]}" if layers else ""
    return ", ".join(folded) + span + ", and .pre before any gate"
