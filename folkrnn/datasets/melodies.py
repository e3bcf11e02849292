"""Corpora of melodies on the grid of sixteenths: `dataset=melodies`, `random_notes` and `twinkle`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

import folkrnn.datasets
import folkrnn.melodies
import folkrnn.notation
from folkrnn.datasets import files
from folkrnn.datasets.corpus import REASONS as TUNE_REASONS
from folkrnn.datasets.corpus import Corpus, Tune, distinct
from folkrnn.datasets.families import families, held_out
from folkrnn.datasets.irish import COLLECTIONS, irish, music21_corpus
from folkrnn.datasets.parsing import WORTH_WORKERS, parse_texts, read_text
from folkrnn.errors import UserError
from folkrnn.files.cache import cache_key, cached_arrays
from folkrnn.melodies import random_notes as random_generator
from folkrnn.melodies import twinkle as song
from folkrnn.melodies.from_tunes import from_tokens
from folkrnn.melodies.grid import FIRST_ON, QUARTERS_PER_MINUTE
from folkrnn.melodies.rules import REASONS, Rules
from folkrnn.parallel.pool import in_parallel

SONGS = {
    "essenFolksong": "Essen Folksong Collection, 8,514 songs; encoded under Helmut Schaffrath, continued by Ewa "
    "Dahlig-Turek, who permits non-commercial distribution and use with music21; ABC by Seymour Shlien",
    "miscFolk": "American fife tunes and tunes of Northumbrian Minstrelsy (1882), 185 in all; tunes in the public "
    "domain, transcriptions by Jack Campin and others as distributed with music21",
}
"""What comes with music21 as ABC besides the Irish collections: folder and terms of use."""

COLLECTED = ("all", "irish")

_CHUNK = 400


@dataclass(frozen=True)
class MelodySource:
    """A tune or a file that melodies come from."""

    title: str
    collection: str
    key: str
    """What identifies its content: decides the side on which its family falls."""


@dataclass
class MelodyCorpus:
    """N melodies of T steps, where each comes from, and the count of every reason why a source yields none."""

    name: str
    classes: np.ndarray
    """uint8 `[N, T]`, see `folkrnn.melodies.grid`."""
    source: np.ndarray
    """Index into `sources`, `[N]`."""
    bar: np.ndarray
    """The bar of its source (of its piece, in a MIDI file) with which each begins, from 1, `[N]`."""
    sources: list[MelodySource]
    family: np.ndarray
    """Family number of each source."""
    rejections: Counter[str] = field(default_factory=Counter)
    terms: dict[str, str] = field(default_factory=dict)
    unused: list[tuple[str, str, str]] = field(default_factory=list)
    """Title or place, reason and detail of each source that yields no melody, and of what could not be read."""
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    """Steps of each that count, `[N]`; all of them if not given."""
    quarters_per_minute: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """The tempo at which seconds are counted, `[N]`; 120 if not given."""
    instrument: np.ndarray | None = None
    """Of a MIDI file: number of the instrument of each, `[N]`."""
    piece: np.ndarray | None = None
    """Of a MIDI file: which stretch between changes of tempo or meter, from 0, `[N]`."""

    def __post_init__(self) -> None:
        if not len(self.classes):
            reasons = "; ".join(f"{count}: {why}" for _, count, why in self.reasons()[:3])
            raise UserError(f"dataset {self.name} holds no melody" + (f" ({reasons})" if reasons else ""))
        if not len(self.lengths):
            self.lengths = np.full(len(self), self.classes.shape[1])
        if not len(self.quarters_per_minute):
            self.quarters_per_minute = np.full(len(self), QUARTERS_PER_MINUTE)

    def __len__(self) -> int:
        return len(self.classes)

    def title(self, i: int) -> str:
        """Returns where melody `i` stands: "The Morning Star, bar 5"."""
        parts = [self.sources[self.source[i]].title or self.sources[self.source[i]].collection]
        if self.piece is not None and self.instrument is not None:
            parts += [f"instrument {self.instrument[i]}", *([f"piece {self.piece[i]}"] if self.piece[i] else [])]
        return ", ".join([*parts, f"bar {self.bar[i]}"])

    def reasons(self) -> list[tuple[str, int, str]]:
        """Returns (reason, count, explanation) of what was left out, the most frequent first."""
        known = {**TUNE_REASONS, **REASONS}
        return [(reason, count, known.get(reason, reason)) for reason, count in self.rejections.most_common()]

    @property
    def digest(self) -> str:
        """SHA-256 over all melodies in order, 16 hexadecimal digits."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        parts = (np.array(self.classes.shape), self.classes, self.lengths, self.quarters_per_minute)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]

    @cached_property
    def held_out(self) -> np.ndarray:
        """Which melodies are of families held out for validation, bool `[N]`: the same whatever the seed."""
        return held_out(self.family, [source.key for source in self.sources])[self.source]

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of training and validation melodies, no family on both sides.

        A held-out melody that stands in the training part as well, in the same or another key, is in neither.
        """
        held = self.held_out
        training, validation = np.flatnonzero(~held), np.flatnonzero(held)
        heard = set(intervals(self.classes[training]))
        fresh = [key not in heard for key in intervals(self.classes[validation])]
        return training, validation[np.array(fresh, bool)]

    def profile(self) -> dict[str, float]:
        """Returns numbers for the dataset card."""
        begins = (self.classes >= FIRST_ON).sum(axis=1)
        training, validation = self.split
        return {
            "melodies": float(len(self)),
            "steps": float(self.classes.shape[1]),
            "sources": float(len(self.sources)),
            "sources_with_melodies": float(len(np.unique(self.source))),
            "notes_per_melody": float(begins.mean()),
            "training": float(len(training)),
            "validation": float(len(validation)),
            "left_out": float(sum(self.rejections.values())),
        }


def intervals(classes: np.ndarray) -> list[bytes]:
    """Returns a key for each of `classes [N, T]` that all its transpositions share, and nothing else."""
    rows = classes.astype(np.int16)
    first = np.take_along_axis(rows, (rows >= FIRST_ON).argmax(axis=1)[:, None], 1)
    return [row.tobytes() for row in np.where(rows >= FIRST_ON, rows - first + 1000, rows)]


def melodies(
    bars: int = 2, meters: str = "all", path: str | None = None, form: str = "abc", collections: str = "all"
) -> MelodyCorpus:
    """Returns the slices of all tunes that come with music21 as ABC: the Irish collections, Essen, fife and pipe tunes.

    `collections="irish"` takes the Irish ones alone, whose terms do not exclude commercial use, as Essen's do. With
    `path` those of other tunes: a file or folder of ABC, or with `form="tokens"` a file of folk-rnn's tokens, such
    as generated tunes. Tunes stand on C, as tokens have them, repeats played out; `meters="4/4"` keeps those that
    Magenta would. Melodies come back from a cache from the second time on.
    """
    rules = Rules(bars=bars, meters=meters)
    if collections not in COLLECTED:
        raise UserError(f"collections={collections}: must be one of {', '.join(COLLECTED)}")
    shipped = irish if collections == "irish" else _shipped_tunes
    corpus = shipped() if path is None else _own_tunes(path, form)
    tunes, rejections = corpus.tunes, Counter(corpus.rejections)
    named = [(tune.title, " ".join(tune.tokens)) for tune in tunes]
    key = cache_key([("rules", repr(rules)), *named], folkrnn.notation, folkrnn.melodies)
    found = cached_arrays(f"melodies-{key}", lambda: _all_slices(tunes, rules))
    related = cached_arrays(
        f"families-{cache_key(named, folkrnn.notation, folkrnn.datasets)}", lambda: {"family": families(tunes)}
    )
    silent = [(tune.title, why, "") for tune, why in zip(tunes, found["reason"].tolist(), strict=True) if why]
    rejections.update(why for _, why, _ in silent)
    return MelodyCorpus(
        name=corpus.name,
        classes=found["classes"],
        source=found["source"],
        bar=found["bar"],
        sources=[_source(tune) for tune in tunes],
        family=related["family"],
        rejections=rejections,
        terms=corpus.terms,
        unused=[*((title, why, more) for title, why, more in corpus.unused), *silent],
    )


def _shipped_tunes() -> Corpus:
    texts = [
        (collection, read_text(path))
        for collection in SONGS
        for path in sorted((music21_corpus(SONGS) / collection).glob("*.abc"))
    ]
    songs, unused = parse_texts("songs", texts)
    danced = irish()
    unused = [*unused, *danced.unused]
    tunes = distinct([*danced.tunes, *songs], unused)
    return Corpus("melodies", tunes, unused, {**COLLECTIONS, **SONGS})


def _own_tunes(path: str, form: str) -> Corpus:
    forms = {"abc": files.abc, "tokens": files.tokens}
    if form not in forms:
        raise UserError(f"form={form}: tunes are read as {' or '.join(forms)}; MIDI files are dataset=midi")
    return forms[form](path)


def _source(tune: Tune) -> MelodySource:
    return MelodySource(tune.title, tune.source, hashlib.sha256(" ".join(tune.tokens).encode()).hexdigest()[:16])


def _all_slices(tunes: Sequence[Tune], rules: Rules) -> dict[str, np.ndarray]:
    """Slices of all tunes, the tune and bar of each, and for each tune why it yields none."""
    chunks = [(tunes[k : k + _CHUNK], rules) for k in range(0, len(tunes), _CHUNK)]
    workers = None if len(tunes) >= WORTH_WORKERS else 1
    columns = list(zip(*in_parallel(_slices, chunks, "Cutting melodies", workers), strict=True))
    classes, counts, bar, reason = (np.concatenate(column) for column in columns)
    source = np.repeat(np.arange(len(tunes), dtype=np.int32), counts)
    return {"classes": classes, "source": source, "bar": bar, "reason": reason}


def _slices(chunk: tuple[Sequence[Tune], Rules]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    tunes, rules = chunk
    found = [from_tokens(tune.tokens, rules) for tune in tunes]
    return (
        np.concatenate([slices.classes for slices in found]),
        np.array([len(slices.classes) for slices in found]),
        np.concatenate([slices.bar for slices in found]),
        np.array([slices.reason for slices in found]),
    )


def random_notes(count: int = 50_000, bars: int = 2, seed: int = 0) -> MelodyCorpus:
    """Returns the random sequences of the source paper (50,000 there), each with the tempo that its seconds ask for."""
    drawn = random_generator.draw_random_notes(count, np.random.default_rng(seed), bars)
    name = f"random notes, seed {seed}"
    return MelodyCorpus(
        name="random_notes",
        classes=drawn.classes,
        source=np.arange(count, dtype=np.int32),
        bar=np.ones(count, np.int32),
        sources=[MelodySource(f"random {i}", name, f"{seed} {i}") for i in range(count)],
        family=np.arange(count),
        terms={name: "drawn by this program"},
        quarters_per_minute=drawn.quarters_per_minute,
    )


def twinkle(bars: int = 2) -> MelodyCorpus:
    """Returns the one melody of the source paper's examples."""
    return MelodyCorpus(
        name="twinkle",
        classes=song.twinkle(bars)[None],
        source=np.zeros(1, np.int32),
        bar=np.ones(1, np.int32),
        sources=[MelodySource(song.TITLE, "traditional", song.TITLE)],
        family=np.zeros(1, np.int64),
        terms={"traditional": "public domain"},
    )
