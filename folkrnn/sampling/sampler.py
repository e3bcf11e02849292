"""Generation: a source of tokens that are drawn, for many tunes at once, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from folkrnn.errors import UserError
from folkrnn.models.engine import Batch
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import AnyHook, Step
from folkrnn.models.products import check_precision
from folkrnn.models.rng import draw, probabilities
from folkrnn.sampling.redraw import More, redraw, side_streams
from folkrnn.sampling.replay import Uniforms, tune_uniforms
from folkrnn.sampling.transcription import Origin, Sampling, Transcription
from folkrnn.vocabulary import Vocabulary

LEGACY_LIMIT = 1_000
"""Items, `<s>` included, at which the authors' samplers give up on a tune."""


@torch.no_grad()
def generate(
    model: FolkRNN,
    vocabulary: Vocabulary,
    sampling: Sampling,
    seed: int,
    *,
    uniforms: Uniforms | None = None,
    hook: AnyHook | None = None,
    progress: Callable[[int], None] | None = None,
    numbers: Sequence[int] | None = None,
) -> list[Transcription]:
    """Returns `sampling.tunes` transcriptions in order of their numbers, or those of these `numbers` alone.

    `uniforms` replaces the per-tune streams (see `replay_uniforms`); `hook` reads or rewrites sites while the model
    runs; `progress` is called with the number of tunes that have just ended. Raises UserError for `numbers` where tunes
    share one stream (`sampling.rng` other than per_tune).
    """
    model.eval()
    check_precision(sampling.precision, model.device)
    if numbers is not None and sampling.rng != "per_tune":
        raise UserError(f"sampling.rng={sampling.rng} draws all tunes from one stream, one after the other")
    draws: Draws
    if sampling.rng == "per_tune":
        draws = PerTune(uniforms or tune_uniforms(seed, sampling.max_tokens + 1), seed)
        batch_size, longest = sampling.batch_size, sampling.max_tokens
    else:
        draws, batch_size, longest = Legacy(seed, anew=sampling.rng == "legacy_webapp"), 1, LEGACY_LIMIT
    wanted = range(sampling.tunes) if numbers is None else numbers
    sampler = Sampler(vocabulary, sampling, draws, wanted, batch_size, longest, progress)
    model.engine(sampling.precision).run(sampler, [] if hook is None else [hook], captured=sampling.captured)
    return [sampler.finished[number] for number in sorted(sampler.finished)]


class Draws(Protocol):
    """Where the random numbers of tunes come from."""

    def begin(self, number: int, steps: int) -> np.ndarray | float:
        """Returns the uniforms of a tune's steps, NaN for those that are yet to be drawn."""
        ...

    def next(self, given: np.ndarray) -> float | None:
        """Returns the uniform of this step, if it was not drawn when the tune began; `given [R]`: no draw decides."""

    def more(self, tune: Tensor, step: Tensor) -> More:
        """Returns where the uniforms of draws that are made again come from."""
        ...


class PerTune:
    """A stream for each tune, and side streams of (seed, tune, step)."""

    def __init__(self, uniforms: Uniforms, seed: int) -> None:
        self.uniforms, self.seed = uniforms, seed

    def begin(self, number: int, steps: int) -> np.ndarray:
        return self.uniforms(number)[:steps]

    def next(self, given: np.ndarray) -> None:
        return None

    def more(self, tune: Tensor, step: Tensor) -> More:
        return side_streams(self.seed, tune, step)


class Legacy:
    """One `RandomState(seed)` for all tunes, one after the other, each draw a `choice` (facts sheet section 3.1).

    As folkrnn.org does it, it begins `anew` with each tune, and a given token takes a draw too.
    """

    def __init__(self, seed: int, anew: bool) -> None:
        self.seed, self.anew, self.rng = seed, anew, np.random.RandomState(seed)

    def begin(self, number: int, steps: int) -> float:
        self.rng = np.random.RandomState(self.seed) if self.anew else self.rng
        return np.nan

    def next(self, given: np.ndarray) -> float:
        return self.rng.random_sample() if self.anew or not given.all() else np.nan

    def more(self, tune: Tensor, step: Tensor) -> More:
        return lambda *_: torch.from_numpy(self.rng.random_sample((1, 1)))


