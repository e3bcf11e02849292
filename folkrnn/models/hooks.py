"""Hooks: what reads or replaces activations while a model runs.

A hook names sites and is called with their values, `[B, units]`, at every step, in the order in which the step computes
them; what it returns takes the value's place, within this step and, for c and h, for all that follow. Reads (a trace, a
summary) return what they were given. A model carries the hooks that change it (`hooked`); a run may bring more. At one
site the model's hooks come first, in the order in which they were added, then the run's: what only reads sees what the
model goes on with. Of those on logits, changes of the softmax layer come before changes of what it computed.
"""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from folkrnn.models.positions import Position, Tracker

State = tuple[Tensor, ...]

_LAYER = re.compile(r"(.*l\d+\.)(.+)")

OUT = "out"
"""The site of the top layer's h on its way to the softmax layer, and not to the next step."""

REJECTED = "rejected"
"""The site of draws: which tokens are drawn again until another comes, `[B, V]` of bool; none unless a hook says so."""

See = Callable[[str, Tensor], Tensor]
"""Called with the name of an activation of one layer (`h`, `i.pre`) and its value; what it returns takes its place."""


@dataclass
class Step:
    """One step of a run, as its hooks see it."""

    time: int = 0
    """Of the run, from 0: the column of its tokens."""
    active: Sequence[int] = ()
    """How many rows belong to tunes in progress, at this step or at each of a window's; those below are padding."""
    before: Sequence[State] = ()
    """The states of the layers before the step."""
    at: Position | None = None
    """Its `position`; None where the model has no hooks of its own."""
    read: Tensor | None = None
    """What was read: tokens `[B]`; of latents whole melodies `[B, T]`."""
    seen: dict[str, Tensor] = field(default_factory=dict)
    """The values so far of the sites that any hook names."""
    logits: Tensor | None = None
    """Of the rows in progress, once the step is made; None after a window that nobody wanted them of."""
    rejected: Tensor | None = None
    """Which of their tokens may not follow; None where all may."""
    uniform: Tensor | None = None
    """What drew the next token, `[B]`, and which it was, where a finished tune is read again for its effect record."""
    following: Tensor | None = None

    @property
    def position(self) -> Position:
        """Where in their tunes the rows are, which a model's own hooks can rely on."""
        assert self.at is not None, "only a model with hooks of its own is followed"
        return self.at

    @property
    def made(self) -> Tensor:
        """`logits`, which there are once the step is made."""
        assert self.logits is not None
        return self.logits


class Hook(ABC):
    """What is called while a model runs. What has a value here holds for a hook that says nothing else."""

    sites: Collection[str]
    """Names, without units; the other sites then cost nothing."""
    name: str = ""
    """Of the intervention that it belongs to."""
    of_parameters: bool = False
    """Whether it changes the softmax layer, and not what that computed: such hooks on logits come first."""
    by_windows: bool = False
    """Whether it replaces nothing and takes several steps at once: values `[S, B, units]`."""

    @abstractmethod
    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        """Returns what takes the place of `value [B, units]`, never changed in place."""

    def room(self, site: str, step: Step, steps: int) -> Tensor | None:
        """Returns the memory `[S, b, units]`, b ≤ B, that values of several steps are to be written to, if any."""
        return None


@dataclass(frozen=True)
class At(Hook):
    """A function of a site's name and value as a hook: `At({"l3.h"}, change)` is called for l3.h only."""

    sites: Collection[str]
    function: Callable[[str, Tensor], Tensor]

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        return self.function(site, value)


AnyHook = Hook | Callable[[str, Tensor], Tensor]
"""A bare function is called for every site."""


def as_hook(hook: AnyHook, sites: Collection[str]) -> Hook:
    """Returns a hook as it is, and a bare function as one that is called for `sites`."""
    return hook if isinstance(hook, Hook) else At(sites, hook)


class Hooks:
    """The hooks of a run, those of the model before its own; true where there is any."""

    def __init__(self, edits: Sequence[Hook] = (), reads: Iterable[AnyHook] = (), sites: Collection[str] = ()) -> None:
        """`sites` are those that a bare function among `reads` is called for."""
        others = [as_hook(hook, sites) for hook in reads]
        self.edits, self.edited = edits, frozenset(site for edit in edits for site in edit.sites)
        self.read_only = not edits and all(hook.by_windows for hook in others)
        self._at: dict[str, list[Hook]] = {}
        for hook in (*edits, *others):
            for site in hook.sites:
                self._at.setdefault(site, []).append(hook)
        self._at.get("logits", []).sort(key=lambda hook: not hook.of_parameters)
        self._layers: dict[str, dict[str, str]] = {}
        for site in self._at:
            if layer := _LAYER.fullmatch(site):
                self._layers.setdefault(layer[1], {})[layer[2]] = site

    def __bool__(self) -> bool:
        return bool(self._at)

    def __contains__(self, site: str) -> bool:
        return site in self._at

    def __call__(self, site: str, value: Tensor, step: Step) -> Tensor:
        """Returns what the hooks of a site make of its value, one after the other."""
        if site in self.edited:
            # what lies apart in memory may round differently: a row must not depend on who is edited
            value = value.contiguous()
        for hook in self._at.get(site, ()):
            value = hook.apply(site, value, step)
        step.seen[site] = value
        return value

    def and_then(self, *reads: AnyHook) -> Hooks:
        """Returns the model's hooks among these, with others behind them."""
        return Hooks(self.edits, reads)

    def within(self, *prefixes: str) -> bool:
        """Returns whether any hook names a site that begins so."""
        return any(site.startswith(prefixes) for site in self._at)

    def activations(self, layer: str) -> Mapping[str, str]:
        """Returns the activations of a layer (`l2.`) that any hook names, with their sites."""
        return self._layers.get(layer, {})

    def of(self, layer: str, step: Step) -> See | None:
        """Returns what is called with the activations of a layer at this step; None where nobody names one."""
        named = self._layers.get(layer)
        if not named:
            return None
        return lambda activation, value: self(named[activation], value, step) if activation in named else value

    def room(self, site: str, step: Step, steps: int) -> Tensor | None:
        """Returns the memory that one of the hooks has for a site's values of some steps."""
        rooms = (hook.room(site, step, steps) for hook in self._at[site])
        return next((room for room in rooms if room is not None), None)


Model = TypeVar("Model")


def hooked(model: Model, hooks: Iterable[Hook], tracker: Tracker | None = None) -> Model:
    """Returns the same model, parameters shared, with further hooks behind its own; the original stays as it is.

    `tracker` follows where in a tune the model is, which hooks may go by.
    """
    changed: Any = copy.copy(model)
    changed.hooks = (*changed.hooks, *hooks)
    changed.tracker = changed.tracker or tracker
    return changed


def unhooked(model: Model) -> Model:
    """Returns the model without hooks, its parameters shared."""
    plain: Any = copy.copy(model)
    plain.hooks, plain.tracker = (), None
    return plain
