"""What lies between two melodies? Spherical interpolation in latent space, with every decoded melody.

Definition: Magenta's `interpolate` decodes points on the arc (slerp) between the μ of two melodies. Likeness to an end
is the share of sixteenth steps that are the same. Over many pairs the likeness to both ends is compared with that on
the straight line, and with melodies in which each step is taken from either end at random, with the share as
probability: a path through the data instead of the latents. The path is smooth where neighbours on it are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
import torch

from analyses.drawings import latents as draw
from analyses.measures.arcs import interpolate
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.reconstruction import exact_steps
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.melodies.grid import FIRST_ON
from folkrnn.observation.latents import LatentObservation

if TYPE_CHECKING:
    import matplotlib.figure

PATHS = {"arc": "arc (slerp)", "line": "straight line", "mixture": "steps of either end"}
COLOURS = {"arc": style.PALETTE[0], "line": style.PALETTE[2], "mixture": draw.CONTROL}


@dataclass(frozen=True)
class LatentInterpolation(Analysis[LatentObservation]):
    """Decodes the arc between two melodies, and asks over many pairs how their likeness to the ends changes."""

    families: ClassVar[tuple[str, ...]] = ("musicvae",)
    main: ClassVar[Mapping[str, Main]] = {
        "arc/neighbours_alike": Main(
            "Neighbours on the arc are alike in {:%} of their steps", "line/neighbours_alike", "the straight line"
        ),
        "arc/middle_to_nearer_end": Main(
            "The middle of the arc is like its nearer end in {:%} of the steps",
            "mixture/middle_to_nearer_end",
            "a mixture of steps",
        ),
    }

    first: int = 0
    """Which of the observed melodies the drawn path begins with."""
    last: int | None = None
    """Which one it ends with; None: the next of another tune."""
    points: int = 9
    """Melodies on a path, both ends included."""
    pairs: int = 60
    """Pairs of melodies, drawn by the seed, for the numbers."""
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.points < 3 or self.pairs < 1:
            raise UserError(
                f"latent_interpolation.points={self.points} and latent_interpolation.pairs={self.pairs}; a path has at "
                "least 3 points, and there is at least one pair"
            )

    def __call__(self, observation: LatentObservation) -> Findings:
        if len(observation) < 2:
            raise UserError("latent_interpolation needs two melodies; observe more (dataset=…, sampling.tunes=…)")
        first, last = self.ends(observation)
        rng = np.random.default_rng([observation.seed, 5])
        path = observation.decoded(self.latents(observation.mu[[first]], observation.mu[[last]], "arc")[0])
        steps = self.along(observation, rng)
        curve = self.curve(steps, rng)
        titles = (observation.titles[first], observation.titles[last])
        melodies = (observation.classes[first], observation.classes[last])
        return Findings(
            metrics=self.metrics(steps, rng),
            figures={
                "path": Figure(
                    self.draw_path(path, melodies),
                    self.caption_path(titles),
                    title=f"From {titles[0]} to {titles[1]} along the sphere",
                ),
                "likeness": Figure(
                    self.draw_curve(curve), self.caption_curve(), title="Likeness to both ends along the path"
                ),
            },
            tables={"likeness": curve},
            arrays={"path": {"classes": path, "first": melodies[0], "last": melodies[1]}},
        )

    def ends(self, observation: LatentObservation) -> tuple[int, int]:
        """Returns the ends of the path that is drawn, as indices of observed melodies."""
        count = len(observation)
        first = min(self.first, count - 1)
        if self.last is not None:
            return first, min(self.last, count - 1)
        others = np.flatnonzero(observation.source != observation.source[first])
        others = others if len(others) else np.delete(np.arange(count), first)
        return first, int(others[np.searchsorted(others, first) % len(others)])

    def latents(self, starts: np.ndarray, ends: np.ndarray, path: str) -> np.ndarray:
        """Returns the points of each path, `[pairs, points, Z]`, from `starts` to `ends`, `[pairs, Z]` each."""
        if path == "line":
            shares = np.linspace(0, 1, self.points)[:, None]
            return (1 - shares) * starts[:, None] + shares * ends[:, None]
        pairs = zip(torch.from_numpy(starts), torch.from_numpy(ends), strict=True)
        return torch.stack([interpolate(a, b, self.points) for a, b in pairs]).numpy()

    def along(self, observation: LatentObservation, rng: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
        """Returns for each path, over pairs `[pairs, points]`: likeness to the first and last melody, and to what comes
        before (one column less); and the share of all steps that are onsets.
        """
        picked = np.array([rng.choice(len(observation), 2, replace=False) for _ in range(self.pairs)])
        starts, ends = observation.mu[picked[:, 0]], observation.mu[picked[:, 1]]
        written = {}
        for path in ("arc", "line"):
            z = self.latents(starts, ends, path)
            written[path] = observation.decoded(z.reshape(-1, z.shape[-1])).reshape(self.pairs, self.points, -1)
        own = written["arc"]
        chance = rng.random(own.shape) < np.linspace(0, 1, self.points)[None, :, None]
        written["mixture"] = np.where(chance, own[:, -1:], own[:, :1])
        return {
            path: {
                "to_first": exact_steps(rows, own[:, :1]),
                "to_last": exact_steps(rows, own[:, -1:]),
                "to_neighbour": exact_steps(rows[:, 1:], rows[:, :-1]),
                "onsets": (rows >= FIRST_ON).mean(-1),
            }
            for path, rows in written.items()
        }

    def curve(self, steps: dict[str, dict[str, np.ndarray]], rng: np.random.Generator) -> pd.DataFrame:
        """Returns one row per path, point and quantity: the mean over pairs and its 95 % interval."""
        rows = []
        for path, quantities in steps.items():
            for name, values in quantities.items():
                for point, column in enumerate(values.T):
                    mean, low, high = mean_interval(column, self.resamples, rng)
                    share = (point + (name == "to_neighbour") / 2) / (self.points - 1)
                    rows.append((path, name, share, mean, low, high))
        return pd.DataFrame(rows, columns=["path", "quantity", "share", "mean", "low", "high"])

    def metrics(self, steps: dict[str, dict[str, np.ndarray]], rng: np.random.Generator) -> dict[str, float]:
        """Returns for each path how alike its middle is to the ends, how alike neighbours are, and how busy it is."""
        found: dict[str, float] = {}
        middle = self.points // 2
        for path, quantities in steps.items():
            nearest = np.maximum(quantities["to_first"], quantities["to_last"])[:, middle]
            for name, values in (
                ("middle_to_nearer_end", nearest),
                ("neighbours_alike", quantities["to_neighbour"].mean(1)),
                ("largest_jump", 1 - quantities["to_neighbour"].min(1)),
                ("onsets_in_the_middle", quantities["onsets"][:, middle]),
            ):
                found |= with_interval(f"{path}/{name}", mean_interval(values, self.resamples, rng))
        return found

    def draw_path(self, path: np.ndarray, ends: tuple[np.ndarray, np.ndarray]) -> matplotlib.figure.Figure:
        columns = 3
        rows = -(-len(path) // columns)
        drawing = style.figure(height=0.4 + 1.15 * rows)
        panels = drawing.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        outlines: list[np.ndarray | None] = [ends[0], *[None] * (len(path) - 2), ends[1]]
        for k, (axes, classes, behind) in enumerate(zip(panels, path, outlines, strict=False)):
            share = k / (len(path) - 1)
            draw.roll(axes, classes, blend(style.PALETTE[0], style.PALETTE[1], share), behind)
            axes.set_title(f"{share:.0%}", fontsize=8.5, pad=2)
        for axes in panels[len(path) :]:
            axes.set_visible(False)
        low, high = draw.pitch_range([*path, *ends])
        panels[0].set_ylim(low, high)
        drawing.supxlabel("sixteenth")
        drawing.supylabel("MIDI pitch")
        return drawing

    def draw_curve(self, curve: pd.DataFrame) -> matplotlib.figure.Figure:
        drawing = style.figure(height=2.4)
        panels = drawing.subplots(1, 3)
        looks = (
            ("to_first", "to_last", "like the ends (solid: first)"),
            ("to_neighbour", None, "like the point before"),
            ("onsets", None, "share of onsets"),
        )
        for axes, (solid, dashed, label) in zip(panels, looks, strict=True):
            for path, colour in COLOURS.items():
                for name, line in ((solid, "-"), (dashed, "--")):
                    part = curve[(curve["path"] == path) & (curve["quantity"] == name)]
                    if not len(part):
                        continue
                    own = PATHS[path] if line == "-" else None
                    axes.plot(part["share"], part["mean"], line, color=colour, label=own)
                    axes.fill_between(part["share"], part["low"], part["high"], color=colour, alpha=0.15, linewidth=0)
            axes.set_xlabel("share of the path")
            axes.set_ylabel(label)
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.02 if solid != "onsets" else None)
        drawing.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return drawing

    def caption_path(self, titles: tuple[str, str]) -> str:
        return (
            f"From {titles[0]} to {titles[1]}: what the model writes from {self.points} points on the arc between "
            "their μ. Grey behind the ends: the melodies themselves."
        )

    def caption_curve(self) -> str:
        return (
            f"Over {self.pairs} pairs of melodies: share of steps that the melody at each point of the path has in "
            "common with the melodies decoded from both ends, and with the point before it; and how many notes it has. "
            "Bands: 95 % intervals over pairs. The mixture takes each step from either end at random."
        )


def blend(start: str, end: str, share: float) -> tuple[float, float, float]:
    """Returns the colour at `share` of the way between two colours."""
    from matplotlib.colors import to_rgb

    red, green, blue = ((1 - share) * a + share * b for a, b in zip(to_rgb(start), to_rgb(end), strict=True))
    return red, green, blue
