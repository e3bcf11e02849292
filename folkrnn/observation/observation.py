"""What was seen of a model: the transcriptions it read or wrote, its posteriors, and its traces on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from folkrnn import sites as grammar
from folkrnn.datasets.batches import pad
from folkrnn.datasets.corpus import Corpus
from folkrnn.errors import UserError
from folkrnn.interventions.intervention import EffectRecord
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.blocks import Block, Blocks
from folkrnn.parallel.blocks import each_block
from folkrnn.parallel.shards import ALONE, Arrays, Progress, Workers
from folkrnn.sampling import Transcription, Transcriptions
from folkrnn.vocabulary import Vocabulary
from folkrnn.weights.curve import Curve
from folkrnn.weights.initial import Initial

BATCH = 32
"""Transcriptions traced at once where all are, at most."""

BATCH_BYTES = 2**28
"""What the activations of the transcriptions traced at once may take: long tunes and many activations make smaller
batches.
"""

HEADER = ("meter", "mode")
"""Token types that stay where they are, at the head of a tune, when it is shuffled."""


@dataclass
class Observation:
    """A FolkRNN and the transcriptions that it reads; activations are computed when an analysis asks for them.

    Row t of every activation is the state after reading token t (t = 0 is `<s>`); row t of `probs` is the distribution
    of token t + 1. A transcription of N tokens, markers included, has N − 1 rows.
    """

    model: FolkRNN
    """The model after all interventions."""
    vocabulary: Vocabulary
    transcriptions: Sequence[Transcription]
    data: Corpus | None = None
    """The corpus that generated tunes are compared with."""
    seed: int = 0
    """For what an analysis draws itself (bootstrap samples, controls)."""
    control: Observation | None = None
    """The model without interventions, drawing with the same random numbers; None where there are no interventions."""
    matched: tuple[Observation, ...] = ()
    """The same interventions on as many random units instead, once per draw (`cut.controls`)."""
    resumed: Observation | None = None
    """Of replays: the model without interventions going on from where each tune left the replayed one."""
    null: Observation | None = None
    """The model without interventions, drawing with other random numbers: what a comparison finds where there is no
    effect. Of replays it is `resumed`."""
    null_again: Observation | None = None
    """The same once more, to be held against `null` as if it had been changed."""
    initial: Initial | None = None
    """How the parameters were drawn before the training; None where that is not known or interventions changed them."""
    curve: Curve | None = None
    """How the training of the weights went, where that is known."""
    effects: list[EffectRecord] = field(default_factory=list)
    """What each intervention changed."""
    processes: Workers = ALONE
    """Who observes what takes long: the summary and the activations that are kept."""
    _kept: dict[tuple[int, str], np.ndarray] = field(default_factory=dict, repr=False)

    def with_model(self, model: FolkRNN) -> Observation:
        """Returns the same transcriptions as another model reads them; how that was drawn is not known."""
        return replace(self, model=model, initial=None, _kept={})

    def shuffled(self, rng: np.random.Generator) -> Observation:
        """Returns the transcriptions with the tokens of their bodies in random order, as ones that were given."""
        tunes = Transcriptions.of(_shuffled(tune, self.vocabulary, rng) for tune in self.transcriptions)
        return replace(self, transcriptions=tunes, _kept={})

    def reading(self) -> Observation:
        """Returns itself: what an analysis of sequences reads."""
        return self

    @property
    def ids(self) -> Sequence[np.ndarray]:
        """The token ids of every transcription, `[N]` each."""
        return ids_of(self.transcriptions)

    def tokens(self, k: int = 0) -> list[str]:
        """Every token of transcription k, markers included, `[N]`."""
        return self.vocabulary.decode(self.transcriptions[k].ids)

    def posterior(self, k: int = 0) -> np.ndarray:
        """The distributions of transcription k at temperature 1, `[N − 1, V]`."""
        return self.trace(k, "probs")

    def trace(self, k: int, site: str) -> np.ndarray:
        """One activation of transcription k, `[N − 1, units]`. Raises UserError for a site that the model lacks."""
        return self.traces(k, [site])[site]

    def each(self, sites: Iterable[str]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yields (k, activations `[N − 1, units]`) for every transcription, traced in batches and not kept.

        Memory does not grow with the number of transcriptions; the order is by length, longest first.
        """
        work, blocks = self._tracing(sites)
        for numbers, ids in blocks:
            activations = work.activations(numbers, ids)
            for row, (k, tune) in enumerate(zip(numbers, ids, strict=True)):
                yield k, {name: value[row, : len(tune) - 1] for name, value in activations.items()}

    def each_kept(
        self, sites: Iterable[str], progress: Progress | None = None
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yields what `each` does, to the bit, traced by `processes`: their shards wait on disk, as long as asked for.

        `progress` is called with the number of transcriptions that have just been traced.
        """
        work, blocks = self._tracing(sites)
        for found in each_block(work, blocks, self.processes, progress):
            activations: dict[int, dict[str, np.ndarray]] = {}
            for key, value in found.items():
                number, _, name = key.partition("/")
                activations.setdefault(int(number), {})[name] = value
            yield from activations.items()

    def _tracing(self, sites: Iterable[str]) -> tuple[TraceWork, Blocks]:
        names = tuple(str(site) for site in grammar.parse(sites, self.model.sites))
        width = sum(self.model.sites[name.partition("[")[0]] for name in names)

        def size(longest: int) -> int:
            return max(1, min(BATCH, BATCH_BYTES // (4 * width * max(1, longest - 1))))

        return TraceWork(self.model, self.vocabulary.end, names), Blocks(self.ids, size)

    def traces(self, k: int, sites: Iterable[str]) -> dict[str, np.ndarray]:
        """Several activations of transcription k, each `[N − 1, units]`; patterns such as `l*.h` are spelled out."""
        names = [str(site) for site in grammar.parse(sites, self.model.sites)]
        missing = [name for name in names if (k, name) not in self._kept]
        if missing:
            ids = torch.from_numpy(self.transcriptions[k].ids[:-1]).to(self.model.device)
            for name, value in self.model.trace(ids, missing, tunes=[k]).items():
                self._kept[k, name] = value.cpu().numpy()
        return {name: self._kept[k, name] for name in names}


@dataclass(frozen=True)
class TraceWork:
    """The work of tracing: the activations of the transcriptions of a block."""

    model: FolkRNN
    end: int
    names: tuple[str, ...]

    def __call__(self, block: Block, progress: Progress) -> Arrays:
        """Returns activations `[N − 1, units]` by `<number>/<site>`."""
        numbers, tunes = block
        activations = self.activations(numbers, tunes)
        progress(len(tunes))
        return {
            f"{k}/{name}": value[row, : len(ids) - 1]
            for row, (k, ids) in enumerate(zip(numbers, tunes, strict=True))
            for name, value in activations.items()
        }

    def activations(self, numbers: Sequence[int], tunes: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the activations of these transcriptions side by side, `[B, T, units]` each."""
        inputs, _ = pad(tunes, self.end)
        traced = self.model.trace(inputs.to(self.model.device), self.names, tunes=numbers)
        return {name: value.cpu().numpy() for name, value in traced.items()}


def _shuffled(transcription: Transcription, vocabulary: Vocabulary, rng: np.random.Generator) -> Transcription:
    """The transcription with the tokens between header and `</s>` in random order."""
    ids = transcription.ids.copy()
    start = 1
    while start < len(ids) and vocabulary.types[ids[start]] in HEADER:
        start += 1
    stop = len(ids) - transcription.ended
    ids[start:stop] = rng.permutation(ids[start:stop])
    unknown = np.full(len(ids) - 1, np.nan)
    return replace(transcription, ids=ids, origin=("given",) * (len(ids) - 1), probability=unknown, uniform=unknown)


def ids_of(transcriptions: Sequence[Transcription]) -> Sequence[np.ndarray]:
    """Returns the token ids of every transcription, `[N]` each; of packed ones without making the others' parts."""
    if isinstance(transcriptions, Transcriptions):
        return transcriptions.ids
    return [t.ids for t in transcriptions]


def check_longest(
    model: FolkRNN, steps: int, sites: Iterable[str], limit: float, who: str, pairs: bool = False
) -> float:
    """Returns the bytes that `sites` of a transcription of so many steps take; raises UserError above `limit` bytes.

    `who` looks at all of a transcription at once; with `pairs` also at how alike any two steps are, for each site.
    """
    sites = list(sites)
    size = 4.0 * steps * width(model, sites)
    if pairs:
        size += 4.0 * steps**2 * len(grammar.parse(sites, model.sites))
    if size > limit:
        held = f"{', '.join(sites)}{' and a number for every two steps' if pairs else ''}"
        raise UserError(
            f"{who} holds {held} of a tune at once: of {steps:,} steps {size / 2**30:.1f} GiB, more than "
            f"observation.limit_gib={limit / 2**30:g}; observe a shorter tune or fewer sites, or raise the limit"
        )
    return size


def width(model: FolkRNN, sites: Iterable[str]) -> int:
    """Returns how many units the sites have together."""
    return sum(len(s.units) if s.units is not None else model.sites[s.name] for s in grammar.parse(sites, model.sites))


def check_size(model: FolkRNN, transcriptions: Sequence[Transcription], sites: Iterable[str], limit: float) -> float:
    """Returns the bytes that keeping `sites` of all transcriptions takes; raises UserError above `limit` bytes."""
    rows = sum(len(ids) - 1 for ids in ids_of(transcriptions))
    size = 4.0 * rows * width(model, sites)
    if size > limit:
        raise UserError(
            f"keeping {', '.join(sites)} of {len(transcriptions)} tunes takes {size / 2**30:.1f} GiB, more than "
            f"observation.limit_gib={limit / 2**30:g}; observe fewer tunes or sites, or raise the limit"
        )
    return size
