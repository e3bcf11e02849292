"""A MusicVAE's decoder read as a language model is: labels, rows, bars, and the analyses of sequences on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from analyses.activations import Activations
from analyses.gramians import Gramians
from analyses.measures.places import bar_period, is_measure, place_in_bar, placed_bars
from analyses.periodicity import Periodicity
from folkrnn.datasets.melodies import random_notes
from folkrnn.errors import UserError
from folkrnn.melodies.labels import MelodyLabels, labels, type_of
from folkrnn.melodies.twinkle import twinkle
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.observation.decoder_reading import decoder_reading
from folkrnn.observation.latents import LatentObservation
from folkrnn.observation.observation import Observation
from folkrnn.sites import parse
from folkrnn.vocabulary import V2


def observed(count: int = 6, bars: int = 2, **sizes: Any) -> LatentObservation:
    torch.manual_seed(0)
    widths = {"encoder": [10], "decoder": [9, 8], "z_size": 5, "max_seq_len": 16 * bars} | sizes
    corpus = random_notes(count, bars)
    return LatentObservation(MusicVAE(**widths).eval(), corpus.classes, [""] * count, corpus)


def hierarchical() -> LatentObservation:
    return observed(bars=4, conductor=[7], segments=4)


def test_labels_name_the_notes_of_twinkle_after_the_start() -> None:
    found = labels(twinkle())
    assert len(found) == 33
    assert [word for word in found if word != "·"] == ["<s>", "C4", "C4", "G4", "G4", "A4", "A4", "G4"]
    assert {word: type_of(word) for word in ("<s>", "C#5", "·", "off", "=c'", "|")} == {
        "<s>": "transcription",
        "C#5": "pitch",
        "·": "duration",
        "off": "grouping",
        "=c'": "pitch",
        "|": "measure",
    }


def test_bars_begin_every_sixteen_steps_and_a_slice_knows_where_it_stands() -> None:
    found = labels(twinkle())
    assert np.flatnonzero(is_measure(found)).tolist() == [1, 17]
    assert bar_period(found) == 16
    assert place_in_bar(found).tolist() == [-1, *range(16), *range(16)]
    assert [(bar.number, bar.start, bar.stop) for bar in placed_bars(found)] == [(1, 1, 17), (2, 17, 33)]
    part = found[3:20]
    assert isinstance(part, MelodyLabels)
    assert np.flatnonzero(is_measure(part)).tolist() == [14]
    assert np.isnan(bar_period(found[:5]))


@pytest.mark.parametrize("seen", [observed(), hierarchical()], ids=["flat", "hierarchical"])
def test_rows_are_those_of_the_decoders_own_trace(seen: LatentObservation) -> None:
    name = seen.model.decoder.name
    read = seen.reading()
    rows = torch.from_numpy(seen.classes.astype(np.int64))
    whole = seen.model.trace(rows, [f"{name}.l2.c", "probs"], z=torch.from_numpy(seen.mu))
    for k, activations in read.each(["l2.c", "probs"]):
        np.testing.assert_allclose(activations["l2.c"], whole[f"{name}.l2.c"][k], atol=1e-6)
        np.testing.assert_allclose(read.posterior(k), whole["probs"][k], atol=1e-6)
        assert len(read.tokens(k)) == len(activations["l2.c"]) + 1


def test_no_more_melodies_are_read_than_asked() -> None:
    seen = observed(5)
    read = decoder_reading(seen.model, seen.classes, seen.mu, seen.seed, most=3)
    assert [k for k, _ in read.each(["l1.h"])] == [0, 1, 2]
    assert len(read.transcriptions) == 3


def test_a_decoders_layers_may_be_called_without_its_name() -> None:
    flat, deep = observed().model.sites, hierarchical().model.sites
    assert [site.name for site in parse("l*.h", flat)] == ["dec.l1.h", "dec.l2.h"]
    assert [site.name for site in parse("l1.o", deep)] == ["core.l1.o"]
    own = observed().reading().model.sites
    assert [str(site) for site in parse("dec.l2.f[1,2]", own)] == ["l2.f[1,2]"]


def test_a_site_outside_the_decoder_is_refused() -> None:
    with pytest.raises(UserError, match=r"enc\.fw\.l1\.h"):
        observed().reading().trace(0, "enc.fw.l1.h")


ANALYSES = (
    Activations(resamples=5),
    Periodicity(period=16, resamples=5),
    Gramians(sites=["l1.h"], resamples=5, animated=()),
)


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: type(analysis).__name__)
@pytest.mark.parametrize("seen", [observed(), hierarchical()], ids=["flat", "hierarchical"])
def test_analyses_of_sequences_run_on_a_decoder(analysis: Any, seen: LatentObservation) -> None:
    found = analysis(seen)
    assert found.figures
    assert any(np.isfinite(value) for value in found.metrics.values())


def test_a_decoder_is_read_once_however_many_analyses_ask() -> None:
    seen = observed()
    assert seen.reading() is seen.reading()


def test_a_language_models_observation_is_read_as_it_is() -> None:
    observation = Observation(FolkRNN(units=4, layers=1).eval(), V2, [])
    assert observation.reading() is observation
