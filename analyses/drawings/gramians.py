"""Drawings of the analysis `gramians`, in the colours of part 9: sanguine, powder blue, and grey between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.drawings import population
from analyses.measures.places import is_measure
from folkrnn import style

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

_GATES = frozenset("iforu")
SANGUINE, POWDER_BLUE = "#BC3F4A", "#B0E0E6"
"""The part's own colours; they differ in lightness too, so that colour-blind readers can tell them apart."""

ROLE_COLOURS = {"first": style.PALETTE[0], "penultimate": style.PALETTE[2], "after the middle": style.PALETTE[1]}


def coloured(closeness: np.ndarray, near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Returns a picture `[T, T, 3]`: grey for `closeness` from 0 (light) to 1 (dark), sanguine `near`, blue `far`."""
    from matplotlib.colors import to_rgb

    grey = 0.96 - 0.9 * np.clip(closeness, 0, 1)
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    picture[near] = to_rgb(SANGUINE)
    picture[far] = to_rgb(POWDER_BLUE)
    return picture


def of_angles(cosine: np.ndarray, name: str) -> np.ndarray:
    """Returns the picture of |cosine| `[T, T]` between the values of activations, which `name` names.

    Gates are all above 0, so that none are at wide angles: where only gates are compared the lightest grey is the
    widest angle that there is.
    """
    gates = all(site.rpartition(".")[2] in _GATES for site in name.replace("·", " ").split() if "." in site)
    least = float(cosine.min()) if gates else 0.0
    closeness = (cosine - least) / max(1e-9, 1 - least)
    return coloured(closeness, cosine >= 0.99, cosine <= 0.01)


def distances(tokens: Sequence[str], distance: np.ndarray, near: float, far: float) -> matplotlib.figure.Figure:
    """Returns the picture of L1 distances between distributions, both axes named by the token that was drawn."""
    drawn = tokens[1:]
    picture = coloured(1 - distance / 2, distance <= near, distance > far)
    figure = style.figure(height=7.45)
    axes = figure.subplots()
    _show(axes, picture, drawn)
    _token_axes(axes, drawn)
    axes.set_xlabel("token drawn at the step")
    axes.set_ylabel("token drawn at the step")
    _legend(figure, (f"L1 ≤ {near:g}", f"L1 > {far:g}", "between, darker: closer"))
    return figure


def one_hot(tokens: Sequence[str], matrix: np.ndarray) -> matplotlib.figure.Figure:
    """Returns the picture of equal tokens."""
    figure = style.figure(height=7.2)
    axes = figure.subplots()
    _show(axes, coloured(matrix, np.zeros(matrix.shape, bool), np.zeros(matrix.shape, bool)), tokens)
    _token_axes(axes, tokens)
    axes.set_xlabel("token")
    axes.set_ylabel("token")
    return figure


def layers(tokens: Sequence[str], one_hot: np.ndarray, panels: dict[str, np.ndarray]) -> matplotlib.figure.Figure:
    """Returns the one-hot Gramian and the magnitude Gramian of each layer, side by side."""
    nothing = np.zeros(one_hot.shape, bool)
    pictures = {"equal tokens": coloured(one_hot, nothing, nothing)}
    pictures |= {name: of_angles(gram, name) for name, gram in panels.items()}
    columns = 2 if len(pictures) in (2, 4) else min(3, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = style.figure(height=0.37 + rows * 7.45 / columns)
    _grid(figure, rows, columns, tokens, pictures)
    _legend(figure, _ANGLES)
    return figure


def frames(
    tokens: Sequence[str], one_hot: np.ndarray | None, panels: dict[str, np.ndarray]
) -> list[matplotlib.figure.Figure]:
    """Returns the frames of part 9's animations: the layers in turn, each after the one-hot Gramian if given."""
    pictures = []
    for name, gram in panels.items():
        if one_hot is not None:
            nothing = np.zeros(one_hot.shape, bool)
            pictures.append(("equal tokens", coloured(one_hot, nothing, nothing)))
        pictures.append((name, of_angles(gram, name)))
    return [_frame(tokens, name, picture) for name, picture in pictures]


def _frame(tokens: Sequence[str], name: str, picture: np.ndarray) -> matplotlib.figure.Figure:
    figure = style.figure(height=7.4)
    axes = figure.subplots()
    read = tokens[: len(picture)]
    _show(axes, picture, read)
    axes.set_title(name)
    _token_axes(axes, read)
    _legend(figure, _ANGLES)
    return figure


_ANGLES = ("|cos| ≥ 0.99", "|cos| ≤ 0.01", "between, darker: smaller angle")


def crosses(tokens: Sequence[str], layer: str, products: dict[tuple[str, str], np.ndarray]) -> matplotlib.figure.Figure:
    """Returns one panel per pair of activations of a layer."""
    pictures = {}
    for (a, b), product in products.items():
        magnitude = np.abs(product)
        pictures[f"{a} (up) · {b} (across)"] = of_angles(magnitude, f"{layer}.{a} {layer}.{b}")
    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = style.figure(height=0.37 + rows * (7.45 / columns + 0.12))
    _grid(figure, rows, columns, tokens, pictures)
    _legend(figure, _ANGLES)
    return figure


def bars(table: pd.DataFrame) -> matplotlib.figure.Figure:
    """Returns the mean L1 distance of every bar to the rest of the tune, its role in its part in colour."""
    figure = style.figure(width=style.PAGE, height=3.0)
    axes = figure.subplots()
    axes.plot(table["bar"], table["mean_l1"], color=style.SOFT, linewidth=0.8, zorder=1)
    for role in ("first", "penultimate", "after the middle", ""):
        part = table[table["role"].isin([role] if role else ["", "pickup"])]
        colour = ROLE_COLOURS.get(role, "#8A929B")
        axes.plot(part["bar"], part["mean_l1"], "o", color=colour, label=role or "other")
    for _, part in table.groupby("part"):
        if part["bar"].iloc[0] > 1:
            axes.axvline(part["bar"].iloc[0] - 0.5, color=style.INK, linewidth=0.8)
    axes.set_xticks(table["bar"].tolist())
    axes.set_xlabel("bar (line: a new part)")
    axes.set_ylabel("mean L1 distance to other steps")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def likeness(table: pd.DataFrame, reach: int) -> matplotlib.figure.Figure:
    """Returns one panel per activation: the likeness of each layer to the one-hot Gramian, against lag."""
    activations = list(dict.fromkeys(name.split(".", 1)[1] for name in table["site"]))
    columns = min(4, len(activations))
    rows = -(-len(activations) // columns)
    figure = style.figure(height=0.56 + 1.75 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    lags = np.arange(-reach, reach + 1)
    mean = table.groupby("site", sort=False).mean(numeric_only=True)
    for axes, activation in zip(panels, activations, strict=False):
        of_activation = [name for name in mean.index if name.split(".", 1)[1] == activation]
        for name in of_activation:
            layer = name.split(".", 1)[0]
            colour = style.PALETTE[(int(layer.lstrip("l")) - 1) % len(style.PALETTE)]
            values = [mean.loc[name, f"lag{lag:+d}"] for lag in lags]
            axes.plot(lags, values, "o-", markersize=3, color=colour, label=f"layer {layer.lstrip('l')}")
        axes.axhline(0, color=style.SOFT, linewidth=0.6)
        axes.axvline(0.5, color=style.INK, linewidth=0.6, linestyle=":")
        axes.set_title(activation)
    for axes in panels[len(activations) :]:
        axes.set_axis_off()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(panels))
    figure.supxlabel("lag of the token, in steps (0: just read, 1: the next)", fontsize=7.5)
    figure.supylabel("r with the one-hot Gramian", fontsize=7.5)
    return figure


def spread_of_distributions(distributions: pd.DataFrame, metrics: Mapping[str, float]) -> matplotlib.figure.Figure:
    """Returns how far apart distributions are in many tunes: shares of far and near pairs, distances by bar and at
    passages.
    """
    shown = {
        "share of far pairs": {"": "far_share"},
        "share of near pairs": {"all": "near_share", "measure steps": "near_share_measure"},
        "mean L1 of bars to other steps": {
            "first": "l1_first",
            "penultimate": "l1_penultimate",
            "after the middle": "l1_after_the_middle",
        },
        "mean L1 of pairs": {"all": "mean_l1", "at repeats": "l1_at_repeats", "at reversals": "l1_at_reversals"},
    }
    probs = {name.removeprefix("probs/"): value for name, value in metrics.items() if name.startswith("probs/")}
    return population.distributions(
        [population.of(label, distributions, probs, columns) for label, columns in shown.items()]
    )


def spread_of_layers(layers: pd.DataFrame, metrics: Mapping[str, float]) -> matplotlib.figure.Figure | None:
    """Returns the same of states and cells, the layers beside each other; None where there are neither."""
    shown = (
        ("h", "similarity_read", "h: r with the one-hot Gramian"),
        ("h", "place_structure", "h: |cos| at like places in the bar, less elsewhere"),
        ("c", "saturation_second_half", "c: mean |cos| in the second half"),
    )
    quantities = []
    for activation, column, label in shown:
        sites = [name for name in dict.fromkeys(layers["site"]) if name.endswith(f".{activation}")]
        values = {name: layers.loc[layers["site"] == name, column].to_numpy(float) for name in sites}
        means = {name: population.interval_of(metrics, f"{name}/{column}") for name in sites}
        if sites:
            quantities.append(population.TuneValues(label, values, means))
    return population.distributions(quantities) if quantities else None


def saturation(tokens: Sequence[str], curves: dict[str, np.ndarray], window: int) -> matplotlib.figure.Figure:
    """Returns the running |cosine| of the cell states of each layer over the tune."""
    figure = style.figure(height=2.4)
    axes = figure.subplots()
    read = tokens[: len(next(iter(curves.values())))]
    for (name, values), colour in zip(curves.items(), style.PALETTE, strict=False):
        axes.plot(values, color=colour, label=name)
    style.bar_lines(axes, read)
    style.token_axis(axes, read, axis="x")
    axes.set_ylim(0, 1)
    axes.set_xlabel("step (the token just read)")
    axes.set_ylabel(f"mean |cos| with the last {window}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(curves))
    return figure


def _grid(
    figure: matplotlib.figure.Figure,
    rows: int,
    columns: int,
    tokens: Sequence[str],
    pictures: dict[str, np.ndarray],
) -> None:
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, picture) in zip(panels, pictures.items(), strict=False):
        read = tokens[: len(picture)]
        _show(axes, picture, read)
        axes.set_title(name)
        style.token_axis(axes, read, axis="x")
        style.token_axis(axes, read, axis="y")
    for axes in panels[len(pictures) :]:
        axes.set_axis_off()


def _show(axes: matplotlib.axes.Axes, picture: np.ndarray, tokens: Sequence[str]) -> None:
    axes.imshow(picture, origin="lower", interpolation="nearest")
    places, ends = np.flatnonzero(is_measure(tokens)) + 0.5, (-0.5, len(tokens) - 0.5)  # behind the measure token
    for lines in (axes.vlines, axes.hlines):
        lines(places, *ends, color="white", linewidth=0.5, alpha=0.8)
        lines(places, *ends, color=style.INK, linewidth=0.3, alpha=0.5)


def _token_axes(axes: matplotlib.axes.Axes, tokens: Sequence[str]) -> None:
    every = 1 if len(tokens) <= 130 else None
    style.token_axis(axes, tokens, axis="x", every=every)
    style.token_axis(axes, tokens, axis="y", every=every)


def _legend(figure: matplotlib.figure.Figure, names: Sequence[str]) -> None:
    from matplotlib.patches import Patch

    keys = [Patch(color=colour) for colour in (SANGUINE, POWDER_BLUE, "#808080")]
    figure.legend(keys, names, loc="outside lower center", ncols=3)
