"""A FolkRNN with edits of its streams and draws: played, read and traced like the model itself.

An edit sees the sites that it names, one step at a time, in the order in which the step computes them, and what it
returns takes the value's place. To the sites of the model comes `out`: the top hidden state as the softmax layer alone
sees it. What edits need to know of the tune so far travels with the state (see `where`), so that rows may come, move
and go, and a tune does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from folkrnn import sites as grammar
from folkrnn.interventions.where import Reading, Where
from folkrnn.models.draws import SMALLEST_BATCH
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.products import Precision, Product
from folkrnn.models.stepper import Stepper
from folkrnn.models.visits import SiteVisit, Visitor, wants
from folkrnn.vocabulary import Vocabulary

State = tuple[Tensor, ...]

OUT = "out"
"""The top layer's h on its way to the softmax layer, and not to the next step."""


@dataclass
class Moment:
    """One step: where the tunes are, the states before it, and the values so far of the sites that edits name."""

    where: Where
    before: Sequence[State]
    seen: dict[str, Tensor] = field(default_factory=dict)
    uniform: Tensor | None = None
    """What drew the next token, `[B]`, and which it was, where a finished tune is read again for its account."""
    following: Tensor | None = None


class Edit(Protocol):
    """A change of streams while the model runs."""

    name: str
    """Of the intervention that it belongs to."""
    sites: frozenset[str]
    """Every site that `apply` wants to be called with."""

    def apply(self, site: str, value: Tensor, moment: Moment) -> Tensor:
        """Returns what takes the place of `value [B, units]`, never changed in place."""

    def notes(self, site: str, before: Tensor, after: Tensor, moment: Moment) -> dict[str, Tensor]:
        """Returns what to account for at this step beside the change itself, `[B]` per quantity."""


class Rejection(Protocol):
    """A change of draws: tokens that are drawn again until they are allowed."""

    name: str

    def rejects(self, where: Where) -> Tensor | None:
        """Returns which tokens are not accepted after this row, `[B, V]` of bool; None for none at all."""


class Edited:
    """A FolkRNN (never modified) with edits on top. What it does not say itself is as in the model below."""

    def __init__(
        self,
        base: FolkRNN,
        vocabulary: Vocabulary,
        edits: Sequence[Edit] = (),
        rejections: Sequence[Rejection] = (),
    ) -> None:
        self.base, self.vocabulary = base, vocabulary
        self.edits, self.rejections = tuple(edits), tuple(rejections)
        self._reading = Reading(vocabulary, base.device)
        self._at: dict[str, list[Edit]] = {}
        for edit in self.edits:
            for site in edit.sites:
                self._at.setdefault(site, []).append(edit)
        # what a layer computes comes before what is then done to it
        self._at.get("logits", []).sort(key=lambda edit: not getattr(edit, "of_parameters", False))
        self._top = f"l{len(base.layers)}.h"
        self._wanted = frozenset(self._at) - {OUT} | (
            frozenset({self._top, "logits"}) if OUT in self._at else frozenset()
        )

    def __getattr__(self, name: str) -> Any:
        if name == "base":  # before __init__ has run, as when unpickled
            raise AttributeError(name)
        return getattr(self.base, name)

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.forward(tokens)

    def eval(self) -> Edited:
        self.base.eval()
        return self

    def initial_state(self, batch: int) -> list[State]:
        """Returns the state before `<s>` of every layer, and last the place of every tune."""
        return [*self.base.initial_state(batch), self._reading.begin(batch)]

    def forward(self, tokens: Tensor) -> Tensor:
        """Returns logits `[B, T, V]` of the token after each of `tokens [B, T]`, step by step."""
        return self.trace(tokens, ["logits"])["logits"]

    def hidden(self, tokens: Tensor) -> list[Tensor]:
        """Returns h of each layer, `[B, T, H]`."""
        return list(self.trace(tokens, "l*.h").values())

    def step(
        self, tokens: Tensor, state: Sequence[State], visit: SiteVisit | None = None
    ) -> tuple[Tensor, list[State]]:
        """Returns logits `[B, V]` and the state after reading `tokens [B]`; `visit` sees every site after the edits."""
        return self._step(self.base, self.base.read_out, tokens, state, visit)

    def stepper(self, precision: Precision = "fp32") -> EditedStepper:
        """Returns what makes the same steps faster while parameters and edits stay as they are."""
        return EditedStepper(self, precision)

    def _step(
        self,
        engine: FolkRNN | Stepper,
        read_out: Callable[[Tensor], Tensor],
        tokens: Tensor,
        state: Sequence[State],
        visit: SiteVisit | None,
    ) -> tuple[Tensor, list[State]]:
        where = self._reading.after(Where(*state[-1]), tokens)
        moment = Moment(where, state[:-1])

        def edited(site: str, value: Tensor) -> Tensor:
            if site == "logits" and OUT in self._at:
                h = moment.seen[self._top]
                changed = moment.seen[OUT] = self._apply(OUT, h, moment)
                value = value if changed is h else read_out(changed)
            if site in self._at:
                # what lies apart in memory may round differently: a row must not depend on who is edited
                value = self._apply(site, value.contiguous(), moment)
            if site in self._wanted:
                moment.seen[site] = value
            return visit(site, value) if wants(visit, site) else value

        sites = None if visit is None else getattr(visit, "sites", None)
        every = visit is not None and sites is None
        logits, after = engine.step(
            tokens, list(state[:-1]), edited if every else Visitor(self._wanted | set(sites or ()), edited)
        )
        return logits, [*after, where]

    def _apply(self, site: str, value: Tensor, moment: Moment) -> Tensor:
        for edit in self._at.get(site, ()):
            value = edit.apply(site, value, moment)
        return value

    def rejected(self, state: Sequence[State]) -> Tensor | None:
        """Returns which tokens may not follow the state, `[B, V]` of bool; None where all may."""
        where = Where(*state[-1])
        found = [mask for rejection in self.rejections if (mask := rejection.rejects(where)) is not None]
        return torch.stack(found).any(0) if found else None

    @torch.no_grad()
    def trace(
        self, tokens: Tensor, patterns: str | Iterable[str] = "l*.h", *, tunes: Sequence[int] | None = None
    ) -> dict[str, Tensor]:
        """Returns the streams that `patterns` name, each `[B, T, units]` (`[T, units]` for one tune `[T]`).

        `tunes` are the numbers of the tunes, which noise goes by; by default their rows.
        """
        wanted = grammar.parse(patterns, self.sites)
        batch = tokens.unsqueeze(0) if tokens.dim() == 1 else tokens
        rows = len(batch)
        padded = torch.cat([batch, batch[:1].expand(max(0, SMALLEST_BATCH - rows), -1)])
        kept = {
            site.name: torch.empty(rows, batch.shape[1], self.sites[site.name], device=self.device) for site in wanted
        }
        state, stepper, t = self.initial_state(len(padded)), self.stepper(), 0
        number(self, state, tunes if tunes is not None else range(rows))

        def keep(site: str, value: Tensor) -> Tensor:
            kept[site][:, t] = value[:rows]
            return value

        visitor = Visitor(kept.keys() - {"probs"}, keep)
        for t in range(batch.shape[1]):
            logits, state = stepper.step(padded[:, t], state, visitor)
            if "probs" in kept:
                kept["probs"][:, t] = logits[:rows].softmax(-1)
        cut = {
            str(site): kept[site.name] if site.units is None else kept[site.name][..., list(site.units)]
            for site in wanted
        }
        return {name: value[0] for name, value in cut.items()} if tokens.dim() == 1 else cut


