"""Lines of two scores whose bars begin and end at the same places, so that one can be read against the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from analyses.drawings.engraved import Shape, System

_NARROW = 0.6
"""A first bar that is narrower than this share of the others is a pickup."""
_ROOM = 60.0
"""What stays as it is to either side of a note (ledger lines reach that far)."""
_TAIL = 320.0
"""What stays as it is before the end of a bar: repeat dots and thick lines."""


def aligned(first: System, second: System) -> tuple[System, System]:
    """Returns two lines whose bars end at the same places, each as wide as the wider one; a pickup of one stands alone.

    Lines of different numbers of bars, and those with too little room between notes, are returned as they are.
    """
    lines = (first, second)
    widths = [np.diff(one.measures, axis=1)[:, 0] for one in lines]
    skip = [
        int(len(mine) == len(other) + 1 and _has_pickup(one))
        for one, mine, other in zip(lines, widths, widths[::-1], strict=True)
    ]
    bars = [mine[start:] for mine, start in zip(widths, skip, strict=True)]
    if len(bars[0]) != len(bars[1]):
        return first, second
    common = np.maximum(*bars)
    pickup = max((float(mine[0]) for mine, start in zip(widths, skip, strict=True) if start), default=0.0)
    common *= (max(mine.sum() for mine in widths) - pickup) / common.sum()
    ends = pickup + np.cumsum(common)
    starts = [[0.0, pickup] if start else [0.0] for start in skip]
    left, right = (
        _stretched(one, one.measures[0][0] + np.concatenate([start, ends]))
        for one, start in zip(lines, starts, strict=True)
    )
    return (left, right) if left and right else (first, second)


def _has_pickup(system: System) -> bool:
    """Whether the notes of the first bar take much less room than those of the others."""
    rooms = [
        right - min((system.heads[token][0] for token, place in system.measure_of.items() if place == k), default=right)
        for k, (_, right) in enumerate(system.measures)
    ]
    return rooms[0] < _NARROW * float(np.median(rooms[1:]))


def _stretched(system: System, edges: np.ndarray) -> System | None:
    """The line with its bars between `edges`; None where the notes would stand closer than they are wide."""
    knots, images = [], []
    for place, ((left, right), a, b) in enumerate(zip(system.measures, edges[:-1], edges[1:], strict=True)):
        stiff = _stiff(system, place, left, right)
        slack = (right - left) - sum(end - start for start, end in stiff)
        room = (b - a) - sum(end - start for start, end in stiff)
        if room < 0.4 * slack:
            return None
        wider = room / slack if slack > 1 else 1.0
        at, image = left, float(a)
        for start, end in stiff:
            if end == right:  # the bar line, wherever the notes end
                image = float(b) - (end - start) - (start - at) * wider
            image += (start - at) * wider
            knots += [start, end]
            images += [image, image + end - start]
            at, image = end, image + end - start
    return _mapped(
        system,
        np.array(knots),
        np.array(images),
        [(float(a), float(b)) for a, b in pairwise(edges)],
    )


def _stiff(system: System, place: int, left: float, right: float) -> list[tuple[float, float]]:
    """What keeps its width in a bar: clef and signatures, each note with its signs, the bar line."""
    notes: dict[int, tuple[float, float]] = {}
    for shape in system.shapes:
        if system.measure_of.get(shape.token) == place:
            a, b = shape.path.get_extents().intervalx
            low, high = notes.get(shape.token, (a, b))
            notes[shape.token] = (min(low, a), max(high, b))
    spans = sorted((a - _ROOM, b + _ROOM) for a, b in notes.values())
    first, last = (spans[0][0], spans[-1][1]) if spans else (right - _TAIL, left)
    spans = [(left, max(left, first)), *spans, (min(right - 1, max(right - _TAIL, last)), right)]
    merged: list[tuple[float, float]] = []
    for a, b in spans:
        if merged and a < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], b))
        else:
            merged.append((a, b))
    return [(a, min(b, right)) for a, b in merged]


def _mapped(system: System, knots: np.ndarray, images: np.ndarray, measures: Sequence[tuple[float, float]]) -> System:
    """The line with every x between the `knots` moved to between their `images`."""
    from matplotlib.path import Path
    from matplotlib.transforms import Affine2D

    def shift(x: float) -> float:
        return float(np.interp(x, knots, images)) - x

    shapes = []
    for shape in system.shapes:
        left, right = shape.path.get_extents().intervalx
        if shape.width or len(shape.points) == 5:  # lines and beams end where notes and bars do
            points = shape.points.copy()
            points[:, 0] = np.interp(points[:, 0], knots, images)
            shapes.append(Shape(Path(points, shape.path.codes), shape.width, shape.token))
        else:
            moved = Affine2D().translate(shift((left + right) / 2), 0).transform_path(shape.path)
            shapes.append(Shape(moved, shape.width, shape.token))
    heads = {token: (a + shift((a + b) / 2), b + shift((a + b) / 2)) for token, (a, b) in system.heads.items()}
    words = [(x + shift(x), y, text, size) for x, y, text, size in system.words]
    return replace(system, shapes=shapes, heads=heads, words=words, measures=list(measures))
