"""Tune families, and the split that keeps each family on one side.

Two tunes are of one family if they share a title (up to spelling, articles and trailing numbers) or a melody (many
common runs of eight pitches); families are the connected components. The split depends on the tunes alone, never on the
seed: a family goes to validation if the hash of its alphabetically first member falls below the asked-for share.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_array, csr_array, triu
from scipy.sparse.csgraph import connected_components

from folkrnn.datasets.corpus import Tune
from folkrnn.vocabulary import token_type

VALIDATION_SHARE = 0.05
"""Share of the families that are held out: fixed, so that numbers of different runs mean the same tunes."""

RUN = 8
"""Pitches in a run that two settings are compared by."""

COMMON = 0.25
"""Share of the shorter tune's distinct runs that another must hold to be a setting of the same melody."""

TOO_FREQUENT = 40
"""A run that occurs in more tunes than this is idiom, not identity."""

_ARTICLES = {"the", "a", "an", "da", "le", "la"}
_NO_NAMES = {
    "",
    "untitled",
    "reel",
    "jig",
    "hornpipe",
    "march",
    "waltz",
    "minuet",
    "quickstep",
    "gigg",
    "air",
    "strathspey",
}


def families(tunes: Sequence[Tune]) -> np.ndarray:
    """Returns a family number for each tune, `[N]`; tunes of one family share it."""
    return connected(len(tunes), [*_same_title(tunes), *_same_melody(tunes)])


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Returns for each of `count` members the smallest one that a chain of `pairs` connects it to, `[count]`."""
    ends = np.array(list(pairs), np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1], bool), tuple(ends)), (count, count))
    label = connected_components(graph, directed=False)[1]
    return np.unique(label, return_index=True)[1][label]


def split(tunes: Sequence[Tune], validation_share: float = VALIDATION_SHARE) -> tuple[list[int], list[int]]:
    """Returns indices of training and validation tunes; whole families only, fixed by the tunes themselves."""
    held = held_out(families(tunes), [" ".join(tune.tokens) for tune in tunes], validation_share)
    return np.flatnonzero(~held).tolist(), np.flatnonzero(held).tolist()


def held_out(family: np.ndarray, keys: Sequence[str], share: float = VALIDATION_SHARE) -> np.ndarray:
    """Returns which members are for validation, bool `[N]`, by their families `[N]` and texts that identify them."""
    key_of: dict[int, str] = {}
    for number, key in zip(family.tolist(), keys, strict=True):
        key_of[number] = min(key, key_of.get(number, key))
    draws = {
        number: int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
        for number, key in key_of.items()
    }
    return np.array([draws[number] < share for number in family.tolist()], bool)


def plain_title(title: str) -> str:
    """Returns a title reduced to what names a tune: "The Humours of Ennis, No. 2" → "ennis humours of"."""
    text = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"\b(no\.?|number|version|setting|--.*)\s*\d*", " ", text.replace("'", "").replace("-- ", "-- "))
    words = [word for word in re.findall(r"[a-z]+", text) if word not in _ARTICLES]
    return " ".join(sorted(words))


def _same_title(tunes: Sequence[Tune]) -> Iterable[tuple[int, int]]:
    by_title: dict[str, list[int]] = defaultdict(list)
    for i, tune in enumerate(tunes):
        by_title[plain_title(tune.title)].append(i)
    for title, group in by_title.items():
        if title not in _NO_NAMES:
            yield from ((group[0], other) for other in group[1:])


def _same_melody(tunes: Sequence[Tune]) -> Iterable[tuple[int, int]]:
    runs = [_runs(tune) for tune in tunes]
    size = np.array([len(mine) for mine in runs])
    number = {run: n for n, run in enumerate(set().union(*runs))}
    columns = [number[run] for mine in runs for run in mine]
    holds = csr_array((np.ones(len(columns), np.int32), columns, np.append(0, size.cumsum())), (len(runs), len(number)))
    telling = holds[:, holds.sum(0) <= TOO_FREQUENT]
    shared = triu(telling @ telling.T, 1).tocoo()
    alike = shared.data >= COMMON * np.minimum(size[shared.row], size[shared.col])
    return zip(shared.row[alike].tolist(), shared.col[alike].tolist(), strict=True)


def _runs(tune: Tune) -> set[tuple[str, ...]]:
    """All runs of RUN successive pitch letters, octaves ignored, so that settings in other octaves or rhythms meet."""
    letters = [
        token.strip("=^_,'").lower() for token in tune.tokens[2:] if token_type(token) == "pitch" and token != "z"
    ]
    return {tuple(letters[k : k + RUN]) for k in range(len(letters) - RUN + 1)}
