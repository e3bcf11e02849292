"""folk-rnn v2 itself: what the documents report of it. Runs once the pickle has been downloaded.

`python -m folkrnn.weights export folkrnn_v2 anywhere` downloads it; tests never do.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.files.cache import cache_folder
from folkrnn.files.download import git_blob
from folkrnn.sampling import Sampling, generate
from folkrnn.vocabulary import V2
from folkrnn.weights import lasagne
from folkrnn.weights.downloads import SOURCES

PLACE = cache_folder() / "downloads" / SOURCES["folkrnn_v2"].file


@pytest.fixture(scope="module")
def v2():
    if not PLACE.is_file():
        pytest.skip(f"the pickle of folk-rnn v2 is not in the cache ({PLACE})")
    assert git_blob(PLACE) == SOURCES["folkrnn_v2"].blob
    return lasagne.load(PLACE)


@pytest.fixture(scope="module")
def seen(v2):
    """h of layer 3 `[T, 512]` on part 5's tune, "Swing Swang Swung"."""
    ids = [V2.start, *ids_of("swing_swang_swung", v2.vocabulary)]
    return v2.model.trace(torch.tensor(ids), "l3.h")["l3.h"].numpy()


def test_it_has_the_shape_parameters_and_vocabulary_of_the_documents(v2):
    assert v2.model.parameter_counts()["weights"] == 5_599_881
    assert v2.vocabulary == V2
    assert v2.model.initial is not None


def test_it_writes_the_golden_tune_token_for_token(v2):
    # facts sheet section 3.5
    (tune,) = generate(v2.model, v2.vocabulary, Sampling(1, rng="legacy"), 42)
    assert " ".join(tune.tokens(v2.vocabulary)) == " ".join(TUNES["seed42"].split())


def test_the_softmax_has_the_singular_values_of_part_3(v2):
    values = torch.linalg.svdvals(v2.model.softmax_weight.detach().double()).numpy()
    assert abs(values[0] - 509) < 1
    assert values[0] > 7.5 * values[1]
    assert (values > 15).sum() == 30
    assert np.linalg.matrix_rank(v2.model.softmax_weight.detach().double().numpy()) == 137


def test_the_rarest_tokens_have_the_lowest_biases_of_part_2(v2):
    lowest = v2.model.softmax_bias.detach().argsort()[:6]
    assert set(v2.vocabulary.decode(lowest)) == {"<s>", "=f'", "16", "(7", "^f'", "=C,"}


def test_dead_and_saturated_units_of_part_5_are_those_listed(seen):
    peak = np.abs(seen).max(axis=0)
    dead, saturated = np.array((139, 219)), np.array((445, 509, 227, 300, 169, 2, 187, 361))
    # whether the blog counts units from 0 or from 1 is not said (facts sheet section 4.5); one of the two must hold
    as_listed = [peak[dead - base].max() <= 0.004 and peak[saturated - base].min() > 0.9998 for base in (0, 1)]
    assert sum(as_listed) == 1


def test_its_activations_are_as_sparse_as_part_5_says(seen):
    assert abs((np.abs(seen) < 0.07).mean() - 0.80) < 0.03
    assert abs((np.abs(seen) > 0.8).mean() - 0.02) < 0.01


def test_its_losses_are_inside_the_pickle(v2):
    assert v2.curve is not None
    assert v2.curve.updates_per_epoch == 351
    # tunes have 170.6 tokens on average; unigrams cost 3.2 nats each (facts sheet sections 4.2 and 2.6)
    assert v2.curve.training[-1000:, 1].mean() / 170.6 < 1.6
    assert v2.curve.validation[-1, 1] / 170.6 < 1.6
