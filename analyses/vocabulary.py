"""Which dimension is which token, and where are the parameters? (Part 1 of the blog; facts sheet sections 1.3 and 4.5.)

Token ids count from 0; the paper counts from 1 (its token 106 is our 105). Parameters are counted in the three ways of
the sources: weights and one bias per gate (v2: 5,599,881, the paper's number), with the initial states that the paper's
description includes (5,602,953), and with the identity matrix that Lasagne's own counter prints (5,621,722).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings.over_tokens import over_tokens, token_counts
from folkrnn import style
from folkrnn.analysis import Analysis
from folkrnn.findings import Figure, Findings, Main
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.recurrent import GATES
from folkrnn.observation.observation import Observation
from folkrnn.vocabulary import TYPES, Vocabulary

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure


@dataclass(frozen=True)
class VocabularyTable(Analysis[Observation]):
    """Lists tokens by type and index, how often each occurs, and the parameters block by block."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    repeated_on: ClassVar[tuple[str, ...]] = ()
    main: ClassVar[Mapping[str, Main]] = {
        "parameters": Main("The model has {} parameters"),
        "tokens": Main("It knows {} tokens"),
        "unigram_entropy": Main("Without context a token costs {} nats"),
    }

    columns: int = 18
    """Tokens side by side in the drawn list."""

    def __call__(self, observation: Observation) -> Findings:
        vocabulary, model = observation.vocabulary, observation.model
        tokens = self.table(observation)
        blocks = parameter_blocks(model)
        types = Counter(vocabulary.types)
        metrics = {"tokens": float(len(vocabulary))}
        metrics |= {f"parameters{suffix}": float(count) for suffix, count in parameter_counts(model).items()}
        metrics["unigram_entropy"] = unigram_entropy(tokens["observed"].to_numpy())
        metrics["tokens_never_seen"] = float((tokens["observed"] == 0).sum())
        if observation.data is not None:
            lengths = np.array([len(ids) for ids in observation.data.ids], dtype=float)
            left_out = sum(observation.data.rejections.values())
            metrics |= {"data_tunes": float(len(lengths)), "data_tokens": float(lengths.sum())}
            metrics["data_tunes_with_left_out"] = float(len(lengths) + left_out)
            metrics |= {f"data_length_{name}": float(of(lengths)) for name, of in _LENGTHS.items()}
            metrics["unigram_entropy_data"] = unigram_entropy(tokens["data"].to_numpy())
            metrics["tokens_never_in_data"] = float((tokens["data"] == 0).sum())
        metrics |= {f"tokens_{name}": float(types[name]) for name in TYPES}
        figures = {
            "tokens": Figure(
                self.draw_list(vocabulary), self.caption_list(vocabulary), title=f"The {len(vocabulary)} tokens by type"
            ),
            "frequency": Figure(
                self.draw_frequency(vocabulary, tokens),
                _CAPTION_FREQUENCY,
                title="How often each token stands in the data and in what the model writes",
            ),
        }
        return Findings(metrics, figures, {"tokens": tokens, "parameters": blocks})

    def table(self, observation: Observation) -> pd.DataFrame:
        """Returns one row per token in index order: type, place by type, count and share in the tunes and the data."""
        vocabulary = observation.vocabulary
        seen = np.concatenate([t.ids for t in observation.transcriptions])
        observed = np.bincount(seen, minlength=len(vocabulary))
        found = pd.DataFrame({"id": range(len(vocabulary)), "token": vocabulary.tokens, "type": vocabulary.types})
        found["id_from_1"] = found["id"] + 1
        found["place_by_type"] = np.argsort(vocabulary.plot_order)
        found["observed"], found["observed_share"] = observed, observed / observed.sum()
        if observation.data is not None:
            counts = token_counts(observation.data, vocabulary)
            found["data"], found["data_share"] = counts, counts / counts.sum()
        return found

    def draw_list(self, vocabulary: Vocabulary) -> matplotlib.figure.Figure:
        places = list_places(vocabulary, self.columns)
        rows = 1 + max(row for row, _ in places.values())
        figure = style.figure(height=0.29 * rows + 0.16)
        axes = figure.subplots()
        named: set[str] = set()
        for i, (row, column) in places.items():
            name = vocabulary.types[i]
            colour = style.TYPE_COLOURS[name]
            size = 10.5 if len(vocabulary.tokens[i]) <= 4 else 6.5
            axes.text(column, row, vocabulary.tokens[i], family="DejaVu Sans Mono", ha="center", va="center", size=size)
            axes.text(column, row + 0.42, str(i), color=colour, ha="center", va="center", size=6.5)
            axes.plot([column - 0.42, column + 0.42], [row - 0.38] * 2, color=colour, linewidth=1.6)
            if name not in named:
                count = vocabulary.types.count(name)
                axes.text(-0.7, row, f"{name} ({count})", color=colour, ha="right", va="center", size=8.5)
                named.add(name)
        axes.set_xlim(-3.6, self.columns - 0.4)
        axes.set_ylim(rows - 0.4, -0.5)
        axes.set_axis_off()
        return figure

    def draw_frequency(self, vocabulary: Vocabulary, tokens: pd.DataFrame) -> matplotlib.figure.Figure:
        order = list(vocabulary.plot_order)
        figure = style.figure(height=3.2)
        axes = figure.subplots()
        colours = [style.TYPE_COLOURS[vocabulary.types[i]] for i in order]
        base = "data_share" if "data_share" in tokens else "observed_share"
        share = tokens[base].to_numpy()[order]
        axes.bar(range(len(order)), share, 0.8, color=colours, alpha=0.55 if base == "data_share" else 1.0)
        if base == "data_share":
            observed = tokens["observed_share"].to_numpy()[order]
            shown = np.where(observed > 0, observed, np.nan)
            axes.plot(shown, "o", color=style.INK, markersize=2.4, label="observed tunes")
        axes.set_yscale("log")
        axes.set_ylabel("share of tokens" + (" (bars: data)" if base == "data_share" else ""))
        over_tokens([axes], vocabulary)
        if base == "data_share":
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower right")
        return figure

    def caption_list(self, vocabulary: Vocabulary) -> str:
        return (
            f"The {len(vocabulary)} tokens by type; under each its index, counted from 0 (the paper counts from 1). "
            "After part 1 of “Making sense of the folk-rnn v2 model”."
        )


