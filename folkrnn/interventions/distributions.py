"""Changing the distribution of the next token: suppression (paper, Figs. 10 to 12) and displacement (Fig. 13).

Suppression by re-sampling draws until the token is allowed, from a side stream; masking gives suppressed tokens no
probability. Both draw from the same distribution and consume random numbers differently. Displacement moves the value
before the softmax by δ, or so that the probability of the tokens together is multiplied by α (see `displacement`).
Temperature acts before: p and δ are those of values already divided by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Unpack, get_args

import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.windows import ALWAYS, Rows, When, Window, token_ids, window
from folkrnn.interventions.writes import Write, with_hooks
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import REJECTED, Hook, Step
from folkrnn.models.rng import draw

How = Literal["resample", "mask"]

LIMIT = 1e-6
"""What a probability stays below 1 where α p would reach or exceed it."""


@dataclass(frozen=True)
class Suppress(Intervention[FolkRNN]):
    """Tokens, or all of some types, that are not drawn while the window lasts."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    tokens: tuple[str, ...]
    """Tokens and token types."""
    how: How = "resample"
    window: Window = ALWAYS

    @property
    def watched(self) -> tuple[str, ...]:
        return self.tokens

    def check(self, model: FolkRNN, context: RunContext) -> None:
        if self.how not in get_args(How):
            raise UserError(f"how={self.how}: tokens can be suppressed by {' or '.join(get_args(How))}")
        ids = token_ids(self.tokens, context.vocabulary)
        if len(ids) >= len(context.words) - 1:
            raise UserError(f"{len(ids)} of {len(context.words)} tokens are suppressed; leave at least two")
        self.window.check(context.vocabulary, context.max_tokens)

    def fixes(self, model: FolkRNN, context: RunContext) -> frozenset[tuple[str, int]]:
        return frozenset(("logits", i) for i in token_ids(self.tokens, context.vocabulary))

    def edit(self, model: FolkRNN, context: RunContext) -> tuple[FolkRNN, EffectRecord]:
        effect = EffectRecord("", {"tokens": float(len(token_ids(self.tokens, context.vocabulary)))})
        ids = torch.tensor(token_ids(self.tokens, context.vocabulary), dtype=torch.long, device=model.device)
        if not len(ids):
            return model, effect
        rows = self.window.rows(context.vocabulary, model.device)
        watch = _Watch(ids, context.temperature, rows)
        if self.how == "mask":
            mask = Write("", "logits", lambda part, _: torch.full_like(part, -math.inf), rows, ids, notes=watch.notes)
            return with_hooks(model, context.vocabulary, [mask]), effect
        keep = Write("", "logits", lambda part, _: part, rows, notes=watch.notes)
        reject = _Reject(ids, len(context.words), rows)
        return with_hooks(model, context.vocabulary, [keep, reject]), effect


