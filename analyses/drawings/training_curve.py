"""How trainings are drawn: one panel each, on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from folkrnn import style
from folkrnn.weights.curve import Curve

if TYPE_CHECKING:
    import matplotlib.figure

NAMED = ("uniform", "unigram", "3gram", "5gram")


def losses(
    given: Mapping[str, Curve], costs: Mapping[str, Mapping[str, float]], smoothing: int
) -> matplotlib.figure.Figure:
    """Draws the losses of each training over its epochs (updates where they are not known), with its own baselines."""
    figure = style.figure(width=10.0 if len(given) > 1 else 7.0, height=4.2)
    panels = figure.subplots(1, len(given), sharey=True, squeeze=False)[0]
    for axes, (name, curve) in zip(panels, given.items(), strict=True):
        epoch = curve.per_epoch if np.isfinite(curve.per_epoch) else 1.0
        if len(curve.training):
            updates, loss = curve.training.T
            width = min(smoothing, max(1, len(loss) // 8))
            mean = np.convolve(loss, np.ones(width) / width, mode="valid")
            axes.plot(updates / epoch, loss, color=style.SOFT, linewidth=0.5, alpha=0.5)
            axes.plot(updates[width - 1 :] / epoch, mean, color="#6B7480", linewidth=1.2, label="training")
        if len(curve.validation):
            updates, loss = curve.validation.T
            axes.plot(updates / epoch, loss, "o-", color=style.ACCENT, markersize=3, linewidth=1.3, label="validation")
            best = int(loss.argmin())
            axes.plot(updates[best] / epoch, loss[best], "o", color=style.INK, markersize=5, label="best validation")
        own = costs[name]
        for cost in (known for known in NAMED if known in own):
            axes.axhline(own[cost], color=style.INK, linewidth=0.7, linestyle=":")
            axes.annotate(
                cost, (1, own[cost]), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7.5
            )
        axes.set_title(name)
        axes.set_xlabel("epoch" if np.isfinite(curve.per_epoch) else "updates")
    panels[0].set_ylabel("nats per token")
    panels[0].set_ylim(0, 1.06 * max((cost for own in costs.values() for cost in own.values()), default=5.0))
    fullest = max(panels, key=lambda axes: len(axes.get_legend_handles_labels()[1]))
    fullest.legend(frameon=False, loc="lower left", fontsize=8)
    return figure
