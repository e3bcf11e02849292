"""Is the model copying? Every bar and every few tokens of a tune, looked up in the data. (Part 5, first question.)

Definitions: tunes are compared without their meter and mode. A run of tokens is found in a data tune if it stands there
in this order without a gap; a bar is what stands between two measure tokens, found wherever its tokens stand, and at
the same place if they begin a bar of the same number (a pickup is bar 0). The share of bars found leaves out bars of
fewer than three tokens. The longest copied run is the longest run that some data tune holds. The nearest data tune
shares most with it by Dice's measure over distinct n-grams: twice those shared over those of both. Data tunes against
the rest of the data say how much of this real tunes do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd

from analyses.drawings import copied_scores
from analyses.drawings import copying as draw
from analyses.measures.common_runs import Run, common_runs
from analyses.measures.intervals import mean_interval, with_interval
from analyses.measures.ngram_index import WORD
from analyses.measures.tables import rows_of
from analyses.measures.tune_index import Library, bar_stretches, body, numbered_bars, tokens_of_bars
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation

SHORTEST_BAR = 3
"""Tokens that a bar needs to count among those found: a pickup of one note stands in every other tune."""
COUNTED_BARS = 8
"""Bars of the tune shown for which it is a metric in how many data tunes they stand: those of a first part."""
QUANTITIES = (
    "longest_run",
    "longest_run_share",
    "ngrams_found",
    "bars_found",
    "nearest_similarity",
    "whole_tune_found",
)


@dataclass(frozen=True)
class Copying(Analysis[Observation]):
    """How much of the observed tunes stands in the data, where, in which titles; and how much real tunes share."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ("shuffled",)
    main: ClassVar[Mapping[str, Main]] = {
        "longest_run_share": Main(
            "The longest run that stands in the data makes {:%} of a tune",
            "data_longest_run_share",
            "a data tune in the others",
        ),
        "ngrams_found": Main("{:%} of the n-grams stand in the data", "data_ngrams_found", "data tunes"),
        "nearest_similarity": Main(
            "The nearest tune of the data is alike to {}", "data_nearest_similarity", "data tunes"
        ),
    }

    ngram: int = 4
    shortest_run: int = 6
    """Tokens from which on a run that the tune shown has in common with its nearest data tune is marked in both."""
    controls: int = 200
    titles: int = 6
    tune: int = 0
    resamples: int = 1000

    def __post_init__(self) -> None:
        if not 2 <= self.ngram <= WORD:
            raise UserError(f"copying.ngram is {self.ngram}; it must be 2 to {WORD} tokens")
        if self.shortest_run < 2:
            raise UserError(f"copying.shortest_run is {self.shortest_run}; it must be at least 2 tokens")
        if self.controls < 0:
            raise UserError(f"copying.controls is {self.controls}; it must be at least 0 data tunes")

    def __call__(self, observation: Observation) -> Findings:
        if observation.data is None:
            raise UserError("analysis=copying compares with a dataset, and there is none; choose one with dataset=")
        k = min(self.tune, len(observation.transcriptions) - 1)
        library = Library(observation.data, self.ngram)
        tunes = [body(t.tokens(observation.vocabulary)) for t in observation.transcriptions]
        rng = np.random.default_rng(observation.seed)
        picked = np.sort(rng.permutation(len(observation.data))[: self.controls])
        seen = self.table(library, tunes)
        real = self.table(library, [library.bodies[n] for n in picked], picked.tolist())
        bar_rows, ngram_rows = self.bar_table(library, tunes[k]), self.ngram_table(library, tunes[k])
        tokens = tuple(observation.transcriptions[k].tokens(observation.vocabulary))
        mine = cast("pd.Series", seen.loc[k])
        other = library.corpus.tunes[int(mine["nearest"])].tokens if mine["nearest"] >= 0 else None
        shared = common_runs(body(tokens), body(other or ()), self.shortest_run)
        scores = copied_scores.marked(tokens, other, shared, mine, self.counts_below(tokens, bar_rows))
        figures = {
            "score": Figure(
                copied_scores.beside(*scores),
                self.caption_score(library, k, mine, shared),
                title=f"Tune {k} and the data tune nearest to it",
            ),
            "bars": Figure(
                self.draw_bars(library, bar_rows, mine),
                self.caption_bars(library, k, mine),
                title=f"How many data tunes hold each bar of tune {k}",
            ),
            "runs": Figure(
                draw.runs(tunes[k], ngram_rows, self.ngram),
                self.caption_runs(k, mine),
                title=f"How many data tunes hold each run of {self.ngram} tokens of tune {k}",
            ),
        }
        if len(tunes) > 1:
            figures["population"] = Figure(
                draw.population(seen, real),
                self.caption_population(seen, real),
                title=f"Longest runs of data tokens in {len(seen)} observed tunes, and in {len(real)} data tunes",
            )
        return Findings(
            metrics=self.metrics(seen, real, rng) | self.bar_metrics(library, bar_rows),
            figures=figures,
            pages={"score": copied_scores.as_page(scores, f"Tune {k} and the data tune that is nearest to it")},
            tables={"tunes": seen, "data": real, f"bars_tune{k}": bar_rows, f"ngrams_tune{k}": ngram_rows},
        )

    def metrics(self, seen: pd.DataFrame, real: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
        """Returns means over the observed tunes with their intervals, and over the data tunes (`data_…`)."""
        found = {}
        for name in QUANTITIES:
            mean, low, high = mean_interval(seen[name].to_numpy(float), self.resamples, rng)
            found |= with_interval(name, (mean, low, high))
            if len(real):
                found[f"data_{name}"] = float(real[name].astype(float).mean())
        found["longest_run_of_all"] = float(seen["longest_run"].max())
        return found

    def bar_metrics(self, library: Library, bar_rows: pd.DataFrame) -> dict[str, float]:
        """Returns in how many data tunes the first bars of the tune shown stand, and its first figure (an n-gram)."""
        found: dict[str, float] = {}
        for row in rows_of(bar_rows[bar_rows["bar"].between(1, COUNTED_BARS)]):
            found |= {
                f"bar_{row.bar}_tunes": float(row.tunes),
                f"bar_{row.bar}_same_place": float(row.tunes_same_place),
            }
        first = bar_rows.loc[bar_rows["bar"] == 1, "tokens"]
        figure = tuple(first.iloc[0].split()[: self.ngram]) if len(first) else ()
        return found | ({"figure_tunes": float(library.counts([figure])[figure])} if figure else {})

    def table(self, library: Library, tunes: Sequence[Sequence[str]], own: Sequence[int] | None = None) -> pd.DataFrame:
        """Returns one row per tune (tokens without header); `own` are their numbers in the data, which do not count."""
        ids = [library.encode(tune) for tune in tunes]
        longest = library.index.longest(ids, own)
        counts = library.counts([bar for tune in tunes for bar in tokens_of_bars(tune)] + library.ngrams_of(tunes))
        rows = []
        for n, tune in enumerate(tunes):
            lengths, places = longest[n]
            least = 1 if own is None else 2
            at = int(lengths.argmax()) if len(lengths) else -1
            nearest, similarity = library.nearest(tune, None if own is None else own[n])
            found_bars = [counts[bar] >= least for bar in tokens_of_bars(tune) if len(bar) >= SHORTEST_BAR]
            rows.append(
                {
                    "tune": n if own is None else own[n],
                    "tokens": len(tune),
                    "longest_run": int(lengths[at]) if at >= 0 else 0,
                    "longest_run_share": float(lengths[at] / len(tune)) if at >= 0 else float("nan"),
                    "longest_run_at": max(at, 0),
                    "run": " ".join(tune[at : at + int(lengths[at])]) if at >= 0 else "",
                    "run_in": library.title(int(library.index.tune_at(places[at])))
                    if self._is_known(places, at)
                    else "",
                    "ngrams_found": mean([counts[gram] >= least for gram in library.ngrams(tune)]),
                    "bars": len(found_bars),
                    "bars_found": mean(found_bars),
                    "nearest": nearest,
                    "nearest_title": library.title(nearest),
                    "nearest_similarity": similarity,
                    "whole_tune_found": bool(at >= 0 and lengths[at] == len(tune)),
                }
            )
        columns = ["tune", "tokens", "longest_run", "longest_run_share", "longest_run_at", "run", "run_in"]
        columns += [
            "ngrams_found",
            "bars",
            "bars_found",
            "nearest",
            "nearest_title",
            "nearest_similarity",
            "whole_tune_found",
        ]
        return pd.DataFrame(rows, columns=columns)

    def _is_known(self, places: np.ndarray, at: int) -> bool:
        return at >= 0 and places[at] >= 0

    def bar_table(self, library: Library, tune: Sequence[str]) -> pd.DataFrame:
        """Returns one row per bar: in how many data tunes, in how many as the bar of this number, where, titles."""
        rows = []
        for number, bar in numbered_bars(tune):
            where, place = library.occurrences(bar)
            at_bar = [library.bar_at(int(n), int(p)) for n, p in zip(where, place, strict=True)]
            same = {int(n) for n, b in zip(where, at_bar, strict=True) if b == number}
            others = Counter(b for b in at_bar if b is not None)
            titles = [library.title(n) for n in sorted(same) + [n for n in np.unique(where).tolist() if n not in same]]
            rows.append(
                {
                    "bar": number,
                    "tokens": " ".join(bar),
                    "tunes": len(np.unique(where)),
                    "tunes_same_place": len(same),
                    "at_bars": ", ".join(f"{b} ({n})" for b, n in others.most_common(self.titles)),
                    "titles": "; ".join(list(dict.fromkeys(titles))[: self.titles]),
                }
            )
        return pd.DataFrame(rows, columns=["bar", "tokens", "tunes", "tunes_same_place", "at_bars", "titles"])

    def ngram_table(self, library: Library, tune: Sequence[str]) -> pd.DataFrame:
        """Returns one row per token: the n-gram from there on, its data tunes, the longest copied run from there."""
        [(lengths, places)] = library.index.longest([library.encode(tune)])
        grams = library.ngrams(tune)
        counts = library.counts(grams)
        rows = [
            {
                "token": n,
                "ngram": " ".join(grams[n]) if n < len(grams) else "",
                "tunes": counts[grams[n]] if n < len(grams) else np.nan,
                "run": int(lengths[n]),
                "run_in": library.title(int(library.index.tune_at(places[n]))) if places[n] >= 0 else "",
            }
            for n in range(len(tune))
        ]
        return pd.DataFrame(rows, columns=["token", "ngram", "tunes", "run", "run_in"])

    def counts_below(self, tokens: Sequence[str], bar_rows: pd.DataFrame) -> list[tuple[int, int, str]]:
        """Returns what is written below the bars of a score: (first token, the one behind the last, data tunes)."""
        header = len(tokens) - len(body(tokens))
        return [
            (header + start, header + stop, f"{bar.tunes:,} ({bar.tunes_same_place:,})")
            for (start, stop), bar in zip(bar_stretches(body(tokens)), rows_of(bar_rows), strict=True)
            if stop - start >= SHORTEST_BAR
        ]

    def draw_bars(self, library: Library, bar_rows: pd.DataFrame, row: pd.Series) -> Any:
        nearest = int(row["nearest"])
        return draw.bars(bar_rows, library.bodies[nearest] if nearest >= 0 else (), row["nearest_title"])

    def caption_score(self, library: Library, k: int, row: pd.Series, shared: Sequence[Run]) -> str:
        if row["nearest"] < 0:
            return f"Tune {k}; no data tune shares {self.ngram} tokens in a row with it."
        marked = (
            f"In colour: runs of at least {self.shortest_run} tokens that stand in both, no token in two of them, "
            f"the longest of {shared[0].length} tokens. "
            if shared
            else f"They have no run of {self.shortest_run} tokens in common. "
        )
        return (
            f"Tune {k} and the data tune that is nearest to it, “{row['nearest_title']}” "
            f"({row['nearest_similarity']:.0%} of the {self.ngram}-grams of both shared). {marked}Underlined: "
            f"the longest run any data tune holds, {row['longest_run']} of {row['tokens']} tokens (“{row['run_in']}”); "
            f"below each bar: data tunes, of {len(library.bodies):,}, that hold its tokens (in parentheses: as the bar "
            "of the same number). After part 5, whose tune has a first bar that begins 3 of 23,636 tunes and others "
            "found nowhere, and after Figs. 1 and 2 of the paper."
        )

    def caption_bars(self, library: Library, k: int, row: pd.Series) -> str:
        near = (
            f"Right: the nearest data tune, “{row['nearest_title']}”; bars that stand in both are coloured."
            if row["nearest"] >= 0
            else "No data tune shares an n-gram with it."
        )
        return (
            f"Tune {k} as tokens. Left: each bar and the number of data tunes, of {len(library.bodies):,}, in which "
            f"its tokens stand (in parentheses: as the bar of the same number). {near}"
        )

    def caption_runs(self, k: int, row: pd.Series) -> str:
        return (
            f"Tune {k}: the longest copied run that covers each token (the longest of all: {row['longest_run']} of "
            f"{row['tokens']} tokens, in “{row['run_in']}”), and the number of data tunes that hold the {self.ngram} "
            "tokens from there on; none where there is no bar."
        )

    def caption_population(self, seen: pd.DataFrame, real: pd.DataFrame) -> str:
        return (
            f"{len(seen):,} observed tunes and {len(real):,} data tunes against the rest of the data: share of tunes "
            f"with at most so long a copied run (means {seen['longest_run'].mean():.1f} and "
            f"{real['longest_run'].mean():.1f} tokens), with so many of their bars found, with so near a neighbour. "
            "A model that copied would lie to the right of the data."
        )


def mean(values: Sequence[Any]) -> float:
    """Returns the mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")
