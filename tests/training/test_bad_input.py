"""What cannot be trained on, or gone on from, is refused in one line, and nothing that was there is lost."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from folkrnn.datasets.files import tokens
from folkrnn.errors import UserError
from folkrnn.families.folkrnn import FAMILY
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training import autoencoder
from folkrnn.training.fit import TrainerSettings, fit
from folkrnn.training.language_model import ModernRecipe
from folkrnn.training.limits import advice
from folkrnn.training.lock import alone_in
from folkrnn.training.musicvae_published import PublishedAutoencoderRecipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import scratch


def corpus_of(folder, bodies):
    file = folder / "tunes.txt"
    file.write_text("\n\n".join(f"M:4/4\nK:Cmaj\n{body}" for body in bodies) + "\n")
    return tokens(str(file))


def train(folder, corpus, recipe=None, epochs=1, **settings):
    model = scratch(FolkRNN(units=8, layers=1), seed=1).model
    chosen = TrainerSettings(epochs, accelerator="cpu", progress=False, **settings)
    return fit(model, corpus, recipe or ModernRecipe(batch_size=4, warmup_updates=2), chosen, 1, folder)


def random_bodies(number, words=("C", "D", "E", "F", "|")):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, 20)) for _ in range(number)]


def test_a_dataset_of_one_tune_cannot_be_split(tmp_path):
    with pytest.raises(UserError, match="1 tunes: too few families"):
        train(tmp_path / "run", corpus_of(tmp_path, ["C D E F |"]))


def test_tunes_of_one_token_can_be_trained_on(tmp_path):
    notes = ["C", "D", "E", "F", "G", "A", "B", "c", "d", "e", "f", "g", "a", "b", "C,", "D,", "E,", "F,", "G,", "A,"]
    notes += ["B,", "c'", "d'", "e'", "=c", "=d", "=e", "=f", "=g", "=a", "_a", "_b", "_d", "_e", "_g", "^c", "^d"]
    notes += ["^f", "^g", "^a", "^C", "^D", "^F", "^G", "^A", "_A", "_B", "_D", "_E", "_G", "=A", "=B", "=C", "=D", "z"]
    fitted = train(tmp_path / "run", corpus_of(tmp_path, notes))
    assert np.isfinite(fitted.validation_loss)


def test_tunes_without_a_body_are_none(tmp_path):
    with pytest.raises(UserError, match="holds no tune"):
        corpus_of(tmp_path, ["", ""])


def test_tunes_with_tokens_outside_the_vocabulary_are_left_out_and_counted(tmp_path):
    corpus = corpus_of(tmp_path, [*random_bodies(30), "C D nonsense |", "C ~E |"])
    assert len(corpus) == 30
    assert sum(corpus.rejections.values()) == 2


def test_a_dataset_of_nothing_but_foreign_tokens_is_refused_with_the_reason(tmp_path):
    with pytest.raises(UserError, match=r"\(left out 2: a token that folk-rnn has not, as in .*: nonsense\)"):
        corpus_of(tmp_path, ["C nonsense |", "X Y Z"])


def test_a_checkpoint_of_another_dataset_is_not_gone_on_from(tmp_path):
    first = corpus_of(tmp_path, random_bodies(60))
    train(tmp_path / "run", first)
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    second = corpus_of(tmp_path, random_bodies(61))
    with pytest.raises(UserError, match=r"another configuration.*data was"):
        train(tmp_path / "run", second, resume=True)
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    ("rate", "batch", "epochs", "said"),
    [
        (1e12, 4, 1, "the training loss is nan at update 4"),
        (1e12, 64, 1, r"diverged: the best validation loss is 8\.56e\+10 nats, where guessing costs 4\.92"),
        (1e30, 64, 2, "the validation loss is nan after epoch 1"),
        (1e38, 64, 1, r"update 0 \(epoch 0\) is too large for the numbers of the parameters"),
        (1e40, 64, 1, r"update 0 \(epoch 0\) is too large for the numbers of the parameters"),
    ],
)
def test_a_training_that_runs_away_is_refused_in_one_line(tmp_path, rate, batch, epochs, said):
    corpus = corpus_of(tmp_path, random_bodies(60 if batch == 4 else 20))
    recipe = ModernRecipe(batch_size=batch, warmup_updates=2, learning_rate=rate)
    with pytest.raises(UserError, match=said) as refusal:
        train(tmp_path / "run", corpus, recipe, epochs)
    assert str(refusal.value).endswith("A smaller recipe.learning_rate may help")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "recipe", [ModernRecipe, PublishedRecipe, autoencoder.ModernAutoencoderRecipe, PublishedAutoencoderRecipe]
)
@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_not_above_zero_is_refused(recipe, rate):
    name = "first_rate" if recipe is PublishedAutoencoderRecipe else "learning_rate"
    with pytest.raises(UserError, match=f"recipe.{name}={rate}: must be a number above 0"):
        recipe(**{name: rate})


@pytest.mark.parametrize(
    ("recipe", "wrong", "said"),
    [
        (ModernRecipe, {"dropout": 1.0}, "a number from 0, below 1"),
        (ModernRecipe, {"weight_decay": float("nan")}, "a number from 0"),
        (ModernRecipe, {"final_share": -3.0}, "a number from 0 to 1"),
        (ModernRecipe, {"warmup_updates": -5}, "a whole number from 0"),
        (autoencoder.ModernAutoencoderRecipe, {"transpose": 2.5}, "a whole number from 0"),
        (autoencoder.ModernAutoencoderRecipe, {"free_bits": float("nan")}, "a number from 0"),
        (PublishedRecipe, {"decay_after": -3}, "a whole number from 0"),
        (PublishedAutoencoderRecipe, {"beta_rate": 3.0}, "a number from 0 to 1"),
        (PublishedAutoencoderRecipe, {"transpose": -4}, "a whole number from 0"),
    ],
)
def test_a_setting_of_a_recipe_that_is_out_of_its_range_is_refused_by_its_name(recipe, wrong, said):
    ((name, value),) = wrong.items()
    with pytest.raises(UserError, match=rf"^recipe\.{name}={value}: must be {said}$"):
        recipe(**wrong)


def test_what_may_help_is_a_setting_that_the_recipe_has():
    assert advice(ModernRecipe()) == "A smaller recipe.learning_rate may help"
    assert advice(PublishedAutoencoderRecipe()) == "A smaller recipe.first_rate may help"


HOLDS = """
import sys, time
from pathlib import Path
from folkrnn.training.lock import alone_in
from folkrnn.training.musicvae_published import PublishedAutoencoderRecipe
from folkrnn.training.published import PublishedRecipe
with alone_in(Path(sys.argv[1])):
    print("holding", flush=True)
    time.sleep(60)
