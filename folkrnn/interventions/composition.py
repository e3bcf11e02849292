"""Interventions together: checked, resolved, applied in order, accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TypeVar

import numpy as np

from folkrnn.errors import UserError
from folkrnn.interventions.intervention import EffectRecord, Intervention, RunContext
from folkrnn.interventions.records import FinishedTune, recorded
from folkrnn.interventions.windows import disjoint
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.model import Model

M = TypeVar("M", bound=Model)
Interventions = Mapping[str, Intervention[M]]
"""By name, in the order in which they are applied; all change models of one class."""


def check(interventions: Interventions[M], model: M, context: RunContext) -> None:
    """Raises UserError where one does not fit the model or two contradict each other, as far as that is known."""
    for name, intervention in interventions.items():
        if model.family not in intervention.families:
            raise UserError(
                f"intervention={name} changes {', '.join(intervention.families)}; these weights are of a {model.family}"
            )
        try:
            intervention.check(model, context)
        except UserError as refusal:
            raise UserError(f"intervention={name}: {refusal}") from refusal
    refuse_conflicts(interventions, model, context)


def refuse_conflicts(interventions: Interventions[M], model: M, context: RunContext) -> None:
    """Raises UserError where two interventions each determine the value of one unit or the distribution of one
    token.
    """
    fixed = {name: intervention.fixes(model, context) for name, intervention in interventions.items()}
    for (first, one), (second, other) in combinations(interventions.items(), 2):
        shared = sorted(fixed[first] & fixed[second])
        if shared and not disjoint(one.window, other.window, context.vocabulary):
            site, unit = shared[0]
            what = f"unit {unit} of {site}"
            if site == "logits" and context.vocabulary is not None:
                what = f"the distribution of {context.vocabulary.tokens[unit]}"
            more = f" (and {len(shared) - 1} more)" if len(shared) > 1 else ""
            raise UserError(
                f"intervention={first} and intervention={second} both determine {what}{more}; let only one of them, or "
                "keep their steps or bars apart"
            )


def resolve(interventions: Interventions[M], model: M, context: RunContext) -> dict[str, Intervention[M]]:
    """Returns the interventions with the units that their selectors choose, all measured on the unchanged model."""
    resolved = {name: intervention.resolved(model, context) for name, intervention in interventions.items()}
    refuse_conflicts(resolved, model, context)
    return resolved


def apply(interventions: Interventions[M], model: M, context: RunContext) -> tuple[M, list[EffectRecord]]:
    """Returns the model after all (resolved) interventions, in order, and what is known of the change at once."""
    effects = []
    for name, intervention in interventions.items():
        known = set(map(id, model.hooks))
        model, effect = intervention.edit(model, context)
        for hook in model.hooks:
            if id(hook) not in known:
                hook.name = name
        effects.append(replace(effect, name=name, watched=intervention.watched))
    return model, effects


def matched(interventions: Interventions[M], draw: int, seed: int) -> dict[str, Intervention[M]] | None:
    """Returns the resolved interventions, each that chooses units on as many random ones; None where none does."""
    there = {
        name: intervention.matched(_seed(seed, draw, k)) for k, (name, intervention) in enumerate(interventions.items())
    }
    if not any(there.values()):
        return None
    return {name: there[name] or intervention for name, intervention in interventions.items()}


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def with_steps(model: FolkRNN, effects: Sequence[EffectRecord], tunes: Sequence[FinishedTune]) -> list[EffectRecord]:
    """Returns the effects with what the edits did to these tunes, step by step."""
    return recorded(model, effects, tunes) if model.hooks else list(effects)
