"""Batched generation: many tunes at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from folkrnn.interventions.edited import Edited, Playable, number
from folkrnn.models.captured import Captured, height
from folkrnn.models.draws import SMALLEST_BATCH, draw, probabilities
from folkrnn.models.products import check_precision
from folkrnn.models.visits import SiteVisit
from folkrnn.refusal import Refusal
from folkrnn.sampling.legacy import legacy
from folkrnn.sampling.redraw import redraw, side_streams
from folkrnn.sampling.replay import Uniforms, tune_uniforms
from folkrnn.sampling.transcription import Sampling, Transcription
from folkrnn.vocabulary import Vocabulary


@torch.no_grad()
def generate(
    model: Playable,
    vocabulary: Vocabulary,
    sampling: Sampling,
    seed: int,
    *,
    uniforms: Uniforms | None = None,
    visit: SiteVisit | None = None,
    progress: Callable[[int], None] | None = None,
    numbers: Sequence[int] | None = None,
) -> list[Transcription]:
    """Returns `sampling.tunes` transcriptions in order of their numbers, or those of these `numbers` alone.

    `uniforms` replaces the per-tune streams (see `replay_uniforms`); `visit` reads or rewrites sites while the model
    runs; `progress` is called with the number of tunes that have just ended. Raises Refusal for `numbers` where tunes
    share one stream (`sampling.rng` other than per_tune).
    """
    model.eval()
    prime = vocabulary.encode(sampling.prime)
    if sampling.rng == "per_tune":
        draws = uniforms or tune_uniforms(seed, sampling.max_tokens + 1)
        wanted = range(sampling.tunes) if numbers is None else numbers
        batch = _LiveBatch(model, vocabulary, sampling, prime, seed, draws, visit, wanted)
        return batch.run(progress)
    if numbers is not None:
        raise Refusal(f"sampling.rng={sampling.rng} draws all tunes from one stream, one after the other")
    return list(legacy(model, vocabulary, sampling, prime, seed, visit, progress))


class _LiveBatch:
    """Up to `live` tunes in progress, one per row; rows are refilled while tunes wait and dropped when none do.

    A tune in progress has a slot: its row of the tables `ids`, `probability` and `uniform`, whose column t belongs to
    step t. Row r of the network's state is that of the tune in slot `slots[r]`.
    """

    def __init__(
        self,
        model: Playable,
        vocabulary: Vocabulary,
        sampling: Sampling,
        prime: Sequence[int],
        seed: int,
        uniforms: Uniforms,
        visit: SiteVisit | None,
        numbers: Sequence[int],
    ) -> None:
        self.model, self.vocabulary, self.sampling = model, vocabulary, sampling
        self.prime, self.visit = np.array(prime, dtype=np.int64), visit
        self.seed, self.uniforms = seed, uniforms
        check_precision(sampling.precision, model.device)
        fixed = sampling.captured and not isinstance(model, Edited)
        self.stepper = Captured(model.stepper(sampling.precision)) if fixed else model.stepper(sampling.precision)
        self.height = height if fixed else partial(max, SMALLEST_BATCH)
        self.finished: dict[int, Transcription] = {}
        self.waiting = iter(numbers)
        count, longest = min(len(numbers), sampling.live), sampling.max_tokens
        self.number, self.length = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.ids = np.full((count, longest + 1), vocabulary.start)
        self.probability, self.uniform = np.zeros((count, longest)), np.zeros((count, longest))
        self.slots = np.arange(count)
        for slot, tune in enumerate(islice(self.waiting, count)):
            self._begin(slot, tune)
        self.last = torch.full((self.height(count),), vocabulary.start)
        self.state = [tuple(part.clone() for part in layer) for layer in model.initial_state(len(self.last))]
        number(model, self.state, self.number.tolist())

    def run(self, progress: Callable[[int], None] | None) -> list[Transcription]:
        while len(self.slots):
            before = len(self.finished)
            self._step()
            if progress and len(self.finished) > before:
                progress(len(self.finished) - before)
        return [self.finished[number] for number in sorted(self.finished)]

    def _begin(self, slot: int, number: int) -> None:
        """`length[slot]` counts the steps made."""
        self.number[slot], self.length[slot] = number, 0
        self.uniform[slot] = self.uniforms(number)[: self.sampling.max_tokens]

    def _step(self) -> None:
        slots, step = self.slots, self.length[self.slots]
        logits, self.state = self.stepper.step(self.last.to(self.model.device), self.state, self.visit)
        law = probabilities(logits[: len(slots)], self.sampling.temperature)
        chosen = draw(law, torch.from_numpy(self.uniform[slots, step])).cpu()
        given = step < len(self.prime)
        if isinstance(self.model, Edited) and not given.all():
            chosen = self._redrawn(law, chosen, torch.from_numpy(given))
        chosen[torch.from_numpy(given)] = torch.from_numpy(self.prime[step[given]])
        self.last[: len(slots)] = chosen
        tokens = chosen.numpy()
        self.ids[slots, step + 1] = tokens
        self.probability[slots, step] = law.gather(1, chosen.to(law.device).unsqueeze(1)).squeeze(1).cpu().numpy()
        self.length[slots] = step + 1
        done = (tokens == self.vocabulary.end) | (step + 1 >= self.sampling.max_tokens)
        if done.any():
            self._replace(np.flatnonzero(done))

    def _redrawn(self, law: Tensor, chosen: Tensor, given: Tensor) -> Tensor:
        """Draws again what is not accepted, from side streams of (tune, step); a token that is given is none of it."""
        rejected = self.model.rejected(self.state)
        if rejected is None:
            return chosen
        rejected = rejected[: len(given)] & ~given.unsqueeze(1).to(rejected.device)
        tune, step = torch.from_numpy(self.number[self.slots]), torch.from_numpy(self.length[self.slots])
        return redraw(law.cpu(), chosen, rejected, side_streams(self.seed, tune, step))

    def _replace(self, rows: np.ndarray) -> None:
        free = []
        for row in rows:
            slot = int(self.slots[row])
            self._finish(slot)
            number = next(self.waiting, None)
            if number is None:
                free.append(row)
                continue
            self._begin(slot, number)
            self._reset(row)
        if free:
            self._drop(free)

    def _finish(self, slot: int) -> None:
        steps = self.length[slot]
        given = np.arange(steps) < len(self.prime)
        origin = tuple("given" if one else "drawn" for one in given)
        uniform = np.where(given, np.nan, self.uniform[slot, :steps])
        ids = self.ids[slot, : steps + 1].copy()
        self.finished[int(self.number[slot])] = Transcription(
            ids, origin, self.probability[slot, :steps].copy(), uniform, bool(ids[-1] == self.vocabulary.end)
        )

    def _reset(self, row: int) -> None:
        self.last[row] = self.vocabulary.start
        for layer, first in zip(self.state, self.model.initial_state(1), strict=True):
            for part, start in zip(layer, first, strict=True):
                part[row] = start[0]
        number(self.model, self.state, [int(self.number[self.slots[row]])], row)

    def _drop(self, rows: Sequence[int]) -> None:
        kept = np.delete(np.arange(len(self.slots)), rows)
        self.slots = self.slots[kept]
        # rows beyond the live ones only keep the products from getting small; any content does
        missing = self.height(len(kept)) - len(kept)
        padded = torch.from_numpy(np.concatenate([kept, np.zeros(missing, kept.dtype)]))
        self.last = self.last[padded]
        self.state = [tuple(part[padded] for part in layer) for layer in self.state]
