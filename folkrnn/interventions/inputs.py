"""Changing what is fed back: two tokens at once (part 7 of the blog), or none (part 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Unpack

import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.rng import uniforms_at
from folkrnn.interventions.windows import ALWAYS, When, Window, token_ids, window
from folkrnn.interventions.writes import Write, with_hooks
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import Step
from folkrnn.models.positions import Position

_PARTNER = 7
"""Purpose of the random numbers that choose the other token."""


@dataclass(frozen=True)
class BlendInput(Intervention[FolkRNN]):
    """The input is `weight` times the token just written plus `other` times a random one of some tokens.

    `<s>` (row 0) stays as it is, as it was not written.
    """

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)

    weight: float = 0.7
    other: float = 0.3
    partner: tuple[str, ...] = ("pitch",)
    """Tokens and token types that the other one is drawn from; none: nothing is added."""
    window: Window = ALWAYS

    def check(self, model: FolkRNN, context: RunContext) -> None:
        for name, value in (("weight", self.weight), ("other", self.other)):
            if not 0 <= value <= 1:
                raise UserError(f"{name} is {value:g}; it must lie between 0 and 1")
        token_ids(self.partner, context.vocabulary)
        self.window.check(context.vocabulary, context.max_tokens)

    def fixes(self, model: FolkRNN, context: RunContext) -> frozenset[tuple[str, int]]:
        return frozenset(("x", i) for i in range(len(context.words)))

    def edit(self, model: FolkRNN, context: RunContext) -> tuple[FolkRNN, EffectRecord]:
        ids = torch.tensor(token_ids(self.partner, context.vocabulary), dtype=torch.long, device=model.device)
        other = self.other if len(ids) else 0.0
        effect = EffectRecord("", {"weight": self.weight, "other": other})
        if self.weight == 1 and other == 0:
            return model, effect
        inside = self.window.rows(context.vocabulary, model.device)

        def rows(position: Position) -> Tensor:
            written = position.step > 0
            mask = inside(position)
            return written if mask is None else written & mask

        def partner(step: Step) -> Tensor:
            place = (uniforms_at(step.position, 1, context.seed, _PARTNER).squeeze(1) * len(ids)).long()
            return ids[place]

        def blended(x: Tensor, step: Step) -> Tensor:
            mixed = self.weight * x
            if not other:
                return mixed
            return mixed.scatter_add(1, partner(step).unsqueeze(1), x.new_full((len(x), 1), other))

        def notes(before: Tensor, after: Tensor, step: Step) -> dict[str, Tensor]:
            none = torch.full_like(step.position.last, -1)
            own = torch.where(rows(step.position), step.position.last, none)
            added = torch.where(rows(step.position), partner(step), none) if other else none
            return {"read_token": own, "blended_token": added}

        return with_hooks(model, context.vocabulary, [Write("", "x", blended, rows, notes=notes)]), effect


def blend_input(
    weight: float = 0.7,
    other: float = 0.3,
    tokens: str | list[str] | None = "pitch",
    **when: Unpack[When],
) -> BlendInput:
    """Returns two-hot inputs; with `tokens=null` the fed-back token is only weakened (`weight=0`: not read at all)."""
    words = (tokens.split() if isinstance(tokens, str) else tokens) or ()
    return BlendInput(weight, other, tuple(words), window(**when))