"""


def test_a_second_training_in_the_same_folder_is_refused_until_the_first_is_dead(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "holding\n"
    with pytest.raises(UserError, match="another training is at work"):
        train(tmp_path, corpus_of(tmp_path, random_bodies(60)))
    assert not list(tmp_path.glob("*.ckpt"))
    first.kill()
    first.wait()
    fitted = train(tmp_path, corpus_of(tmp_path, random_bodies(60)))
    assert fitted.updates > 0


def test_a_further_process_of_one_training_passes_the_lock(tmp_path):
    with alone_in(tmp_path):
        with alone_in(tmp_path, first=False):
            pass
        with pytest.raises(UserError, match="another training"), alone_in(tmp_path):
            pass


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_bad_input import corpus_of, random_bodies, train
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
corpus = corpus_of(Path({folder!r}), random_bodies(60))
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
train(Path({folder!r}) / "run", corpus, resume=True)
"""


def test_a_training_that_finds_no_room_says_so_and_leaves_the_earlier_checkpoint_whole(tmp_path):
    run = tmp_path / "run"
    corpus = corpus_of(tmp_path, random_bodies(60))

    class EndEarly(Exception):
        pass

    from pytorch_lightning.callbacks import Callback

    class Ends(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 5:
                raise EndEarly

    model = scratch(FolkRNN(units=8, layers=1), seed=1).model
    settings = TrainerSettings(1, accelerator="cpu", progress=False, save_every_updates=3)
    with pytest.raises(EndEarly):
        fit(model, corpus, ModernRecipe(batch_size=4, warmup_updates=2), settings, 1, run, None, [Ends()])
    before = (run / "last.ckpt").read_bytes()
    assert len(before) > 20000  # more than the child below may write
    code = FULL.format(here=__file__.rsplit("/", 1)[0], folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "UserError: cannot write the checkpoint" in done.stderr
    assert (run / "last.ckpt").read_bytes() == before
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 3
    assert not list(run.glob("*.part"))


@pytest.mark.parametrize(
    ("model", "recipe", "agree"), [(0.5, 0.25, True), (0.0, None, True), (0.25, 0.25, True), (0.0, 0.25, False)]
)
def test_a_dropout_that_the_recipe_would_replace_without_a_word_is_refused(model, recipe, agree):
    target = "folkrnn.training.language_model.ModernRecipe"
    config = OmegaConf.create(
        {
            "model": {"dropout": model},
            "recipe": {"_target_": target, "dropout": recipe},
            "trainer": {"max_epochs": 1, "precision": "32-true"},
        }
    )
    if agree:
        FAMILY.check_training(config)
        return
    with pytest.raises(UserError, match=r"recipe\.dropout=null keeps"):
        FAMILY.check_training(config)
