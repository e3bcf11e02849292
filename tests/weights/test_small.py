"""The small model that ships: small, whole, and as good as its card says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.sampling import Sampling, generate
from folkrnn.vocabulary import V2
from folkrnn.weights.sources import SHIPPED, pretrained


@pytest.fixture(scope="module")
def weights():
    return pretrained("folkrnn_small")


def test_the_small_model_ships_in_less_than_a_megabyte(weights):
    assert isinstance(weights.model, FolkRNN)
    assert weights.model.shape == FolkRNN(units=128).shape
    assert sum(file.stat().st_size for file in Path(SHIPPED / "folkrnn_small").iterdir()) < 1e6
    assert weights.vocabulary == V2


def test_its_curve_ends_where_its_card_says(weights):
    said = float(re.search(r"nats per token \| ([\d.]+)", weights.card).group(1))
    assert weights.curve.validation[:, 1].min() == pytest.approx(said, abs=6e-4)
    assert said < weights.curve.baselines["5gram"] - 0.3


def test_its_tunes_end_and_begin_with_meter_and_mode(weights):
    tunes = generate(weights.model, V2, Sampling(tunes=20), seed=1)
    assert all(tune.ended for tune in tunes)
    heads = [tune.tokens(V2)[:2] for tune in tunes]
    assert all(meter.startswith("M:") and mode.startswith("K:") for meter, mode in heads)


@pytest.mark.slow
def test_held_out_tunes_cost_what_its_card_says(weights):
    from folkrnn.datasets.batches import IGNORED, pad
    from folkrnn.datasets.irish import irish
    from folkrnn.datasets.module import sides
    from folkrnn.training.losses import summed_loss

    corpus = irish()
    nats, tokens = 0.0, 0
    for held in np.array_split(sides(corpus)[1], 8):
        inputs, targets = pad([corpus.ids[i] for i in held], V2.end)
        with torch.no_grad():
            nats += float(summed_loss(weights.model(inputs), targets))
        tokens += int((targets != IGNORED).sum())
    said = float(re.search(r"nats per token \| ([\d.]+)", weights.card).group(1))
    assert nats / tokens == pytest.approx(said, abs=6e-4)
