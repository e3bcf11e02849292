"""`dataset=midi`: the melodies of any folder of MIDI files, by Magenta's rules, whatever state the files are in."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

import folkrnn.datasets
import folkrnn.melodies
import folkrnn.notation
from folkrnn.datasets.families import COMMON, TOO_FREQUENT, connected
from folkrnn.datasets.melodies import MelodyCorpus, MelodySource
from folkrnn.errors import UserError
from folkrnn.files.cache import cache_key, cached_arrays
from folkrnn.files.places import existing, readable
from folkrnn.melodies.extract import Extraction, extract_bytes, nothing
from folkrnn.melodies.grid import FIRST_ON
from folkrnn.melodies.rules import PER_FILE, Rules, magenta_rules
from folkrnn.parallel.pool import in_parallel

SUFFIXES = (".mid", ".midi", ".kar", ".smf", ".rmi")

_CHUNK = 32
"""Files per task handed to a worker."""

_WORTH_WORKERS = 400
"""Below this many files starting workers takes longer than reading."""

_RUN, _SKETCH = 8, 32
"""Intervals in a run by which files are compared, and how many runs of a file."""

_UNSTATED = "terms unknown: the user's own files"


@dataclass(frozen=True)
class MidiFiles:
    """Files for a worker, and what it is to do with them."""

    files: tuple[str, ...]
    rules: Rules
    per_file: int | None
    seed: int


def midi(
    path: str | None = None,
    bars: int = 2,
    meters: str = "4/4",
    programs: int | str | None = "magenta",
    polyphony: str = "highest",
    per_file: int | None = PER_FILE,
    seed: int = 0,
    workers: int | None = None,
) -> MelodyCorpus:
    """Returns the melodies of one MIDI file or of all in a folder and the folders in it.

    The rules are Magenta's: `per_file` slices of a file at random (all where None), the General MIDI programs below
    `programs` (all where None; "magenta": 32 for two bars, all for more). Files that yield nothing are counted in
    `rejections`; none ends the work. As many processes read as there are CPUs, or `workers`. From the second time on
    melodies come from a cache, as long as no file has changed. Raises UserError where there is no file or no melody.
    """
    place = _existing(path)
    rules = Rules(bars, magenta_rules(bars).programs if programs == "magenta" else _number(programs), meters, polyphony)
    files = midi_files(place)
    if not files:
        raise UserError(f"dataset.path={path}: no MIDI file there ({', '.join(SUFFIXES)})")
    named = [("options", repr((rules, per_file, seed))), *((str(file), _state(file)) for file in files)]
    key = cache_key(named, folkrnn.notation, folkrnn.datasets, folkrnn.melodies)
    found = cached_arrays(f"midi-{key}", lambda: read_files(files, rules, per_file, seed, workers))
    root = place if place.is_dir() else place.parent
    name = readable(place.name)
    titles = [readable(str(file.relative_to(root))) for file in files]
    columns = zip(titles, found["reason"].tolist(), found["detail"].tolist(), strict=True)
    unused = [(title, why, detail) for title, why, detail in columns if why]
    return MelodyCorpus(
        name=name,
        classes=found["classes"],
        source=found["source"],
        bar=found["bar"],
        sources=[
            MelodySource(title, name, digest) for title, digest in zip(titles, found["digest"].tolist(), strict=True)
        ],
        family=found["family"],
        rejections=Counter(why for _, why, _ in unused),
        terms={name: _UNSTATED},
        unused=unused,
        instrument=found["instrument"],
        piece=found["piece"],
    )


def midi_files(place: Path) -> list[Path]:
    """Returns all MIDI files of a folder and the folders in it by name, or the one file that `place` is."""
    if place.is_file():
        return [place]
    found = (
        Path(folder) / name
        for folder, _, names in os.walk(place)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith("._")  # what macOS leaves beside files
    )
    return sorted(found)


def read_files(
    files: Sequence[Path], rules: Rules, per_file: int | None = PER_FILE, seed: int = 0, workers: int | None = None
) -> dict[str, np.ndarray]:
    """Returns arrays by melody (classes `[N, T]`, source, piece, instrument, bar) and by file (reason, detail, digest,
    family), in the order of `files`, however many `workers` share the work.
    """
    names = [str(file) for file in files]
    tasks = [MidiFiles(tuple(names[k : k + _CHUNK]), rules, per_file, seed) for k in range(0, len(names), _CHUNK)]
    if workers is None and len(files) < _WORTH_WORKERS:
        workers = 1
    parts = list(in_parallel(read_some, tasks, "Reading MIDI", workers))
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found["source"] = np.repeat(np.arange(len(files), dtype=np.int32), found.pop("count"))
    found["family"] = alike(found.pop("sketch"), found["digest"])
    return found


def read_some(task: MidiFiles) -> dict[str, np.ndarray]:
    """Returns what a worker finds in its files; like `read_files`, with the count of melodies and a sketch of each."""
    rows = [_read(file, task) for file in task.files]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    by_melody = ("classes", "piece", "instrument", "bar")
    return {name: (np.concatenate if name in by_melody else np.array)(column) for name, column in columns.items()}


def _read(file: str, task: MidiFiles) -> dict[str, np.ndarray | str | int]:
    data = b""
    try:
        data = Path(file).read_bytes()
        found = extract_bytes(data, task.rules)
    except OSError as error:
        found = nothing(task.rules, "unreadable", error.strerror or str(error))
    digest = hashlib.sha256(data).digest()
    # drawn by content, so that neither the order nor the number of workers matters
    kept = found.some(task.per_file, np.random.default_rng([task.seed, *digest[:8]]))
    of = [found.melodies[m] for m in found.melody[kept].tolist()]
    steps = np.array([melody.start for melody in of], np.int64) + found.offset[kept]
    bar = np.array([melody.bar for melody in of], np.int64)
    return {
        "classes": found.slices[kept],
        "piece": np.array([melody.piece for melody in of], np.int32),
        "instrument": np.array([melody.instrument for melody in of], np.int32),
        "bar": (steps // np.maximum(bar, 1) + 1).astype(np.int32),
        "count": len(kept),
        "reason": found.reason,
        "detail": found.detail,
        "digest": digest.hex()[:16],
        "sketch": sketch(found),
    }


def sketch(found: Extraction) -> np.ndarray:
    """Returns what makes a file's melodies known in any key: the smallest hashes of their runs of eight intervals.

    uint64 `[32]`, ascending, zeros where there are fewer runs.
    """
    runs = []
    for melody in found.melodies:
        steps = np.diff(melody.classes[melody.classes >= FIRST_ON].astype(np.int64))
        if len(steps) >= _RUN:
            runs.append(np.lib.stride_tricks.sliding_window_view(steps, _RUN))
    hashes = np.zeros(_SKETCH, np.uint64)
    if runs:
        smallest = np.unique(_hashed(np.concatenate(runs)))[:_SKETCH]
        hashes[: len(smallest)] = smallest
    return hashes


def _hashed(runs: np.ndarray) -> np.ndarray:
    """A well spread number, uint64 `[R]`, for each of `runs [R, 8]`: the finaliser of the SplitMix64 generator."""
    power = np.array([pow(257, k, 2**64) for k in range(_RUN)], np.uint64)
    mixed = ((runs + 128).astype(np.uint64) * power).sum(axis=1, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def alike(sketches: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Returns a family number for each file, `[F]`: one for those of one content or with many runs in common.

    As in `folkrnn.datasets.families`, a run that occurs in many files is idiom and connects none.
    """
    first_of: dict[str, int] = {}
    same = [(first_of.setdefault(digest, i), i) for i, digest in enumerate(digests.tolist())]
    file, _ = np.nonzero(sketches)
    runs = sketches[sketches > 0]
    order = np.argsort(runs, kind="stable")
    file, runs = file[order], runs[order]
    edges = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1], [True]])) if len(runs) else np.zeros(1, int)
    shared: Counter[tuple[int, int]] = Counter()
    for first, last in pairwise(edges.tolist()):
        if 2 <= last - first <= TOO_FREQUENT:
            shared.update(combinations(file[first:last].tolist(), 2))
    sizes = np.count_nonzero(sketches, axis=1).tolist()
    near = (pair for pair, count in shared.items() if count >= COMMON * min(sizes[pair[0]], sizes[pair[1]]))
    return connected(len(sketches), [*same, *near])


def _existing(path: str | None) -> Path:
    if path is None:
        raise UserError("dataset=midi needs a file or a folder: dataset.path=…")
    return existing("dataset.path", path)


def _number(programs: int | str | None) -> int | None:
    if programs is None or (isinstance(programs, int) and 0 < programs <= 128):
        return programs
    raise UserError(
        f"programs={programs}: a number from 1 to 128, null for all, or magenta (32 for two bars, else all)"
    )


def _state(file: Path) -> str:
    """Size and time of change: to read all files of a large collection only to see whether they changed is too slow."""
    try:
        state = file.stat()
    except OSError as error:
        return str(error)
    return f"{state.st_size} {state.st_mtime_ns}"