def list_places(vocabulary: Vocabulary, columns: int) -> dict[int, tuple[int, int]]:
    """Returns the (row, column) of each token id in a list `columns` wide in which every type begins a new row."""
    places: dict[int, tuple[int, int]] = {}
    row, column, last = -1, 0, ""
    for i in vocabulary.plot_order:
        if vocabulary.types[i] != last or column == columns:
            row, column, last = row + 1, 0, vocabulary.types[i]
        places[i] = (row, column)
        column += 1
    return places


def unigram_entropy(counts: np.ndarray) -> float:
    """Returns the entropy in nats of the distribution that `counts [V]` are proportional to; NaN where all are 0."""
    if not counts.sum():
        return float("nan")
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def parameter_blocks(model: FolkRNN) -> pd.DataFrame:
    """Returns one row per matrix and vector, gate by gate: block, name in the paper, rows, columns, count."""
    rows = []
    for k, layer in enumerate(model.layers, 1):
        for gate in GATES[model.cell]:
            shown = "c" if (model.cell, gate) == ("lstm", "g") else gate
            rows.append((f"layer {k}", f"W_x{shown}", layer.units, layer.inputs))
            rows.append((f"layer {k}", f"W_h{shown}", layer.units, layer.units))
            rows.append((f"layer {k}", f"b_{shown}", layer.units, 1))
    rows.append(("softmax", "W_s", model.vocabulary_size, model.units))
    rows.append(("softmax", "b_s", model.vocabulary_size, 1))
    table = pd.DataFrame(rows, columns=["block", "name", "rows", "columns"])
    table["count"] = table["rows"] * table["columns"]
    return table


def parameter_counts(model: FolkRNN) -> dict[str, int]:
    """Returns the sum of `parameter_blocks` (""), of the softmax alone, and with what the sources count besides."""
    table = parameter_blocks(model)
    plain = int(table["count"].sum())
    states = plain + len(model.layers) * model.units * (2 if model.cell == "lstm" else 1)
    return {
        "": plain,
        "_softmax": int(table.loc[table["block"] == "softmax", "count"].sum()),
        "_with_initial_states": states,
        "_with_identity": states + model.vocabulary_size**2,
    }


_LENGTHS = {"min": np.min, "median": np.median, "max": np.max}

_CAPTION_FREQUENCY = (
    "How often each token occurs, by type, on a logarithmic axis: bars for the data (where there are any), dots for "
    "the observed tunes. Tokens without a dot do not occur in these tunes."
)
