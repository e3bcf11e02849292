"""The drawings of the gate matrices: heat maps, norms, Gramians, inner products, principal angles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.drawings.over_tokens import over_tokens, type_edges, type_lines
from analyses.measures.subspaces import cosines
from folkrnn import style
from folkrnn.vocabulary import Vocabulary

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.colors
    import matplotlib.figure

Matrices = dict[str, np.ndarray]

NAMES = {
    "i": "input gate",
    "f": "forget gate",
    "g": "candidate",
    "o": "output gate",
    "r": "reset gate",
    "u": "update gate",
    "n": "candidate",
}
"""Gates in words, LSTM and GRU; the sources call the candidate g the cell gate."""

_MARKERS = {"enharmonic": "o", "octave": "s", "natural": "^"}


def norms(vocabulary: Vocabulary, inputs: Matrices) -> matplotlib.figure.Figure:
    """Returns bars of the column norm of every token, one panel per gate."""
    order = list(vocabulary.plot_order)
    colours = [style.TYPE_COLOURS[vocabulary.types[i]] for i in order]
    figure = style.figure(height=0.8 + 1.05 * len(inputs))
    panels = figure.subplots(len(inputs), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (gate, W) in zip(panels, inputs.items(), strict=True):
        values = np.linalg.norm(W[:, order], axis=0)
        axes.bar(range(len(order)), values, 0.8, color=colours)
        axes.axhline(values.mean(), color=style.INK, linewidth=0.7, linestyle="--")
        axes.set_ylabel(f"{NAMES[gate]}\n‖column‖", fontsize=8)
    over_tokens(list(panels), vocabulary)
    return figure


def token_columns(vocabulary: Vocabulary, inputs: Matrices) -> matplotlib.figure.Figure:
    """Returns heat maps `[H, V]` of the input matrices, tokens in plot order, one panel per gate."""
    order = list(vocabulary.plot_order)
    figure = style.figure(height=0.8 + 1.5 * len(inputs))
    panels = figure.subplots(len(inputs), 1, sharex=True, squeeze=False)[:, 0]
    limit = _limit(inputs)
    for axes, (gate, W) in zip(panels, inputs.items(), strict=True):
        shown = axes.imshow(W[:, order], aspect="auto", cmap=style.DIVERGING, vmin=-limit, vmax=limit)
        axes.set_ylabel(f"{NAMES[gate]}\nunit", fontsize=8)
    figure.colorbar(shown, ax=list(panels), label="weight", fraction=0.02, pad=0.01)
    over_tokens(list(panels), vocabulary)
    return figure


def token_gramians(vocabulary: Vocabulary, inputs: Matrices) -> matplotlib.figure.Figure:
    """Returns images of the cosines between token columns `[V, V]`, one panel per gate."""
    order = list(vocabulary.plot_order)
    count = len(inputs)
    rows = 2 if count > 3 else 1
    columns = -(-count // rows)
    figure = style.figure(height=rows * 7.35 / columns)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    images = {gate: _without_diagonal(cosines(W[:, order])) for gate, W in inputs.items()}
    limit = _limit({gate: C[np.isfinite(C)] for gate, C in images.items()})
    for axes, (gate, C) in zip(grid, images.items(), strict=False):
        shown = axes.imshow(C, cmap=style.DIVERGING, vmin=-limit, vmax=limit)
        axes.set_title(NAMES[gate])
        type_lines(axes, vocabulary, both=True)
        _type_ticks(axes, vocabulary)
    for axes in grid[count:]:
        axes.set_axis_off()
    figure.colorbar(shown, ax=list(grid), label="cosine", fraction=0.03, pad=0.01, shrink=0.6, extend="both")
    return figure


def heat_maps(rows: dict[str, Matrices], layer: int) -> matplotlib.figure.Figure:
    """Returns heat maps of matrices whose columns are units: a row of panels per kind, a column per gate."""
    limit = _limit(*rows.values())
    return _grid(
        rows, layer, {"cmap": _steps(style.DIVERGING), "vmin": -limit, "vmax": limit}, "weight", ("from unit", "unit")
    )


def unit_gramians(rows: dict[str, Matrices], layer: int) -> matplotlib.figure.Figure:
    """Returns images of |cosine| between columns that are units, in the same arrangement."""
    images = {
        kind: {gate: np.abs(_without_diagonal(cosines(W))) for gate, W in matrices.items()}
        for kind, matrices in rows.items()
    }
    sizes = [C[np.isfinite(C)] for part in images.values() for C in part.values()]
    largest = max((float(np.quantile(C, 0.999)) for C in sizes if C.size), default=1.0)
    look = {"cmap": _steps(style.SEQUENTIAL), "vmin": 0, "vmax": largest}
    return _grid(images, layer, look, "|cosine|", ("column", "column"))


def _grid(
    rows: dict[str, Matrices], layer: int, look: dict[str, object], label: str, axis_names: tuple[str, str]
) -> matplotlib.figure.Figure:
    """Returns an image of each matrix: a row of panels per kind, a column per gate, one colour scale."""
    count = len(next(iter(rows.values())))
    figure = style.figure(height=0.4 + len(rows) * 7.05 / count)
    grid = figure.subplots(len(rows), count, squeeze=False)
    for line, (kind, matrices) in zip(grid, rows.items(), strict=True):
        for axes, (gate, W) in zip(line, matrices.items(), strict=True):
            shown = axes.imshow(W, aspect="auto", **look)
            axes.set_title(f"layer {layer}, {NAMES[gate]}, {kind}", fontsize=8)
            axes.set_xlabel(axis_names[0])
        line[0].set_ylabel(axis_names[1])
    figure.colorbar(shown, ax=list(grid.ravel()), label=label, fraction=0.02, pad=0.01)
    return figure


def similarity(alike: pd.DataFrame) -> matplotlib.figure.Figure:
    """Returns the mean cosine of each relation in each matrix over its chance interval."""
    figure = style.figure(width=7.0, height=3.4)
    axes = figure.subplots()
    names = list(dict.fromkeys(alike["matrix"]))
    kinds = list(dict.fromkeys(alike["relation"]))
    axes.axhline(0, color=style.SOFT, linewidth=0.6)
    for side, kind in enumerate(kinds):
        part = alike[alike["relation"] == kind].set_index("matrix").loc[names]
        x = np.arange(len(names)) + 0.22 * (side - (len(kinds) - 1) / 2)
        axes.bar(x, part["chance_high"] - part["chance_low"], 0.16, part["chance_low"], color=style.SOFT)
        axes.plot(x, part["cosine"], _MARKERS[kind], color=style.PALETTE[side], label=kind, markersize=5)
    axes.bar([0], [0], 0.1, color=style.SOFT, label="chance (95 %)")
    lowest, highest = (alike[["cosine", "chance_low", "chance_high"]].agg(end).agg(end) for end in ("min", "max"))
    axes.set_ylim(lowest - 0.05 * (highest - lowest), highest + 0.05 * (highest - lowest))
    words = {f"l1.{gate}": f"{name}\n(l1.{gate})" for gate, name in NAMES.items()} | {"softmax": "softmax\nrows"}
    axes.set_xticks(range(len(names)), [words[name] for name in names])
    axes.set_ylabel("mean cosine")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def sorted_norms(layers: list[tuple[Matrices, Matrices]]) -> matplotlib.figure.Figure:
    """Returns the sorted column norms of every matrix, one panel per layer."""
    figure = style.figure(height=2.55)
    panels = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0]
    for k, (axes, (inputs, recurrent)) in enumerate(zip(panels, layers, strict=True), 1):
        for colour, gate in zip(style.PALETTE, inputs, strict=False):
            for W, line in ((inputs[gate], "-"), (recurrent[gate], "--")):
                values = np.sort(np.linalg.norm(W, axis=0))
                axes.plot(np.linspace(0, 1, len(values)), values, line, color=colour, linewidth=1.1)
            axes.plot([], [], color=colour, label=NAMES[gate])
        axes.set_title(f"layer {k}")
        axes.set_xlabel("share of columns")
    for line, name in (("-", "input"), ("--", "recurrent")):
        panels[-1].plot([], [], line, color=style.INK, label=name)
    panels[0].set_ylabel("‖column‖")
    panels[0].set_ylim(bottom=0)
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def inner_products(layers: list[tuple[Matrices, Matrices]]) -> matplotlib.figure.Figure:
    """Returns histograms of the cosines of input with recurrent columns, a row per layer, a panel per gate."""
    count = len(layers[0][0])
    figure = style.figure(height=0.4 + 1.35 * len(layers))
    grid = figure.subplots(len(layers), count, sharex=True, squeeze=False)
    bins = np.linspace(-1, 1, 201)
    centres, widest = (bins[1:] + bins[:-1]) / 2, 0.25
    for k, (line, (inputs, recurrent)) in enumerate(zip(grid, layers, strict=True), 1):
        for axes, gate in zip(line, inputs, strict=True):
            values = cosines(recurrent[gate], inputs[gate])
            values = values[np.isfinite(values)]
            widest = max(widest, float(np.abs(values).max(initial=0.0)))
            axes.hist(values, bins, density=True, color=style.PALETTE[0], histtype="stepfilled", label="columns")
            H = len(inputs[gate])
            chance = np.sqrt(H / (2 * np.pi)) * np.exp(-H * centres**2 / 2)
            axes.plot(centres, chance, color=style.ACCENT, linewidth=1, label="random directions")
            axes.set_title(f"layer {k}, {NAMES[gate]}", fontsize=8)
            axes.set_yscale("log")
            axes.set_ylim(1e-4, 50)
        line[0].set_ylabel("density")
    for axes in grid[-1]:
        axes.set_xlabel("cosine")
        axes.set_xlim(-1.05 * widest, 1.05 * widest)
        axes.locator_params(axis="x", nbins=4)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def angles(found: list[dict[str, tuple[np.ndarray, np.ndarray]]]) -> matplotlib.figure.Figure:
    """Returns the cosines of the principal angles, observed and random, one panel per layer."""
    figure = style.figure(height=2.55)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for k, (axes, layer) in enumerate(zip(panels, found, strict=True), 1):
        for colour, (gate, (seen, random)) in zip(style.PALETTE, layer.items(), strict=False):
            axes.plot(range(1, len(seen) + 1), seen, color=colour, label=NAMES[gate])
            axes.plot(range(1, len(random) + 1), random, "--", color=colour, linewidth=0.8)
        axes.set_title(f"layer {k}")
        axes.set_xlabel("principal angle")
    panels[-1].plot([], [], "--", color=style.INK, linewidth=0.8, label="random subspaces")
    panels[0].set_ylabel("cosine")
    panels[0].set_ylim(0, 1.02)
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def overlaps(found: list[tuple[list[str], np.ndarray]]) -> matplotlib.figure.Figure:
    """Returns images of the overlap of all matrices of a layer as a multiple of chance, one panel per layer."""
    figure = style.figure(height=2.9 if len(found) > 1 else 4.0)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for k, (axes, (names, value)) in enumerate(zip(panels, found, strict=True), 1):
        with np.errstate(divide="ignore"):
            shown = axes.imshow(np.log2(_without_diagonal(value)), cmap="PuOr_r", vmin=-1, vmax=1)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        for (row, column), number in np.ndenumerate(value):
            if row != column:
                axes.text(column, row, f"{number:.2f}", ha="center", va="center", fontsize=6)
        axes.set_title(f"layer {k}")
    bar = figure.colorbar(shown, ax=list(panels), fraction=0.02, pad=0.01, ticks=[-1, 0, 1], shrink=0.8)
    bar.set_ticklabels(["½", "1", "2"])
    bar.set_label("overlap / chance")
    return figure


def _steps(name: str, count: int = 15) -> matplotlib.colors.Colormap:
    """Returns a colour map in few steps: images of half a million weights are a quarter of the size on disk."""
    import matplotlib

    return matplotlib.colormaps[name].resampled(count)


def _type_ticks(axes: matplotlib.axes.Axes, vocabulary: Vocabulary) -> None:
    edges = type_edges(vocabulary)
    middles = [(start + end) / 2 for start, end in edges.values()]
    axes.set_xticks(middles, list(edges), rotation=60, ha="right", rotation_mode="anchor", fontsize=6.5)
    axes.set_yticks(middles, list(edges), fontsize=6.5)
    for texts in (axes.get_xticklabels(), axes.get_yticklabels()):
        for text, name in zip(texts, edges, strict=True):
            text.set_color(style.TYPE_COLOURS[name])
    axes.tick_params(length=0)


def _without_diagonal(square: np.ndarray) -> np.ndarray:
    out = square.copy()
    np.fill_diagonal(out, np.nan)
    return out


def _limit(*groups: Matrices) -> float:
    """Returns a symmetric colour limit that a few outliers do not set."""
    return max(
        1e-9, *(float(np.quantile(np.abs(W), 0.995)) for matrices in groups for W in matrices.values() if W.size)
    )
