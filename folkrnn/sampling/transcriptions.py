"""Many transcriptions side by side in a few arrays: 19 bytes a token where they were written, 3 where they were given.

As objects of their own they take three times that, and half a kilobyte each on top.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import overload

import numpy as np

from folkrnn.sampling.transcription import Origin, Transcription

ORIGINS: tuple[Origin, ...] = ("given", "drawn", "replayed")


class Ids(Sequence[np.ndarray]):
    """The token ids of many tunes, `[N]` of int64 each when they are read, kept in one narrow array."""

    def __init__(self, flat: np.ndarray, lengths: np.ndarray) -> None:
        self.flat, self.lengths = flat, lengths
        self._ends = np.cumsum(lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, k: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, k: slice) -> list[np.ndarray]: ...
    def __getitem__(self, k: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(k, slice):
            return [self[j] for j in range(len(self))[k]]
        end = self._ends[k]
        return self.flat[end - self.lengths[k] : end].astype(np.int64)


class Transcriptions(Sequence[Transcription]):
    """Reads as a list of transcriptions, each made anew when it is asked for; its arrays are those of `packed`."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = dict(arrays)
        self.ids = Ids(self.arrays["ids"], self.arrays["lengths"])

    @classmethod
    def of(cls, tunes: Iterable[Transcription]) -> Transcriptions:
        """Returns the same transcriptions, packed."""
        return tunes if isinstance(tunes, cls) else cls(packed(tunes))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, k: int) -> Transcription: ...
    @overload
    def __getitem__(self, k: slice) -> list[Transcription]: ...
    def __getitem__(self, k: int | slice) -> Transcription | list[Transcription]:
        if isinstance(k, slice):
            return [self[j] for j in range(len(self))[k]]
        k = range(len(self))[k]  # counts from the end too; IndexError beyond
        ids, arrays = self.ids[k], self.arrays
        stop = int(self.ids._ends[k]) - k - 1  # a tune has one row less than tokens
        rows = slice(stop - len(ids) + 1, stop)
        return Transcription(
            ids,
            tuple(ORIGINS[how] for how in arrays["origin"][rows].tolist()),
            _known(arrays["probability"], rows),
            _known(arrays["uniform"], rows),
            bool(arrays["ended"][k]),
            str(arrays["titles"][k]),
        )


def packed(tunes: Iterable[Transcription]) -> dict[str, np.ndarray]:
    """Returns the arrays that hold the transcriptions: one entry per tune of `lengths` (N tokens), `ended`, `titles`.

    Each tune's part of `ids` has N entries, of `origin` (an index into ORIGINS), `probability` and `uniform` N − 1; the
    last two are empty where they hold nothing but NaN.
    """
    kept = [(_narrow(t.ids), _codes(t.origin), t.probability, t.uniform, t.ended, t.title) for t in tunes]
    ids, origin, probability, uniform, ended, titles = zip(*kept, strict=True) if kept else ((),) * 6
    return {
        "lengths": np.array([len(one) for one in ids], dtype=np.int64),
        "ids": _joined(ids, np.int16),
        "origin": _joined(origin, np.int8),
        "probability": _if_known(probability),
        "uniform": _if_known(uniform),
        "ended": np.array(ended, dtype=bool),
        "titles": np.array(titles, dtype=str),
    }


def _narrow(ids: np.ndarray) -> np.ndarray:
    return ids.astype(np.int16 if ids.max(initial=0) < 2**15 else np.int32)


def _codes(origin: Sequence[Origin]) -> np.ndarray:
    return np.array([ORIGINS.index(how) for how in origin], dtype=np.int8)


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _if_known(parts: Sequence[np.ndarray]) -> np.ndarray:
    if all(np.isnan(part).all() for part in parts):
        return np.empty(0)
    return np.concatenate(parts)


def _known(values: np.ndarray, rows: slice) -> np.ndarray:
    return values[rows] if len(values) else np.full(rows.stop - rows.start, np.nan)
