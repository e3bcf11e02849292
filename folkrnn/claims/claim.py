"""A claim and the documents they are read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

from folkrnn.claims.criterion import Criterion
from folkrnn.errors import UserError, did_you_mean

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SCOPES = ("v2", "data_v2", "any")

_SIDES = ("control", "untrained", "shuffled")
NAMES = ("value", "low", "high", "published", *(f"{side}{end}" for side in _SIDES for end in ("", "_low", "_high")))
"""What a criterion may speak of, besides the names in `also`."""


@dataclass(frozen=True)
class Claim:
    """One statement of a document, and the expression that decides whether it holds. Fields: see the package."""

    id: str
    statement: str
    quantity: str
    criterion: Criterion
    scope: str
    source: str
    published: float | tuple[str, ...] | None = None
    control: str = ""
    also: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    units_base: int = 0
    about: str = ""
    """What it is of where that is not what the model has learned: the tune, the data, the sizes, arithmetic."""
    any_order: bool = False
    """Whether it says nothing of the order of the tokens, so that it may hold of shuffled ones as well."""
    unaffected: bool = False
    """Whether it says that an intervention changes nothing, so that it is to hold where nothing is changed."""

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise UserError(f"{self.where}: scope is {self.scope!r}; it must be one of {', '.join(SCOPES)}")
        for quantity in self.quantities:
            if "/" not in quantity:
                raise UserError(f"{self.where}: {quantity!r} is no quantity; write <analysis>/<quantity>")
        known = (*NAMES, *self.also)
        for name in sorted(self.criterion.names.difference(known)):
            raise UserError(f"{self.where}: the criterion speaks of {name!r}{did_you_mean(name, known)}")

    @property
    def where(self) -> str:
        return f"claim {self.id} ({self.source})"

    @property
    def quantities(self) -> tuple[str, ...]:
        """All quantities that it reads."""
        return (self.quantity, *([self.control] if self.control else []), *self.also.values())

    @property
    def analyses(self) -> tuple[str, ...]:
        """The analyses that it needs, each once."""
        return tuple(dict.fromkeys(quantity.split("/", 1)[0] for quantity in self.quantities))


@dataclass(frozen=True)
class Document:
    """A source document and its claims, in its order."""

    name: str
    title: str
    date: str
    claims: tuple[Claim, ...]


@cache
def documents() -> tuple[str, ...]:
    """Returns the names of all documents that have claims."""
    files = (entry.name for entry in resources.files("folkrnn.claims").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


@cache
def document(name: str) -> Document:
    """Returns a document. Raises UserError for one that there is not, and for a claim that is not well formed."""
    if name not in documents():
        raise UserError(f"claims={name}: no such document{did_you_mean(name, documents())}; {', '.join(documents())}")
    text = resources.files("folkrnn.claims").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    content = yaml.load(text, Loader=LOADER)
    claims = tuple(read_claim(entry, name) for entry in content["claims"])
    ids = [claim.id for claim in claims]
    if twice := sorted({id_ for id_ in ids if ids.count(id_) > 1}):
        raise UserError(f"{name}.yaml has two claims {twice[0]}")
    return Document(name, content["title"], str(content.get("date", "")), claims)


def read_claim(entry: Mapping[str, Any], source: str) -> Claim:
    """Returns the claim that an entry of a document states. Raises UserError, naming it, where it is not well
    formed.
    """
    where = f"claim {entry.get('id', '?')} ({source})"
    known = [f.name for f in dataclasses.fields(Claim) if f.name != "source"]
    if wrong := [key for key in entry if key not in known]:
        raise UserError(f"{where}: no such key {wrong[0]!r}{did_you_mean(wrong[0], known)}; {', '.join(known)}")
    if lacking := [key for key in ("id", "statement", "quantity", "criterion", "scope") if key not in entry]:
        raise UserError(f"{where} says no {lacking[0]}")
    rest: dict[str, Any] = dict(entry)
    try:
        criterion = Criterion(str(rest.pop("criterion")))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    published, rest["id"] = rest.pop("published", None), str(rest["id"])
    if isinstance(published, list):
        published = tuple(map(str, published))
    return Claim(criterion=criterion, published=published, source=source, **rest)
