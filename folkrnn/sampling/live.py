"""Batched generation: many tunes at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import torch

from folkrnn.models.draws import SMALLEST_BATCH, draw, probabilities
from folkrnn.models.folkrnn import FolkRNN, SiteVisit
from folkrnn.sampling.legacy import legacy
from folkrnn.sampling.replay import Uniforms, tune_uniforms
from folkrnn.sampling.transcription import Sampling, Transcription
from folkrnn.vocabulary import Vocabulary


@torch.no_grad()
def generate(
    model: FolkRNN,
    vocabulary: Vocabulary,
    sampling: Sampling,
    seed: int,
    *,
    uniforms: Uniforms | None = None,
    visit: SiteVisit | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Transcription]:
    """Returns `sampling.tunes` transcriptions in order of their numbers.

    `uniforms` replaces the per-tune streams (see `replay_uniforms`); `visit` reads or rewrites sites while the model
    runs; `progress` is called with the number of tunes that have just ended.
    """
    model.eval()
    prime = vocabulary.encode(sampling.prime)
    if sampling.rng == "per_tune":
        draws = uniforms or tune_uniforms(seed, sampling.max_tokens + 1)
        batch = _LiveBatch(model, vocabulary, sampling, prime, draws, visit)
        return batch.run(progress)
    return list(legacy(model, vocabulary, sampling, prime, seed, visit, progress))


@dataclass
class _Growing:
    """A tune in progress."""

    number: int
    uniform: np.ndarray
    ids: list[int]
    probability: list[float] = field(default_factory=list)


class _LiveBatch:
    """Up to `live` tunes in progress, one per row; rows are refilled while tunes wait and dropped when none do."""

    def __init__(
        self,
        model: FolkRNN,
        vocabulary: Vocabulary,
        sampling: Sampling,
        prime: Sequence[int],
        uniforms: Uniforms,
        visit: SiteVisit | None,
    ) -> None:
        self.model, self.vocabulary, self.sampling = model, vocabulary, sampling
        self.prime, self.uniforms, self.visit = list(prime), uniforms, visit
        self.finished: dict[int, Transcription] = {}
        self.waiting = iter(range(sampling.tunes))
        self.rows = [self._begin(number) for number in islice(self.waiting, sampling.live)]
        height = max(SMALLEST_BATCH, len(self.rows))
        self.state = [tuple(part.clone() for part in layer) for layer in model.initial_state(height)]

    def run(self, progress: Callable[[int], None] | None) -> list[Transcription]:
        while self.rows:
            before = len(self.finished)
            self._step()
            if progress and len(self.finished) > before:
                progress(len(self.finished) - before)
        return [self.finished[number] for number in sorted(self.finished)]

    def _begin(self, number: int) -> _Growing:
        return _Growing(number, self.uniforms(number), [self.vocabulary.start])

    def _step(self) -> None:
        height = len(self.state[0][0])
        last = torch.full((height,), self.vocabulary.start)
        last[: len(self.rows)] = torch.tensor([tune.ids[-1] for tune in self.rows])
        logits, self.state = self.model.step(last.to(self.model.device), self.state, self.visit)
        law = probabilities(logits[: len(self.rows)], self.sampling.temperature)
        chosen = draw(law, torch.tensor([tune.uniform[len(tune.ids) - 1] for tune in self.rows]))
        for row, tune in enumerate(self.rows):
            place = len(tune.ids) - 1
            if place < len(self.prime):
                chosen[row] = self.prime[place]
        picked = law.gather(1, chosen.unsqueeze(1)).squeeze(1).tolist()
        for tune, token, probability in zip(self.rows, chosen.tolist(), picked, strict=True):
            tune.ids.append(token)
            tune.probability.append(probability)
        self._replace_finished()

    def _replace_finished(self) -> None:
        done = [row for row, tune in enumerate(self.rows) if self._is_done(tune)]
        if not done:
            return
        for row in done:
            self._finish(self.rows[row])
        free = []
        for row in done:
            number = next(self.waiting, None)
            if number is None:
                free.append(row)
                continue
            self.rows[row] = self._begin(number)
            self._reset(row)
        if free:
            self._drop(set(free))

    def _is_done(self, tune: _Growing) -> bool:
        return tune.ids[-1] == self.vocabulary.end or len(tune.ids) - 1 >= self.sampling.max_tokens

    def _finish(self, tune: _Growing) -> None:
        steps = len(tune.ids) - 1
        origin = tuple("given" if t < len(self.prime) else "drawn" for t in range(steps))
        uniform = np.where(np.arange(steps) < len(self.prime), np.nan, tune.uniform[:steps])
        self.finished[tune.number] = Transcription(
            np.array(tune.ids), origin, np.array(tune.probability), uniform, tune.ids[-1] == self.vocabulary.end
        )

    def _reset(self, row: int) -> None:
        for layer, first in zip(self.state, self.model.initial_state(1), strict=True):
            for part, start in zip(layer, first, strict=True):
                part[row] = start[0]

    def _drop(self, gone: set[int]) -> None:
        kept = [row for row in range(len(self.rows)) if row not in gone]
        self.rows = [self.rows[row] for row in kept]
        # rows beyond the live ones only keep the products from getting small; any content does
        padded = (kept + [0] * SMALLEST_BATCH)[: max(SMALLEST_BATCH, len(kept))]
        self.state = [tuple(part[padded] for part in layer) for layer in self.state]
