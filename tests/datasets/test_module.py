"""The two sides of a corpus as a training sees them."""

import numpy as np
import pytest
import torch

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.module import TuneBatches

DRAW = np.random.default_rng(0)

TUNES = [Tune(("M:4/4", "K:Cmaj", *DRAW.choice(list("CDEFGABcde"), 24))) for _ in range(400)]


@pytest.mark.parametrize("skip", [(0, 0), (0, 3), (2, 1)])
def test_a_resumed_training_leaves_out_batches_it_has_had_and_no_held_out_tune(skip):
    batches = TuneBatches(Corpus("random", TUNES), 8, 1, skip=skip)
    held_out = sum(len(inputs) for inputs, _, _ in batches.val_dataloader())
    assert held_out == len(batches.validation) > 0
    trained = sum(len(inputs) for inputs, _, _ in batches.train_dataloader())
    assert trained == len(batches.training) - (8 * skip[1] if skip[0] == 0 else 0)
    inputs, targets, _ = next(iter(batches.val_dataloader()))
    assert torch.equal(inputs[:, 1:], targets[:, :-1])
