"""Batched generation of transcriptions, each token with an account of how it was drawn.

Streams of random numbers (`sampling.rng`):

`per_tune` (default): tune n has its own stream, keyed by (seed, n), and step t consumes the t-th uniform of it, also
where a token is given. A tune is then the same whatever its company: batch size, threads, and whatever else is drawn.
`legacy`: one numpy RandomState(seed) runs through all tunes, as in the authors' fast script (facts sheet section 3.1).
`legacy_webapp`: RandomState(seed) anew for each tune, consuming a draw during the prime as well, as folkrnn.org does.

In all of them a token is drawn by inverting the cumulative law in double precision: the first token whose cumulative
probability exceeds the uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from folkrnn.models.draws import SMALLEST_BATCH, draw, probabilities, stream
from folkrnn.models.folkrnn import FolkRNN, SiteVisit
from folkrnn.refusal import Refusal
from folkrnn.vocabulary import Vocabulary

Origin = Literal["given", "drawn", "replayed"]
Rng = Literal["per_tune", "legacy", "legacy_webapp"]
Uniforms = Callable[[int], np.ndarray]
"""Maps a tune's number to the uniforms of its steps, `[max_tokens]`: entry t draws the token after row t."""

LEGACY_LIMIT = 1_000
"""Items, `<s>` included, at which the authors' samplers give up on a tune."""


@dataclass(frozen=True)
class Sampling:
    """What to generate. The same names are the keys `sampling.*` on the command line."""

    tunes: int = 64
    temperature: float = 1.0
    prime: tuple[str, ...] = ()
    """Tokens that every tune begins with."""
    max_tokens: int = 1000
    """Most tokens a tune may have, the prime included, `<s>` and `</s>` not."""
    rng: Rng = "per_tune"
    live: int = 256
    """Most tunes in progress at once; waiting tunes take the places of finished ones."""

    def __post_init__(self) -> None:
        if self.tunes < 1:
            raise Refusal(f"sampling.tunes is {self.tunes}; it must be at least 1")
        if not self.temperature > 0:
            raise Refusal(f"sampling.temperature is {self.temperature}; it must be above 0")
        if self.max_tokens < 1:
            raise Refusal(f"sampling.max_tokens is {self.max_tokens}; it must be at least 1")
        if self.live < 1:
            raise Refusal(f"sampling.live is {self.live}; it must be at least 1")
        if len(self.prime) > self.max_tokens:
            raise Refusal(f"the prime has {len(self.prime)} tokens, more than sampling.max_tokens={self.max_tokens}")
        if self.rng not in ("per_tune", "legacy", "legacy_webapp"):
            raise Refusal(f"sampling.rng is {self.rng!r}; it may be per_tune, legacy or legacy_webapp")


@dataclass(frozen=True)
class Transcription:
    """A tune and how it came about. Arrays have one entry per token of `ids[1:]`."""

    ids: np.ndarray
    """Token ids `[N]` from `<s>` on; the last is `</s>` if the tune ended by itself."""
    origin: tuple[Origin, ...]
    probability: np.ndarray
    """The law's probability of each token, `[N − 1]`; NaN where it was not computed."""
    uniform: np.ndarray
    """The uniform that drew each token, `[N − 1]`; NaN where none did."""
    ended: bool
    title: str = ""

    def tokens(self, vocabulary: Vocabulary) -> list[str]:
        """Meter, mode and body, without `<s>` and `</s>`."""
        return vocabulary.decode(self.ids[1:-1] if self.ended else self.ids[1:])


def given(ids: Sequence[int], vocabulary: Vocabulary, title: str = "") -> Transcription:
    """Returns a transcription that was not generated: tokens (without markers) to be read with teacher forcing."""
    whole = np.array([vocabulary.start, *ids, vocabulary.end])
    unknown = np.full(len(whole) - 1, np.nan)
    return Transcription(whole, ("given",) * (len(whole) - 1), unknown, unknown, True, title)


def tune_uniforms(seed: int, length: int) -> Uniforms:
    """Returns the `per_tune` streams: a counter-based generator keyed by (seed, tune)."""
    return lambda tune: stream(seed, tune).random(length)


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
    return list(_legacy(model, vocabulary, sampling, prime, seed, visit, progress))


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


