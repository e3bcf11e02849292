"""Vectors over the vocabulary: drawn by type as the papers draw them, and named by their strongest tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style
from folkrnn.datasets.corpus import Corpus
from folkrnn.vocabulary import TYPES, Vocabulary

if TYPE_CHECKING:
    import matplotlib.axes


def type_edges(vocabulary: Vocabulary) -> dict[str, tuple[float, float]]:
    """Returns where each type that occurs begins and ends on an axis of tokens in plot order."""
    counts = Counter(vocabulary.types)
    ends = np.cumsum([counts[name] for name in TYPES]) - 0.5
    return {
        name: (float(end - counts[name]), float(end)) for name, end in zip(TYPES, ends, strict=True) if counts[name]
    }


def type_lines(axes: matplotlib.axes.Axes, vocabulary: Vocabulary, both: bool = False) -> None:
    """Draws a thin line between the types on the x axis, and with `both` on the y axis."""
    for _, end in list(type_edges(vocabulary).values())[:-1]:
        axes.axvline(end, color=style.SOFT, linewidth=0.6, zorder=0.6)
        if both:
            axes.axhline(end, color=style.SOFT, linewidth=0.6, zorder=0.6)


def name_types(axes: matplotlib.axes.Axes, vocabulary: Vocabulary) -> None:
    """Writes the names of the types above an axis of tokens, each over its tokens."""
    for name, (start, end) in type_edges(vocabulary).items():
        wide = end - start > 12
        axes.annotate(
            name,
            ((start + end) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center" if wide else "left",
            va="bottom",
            rotation=0 if wide else 35,
            fontsize=6.5,
            color=style.TYPE_COLOURS[name],
        )


def over_tokens(panels: Sequence[matplotlib.axes.Axes], vocabulary: Vocabulary) -> None:
    """Dresses panels that share an axis of tokens in plot order: types named on top, tokens at the bottom."""
    for axes in panels:
        type_lines(axes, vocabulary)
    for axes in panels[:-1]:
        axes.tick_params(axis="x", which="both", length=0, labelbottom=False)
    name_types(panels[0], vocabulary)
    style.token_axis(panels[-1], vocabulary.decode(vocabulary.plot_order))


def name_peaks(axes: matplotlib.axes.Axes, values: np.ndarray, tokens: Sequence[str], n: int) -> None:
    """Writes the tokens of the n entries of largest magnitude beside their bars; of two that touch, the first."""
    written: list[int] = []
    figure = axes.get_figure(root=True)
    assert figure is not None
    letters = 5.0 * len(values) / (72 * figure.get_size_inches()[0])  # steps that a letter takes
    for place in np.argsort(-np.abs(values), kind="stable").tolist():
        if len(written) == n:
            return
        if all(abs(place - other) > letters * (len(tokens[place]) + len(tokens[other])) / 2 + 1 for other in written):
            up = values[place] >= 0
            axes.annotate(
                str(tokens[place]),
                (place, values[place]),
                xytext=(0, 1.5 if up else -1.5),
                textcoords="offset points",
                ha="center",
                va="bottom" if up else "top",
                fontsize=6.5,
                family="DejaVu Sans Mono",
                parse_math=False,
            )
            written.append(int(place))


def token_counts(corpus: Corpus, vocabulary: Vocabulary) -> np.ndarray:
    """Returns how often each token stands in the corpus, markers included, `[V]`; tokens it lacks count 0."""
    counts = Counter(token for tune in corpus.tunes for token in tune.tokens)
    counts[vocabulary.tokens[vocabulary.start]] = counts[vocabulary.tokens[vocabulary.end]] = len(corpus.tunes)
    return np.array([counts[token] for token in vocabulary.tokens])
