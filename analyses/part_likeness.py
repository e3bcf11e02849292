"""Do parts belong together? What the parts of a tune share, beside what parts of different tunes do. (Part 9, end.)

A part is what a repeat sign or the end of the tune closes. Two parts are as like as their bars' material: the share of
runs of `run` tokens of the shorter one (measure tokens left out) that also stand in the other. Within a tune: its first
part against each later one. The control pairs the first part with a later part of another tune of the same meter and
mode, as they come: what style alone makes alike. Intervals resample tunes, and the same is said of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.places import placed_bars
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation

if TYPE_CHECKING:
    import matplotlib.figure

Part = frozenset[tuple[str, ...]]


@dataclass(frozen=True)
class PartLikeness(Analysis[Observation]):
    """How much more alike the parts of one tune are than those of different tunes, in tunes written and in the data."""

    repeated_on: ClassVar[tuple[str, ...]] = ("shuffled",)
    main: ClassVar[Mapping[str, Main]] = {
        "beyond": Main(
            "Parts of one tune are more alike than parts of different tunes by {}", "data_beyond", "the data"
        ),
        "within": Main("Parts of one tune are alike to {}", "data_within", "the data"),
    }

    run: int = 4
    """Tokens of a run that is looked for in the other part."""
    data_tunes: int = 500
    """Most tunes of the data that are measured besides."""
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.run < 1:
            raise UserError(f"part_likeness.run is {self.run}; it must be at least 1 token")

    def __call__(self, observation: Observation) -> Findings:
        rng = np.random.default_rng(observation.seed)
        sides = {"written": [observation.tokens(k) for k in range(len(observation.transcriptions))]}
        if observation.data is not None:
            picked = rng.permutation(len(observation.data))[: self.data_tunes]
            sides["data"] = [["<s>", *observation.data.tunes[k].tokens, "</s>"] for k in sorted(picked)]
        tables = {side: self.table(tunes, rng) for side, tunes in sides.items()}
        metrics: dict[str, float] = {}
        for side, table in tables.items():
            prefix = "" if side == "written" else "data_"
            metrics[f"{prefix}tunes"] = float(len(table))
            for name in ("within", "across", "beyond"):
                values = table[name].to_numpy(float)
                metrics |= with_interval(f"{prefix}{name}", mean_interval(values, self.resamples, rng))
        return Findings(
            metrics=metrics,
            figures={
                "likeness": Figure(
                    draw(tables),
                    caption(metrics, self.run),
                    title="Are the parts of a tune alike? Likeness within a tune, and across tunes",
                )
            },
            tables=dict(tables),
        )

    def table(self, tunes: Sequence[Sequence[str]], rng: np.random.Generator) -> pd.DataFrame:
        """Returns one row per tune of several parts: likeness within it, across tunes, and the difference."""
        known = [(k, tune[1:3], parts_of(tune, self.run)) for k, tune in enumerate(tunes)]
        known = [(k, tuple(header), parts) for k, header, parts in known if len(parts) > 1]
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, (_, header, _) in enumerate(known):
            groups.setdefault(header, []).append(place)
        rows = []
        for place, (k, header, parts) in enumerate(known):
            others = [other for other in groups[header] if other != place]
            if not others:
                continue
            drawn = [known[other][2][1:] for other in rng.permutation(others)[:10]]
            within = float(np.mean([likeness(parts[0], part) for part in parts[1:]]))
            across = float(np.mean([likeness(parts[0], part) for later in drawn for part in later]))
            rows.append({"tune": k, "within": within, "across": across, "beyond": within - across})
        return pd.DataFrame(rows, columns=["tune", "within", "across", "beyond"])


def parts_of(tokens: Sequence[str], run: int) -> list[Part]:
    """Returns the runs of tokens of each part of a tune; parts too short for one are left out."""
    bodies: dict[int, list[str]] = {}
    for bar in placed_bars(tokens):
        bodies.setdefault(bar.part, []).extend(bar.bar.tokens)
    runs = [
        frozenset(tuple(body[k : k + run]) for k in range(len(body) - run + 1)) for _, body in sorted(bodies.items())
    ]
    return [part for part in runs if part]


def likeness(one: Part, other: Part) -> float:
    """Returns the share of the runs of the smaller part that stand in the other, too."""
    return len(one & other) / min(len(one), len(other))


def draw(tables: dict[str, pd.DataFrame]) -> matplotlib.figure.Figure:
    figure = style.figure(width=style.PAGE, height=2.8)
    axes = figure.subplots()
    for row, table in enumerate(tables.values()):
        for offset, name, whose, colour in (
            (-0.18, "within", "one tune", style.ACCENT),
            (0.18, "across", "different tunes of a meter and mode", style.SOFT),
        ):
            values = table[name].to_numpy(float)
            if len(values):
                axes.barh(row + offset, values.mean(), height=0.32, color=colour, label=whose if row == 0 else None)
                spread = np.quantile(values, [0.25, 0.75])
                axes.hlines(row + offset, *spread, color=style.INK, linewidth=0.8)
    axes.set_yticks(range(len(tables)), list(tables))
    axes.set_xlabel("share of the runs of a part that stand in the other (line: quartiles over tunes)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, title="parts of", alignment="left")
    axes.invert_yaxis()
    return figure


def caption(metrics: dict[str, float], run: int) -> str:
    def said(prefix: str) -> str:
        ends = [metrics.get(f"{prefix}beyond{end}", float("nan")) for end in ("", "_low", "_high")]
        return f"{ends[0]:+.3f} ({ends[1]:+.3f} to {ends[2]:+.3f}; {metrics[f'{prefix}tunes']:.0f} tunes)"

    data = f", in the data {said('data_')}" if "data_beyond" in metrics else ""
    return (
        f"Runs of {run} tokens that the first part of a tune shares with a later one, within a tune and across tunes "
        f"of the same meter and mode. Beyond what style shares: in the tunes looked at {said('')}{data}."
    )