@dataclass(frozen=True)
class Displace(Intervention[FolkRNN]):
    """Tokens whose values before the softmax move by `delta`, or so that their probability is multiplied by `alpha`."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    tokens: tuple[str, ...]
    delta: float | None = None
    alpha: float | None = None
    window: Window = ALWAYS

    @property
    def watched(self) -> tuple[str, ...]:
        return self.tokens

    def check(self, model: FolkRNN, context: RunContext) -> None:
        if (self.delta is None) == (self.alpha is None):
            raise UserError(
                "give delta (added before the softmax) or alpha (a factor of the probability), and not both"
            )
        if self.alpha is not None and not 0 <= self.alpha < math.inf:
            raise UserError(f"alpha is {self.alpha:g}; a probability can be multiplied by 0 or more, at most by 1/p")
        if self.delta is not None and not math.isfinite(self.delta):
            raise UserError(f"delta is {self.delta:g}; it must be a finite number; alpha=0 masks")
        ids = token_ids(self.tokens, context.vocabulary)
        if not 0 < len(ids) < len(context.words) - 1:
            raise UserError(f"{len(ids)} of {len(context.words)} tokens are displaced; name some and leave some")
        self.window.check(context.vocabulary, context.max_tokens)

    def fixes(self, model: FolkRNN, context: RunContext) -> frozenset[tuple[str, int]]:
        return frozenset(("logits", i) for i in token_ids(self.tokens, context.vocabulary))

    def edit(self, model: FolkRNN, context: RunContext) -> tuple[FolkRNN, EffectRecord]:
        effect = EffectRecord("", {"delta": self.delta or 0.0} if self.alpha is None else {"alpha": self.alpha})
        if self.delta == 0 or self.alpha == 1:
            return model, effect
        ids = torch.tensor(token_ids(self.tokens, context.vocabulary), dtype=torch.long, device=model.device)
        temperature = context.temperature

        def displaced(logits: Tensor, step: Step) -> Tensor:
            if self.alpha is None:
                return logits.index_add(
                    1, ids, logits.new_full((len(logits), len(ids)), (self.delta or 0.0) * temperature)
                )
            delta, _ = deltas(logits, ids, self.alpha, temperature)
            moved = logits[:, ids] + (delta * temperature).unsqueeze(1)
            return logits.index_copy(1, ids, moved.to(logits.dtype))

        def notes(before: Tensor, after: Tensor, step: Step) -> dict[str, Tensor]:
            found = {"probability": _share(before, ids, temperature), "becomes": _share(after, ids, temperature)}
            if self.alpha is not None:
                found["steps_at_limit"] = deltas(before, ids, self.alpha, temperature)[1].double()
            inside = rows(step.position)
            return found if inside is None else {name: value * inside for name, value in found.items()}

        rows = self.window.rows(context.vocabulary, model.device)
        return with_hooks(model, context.vocabulary, [Write("", "logits", displaced, rows, notes=notes)]), effect


def suppress(
    tokens: str | Sequence[str] = "|",
    how: How = "resample",
    **when: Unpack[When],
) -> Suppress:
    """Returns the suppression of tokens and token types, as a list or with spaces between them."""
    return Suppress(_words(tokens), how, window(**when))


def displace(
    token: str | Sequence[str] = "A,",
    delta: float | None = None,
    alpha: float | None = None,
    **when: Unpack[When],
) -> Displace:
    """Returns the displacement of a token, or of several together."""
    return Displace(_words(token), delta, alpha, window(**when))


def deltas(logits: Tensor, ids: Tensor, alpha: float, temperature: float) -> tuple[Tensor, Tensor]:
    """Returns δ `[B]` that multiplies the probability of tokens `ids` together by α, and where α p is at its limit.

    δ = ln[(1 − p) / (1/α − p)] for logits `[B, V]`, in double precision; where α p would be 1 or more, that of a
    probability of 1 − 1e-6. It is −∞ for α = 0, and 0 where no other token has any probability.
    """
    distribution = (logits.double() / temperature).softmax(-1)
    own, rest = distribution[:, ids].sum(1), distribution.index_fill(1, ids, 0.0).sum(1)
    wanted = alpha * own
    at_limit = wanted >= 1
    becomes = wanted.clamp(max=1 - LIMIT)
    delta = becomes.log() - torch.log1p(-becomes) - own.log() + rest.log()
    delta = torch.where((own > 0) & (rest > 0), delta, 0.0)
    return delta, at_limit


class _Reject(Hook):
    """Rows of the window do not accept the tokens."""

    sites = (REJECTED,)

    def __init__(self, ids: Tensor, tokens: int, rows: Rows) -> None:
        self.rows = rows
        self.mask = torch.zeros(tokens, dtype=torch.bool, device=ids.device)
        self.mask[ids] = True

    def apply(self, site: str, value: Tensor, step: Step) -> Tensor:
        inside = self.rows(step.position)
        return value | (self.mask if inside is None else self.mask & inside.unsqueeze(1))


class _Watch:
    """What a suppression does: the tokens' probability, what would have been drawn, and what came instead."""

    def __init__(self, ids: Tensor, temperature: float, rows: Rows) -> None:
        self.ids, self.temperature, self.rows = ids, temperature, rows

    def notes(self, before: Tensor, after: Tensor, step: Step) -> dict[str, Tensor]:
        inside = self.rows(step.position)
        distribution = (before.double() / self.temperature).softmax(-1)
        found = {"probability": distribution[:, self.ids].sum(1)}
        if step.uniform is not None and step.following is not None:
            first = draw(distribution.cpu(), step.uniform.nan_to_num(0.0).cpu()).to(distribution.device)
            hit = torch.isin(first, self.ids) & step.uniform.isfinite()
            none = torch.full_like(first, -1)
            found["suppressed"] = hit if inside is None else hit & inside
            found["suppressed_token"] = torch.where(found["suppressed"], first, none)
            found["substitute_token"] = torch.where(found["suppressed"], step.following, none)
        if inside is not None:
            found["probability"] = found["probability"] * inside
        return found


def _share(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    return (logits.double() / temperature).softmax(-1)[:, ids].sum(1)


def _words(tokens: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(tokens.split() if isinstance(tokens, str) else tokens)