class Sampler:
    """Up to `batch_size` tunes in progress, one per row; rows are refilled while tunes wait and dropped when none do.

    A tune in progress has a slot: its row of the tables `ids`, `probability` and `uniform`, whose column t belongs to
    step t. Row r of a batch is that of the tune in slot `slots[r]`.
    """

    known: bool = False

    def __init__(
        self,
        vocabulary: Vocabulary,
        sampling: Sampling,
        draws: Draws,
        numbers: Iterable[int],
        batch_size: int,
        longest: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.vocabulary, self.temperature, self.longest = vocabulary, sampling.temperature, longest
        self.prime = np.array(vocabulary.encode(sampling.prime), dtype=np.int64)
        self.draws, self.progress = draws, progress or (lambda _: None)
        self.finished: dict[int, Transcription] = {}
        self.waiting = iter(numbers)
        self.numbers: Sequence[int] = list(islice(self.waiting, batch_size))
        count = len(self.numbers)
        self.number, self.length = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.ids = np.full((count, longest + 1), vocabulary.start)
        self.probability, self.uniform = np.zeros((count, longest)), np.zeros((count, longest))
        self.slots = np.arange(count)
        for slot, tune in enumerate(self.numbers):
            self._begin(slot, tune)
        self.last = torch.full((count,), vocabulary.start)

    def next(self, step: Step | None, most: int) -> Batch | None:
        """Returns the tokens just drawn, `[1, R]`, of the tunes in progress."""
        if step is None:
            return Batch(self.last[None])
        done = np.flatnonzero(self._draw(step))
        if not len(done):
            return Batch(self.last[None])
        self.progress(len(done))
        begun, kept = self._replace(done)
        return Batch(self.last[None], kept, begun) if len(self.slots) else None

    def _begin(self, slot: int, number: int) -> None:
        """`length[slot]` counts the steps made."""
        self.number[slot], self.length[slot] = number, 0
        self.uniform[slot] = self.draws.begin(number, self.longest)

    def _draw(self, made: Step) -> np.ndarray:
        """Draws the next token of every row, and returns whose tune has ended, `[R]` of bool."""
        slots, step = self.slots, self.length[self.slots]
        given = step < len(self.prime)
        if (drawn := self.draws.next(given)) is not None:
            self.uniform[slots, step] = drawn
        distribution = probabilities(made.made, self.temperature)
        chosen = draw(distribution, torch.from_numpy(self.uniform[slots, step])).cpu()
        if made.rejected is not None and not given.all():
            # from side streams; a token that is given is none of it
            rejected = made.rejected & ~torch.from_numpy(given).unsqueeze(1).to(made.rejected.device)
            more = self.draws.more(torch.from_numpy(self.number[slots]), torch.from_numpy(step))
            chosen = redraw(distribution.cpu(), chosen, rejected, more)
        chosen[torch.from_numpy(given)] = torch.from_numpy(self.prime[step[given]])
        self.last, tokens = chosen, chosen.numpy()
        self.ids[slots, step + 1] = tokens
        self.probability[slots, step] = (
            distribution.gather(1, chosen.to(distribution.device).unsqueeze(1)).squeeze(1).cpu().numpy()
        )
        self.length[slots] = step + 1
        return (tokens == self.vocabulary.end) | (step + 1 >= self.longest)

    def _replace(self, rows: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray | None]:
        """Returns (row, number) of tunes that take the places of finished ones, and the rows that are kept."""
        begun, free = [], []
        for row in rows:
            slot = int(self.slots[row])
            self._finish(slot)
            number = next(self.waiting, None)
            if number is None:
                free.append(row)
                continue
            self._begin(slot, number)
            self.last[row] = self.vocabulary.start
            begun.append((row, number))
        if not free:
            return begun, None
        kept = np.delete(np.arange(len(self.slots)), free)
        self.slots, self.last = self.slots[kept], self.last[torch.from_numpy(kept)]
        return [(int(np.searchsorted(kept, row)), number) for row, number in begun], kept

    def _finish(self, slot: int) -> None:
        steps = self.length[slot]
        given = np.arange(steps) < len(self.prime)
        origin: tuple[Origin, ...] = tuple("given" if one else "drawn" for one in given)
        uniform = np.where(given, np.nan, self.uniform[slot, :steps])
        ids = self.ids[slot, : steps + 1].copy()
        self.finished[int(self.number[slot])] = Transcription(
            ids, origin, self.probability[slot, :steps].copy(), uniform, bool(ids[-1] == self.vocabulary.end)
        )
