"""How tunes are filed: the card of their corpus, ABC, and how each token was drawn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

import folkrnn.notation
from folkrnn.datasets.corpus import Corpus, shares
from folkrnn.files.cache import cache_key, cached_json
from folkrnn.notation.bars import share_of_full_bars
from folkrnn.notation.score import to_abc
from folkrnn.observation.observation import Observation

AT_ONCE = 256
"""Tunes whose rows of `tunes/draws.csv` are one table."""


def as_abc(observation: Observation) -> str:
    """Returns all tunes as one ABC text."""
    tunes = [t.tokens(observation.vocabulary) for t in observation.transcriptions]
    titled = enumerate(zip(tunes, titles_of(observation), strict=True), 1)
    return "\n".join(to_abc(tokens, title, k) for k, (tokens, title) in titled)


def draws(observation: Observation) -> Iterator[str]:
    """Yields CSV with one row per token: tune, step, token, origin (given, drawn, replayed), probability, uniform.

    In parts of AT_ONCE tunes: as one table those of many take ten times the memory of their text.
    """
    for first in range(0, len(observation.transcriptions), AT_ONCE):
        numbers = range(len(observation.transcriptions))[first : first + AT_ONCE]
        table = pd.concat([draws_of(observation, k) for k in numbers], ignore_index=True)
        yield table.to_csv(index=False, header=first == 0)


def draws_of(observation: Observation, k: int) -> pd.DataFrame:
    """Returns these rows of transcription k."""
    t = observation.transcriptions[k]
    return pd.DataFrame(
        {
            "tune": k,
            "step": np.arange(len(t.ids) - 1),
            "token": observation.vocabulary.decode(t.ids[1:]),
            "origin": t.origin,
            "probability": t.probability,
            "uniform": t.uniform,
        }
    )


def titles_of(observation: Observation) -> list[str]:
    """Returns a title for each transcription: its own, or its number."""
    return [t.title or f"No. {k + 1}" for k, t in enumerate(observation.transcriptions)]


def _full_bars(corpus: Corpus) -> dict[str, float]:
    """Returns the share of full bars by meter token, and of all; counted once, since a large corpus takes seconds."""

    def counted() -> dict[str, float]:
        found = share_of_full_bars([list(tune.tokens) for tune in corpus.tunes])
        return {meter: full.share for meter, full in found.items()}

    return cached_json(f"full-bars-{cache_key([('corpus', corpus.digest)], folkrnn.notation)}", counted)


def dataset_card(corpus: Corpus) -> str:
    """Returns the dataset card in Markdown: sizes, meters, modes, share of full bars, what was left out, terms."""
    profile = corpus.profile()
    quantiles = {name.removeprefix("length_q"): value for name, value in profile.items() if name.startswith("length_q")}
    full = _full_bars(corpus)
    lines = [
        f"# Dataset {corpus.name}",
        "",
        f"{len(corpus):,} tunes, {profile['tokens']:,.0f} tokens with `<s>` and `</s>`; digest `{corpus.digest}`.",
        "",
        "| quantile | " + " | ".join(f"{name} %" for name in quantiles) + " |",
        "|---|" + "---|" * len(quantiles),
        "| length in tokens | " + " | ".join(f"{value:g}" for value in quantiles.values()) + " |",
        "",
        "| meter | share of tunes | share of full bars |",
        "|---|---|---|",
        *(
            f"| {meter} | {share:.1%} | {full['M:' + meter]:.1%} |"
            for meter, share in shares([tune.meter for tune in corpus.tunes]).items()
        ),
        f"| all | 100 % | {full['all']:.1%} |",
        "",
        "| mode | share of tunes |",
        "|---|---|",
        *(f"| {mode} | {share:.1%} |" for mode, share in shares([tune.mode for tune in corpus.tunes]).items()),
        "",
        "| left out | tunes | because | for example |",
        "|---|---|---|---|",
        *(
            f"| {reason} | {count} | {why} | {example.replace('|', chr(92) + '|')} |"
            for reason, count, why, example in corpus.reasons()
        ),
        "",
        "## Terms",
        "",
        *(f"- **{name}**: {terms}" for name, terms in corpus.terms.items()),
    ]
    return "\n".join(lines) + "\n"
