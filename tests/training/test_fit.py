import copy

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training.fit import TrainerSettings, fit
from folkrnn.training.language_model import ModernRecipe
from folkrnn.weights.sources import checkpoint, scratch


def bars_of_eight(number):
    """A corpus with one rule: eight notes, then a bar line; two to five bars."""
    rng = np.random.default_rng(0)
    notes = ["C", "D", "E"]
    tunes = []
    for _ in range(number):
        body = " | ".join(" ".join(rng.choice(notes, 8)) for _ in range(rng.integers(2, 6)))
        tunes.append(Tune(("M:4/4", "K:Cmaj", *body.split(), "|")))
    return Corpus("bars of eight", tunes)


SETTINGS = {"accelerator": "cpu", "progress": False}


def trained(folder, epochs=3, **settings):
    model = scratch(FolkRNN(units=32, layers=1), seed=1).model
    recipe = ModernRecipe(batch_size=4, warmup_updates=5, dropout=0.0, learning_rate=2e-2)
    return fit(model, bars_of_eight(160), recipe, TrainerSettings(epochs, **SETTINGS | settings), 1, folder)


def test_training_learns_the_rule_and_keeps_best_and_last(tmp_path):
    fitted = trained(tmp_path, epochs=4)
    counts = np.bincount(np.concatenate([ids[1:] for ids in bars_of_eight(160).ids]))
    share = counts[counts > 0] / counts.sum()
    unigram = -(share * np.log(share)).sum()
    assert fitted.validation_loss < unigram - 0.2  # it has learned when bar lines come
    assert {file.name for file in tmp_path.glob("*.ckpt")} == {"best.ckpt", "last.ckpt"}
    again = checkpoint(str(tmp_path / "best.ckpt")).model
    for mine, read in zip(fitted.model.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, read)


def test_checkpoints_of_every_second_epoch_stay(tmp_path):
    trained(tmp_path, epochs=5, keep_every=2)
    assert {file.name for file in tmp_path.glob("epoch-*.ckpt")} == {"epoch-0002.ckpt", "epoch-0004.ckpt"}
    early, late = (checkpoint(str(tmp_path / f"epoch-000{n}.ckpt")).model for n in (2, 4))
    assert not torch.equal(early.state_dict()["softmax_weight"], late.state_dict()["softmax_weight"])


def test_the_same_seed_trains_the_same_model(tmp_path):
    first, second = trained(tmp_path / "a", 1), trained(tmp_path / "b", 1)
    assert first.validation_loss == second.validation_loss


def test_an_unfinished_training_is_not_overwritten(tmp_path):
    trained(tmp_path, 1)
    with pytest.raises(UserError, match=r"trainer\.resume=true"):
        trained(tmp_path, 1)


def test_there_must_be_something_to_resume(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        trained(tmp_path, 1, resume=True)


def test_a_corpus_of_one_tune_is_too_small_to_hold_any_out(tmp_path):
    model = FolkRNN(units=8)
    with pytest.raises(UserError, match="too few families"):
        fit(model, bars_of_eight(1), ModernRecipe(), TrainerSettings(1, **SETTINGS), 1, tmp_path)


def test_a_training_that_goes_on_from_parameters_draws_none_anew(tmp_path):
    begun = trained(tmp_path / "first", 1).model
    still = ModernRecipe(batch_size=4, learning_rate=1e-12, dropout=0.0, weight_decay=0.0, input_std=0.1)
    settings, corpus = TrainerSettings(1, **SETTINGS), bars_of_eight(160)
    after = fit(copy.deepcopy(begun), corpus, still, settings, 1, tmp_path / "on", start="of the first").model
    anew = fit(copy.deepcopy(begun), corpus, still, settings, 1, tmp_path / "anew").model
    same, other = (
        [torch.allclose(a, b, atol=1e-6) for a, b in zip(begun.parameters(), model.parameters(), strict=True)]
        for model in (after, anew)
    )
    assert all(same)
    assert not all(other)


def test_a_model_that_was_read_for_looking_at_is_trained_with_its_dropout(tmp_path):
    model, seen = scratch(FolkRNN(units=8, layers=1, dropout=0.5), seed=1).model.eval(), []

    class Look(Callback):
        def on_train_batch_start(self, trainer, module, *_):
            seen.append(module.model.training)

    corpus, settings = bars_of_eight(80), TrainerSettings(1, **SETTINGS)
    fit(model, corpus, ModernRecipe(batch_size=16), settings, 1, tmp_path, None, [Look()], start="it")
    assert set(seen) == {True}


def test_a_checkpoint_of_a_training_from_other_parameters_is_not_gone_on_from(tmp_path):
    model, corpus, settings = scratch(FolkRNN(units=8, layers=1), seed=1).model, bars_of_eight(80), SETTINGS
    fit(model, corpus, ModernRecipe(batch_size=16), TrainerSettings(1, **settings), 1, tmp_path, start="one")
    with pytest.raises(UserError, match="start"):
        fit(
            model,
            corpus,
            ModernRecipe(batch_size=16),
            TrainerSettings(1, resume=True, **settings),
            1,
            tmp_path,
            start="two",
        )
