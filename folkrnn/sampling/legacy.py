"""The authors' samplers, draw for draw: `sampling.rng=legacy|legacy_webapp` (facts sheet section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from folkrnn.interventions.edited import Edited, EditedStepper, Playable, number
from folkrnn.models.draws import SMALLEST_BATCH, draw, probabilities
from folkrnn.models.stepper import Stepper
from folkrnn.models.visits import SiteVisit
from folkrnn.sampling.redraw import redraw
from folkrnn.sampling.transcription import Sampling, Transcription
from folkrnn.vocabulary import Vocabulary

LEGACY_LIMIT = 1_000
"""Items, `<s>` included, at which the authors' samplers give up on a tune."""


def legacy(
    model: Playable,
    vocabulary: Vocabulary,
    sampling: Sampling,
    prime: Sequence[int],
    seed: int,
    visit: SiteVisit | None,
    progress: Callable[[int], None] | None,
) -> Iterator[Transcription]:
    """The authors' samplers: tunes one after the other, each draw `RandomState.choice`, 1,000 items at most."""
    webapp, stepper = sampling.rng == "legacy_webapp", model.stepper()
    rng = np.random.RandomState(seed)
    for tune in range(sampling.tunes):
        rng = np.random.RandomState(seed) if webapp else rng
        yield _legacy_tune(stepper, vocabulary, sampling, prime, rng, webapp, visit, tune)
        if progress:
            progress(1)


def _legacy_tune(
    stepper: Stepper | EditedStepper,
    vocabulary: Vocabulary,
    sampling: Sampling,
    prime: Sequence[int],
    rng: np.random.RandomState,
    webapp: bool,
    visit: SiteVisit | None,
    tune: int,
) -> Transcription:
    model, ids, probability, uniform = stepper.model, [vocabulary.start], [], []
    state = [tuple(part.clone() for part in layer) for layer in model.initial_state(SMALLEST_BATCH)]
    number(model, state, [tune])
    while ids[-1] != vocabulary.end and len(ids) <= LEGACY_LIMIT:
        place = len(ids) - 1
        logits, state = stepper.step(torch.full((SMALLEST_BATCH,), ids[-1], device=model.device), state, visit)
        law = probabilities(logits[:1], sampling.temperature).cpu()
        primed = place < len(prime)
        u = rng.random_sample() if webapp or not primed else np.nan
        token = prime[place] if primed else _drawn(model, state, law, u, rng)
        ids.append(token)
        probability.append(float(law[0, token]))
        uniform.append(np.nan if primed else u)
    origin = tuple("given" if t < len(prime) else "drawn" for t in range(len(ids) - 1))
    return Transcription(np.array(ids), origin, np.array(probability), np.array(uniform), ids[-1] == vocabulary.end)


def _drawn(model: Playable, state: list, law: Tensor, uniform: float, rng: np.random.RandomState) -> int:
    """The token that the uniform draws, or the next of the same stream that is accepted."""
    chosen = draw(law, torch.tensor([uniform]))
    rejected = model.rejected(state) if isinstance(model, Edited) else None
    if rejected is None:
        return int(chosen)
    return int(redraw(law, chosen, rejected, lambda *_: torch.from_numpy(rng.random_sample((1, 1)))))
