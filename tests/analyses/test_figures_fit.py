"""What an analysis draws can be printed as it is: titled, legible and whole at the width asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from matplotlib.text import Text

from analyses.activations import Activations
from analyses.copying import Copying
from analyses.gate_parameters import GateParameters
from analyses.part_likeness import PartLikeness
from analyses.periodicity import Periodicity
from analyses.posterior import Posterior
from analyses.softmax_layer import SoftmaxLayer
from analyses.softmax_svd import SoftmaxSVD
from analyses.timing import Timing
from analyses.training_curve import TrainingCurve
from analyses.tune_statistics import TuneStatistics
from analyses.vocabulary import VocabularyTable
from folkrnn import style
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.findings import Figure, Findings
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import input_tune
from folkrnn.vocabulary import V2

WIDE = style.PAGE


@pytest.fixture(scope="module")
def observation() -> Observation:
    torch.manual_seed(2)
    model = FolkRNN(units=24, layers=2).eval()
    written = [input_tune(ids_of(name, V2), V2, name) for name in TUNES]
    tunes = [Tune(tuple(V2.decode(ids_of(name, V2)[1:-1])), name) for name in TUNES]
    return Observation(model, V2, written, seed=5, data=Corpus("published", tunes * 4))


ANALYSES = (
    Activations(site="l*.h", resamples=20),
    Copying(controls=2),
    GateParameters(shuffles=20),
    PartLikeness(),
    Periodicity(),
    Posterior(resamples=20),
    SoftmaxLayer(),
    SoftmaxSVD(),
    Timing(),
    TrainingCurve(beside=["lstm_26273_tunes"]),
    TuneStatistics(),
    VocabularyTable(),
)


def unfit(figure: Figure, width: float) -> Iterator[str]:
    """What is amiss in a figure on a page of `width` inches."""
    drawing = figure.drawing
    if not figure.title or drawing.get_suptitle().replace("\n", " ") != figure.title:
        yield "no title"
    if drawing.get_size_inches()[0] > width + 1e-9:
        yield f"{drawing.get_size_inches()[0]} inches wide"
    drawing.draw_without_rendering()
    for text in drawing.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text.get_fontsize() < style.SMALLEST:
            yield f"{text.get_fontsize():g} points: {text.get_text()!r}"
    legends = [*drawing.legends, *(axes.get_legend() for axes in drawing.axes if axes.get_legend())]
    whole = drawing.bbox.padded(2)
    for legend in legends:
        box = legend.get_window_extent()
        if not (whole.contains(box.x0, box.y0) and whole.contains(box.x1, box.y1)):
            yield f"a legend that is cut off: {[text.get_text() for text in legend.get_texts()]}"


def amiss(found: Findings, width: float) -> dict[str, list[str]]:
    said = {name: list(unfit(figure, width)) for name, figure in found.figures.items()}
    return {name: words for name, words in said.items() if words}


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: type(analysis).__name__)
def test_every_figure_is_titled_legible_and_whole(analysis: Any, observation: Observation) -> None:
    found = analysis(observation)
    assert found.figures
    assert amiss(found, WIDE) == {}


def test_a_figure_without_title_with_small_letters_and_a_legend_outside_is_told() -> None:
    figure = style.figure(width=8.0)
    axes = figure.subplots()
    axes.plot([1, 2], label="a line")
    axes.text(0, 1, "small", fontsize=4)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 3.0))
    figure.set_layout_engine("none")
    said = list(unfit(Figure(figure, "a caption"), WIDE))
    assert said[:2] == ["no title", "8.0 inches wide"]
    assert "4 points: 'small'" in said
    assert said[-1].startswith("a legend that is cut off")
