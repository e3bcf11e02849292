"""When a training is at its best, when it ends, and that it goes on with the numbers it would have drawn."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from folkrnn.errors import UserError
from folkrnn.training.checkpointing import Checkpointing
from folkrnn.training.checkpoints import BEST, LAST, generators, restore
from folkrnn.training.language_model import ModernRecipe


class Epochs:
    """What Checkpointing sees of a trainer whose validations cost `losses`; remembers what was saved after which
    epoch.
    """

    def __init__(self, keep):
        self.keep, self.saved, self.should_stop = keep, [], False
        self.world_size, self.global_step, self.current_epoch = 1, 0, 0

    def save_checkpoint(self, path):
        self.saved.append((path.name, self.current_epoch))

    def run(self, losses):
        for self.current_epoch, loss in enumerate(losses):
            self.callback_metrics = {"validation/loss": torch.tensor(loss)}
            self.keep.on_train_epoch_end(self, SimpleNamespace(recipe=ModernRecipe()))
            if self.should_stop:
                break
        return [epoch for name, epoch in self.saved if name == BEST]


def trained(tmp_path, losses, patience=None):
    keep = Checkpointing(tmp_path, {}, SimpleNamespace(urgency=0), patience=patience)
    epochs = Epochs(keep)
    return keep, epochs, epochs.run(losses)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([3.0, 2.0, 2.0, 1.0], [0, 1, 3]),  # an equal loss is no better one
        ([2.0, 2.0, 2.0], [0]),
        ([1.0, 2.0, 0.5], [0, 2]),
    ],
)
def test_the_best_epoch_is_the_first_with_the_lowest_loss(tmp_path, losses, best):
    keep, epochs, found = trained(tmp_path, losses)
    assert found == best
    assert keep.best == min(losses)
    assert [epoch for name, epoch in epochs.saved if name == LAST] == list(range(len(losses)))


def test_a_validation_loss_that_is_no_number_is_kept_as_nothing(tmp_path):
    keep = Checkpointing(tmp_path, {}, SimpleNamespace(urgency=0))
    epochs = Epochs(keep)
    with pytest.raises(UserError, match=r"validation loss is nan after epoch 1.* smaller recipe\.learning_rate"):
        epochs.run([2.0, float("nan")])
    assert (keep.best, epochs.saved) == (2.0, [(BEST, 0), (LAST, 0)])


@pytest.mark.parametrize(
    ("losses", "patience", "ended"),
    [
        ([2.0, 2.0, 2.0, 2.0], 2, 2),  # that stays the same does not improve
        ([2.0, 3.0, 1.0, 3.0, 3.0, 3.0], 2, 4),
        ([4.0, 3.0, 2.0, 1.0], 1, 3),
        ([2.0, 3.0], 1, 1),
    ],
)
def test_training_ends_after_so_many_validations_without_improvement(tmp_path, losses, patience, ended):
    _, epochs, _ = trained(tmp_path, losses, patience)
    assert epochs.current_epoch == ended
    assert epochs.should_stop == (losses != sorted(losses, reverse=True) or len(set(losses)) == 1)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: [random.random() for _ in range(700)],
        lambda: [random.gauss(0, 1) for _ in range(3)],
        lambda: np.random.random(700).tolist(),
        lambda: np.random.standard_normal(3).tolist(),
        lambda: torch.rand(700).tolist(),
    ],
)
def test_every_generator_goes_on_where_the_checkpoint_left_it(draw):
    draw()
    states = torch_saved(generators())
    expected = draw()
    draw()
    restore(states)
    assert draw() == expected


def torch_saved(states):
    """The states as a checkpoint brings them back."""
    import io

    buffer = io.BytesIO()
    torch.save(states, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)
