"""When what the documents saw in v2 arises during a training: its checkpoints that stayed, measured one by one.

    python benchmarks/phenomena.py runs/RUN/checkpoints --beside folkrnn folkrnn_copying --write docs/phenomena

reads `epoch-0010.ckpt`, … (`trainer.keep_every=10`; experiment=train_published_open keeps them) while Swing Swang
Swung, the tune of part 5, goes through the model, and leaves `.csv` and `.png`: the share of hidden values near zero
(|h| < 0.07), the share of forget gates that are open (> 0.9), σ₁ ÷ σ₂ of the softmax layer, the norm of meter and
mode columns in l1's forget gate beside the others' (part 4), the share of units that keep the time of a bar. Dotted:
what parts 3 and 5 say of v2. Models `--beside` are marked at the right edge. A second a checkpoint.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from tqdm import tqdm

import folkrnn
from analyses.gate_parameters import GateParameters
from analyses.periodicity import Periodicity
from folkrnn import style
from folkrnn.datasets.published_tunes import TUNES
from folkrnn.observation.observation import Observation

TUNE = "swing_swang_swung"

NEAR_ZERO, OPEN = 0.07, 0.9
"""Part 5's magnitude below which a value is near zero; a gate above the other is open."""

LAYERS = (1, 2, 3)

PANELS = {
    "near_zero": ("hidden values near zero", {"l3": 0.8}),
    "open": ("forget gates that are open", {}),
    "periodic": ("units that keep the time of a bar", {}),
    "ratio": ("σ₁ ÷ σ₂ of the softmax layer", {"": 7.5}),
    "header": ("meter and mode columns ÷ others, l1.f", {}),
}
"""Quantities, their names, and v2's values where a document says them: 80 % near zero, σ₁ more than 7.5 times σ₂."""


def measured(observation: Observation) -> dict[str, float]:
    """Returns every quantity of one model, by `quantity/layer` or `quantity/`."""
    model = observation.model
    found: dict[str, float] = {}
    for layer in LAYERS:
        values = observation.traces(0, [f"l{layer}.h", f"l{layer}.f"])
        found[f"near_zero/l{layer}"] = float((np.abs(values[f"l{layer}.h"]) < NEAR_ZERO).mean())
        found[f"open/l{layer}"] = float((values[f"l{layer}.f"] > OPEN).mean())
    singular = torch.linalg.svdvals(model.softmax_weight.detach().double())
    found["ratio/"] = float(singular[0] / singular[1])
    found["header/"] = GateParameters()(observation).metrics["l1.f/header_norm_ratio"]
    periodic = Periodicity(permutations=1, resamples=1)(observation).metrics
    return found | {f"periodic/l{layer}": periodic[f"l{layer}.h/bar_periodic_units"] for layer in LAYERS}


def of(source: Path | str) -> dict[str, float]:
    """Returns what `measured` finds in a checkpoint or a shipped model that reads the tune."""
    lab = folkrnn.load(source)
    return measured(lab.observe([lab.read(TUNES[TUNE])]))


def updates(checkpoint: Path) -> int:
    """Returns after how many updates a checkpoint was written."""
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])


def draw(table: pd.DataFrame, beside: Mapping[str, Mapping[str, float]], place: Path) -> None:
    """Draws a panel per quantity against updates."""
    drawing = style.figure(width=style.PAGE * 1.4, height=4.2)
    last = table["updates"].max()
    for number, (name, (title, published)) in enumerate(PANELS.items(), 1):
        axes = drawing.add_subplot(2, 3, number)
        columns = [column for column in table if str(column).startswith(f"{name}/")]
        for column in columns:
            layer = str(column).partition("/")[2]
            colour = style.PALETTE[int(layer[1:]) - 1 if layer else 3]
            axes.plot(table["updates"], table[column], color=colour, lw=1.2, label=layer or None)
            for marker, values in zip("os^D", beside.values(), strict=False):
                axes.plot(1.06 * last, values[str(column)], marker, color=colour, ms=4, clip_on=False)
            if layer in published:
                axes.axhline(published[layer], color=colour, ls=":", lw=1)
        axes.set_title(title, fontsize=8)
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.set_xlabel("updates")
        if len(columns) > 1:
            axes.legend(fontsize=7, frameon=False)
    _key(drawing.add_subplot(2, 3, 6), list(beside))
    drawing.savefig(place, dpi=200)


def _key(axes: Axes, names: list[str]) -> None:
    axes.axis("off")
    for marker, name in zip("os^D", names, strict=False):
        axes.plot([], [], marker, color="0.3", ms=4, label=name)
    axes.plot([], [], ":", color="0.3", label="v2, as the documents say")
    axes.legend(loc="center", frameon=False, fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of checkpoints epoch-*.ckpt")
    parser.add_argument("--beside", nargs="*", default=[], help="models to mark beside, at most four")
    parser.add_argument("--write", type=Path, help="files to leave, without their suffix")
    given = parser.parse_args()
    files = sorted(file for file in given.folder.glob("*.ckpt") if re.fullmatch(r"epoch-\d+\.ckpt", file.name))
    if not files:
        parser.exit(2, f"{given.folder} holds no epoch-*.ckpt; train with trainer.keep_every=10\n")
    rows = [{"updates": updates(file)} | of(file) for file in tqdm(files, unit=" checkpoints")]
    table = pd.DataFrame(rows)
    beside = {name: of(name) for name in given.beside}
    shown = pd.concat([table, pd.DataFrame(beside).T.reset_index(names="updates")], ignore_index=True)
    print(shown.to_string(index=False, float_format="%.3g"))
    if given.write:
        shown.to_csv(given.write.with_suffix(".csv"), index=False, float_format="%.4g")
        draw(table, beside, given.write.with_suffix(".png"))


if __name__ == "__main__":
    main()
