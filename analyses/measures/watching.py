"""Some tokens watched along tunes: how likely the model as it is holds them, and what came in their place.

The probability is that of the unchanged model reading what was written. A watched token was replaced where an
intervention has written it down (it suppressed the token); for interventions that suppress nothing, where the
unchanged model, given the number that drew the token there (at temperature 1), would have drawn a watched one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from analyses.measures.bar_time import at_and_between, by_time
from analyses.measures.intervals import mean_interval
from analyses.measures.tables import rows_of
from folkrnn.interventions.windows import token_ids
from folkrnn.models.rng import draw
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import Vocabulary

WINDOW = 16
"""Steps over which the mean probability is taken."""
FEWEST = 5
"""Tunes that must reach a window for its mean to be shown."""
RESAMPLES = 500


@dataclass(frozen=True)
class Watched:
    """The watched tokens along every tune before and after."""

    words: str
    probability: dict[str, list[np.ndarray]]
    """By side (control, changed): the probability of all watched tokens together at each step of each tune, `[T]`."""
    substitutes: list[list[tuple[int, str]]]
    """Per tune: (step, token that came in the place of a watched one)."""
    tunes: pd.DataFrame
    """One row per tune: how often watched tokens stand in it before and after, and were replaced."""
    suppressed: bool = False
    """Whether an intervention says of itself which tokens it put in whose place."""
    times: pd.DataFrame | None = None
    """Where measure tokens are watched: the probability by the time since the last one that was written, and side."""
    seed: int = 0

    def own(self, k: int) -> np.ndarray:
        return self.probability["changed"][k]

    def replaced(self, k: int) -> list[tuple[int, str]]:
        return self.substitutes[k]

    @property
    def by_step(self) -> pd.DataFrame:
        """One row per side and step: the mean probability over the tunes that are that long."""
        frames = []
        for side, rows in self.probability.items():
            longest = max(map(len, rows))
            stacked = np.full((len(rows), longest), np.nan)
            for row, values in zip(stacked, rows, strict=True):
                row[: len(values)] = values
            count = np.isfinite(stacked).sum(0)
            mean = np.where(np.isfinite(stacked), stacked, 0).sum(0) / count
            frames.append(pd.DataFrame({"side": side, "step": np.arange(longest), "probability": mean, "tunes": count}))
        return pd.concat(frames, ignore_index=True)

    def by_window(self) -> pd.DataFrame:
        """Returns one row per side and window of WINDOW steps: mean over tunes of their mean, with its interval."""
        rng = np.random.default_rng(self.seed)
        rows = []
        for side, tunes in self.probability.items():
            for start in range(0, max(map(len, tunes)), WINDOW):
                means = [part.mean() for part in (tune[start : start + WINDOW] for tune in tunes) if len(part)]
                if len(means) < min(FEWEST, len(tunes)):
                    break
                mean, low, high = mean_interval(np.array(means), RESAMPLES, rng)
                low, high = (mean, mean) if len(means) == 1 else (low, high)
                rows.append({"side": side, "step": start + WINDOW / 2, "probability": mean, "low": low, "high": high})
        return pd.DataFrame(rows)

    def metrics(self) -> dict[str, float]:
        """Returns how often watched tokens come, how likely they are held, early and late, and were replaced."""
        after = [tune for tune in self.probability["changed"] if len(tune)]
        drawn = sum(map(len, after))
        thirds = [(tune[: -(-len(tune) // 3)].mean(), tune[-(-len(tune) // 3) * 2 :]) for tune in after]
        late = [part.mean() for _, part in thirds if len(part)]
        return {
            "watched_per_tune": float(self.tunes["changed"].mean()),
            "control_watched_per_tune": float(self.tunes["control"].mean()),
            "watched_absent": float((self.tunes["changed"] == 0).mean()),
            "control_watched_absent": float((self.tunes["control"] == 0).mean()),
            "watched_probability": float(sum(tune.sum() for tune in after) / drawn),
            "watched_probability_first_third": float(np.mean([first for first, _ in thirds])),
            "watched_probability_last_third": float(np.mean(late)) if late else float("nan"),
            "watched_probability_peak_late": float(np.mean([tune[len(tune) // 2 :].max() for tune in after])),
            "replaced_per_tune": float(self.tunes["replaced"].mean()),
        } | self._by_time()

    def _by_time(self) -> dict[str, float]:
        if self.times is None:
            return {}
        found = at_and_between(self.times[self.times["side"] == "changed"])
        return {f"watched_probability_{name}": value for name, value in found.items()}


def watch_tokens(observation: Observation, control: Observation, words: str | None) -> Watched | None:
    """Returns the tokens and token types that `words` names along all tunes before and after; None for no words.

    Raises UserError for a word that is neither a token nor a type.
    """
    if not words:
        return None
    vocabulary = control.vocabulary
    ids = list(token_ids(words, vocabulary))
    probability: dict[str, list[np.ndarray]] = {}
    substitutes = recorded_substitutes(observation, vocabulary, ids)
    told = substitutes is not None
    substitutes = substitutes or [[] for _ in observation.transcriptions]
    for side, seen in (("control", control), ("changed", observation)):
        reader = Observation(control.model, vocabulary, seen.transcriptions, seed=control.seed)
        found: dict[int, np.ndarray] = {}
        for k, activations in reader.each(["probs"]):
            distribution = activations["probs"]
            found[k] = distribution[:, ids].astype(float).sum(1)
            if side == "changed" and not told:
                transcription = seen.transcriptions[k]
                substitutes[k] = replaced(distribution, transcription.ids, transcription.uniform, ids, vocabulary)
        probability[side] = [found[k] for k in range(len(seen.transcriptions))]
    counts = {
        side: [int(np.isin(t.ids, ids).sum()) for t in seen.transcriptions]
        for side, seen in (("control", control), ("changed", observation))
    }
    table = pd.DataFrame({"tune": np.arange(len(substitutes)), **counts, "replaced": [len(s) for s in substitutes]})
    table["substitutes"] = [" ".join(_most(Counter(token for _, token in some))) for some in substitutes]
    times = None
    if set(ids) & set(vocabulary.of_type("measure")):
        frames = [
            by_time(
                [seen.tokens(k) for k in range(len(seen.transcriptions))],
                probability[side],
                np.random.default_rng([control.seed, 2]),
            ).assign(side=side)
            for side, seen in (("control", control), ("changed", observation))
        ]
        times = pd.concat(frames, ignore_index=True) if any(map(len, frames)) else None
    return Watched(words, probability, substitutes, table, told, times, control.seed)


def recorded_substitutes(
    observation: Observation, vocabulary: Vocabulary, watched: Sequence[int]
) -> list[list[tuple[int, str]]] | None:
    """Returns per tune (step, token that came in the place of a suppressed one); None where nothing was suppressed."""
    tables = [effect.tables["steps"] for effect in observation.effects if "steps" in effect.tables]
    tables = [table for table in tables if "substitute_token" in table.columns]
    if not tables:
        return None
    found: list[list[tuple[int, str]]] = [[] for _ in observation.transcriptions]
    names = {vocabulary.tokens[i] for i in watched}
    for row in rows_of(pd.concat(tables).sort_values(["tune", "step"])):
        if row.suppressed_token in names:
            found[int(row.tune)].append((int(row.step), row.substitute_token))
    return found


def replaced(
    distribution: np.ndarray, ids: np.ndarray, uniform: np.ndarray, watched: Sequence[int], vocabulary: Vocabulary
) -> list[tuple[int, str]]:
    """Returns (step, token that stands there) where `distribution [T, V]` and `uniform [T]` give a watched token,
    `ids` not.
    """
    drawn = np.isfinite(uniform)
    wanted = np.full(len(uniform), -1)
    if drawn.any():
        picked = draw(torch.from_numpy(distribution[drawn].astype(float)), torch.from_numpy(uniform[drawn]))
        wanted[drawn] = picked.numpy()
    steps = np.flatnonzero(np.isin(wanted, watched) & ~np.isin(ids[1:], watched))
    return [(int(t), vocabulary.tokens[ids[t + 1]]) for t in steps]


def _most(counts: Counter[str]) -> list[str]:
    return [f"{token}×{count}" for token, count in counts.most_common(8)]
