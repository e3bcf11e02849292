"""Do the tunes count, and are they built, as the data are?

Definitions: a bar is full if its notes last exactly as long as the meter says; pickups and half bars count as misses
(facts sheet section 4.2: of 5,000 tunes of v2's, 88.5 % are full). The form of a tune is its sequence of measure
tokens; a part is what a repeat sign repeats, its length in bars counts pickups. Intervals are 95 % bootstrap intervals
over tunes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

import folkrnn.datasets
import folkrnn.notation
from analyses.drawings import tune_statistics as draw
from analyses.measures import melody
from analyses.measures.intervals import ratio_intervals, with_interval
from analyses.measures.melody import QUANTITIES
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.datasets.corpus import Corpus
from folkrnn.datasets.repetition import copied_in_parts
from folkrnn.files.cache import cache_key, cached_json
from folkrnn.findings import Figure, Findings, Main
from folkrnn.notation.bars import bars, flaws, parts
from folkrnn.notation.notes import notes
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import token_type

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

METERS = ("4/4", "6/8", "2/4", "3/4", "9/8", "12/8", "3/2")
MODES = ("Cmaj", "Cmin", "Cdor", "Cmix")


@dataclass(frozen=True)
class MelodySums:
    """What many tunes add to both sums of each quantity of the melody, and the time they spend on each pitch class."""

    sums: tuple[np.ndarray, np.ndarray]
    """`[N, Q]` each."""
    pitch_use: np.ndarray
    """Share of the time on each pitch class, `[12]`, C first."""

    @classmethod
    def of(cls, tunes: Sequence[list[str]]) -> MelodySums:
        rows, time = [], np.zeros(12)
        for tokens in tunes:  # one after the other: the notes of many take far more memory than their tokens
            heard = notes(tokens, unfold=False)
            rows.append(list(melody.sums(tokens, heard).values()))
            time += melody.pitch_classes(heard)
        both = np.array(rows, dtype=float).reshape(-1, len(QUANTITIES), 2)
        return cls((both[..., 0], both[..., 1]), time / max(time.sum(), 1e-12))

    def distance(self, other: MelodySums) -> float:
        """Returns the total variation between the two uses of pitch: 0 the same, 1 nothing in common."""
        return float(np.abs(self.pitch_use - other.pitch_use).sum() / 2)


@dataclass(frozen=True)
class TuneStatistics(Analysis[Observation]):
    """Bar counting, form, length, meter, mode and melody of the observed tunes beside those of the data."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ("shuffled",)
    main: ClassVar[Mapping[str, Main]] = {
        "full_bars": Main("{:%} of the bars are full", "data_full_bars", "the data"),
        "two_repeated_8_bar_parts": Main(
            "{:%} of the tunes are two repeated parts of eight bars", "data_two_repeated_8_bar_parts", "the data"
        ),
        "parts_ending_on_tonic": Main("{:%} of the parts end on the tonic", "data_parts_ending_on_tonic", "the data"),
        "length": Main("A tune has {} tokens", "data_length", "the data"),
    }

    resamples: int = 1000
    """Bootstrap samples of tunes behind each interval."""
    data_tunes: int = 1000
    """Most data tunes whose melody is listened to, drawn by the seed; bars, forms and lengths are those of all."""
    top_forms: int = 15
    """How many forms count as the most frequent ones."""

    def __call__(self, observation: Observation) -> Findings:
        tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
        seen, shape = table_of(tunes), MelodySums.of(tunes)
        seen["ended"] = [t.ended for t in observation.transcriptions]
        rng = np.random.default_rng(observation.seed)
        metrics = self.metrics(seen, shape, rng)
        figures = {}
        data, data_shape = None, None
        if observation.data is not None:
            corpus = [list(tune.tokens) for tune in observation.data.tunes]
            some = rng.permutation(len(corpus))[: self.data_tunes]
            data, data_shape = table_of_corpus(observation.data), MelodySums.of([corpus[n] for n in np.sort(some)])
            metrics |= {f"data_{name}": value for name, value in self.metrics(data, data_shape, rng).items()}
            if metrics["data_full_bars"] > 0:
                metrics["full_bars_ratio"] = metrics["full_bars"] / metrics["data_full_bars"]
            metrics["pitch_use_distance"] = shape.distance(data_shape)
        figures["counting"] = Figure(
            self.draw(seen, data, rng), self.caption(seen, metrics), title=self.title(seen, metrics)
        )
        figures["melody"] = Figure(
            draw.melody(self.compared(metrics), [part.pitch_use for part in (shape, data_shape) if part is not None]),
            self.caption_melody(metrics),
            title="Melodies beside those of the data",
        )
        tables = {"tunes": seen, "forms": self.forms(seen, data), "melody": self.compared(metrics)}
        return Findings(metrics, figures, tables)

    def metrics(self, table: pd.DataFrame, shape: MelodySums, rng: np.random.Generator) -> dict[str, float]:
        """Returns the numbers of a set of tunes, with the ends of their intervals where there are several tunes."""
        low, high = interval(table, self.resamples, rng)
        forms = Counter(table["form"])
        top = sum(count for _, count in forms.most_common(self.top_forms))
        found = with_interval("full_bars", (share_of_full(table), low, high)) if len(table) > 1 else {}
        found |= {} if found else {"full_bars": share_of_full(table)}
        shares = {"flawless_share": table["flaws"] == 0, "two_repeated_8_bar_parts": table["two_by_eight"]}
        shares |= {"ended_share": table["ended"]} if "ended" in table else {}
        shares |= {f"meter_{name.replace('/', '_')}": table["meter"] == name for name in METERS}
        shares |= {f"mode_{name}": table["mode"] == name for name in MODES}
        means = {"length": table["length"], **shares}
        values = np.array([column.to_numpy(float) for column in means.values()]).T
        ends = ratio_intervals(values, np.ones_like(values), self.resamples, rng)
        for name, row in zip(means, ends, strict=True):
            found |= with_interval(name, tuple(row))
        above, below = (table[[column]].to_numpy(float) for column in ("copied", "long"))
        if below.any():
            found |= with_interval("copied_in_part", tuple(ratio_intervals(above, below, self.resamples, rng)[0]))
        found |= {
            "length_median": float(table["length"].median()),
            "distinct_forms_share": len(forms) / len(table),
            "top_forms_share": top / len(table),
        }
        for name, row in zip(QUANTITIES, ratio_intervals(*shape.sums, self.resamples, rng), strict=True):
            found |= with_interval(name, tuple(row)) if np.isfinite(row[0]) else {}
        return found

    def compared(self, metrics: dict[str, float]) -> pd.DataFrame:
        """Returns one row per quantity of the melody and side: value and ends of its interval."""
        rows = []
        for prefix, side in (("", "observed"), ("data_", "data")):
            for name, words in QUANTITIES.items():
                if f"{prefix}{name}" in metrics:
                    ends = [metrics.get(f"{prefix}{name}{end}", float("nan")) for end in ("", "_low", "_high")]
                    rows.append((side, name, words, *ends))
        return pd.DataFrame(rows, columns=["side", "quantity", "words", "value", "low", "high"])

    def caption_melody(self, metrics: dict[str, float]) -> str:
        against = (
            f"; total variation from the data {metrics['pitch_use_distance']:.3f}" if "data_length" in metrics else ""
        )
        return (
            "Endings, cadences, motion, repetition and the relative minor, with 95 % bootstrap intervals over tunes, "
            f"and the time spent on each pitch class (root C){against}. What the paper says of its Fig. 1 and part 5 "
            "of its tune, as shares of many."
        )

    def title(self, seen: pd.DataFrame, metrics: dict[str, float]) -> str:
        if len(seen) == 1:
            return "Counting, meter, mode and length of one tune beside the data"
        against = f", {metrics['data_full_bars']:.0%} in the data" if "data_full_bars" in metrics else ""
        return f"{metrics['full_bars']:.0%} of the bars of {len(seen):,} tunes are full{against}"

    def forms(self, seen: pd.DataFrame, data: pd.DataFrame | None) -> pd.DataFrame:
        """Returns the most frequent measure-token sequences with their share here and in the data."""
        here, there = Counter(seen["form"]), Counter(data["form"] if data is not None else [])
        names = list(
            dict.fromkeys([f for f, _ in here.most_common(self.top_forms)] + [f for f, _ in there.most_common(5)])
        )
        rows = [
            {
                "form": name,
                "tunes": here[name],
                "share": here[name] / len(seen),
                "data_share": there[name] / len(data) if data is not None else float("nan"),
            }
            for name in names
        ]
        return pd.DataFrame(rows)

    def draw(self, seen: pd.DataFrame, data: pd.DataFrame | None, rng: np.random.Generator) -> matplotlib.figure.Figure:
        figure = style.figure(height=4.8)
        (counting, meters), (lengths, modes) = figure.subplots(2, 2)
        sides = [("observed", seen, style.ACCENT)] + ([("data", data, style.INK)] if data is not None else [])
        self._draw_counting(counting, sides, rng)
        for axes, column, names in ((meters, "meter", METERS), (modes, "mode", MODES)):
            for side, (label, table, colour) in enumerate(sides):
                share = np.array([float((table[column] == name).mean()) for name in names])
                places = np.arange(len(names)) + 0.4 * side
                if len(table) == 1:  # one tune is no share of tunes
                    axes.plot(places[share > 0], 0 * share[share > 0], "^", color=colour, label=label, clip_on=False)
                else:
                    axes.bar(places, share, 0.38, color=colour, label=label)
            axes.set_xticks(np.arange(len(names)) + 0.2 * (len(sides) - 1), names)
            axes.set_xlabel(column)
            axes.set_ylabel("share of tunes")
        bins = np.linspace(0, max(400.0, float(seen["length"].quantile(0.99))), 41)
        for label, table, colour in sides:
            if len(table) == 1:
                lengths.axvline(table["length"].iloc[0], color=colour, label=label, linewidth=1.4)
                continue
            lengths.hist(table["length"], bins, density=True, color=colour, label=label, histtype="step", linewidth=1.4)
        lengths.set_xlabel("tokens in a tune")
        lengths.set_ylabel("density")
        figure.legend(*meters.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return figure

    def _draw_counting(
        self, axes: matplotlib.axes.Axes, sides: list[tuple[str, pd.DataFrame, str]], rng: np.random.Generator
    ) -> None:
        names = ["all", *[name for name in METERS if (sides[0][1]["meter"] == name).any()]]
        for side, (label, table, colour) in enumerate(sides):
            for place, name in enumerate(names):
                part = table if name == "all" else table[table["meter"] == name]
                if not part["bars"].sum():
                    continue
                share = share_of_full(part)
                low, high = interval(part, self.resamples, rng)
                error = [[max(0.0, share - low)], [max(0.0, high - share)]]
                axes.errorbar(
                    place + 0.2 * side,
                    share,
                    error,
                    fmt="o",
                    color=colour,
                    capsize=2.5,
                    label=label if place == 0 else None,
                )
        axes.set_xticks(np.arange(len(names)) + 0.1 * (len(sides) - 1), names)
        axes.margins(x=0.08, y=0.08)
        axes.set_ylim(None, 1.02)
        axes.set_xlabel("meter")
        axes.set_ylabel("share of full bars")

    def caption(self, seen: pd.DataFrame, metrics: dict[str, float]) -> str:
        against = f", against {metrics['data_full_bars']:.1%} in the data" if "data_full_bars" in metrics else ""
        ends = [metrics[name] for name in ("full_bars_low", "full_bars_high") if name in metrics]
        interval = f" (95 % interval {ends[0]:.1%} to {ends[1]:.1%})" if ends else ""
        return (
            f"{len(seen)} tune{'s' * (len(seen) != 1)}: {metrics['full_bars']:.1%} of the bars are full"
            f"{interval}{against}. Error bars: 95 % bootstrap "
            "intervals over tunes. Meter, mode and length beside those of the data"
            + (": marked, as one tune has no shares." if len(seen) == 1 else ".")
        )


def table_of(tunes: Sequence[list[str]]) -> pd.DataFrame:
    """Returns one row per tune (tokens without markers): meter, mode, length, bars, full bars, bars of at least three
    tokens, those of them that stood before in their part, flaws, form, parts."""
    return pd.DataFrame([{"tune": k} | statistics(tokens) for k, tokens in enumerate(tunes)])


def table_of_corpus(corpus: Corpus) -> pd.DataFrame:
    """Returns the table of a corpus; made once, since a large one takes seconds."""
    here = Path(__file__).read_text(encoding="utf-8")
    key = cache_key([("corpus", corpus.digest), ("columns", here)], folkrnn.notation, folkrnn.datasets)
    rows = cached_json(f"statistics-{key}", lambda: table_of([list(t.tokens) for t in corpus.tunes]).to_dict("list"))
    return pd.DataFrame(rows)


def statistics(tokens: list[str]) -> dict[str, object]:
    """Returns the row of `table_of` for one tune."""
    found = bars(tokens)
    lengths = [length for repeated, length in parts(found) if repeated]
    copied, long = copied_in_parts(found)
    header = {token_type(token): token.split(":", 1)[1].strip("]") for token in tokens[:2] if token[:2] in ("M:", "K:")}
    return {
        "meter": header.get("meter", ""),
        "mode": header.get("mode", ""),
        "length": len(tokens) + 2,
        "bars": len(found),
        "full": sum(bar.full for bar in found),
        "copied": copied,
        "long": long,
        "flaws": len(flaws(tokens)),
        "form": " ".join(token for token in tokens if token_type(token) == "measure"),
        "parts": " ".join(f"{float(length):g}{':' * repeated}" for repeated, length in parts(found)),
        "two_by_eight": lengths == [8, 8] and len(parts(found)) == 2,
    }


def share_of_full(table: pd.DataFrame) -> float:
    """Returns full bars over bars; NaN where there is no bar."""
    total = table["bars"].sum()
    return float(table["full"].sum() / total) if total else float("nan")


def interval(table: pd.DataFrame, resamples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Returns the 2.5 and 97.5 % quantiles of the share of full bars over bootstrap samples of tunes."""
    full, total = table["full"].to_numpy(), table["bars"].to_numpy()
    picks = rng.integers(0, len(table), (resamples, len(table)))
    with np.errstate(invalid="ignore"):
        values = full[picks].sum(1) / total[picks].sum(1)
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)