class EditedStepper:
    """A model's steps with its edits, without gradients, for a loop over steps."""

    def __init__(self, model: Edited, precision: Precision = "fp32") -> None:
        self.model = model
        self._engine = model.base.stepper(precision)
        self._read_out = Product([model.base.softmax_weight], model.base.softmax_bias)

    @torch.no_grad()
    def step(
        self, tokens: Tensor, state: Sequence[State], visit: SiteVisit | None = None
    ) -> tuple[Tensor, list[State]]:
        """As `Edited.step`, to 1e-6."""
        return self.model._step(self._engine, self._read_out, tokens, state, visit)


Playable = FolkRNN | Edited
"""What can be generated from, read and traced."""


def with_edits(
    model: Playable, vocabulary: Vocabulary, edits: Sequence[Edit] = (), rejections: Sequence[Rejection] = ()
) -> Edited:
    """Returns the model with further edits behind those that it has."""
    if isinstance(model, Edited):
        return Edited(model.base, vocabulary, (*model.edits, *edits), (*model.rejections, *rejections))
    return Edited(model, vocabulary, edits, rejections)


def with_base(model: Playable, base: FolkRNN) -> Playable:
    """Returns the model with another one below its edits."""
    return Edited(base, model.vocabulary, model.edits, model.rejections) if isinstance(model, Edited) else base


def base_of(model: Playable) -> FolkRNN:
    """Returns the model below all edits."""
    return model.base if isinstance(model, Edited) else model


def number(model: Playable, state: Sequence[State], tunes: Sequence[int], first: int = 0) -> None:
    """Writes the numbers of the tunes in rows `first` on into a state of `model`, in place."""
    if isinstance(model, Edited):
        state[-1][0][first : first + len(tunes)] = torch.tensor(list(tunes), device=model.device)


def trace(model: Playable, tokens: Tensor, patterns: Iterable[str], tunes: Sequence[int]) -> dict[str, Tensor]:
    """Returns the streams of some tunes of a run, numbered as there; of a model without edits as it traces itself."""
    if isinstance(model, Edited):
        return model.trace(tokens, patterns, tunes=tunes)
    return model.trace(tokens, patterns)