@torch.no_grad()
def replay_uniforms(
    model: FolkRNN, vocabulary: Vocabulary, ids: Sequence[int], sampling: Sampling, seed: int
) -> Uniforms:
    """Returns streams under which the unchanged model draws exactly the transcription `ids` (without markers).

    Step t of tune n gets a uniform inside the cumulative interval of its token, at the place inside it that the tune's
    own stream picks; past the end of the transcription the stream goes on as usual. An intervention then departs from
    the transcription only where it moves the law far enough.
    """
    whole = torch.tensor([vocabulary.start, *ids, vocabulary.end])
    law = probabilities(_stepped_logits(model, whole[:-1]), sampling.temperature)
    cumulative = law.cumsum(-1) / law.sum(-1, keepdim=True)
    rows, targets = torch.arange(len(whole) - 1), whole[1:]
    upper = cumulative[rows, targets].numpy()
    lower = np.where(targets.numpy() > 0, cumulative[rows, (targets - 1).clamp(min=0)].numpy(), 0.0)
    own = tune_uniforms(seed, max(sampling.max_tokens + 1, len(whole)))

    def uniforms(tune: int) -> np.ndarray:
        stream = own(tune)
        # the middle 98 % of the interval: rounding of the cumulative sum must not tip a draw into a neighbour
        inside = 0.01 + 0.98 * stream[: len(upper)]
        stream[: len(upper)] = lower + (upper - lower) * inside
        return stream

    return uniforms


def _stepped_logits(model: FolkRNN, tokens: Tensor) -> Tensor:
    """Logits after each of `tokens [T]`, `[T, V]`, by the very steps that generation takes."""
    state = [tuple(part.clone() for part in layer) for layer in model.initial_state(SMALLEST_BATCH)]
    rows = []
    for token in tokens:
        logits, state = model.step(token.expand(SMALLEST_BATCH).to(model.device), state)
        rows.append(logits[0])
    return torch.stack(rows)


def _legacy(
    model: FolkRNN,
    vocabulary: Vocabulary,
    sampling: Sampling,
    prime: Sequence[int],
    seed: int,
    visit: SiteVisit | None,
    progress: Callable[[int], None] | None,
) -> Iterator[Transcription]:
    """The authors' samplers: tunes one after the other, each draw `RandomState.choice`, 1,000 items at most."""
    webapp = sampling.rng == "legacy_webapp"
    rng = np.random.RandomState(seed)
    for _ in range(sampling.tunes):
        rng = np.random.RandomState(seed) if webapp else rng
        yield _legacy_tune(model, vocabulary, sampling, prime, rng, webapp, visit)
        if progress:
            progress(1)


def _legacy_tune(
    model: FolkRNN,
    vocabulary: Vocabulary,
    sampling: Sampling,
    prime: Sequence[int],
    rng: np.random.RandomState,
    webapp: bool,
    visit: SiteVisit | None,
) -> Transcription:
    ids, probability, uniform = [vocabulary.start], [], []
    state = [tuple(part.clone() for part in layer) for layer in model.initial_state(SMALLEST_BATCH)]
    while ids[-1] != vocabulary.end and len(ids) <= LEGACY_LIMIT:
        place = len(ids) - 1
        logits, state = model.step(torch.full((SMALLEST_BATCH,), ids[-1], device=model.device), state, visit)
        law = probabilities(logits[:1], sampling.temperature)
        primed = place < len(prime)
        u = rng.random_sample() if webapp or not primed else np.nan
        token = prime[place] if primed else int(draw(law, torch.tensor([u])))
        ids.append(token)
        probability.append(float(law[0, token]))
        uniform.append(np.nan if primed else u)
    origin = tuple("given" if t < len(prime) else "drawn" for t in range(len(ids) - 1))
    return Transcription(np.array(ids), origin, np.array(probability), np.array(uniform), ids[-1] == vocabulary.end)


def mark_replayed(transcription: Transcription, ids: Iterable[int]) -> Transcription:
    """Returns the transcription with the origin `replayed` where its tokens are those of the replayed tune."""
    model = list(ids)
    origin = tuple(
        "replayed" if t < len(model) and token == model[t] else how
        for t, (token, how) in enumerate(zip(transcription.ids[1:], transcription.origin, strict=True))
    )
    return Transcription(
        transcription.ids,
        origin,
        transcription.probability,
        transcription.uniform,
        transcription.ended,
        transcription.title,
    )
