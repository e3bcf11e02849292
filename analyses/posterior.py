"""What does the softmax say at each step? (Part 5 of the blog.)

Definitions: row t is the distribution of token t + 1 given all before it, at temperature 1. Entropy is in nats (a
uniform distribution over 137 tokens has 4.92). The spacing of the measure spikes is the most frequent distance between
successive steps at which the measure tokens together hold more than half of the probability. A token is likely from a
probability of 0.05. Accidentals shadow the melody as far as the mean pitch of their probability, over the steps that
draw a note, correlates with the pitch drawn. The spread of a distribution is the perplexity of its pitches. Trends are
Spearman's correlations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import population, stretch
from analyses.drawings import posterior as draw
from analyses.drawings.over_tokens import over_tokens
from analyses.measures import distributions
from analyses.measures.intervals import mean_interval, ratio_interval, with_interval
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.findings import Figure, Findings, Main
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import TYPES, Vocabulary

if TYPE_CHECKING:
    import matplotlib.figure

EVENTS = ("|", "(3", "/2")
"""Tokens whose probability is drawn over time (part 5)."""

SPACINGS = ("measure_spike_spacing", "bar_spacing")
PER_STEP = ("nats_per_token", "entropy", "triplet_probability", "semiquaver_probability", "broken_rhythm_probability")
"""Means over all steps of all tunes; the other numbers are means over tunes."""


@dataclass(frozen=True)
class Posterior(Analysis[Observation]):
    """Draws log₁₀ p over tokens and steps, the probability of each token type over time, and the entropy."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    main: ClassVar[Mapping[str, Main]] = {
        "nats_per_token": Main("A token of these tunes costs {} nats"),
        "entropy": Main("What comes next has an entropy of {} nats"),
        "measure_spike_spacing": Main("A bar line is expected every {} tokens", "bar_spacing", "the bar lines written"),
    }

    tune: int = 0
    """Which transcription the figures show."""
    floor: float = -10.0
    """Smallest log₁₀ p that is drawn (part 5)."""
    spike: float = 0.5
    """Probability of all measure tokens together above which a step counts as a spike."""
    likely: float = 0.05
    """Probability from which a token counts as likely."""
    resamples: int = 1000
    """Bootstrap samples behind each interval."""

    def __call__(self, observation: Observation) -> Findings:
        k = min(self.tune, len(observation.transcriptions) - 1)
        distribution, tokens, ids = observation.posterior(k), observation.tokens(k), observation.transcriptions[k].ids
        numbers = {
            n: self.measure(observation, n, activations["probs"]) for n, activations in observation.each(["probs"])
        }
        spacing = {
            name: _most_frequent(step for row in numbers.values() for step in row.pop(name)) for name in SPACINGS
        }
        table = pd.DataFrame([{"tune": n} | numbers[n] for n in sorted(numbers)])
        vocabulary = observation.vocabulary
        rows, drawn, centre = distributions.shadow(distribution, ids, vocabulary)
        waiting = [
            vocabulary.tokens[i] for i in distributions.likely_undrawn(distribution, ids, self.likely, vocabulary)
        ]
        marked = distributions.often_likely(distribution, distributions.accidentals(vocabulary), self.likely, 2)
        metrics = self.metrics(table, np.random.default_rng(observation.seed))
        part, said = stretch.shown(len(distribution)), stretch.said(len(distribution))
        seen, followed, starts = (
            distribution[part],
            tokens[1:][part],
            distributions.part_starts(tokens, ids, vocabulary),
        )
        inside = rows < len(seen)
        return Findings(
            metrics=metrics | spacing,
            figures={
                "log10": Figure(
                    self.draw_distribution(observation, k, seen),
                    _CAPTION_LAW.format(tune=k, floor=self.floor) + said,
                    title=f"Probability of every token at every step of tune {k}",
                ),
                "types": Figure(
                    self.draw_types(observation, k, seen),
                    _CAPTION_TYPES.format(tune=k) + said,
                    title=f"Probability of each token type over tune {k}, and its entropy",
                ),
                "events": Figure(
                    draw.events(followed, self.events(vocabulary, seen), 0.01),
                    self.caption_events(k, tokens, waiting) + said,
                    title=f"Probability of bar lines, triplets and short notes over tune {k}",
                ),
                "shadow": Figure(
                    draw.shadow(
                        followed,
                        rows[inside],
                        drawn[inside],
                        centre[inside],
                        distributions.pitch_spread(seen, vocabulary),
                        starts[starts < len(seen)],
                    ),
                    self.caption_shadow(k, table) + said,
                    title=f"Where tune {k} goes, where its accidentals would go, and how free the pitch is",
                ),
            }
            | self.population(table, metrics),
            tables={"tunes": table, "types": self.type_shares(observation, distribution)},
            arrays={f"tune{k}": {"probs": distribution.astype(np.float32), "ids": ids}},
            lists={"likely_undrawn": waiting, "likely_accidentals": vocabulary.decode(marked)},
        )

    def metrics(self, table: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
        """Returns the numbers of `measure` over all tunes with 95 % bootstrap intervals; the first two per step."""
        steps, found = table["steps"].to_numpy(), {}
        for name in table.columns.drop(["tune", "steps"]):
            values = table[name].to_numpy(float)
            if name in PER_STEP:
                found |= with_interval(name, ratio_interval(values * steps, steps, self.resamples, rng))
            else:
                found |= with_interval(name, mean_interval(values, self.resamples, rng))
        return found

    def measure(self, observation: Observation, k: int, distribution: np.ndarray) -> dict[str, Any]:
        """Returns the numbers of one tune, and the spacings of its measure spikes and of its measure tokens."""
        vocabulary, ids, tokens = observation.vocabulary, observation.transcriptions[k].ids, observation.tokens(k)
        of_measure = list(vocabulary.of_type("measure"))
        spread = distributions.pitch_spread(distribution, vocabulary)
        starts = distributions.part_starts(tokens, ids, vocabulary)
        later = np.setdiff1d(np.flatnonzero(np.isin(ids[1:], vocabulary.of_type("pitch"))), starts)
        broken = distributions.broken_rhythms(vocabulary)
        with np.errstate(divide="ignore"):  # infinite where the model held what followed for impossible
            cost = -np.log(distribution[np.arange(len(distribution)), ids[1:]])
        return {
            "steps": len(distribution),
            "nats_per_token": float(cost.mean()),
            "entropy": float(distributions.entropy(distribution).mean()),
            "triplet_probability": _mass(distribution, vocabulary, "(3"),
            "semiquaver_probability": _mass(distribution, vocabulary, "/2"),
            "broken_rhythm_probability": float(distribution[:, broken].sum(1).mean()),
            "broken_rhythm_trend": distributions.trend(distribution, ids, broken, vocabulary),
            "likely_undrawn_tokens": float(
                len(distributions.likely_undrawn(distribution, ids, self.likely, vocabulary))
            ),
            "accidental_shadow": distributions.shadow_correlation(distribution, ids, vocabulary),
            "pitch_spread_at_starts": _mean(spread[starts]),
            "pitch_spread_elsewhere": _mean(spread[later]),
            "measure_spike_spacing": spike_spacings(distribution[:, of_measure].sum(1), self.spike),
            "bar_spacing": [gap for gap in spike_spacings(np.isin(ids, of_measure), 0.5) if gap > 1],
        }

    def events(self, vocabulary: Vocabulary, distribution: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the probability of bar lines, triplets, semiquavers and broken rhythms over the steps, `[T]` each."""
        found = {token: distribution[:, vocabulary.index[token]] for token in EVENTS if token in vocabulary.index}
        broken = distributions.broken_rhythms(vocabulary)
        return found | ({"> <": distribution[:, broken].sum(1)} if broken else {})

    def caption_events(self, k: int, tokens: Sequence[str], waiting: Sequence[str]) -> str:
        drawn = [name for name in ("(3", "/2") if name in tokens]
        never = "” and no “".join(name for name in ("(3", "/2") if name not in drawn)
        return (
            f"Tune {k}: the probability of a bar line, of a triplet, of a semiquaver and of any broken rhythm at every "
            f"step; dots: it was drawn; dashed: 0.01, around which part 5 sees “(3” and “/2” fluctuate. "
            + (f"The tune has no “{never}”. " if never else "")
            + f"Reaching {self.likely:g} without ever being drawn: {' '.join(waiting[:12]) or 'no token'}."
        )

    def caption_shadow(self, k: int, table: pd.DataFrame) -> str:
        mean = table.mean(numeric_only=True)
        return (
            f"Tune {k}: the melody and the mean pitch of the probability on accidentals (top: part 5 sees it shadow "
            f"the contour; mean correlation over {len(table)} tunes {mean['accidental_shadow']:.2f}), and over how "
            f"many pitches the distribution spreads (bottom): {mean['pitch_spread_at_starts']:.1f} at the first note "
            f"of a part, {mean['pitch_spread_elsewhere']:.1f} elsewhere."
        )

    def population(self, table: pd.DataFrame, metrics: Mapping[str, float]) -> dict[str, Figure]:
        """Returns how the numbers are distributed over tunes; nothing of one tune."""
        if len(table) < 2:
            return {}
        shown = [
            population.of(label, table, metrics, {"": name} if isinstance(name, str) else name)
            for name, label in _SHOWN
        ]
        caption = _CAPTION_POPULATION.format(tunes=len(table))
        return {
            "population": Figure(
                population.distributions(shown), caption, title=f"Numbers of the distributions, over {len(table)} tunes"
            )
        }

    def type_shares(self, observation: Observation, distribution: np.ndarray) -> pd.DataFrame:
        """Returns the probability of each token type at each step, one row per step."""
        shares = {name: distribution[:, observation.vocabulary.of_type(name)].sum(1) for name in TYPES}
        return pd.DataFrame(shares).rename_axis("step")

    def draw_distribution(self, observation: Observation, k: int, distribution: np.ndarray) -> matplotlib.figure.Figure:
        vocabulary, tokens = observation.vocabulary, observation.tokens(k)
        order = list(vocabulary.plot_order)
        figure = style.figure(height=max(3.2, 0.04 * len(distribution)))
        axes = figure.subplots()
        with np.errstate(divide="ignore"):
            image = np.ma.masked_less(np.log10(distribution[:, order]), self.floor)
        shown = axes.imshow(image, aspect="auto", origin="lower", cmap="viridis", vmin=self.floor, vmax=0)
        over_tokens([axes], vocabulary)
        style.token_axis(axes, tokens[1 : len(distribution) + 1], axis="y")
        drawn = [order.index(i) for i in observation.transcriptions[k].ids[1 : len(distribution) + 1]]
        axes.plot(drawn, range(len(drawn)), ".", markersize=2.5, color=style.ACCENT, label="token that followed")
        axes.set_ylabel("step (the token that followed)")
        axes.set_xlabel("token, by type")
        figure.colorbar(shown, ax=axes, label="log₁₀ p", fraction=0.03, pad=0.01)
        return figure

    def draw_types(self, observation: Observation, k: int, distribution: np.ndarray) -> matplotlib.figure.Figure:
        tokens = observation.tokens(k)[1 : len(distribution) + 1]
        figure = style.figure(height=3.7)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        shares = self.type_shares(observation, distribution)
        upper.stackplot(
            range(len(distribution)),
            *(shares[name] for name in TYPES),
            labels=TYPES,
            colors=[style.TYPE_COLOURS[name] for name in TYPES],
            step="mid",
        )
        upper.set_ylim(0, 1)
        upper.set_ylabel("probability")
        upper.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
        lower.plot(distributions.entropy(distribution), drawstyle="steps-mid", color=style.INK, linewidth=0.9)
        lower.set_ylabel("entropy (nats)")
        lower.set_ylim(bottom=0)
        lower.set_xlim(-0.5, len(distribution) - 0.5)
        for axes in (upper, lower):
            style.bar_lines(axes, tokens)
        style.token_axis(lower, tokens, axis="x")
        lower.set_xlabel("step (the token that followed)")
        return figure


def spike_spacings(mass: Sequence[float] | np.ndarray, threshold: float) -> list[int]:
    """Returns distances between successive steps at which `mass` exceeds `threshold`."""
    return np.diff(np.flatnonzero(np.asarray(mass) > threshold)).tolist()


def _most_frequent(steps: Iterable[int]) -> float:
    most = Counter(steps).most_common(1)
    return float(most[0][0]) if most else float("nan")


def _mass(distribution: np.ndarray, vocabulary: Vocabulary, token: str) -> float:
    return float(distribution[:, vocabulary.index[token]].mean()) if token in vocabulary.index else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


_SHOWN: tuple[tuple[str | dict[str, str], str], ...] = (
    ("nats_per_token", "nats per token"),
    ("entropy", "entropy of a distribution (nats)"),
    ("triplet_probability", "probability of (3"),
    ("semiquaver_probability", "probability of /2"),
    ("broken_rhythm_trend", "trend of broken rhythms over a tune (Spearman)"),
    ("accidental_shadow", "r of accidentals and melody"),
    ({"starts": "pitch_spread_at_starts", "elsewhere": "pitch_spread_elsewhere"}, "pitches (perplexity)"),
    ("likely_undrawn_tokens", "tokens that are likely but never drawn"),
)
_CAPTION_POPULATION = (
    "{tunes} tunes: how the numbers of part 5 are distributed over them; line and band are the mean (the first four: "
    "over all steps) and its 95 % bootstrap interval."
)
_CAPTION_LAW = (
    "Tune {tune}: log₁₀ of the probability of every token (x, grouped by type) at every step (y, bottom to top); blank "
    "below {floor:g}. Dots mark the token that followed. After part 5 of “Making sense of the folk-rnn v2 model”."
)
_CAPTION_TYPES = (
    "Tune {tune}: the probability of each token type over time, and the entropy of the distribution; vertical lines "
    "are measure tokens. Spikes of “measure” come once a bar where the model counts."
)
