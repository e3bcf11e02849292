"""A training that was cut off ends where one ends that never was."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.curriculum import Curriculum
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training.checkpoints import WholeCheckpoints, write_checkpoint
from folkrnn.training.fit import TrainerSettings, fit
from folkrnn.training.language_model import ModernRecipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import scratch

MODERN = ModernRecipe(batch_size=8, warmup_updates=5, dropout=0.3, learning_rate=1e-2)
PUBLISHED = PublishedRecipe(batch_size=8, dropout=0.3)
COPYING = replace(MODERN, curriculum=Curriculum(copying=0.4, natural=0.2, lags=(1,)))
EPOCHS = 3


def corpus(number=90):
    rng = np.random.default_rng(0)
    tunes = [Tune(("M:4/4", "K:Cmaj", *rng.choice(list("CDEFGAB|"), rng.integers(8, 30)))) for _ in range(number)]
    return Corpus("any notes", tunes)


def full_bars(number=90):
    """Tunes whose bars are full, so that they can be exchanged."""
    rng = np.random.default_rng(0)
    bars = [[" ".join(rng.choice(list("CDEFGAB"), 4)) for _ in range(rng.integers(2, 7))] for _ in range(number)]
    return Corpus("full bars", [Tune(("M:2/4", "K:Cmaj", *" | ".join(some).split())) for some in bars])


class Fails(Exception):
    pass


class FailAt(Callback):
    """Ends the process's training without warning at the end of an update, before anything is written."""

    def __init__(self, update):
        self.update = update

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.update:
            raise Fails


def train(folder, recipe=MODERN, callbacks=(), seed=1, epochs=EPOCHS, model=None, data=None, **settings):
    model = model or scratch(FolkRNN(units=12, layers=2), seed=seed).model
    chosen = TrainerSettings(epochs, accelerator="cpu", progress=False, **settings)
    return fit(model, data or corpus(), recipe, chosen, seed, folder, None, callbacks)


def parameters(fitted):
    return torch.cat([p.detach().flatten() for p in fitted.model.parameters()])


def last(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    place = tmp_path_factory.mktemp("uninterrupted")
    return {recipe: (train(place / recipe.__class__.__name__, recipe), place) for recipe in (MODERN, PUBLISHED)}


def same(fitted, folder, uninterrupted, recipe):
    whole, place = uninterrupted[recipe]
    assert torch.equal(parameters(fitted), parameters(whole))
    assert (fitted.validation_loss, fitted.updates) == (whole.validation_loss, whole.updates)
    mine, theirs = last(folder), last(place / recipe.__class__.__name__)
    for name, value in theirs["state_dict"].items():
        assert torch.equal(mine["state_dict"][name], value), name
    for one, other in zip(
        mine["optimizer_states"][0]["state"].values(), theirs["optimizer_states"][0]["state"].values(), strict=True
    ):
        assert all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in other)
    assert mine["lr_schedulers"][0]["last_epoch"] == theirs["lr_schedulers"][0]["last_epoch"]


@pytest.mark.parametrize("recipe", [MODERN, PUBLISHED], ids=["modern", "published"])
@pytest.mark.parametrize(("every", "fails"), [(1, (3,)), (4, (7, 8, 15)), (None, (14,)), (2, (10, 20))])
def test_a_training_cut_off_ends_where_an_uninterrupted_one_ends(tmp_path, uninterrupted, recipe, every, fails):
    for attempt, update in enumerate(fails):
        with pytest.raises(Fails):
            train(tmp_path, recipe, [FailAt(update)], save_every_updates=every, resume=attempt > 0)
    same(train(tmp_path, recipe, resume=True), tmp_path, uninterrupted, recipe)


def test_within_an_epoch_a_checkpoint_is_written_after_every_so_many_updates(tmp_path):
    with pytest.raises(Fails):
        train(tmp_path, callbacks=[FailAt(5)], save_every_updates=2)
    assert last(tmp_path)["global_step"] == 4


def test_a_training_whose_tunes_change_from_epoch_to_epoch_goes_on_with_the_right_ones(tmp_path):
    data = full_bars()
    whole = train(tmp_path / "whole", COPYING, data=data)
    for attempt, update in enumerate((7, 15)):
        with pytest.raises(Fails):
            train(tmp_path / "cut", COPYING, [FailAt(update)], save_every_updates=2, data=data, resume=attempt > 0)
    assert torch.equal(parameters(train(tmp_path / "cut", COPYING, data=data, resume=True)), parameters(whole))
    assert not torch.equal(parameters(whole), parameters(train(tmp_path / "plain", data=data)))


def test_a_finished_training_resumed_is_the_same_again(tmp_path, uninterrupted):
    train(tmp_path)
    same(train(tmp_path, resume=True), tmp_path, uninterrupted, MODERN)


@pytest.mark.parametrize(("key", "changed"), [
    ("seed", {"seed": 2}),
    ("recipe", {"recipe": ModernRecipe(batch_size=8, warmup_updates=5, dropout=0.3, learning_rate=2e-2)}),
    ("model", {"model": FolkRNN(units=16, layers=2)}),
    ("max_epochs", {"epochs": 9}),
])  # fmt: skip
def test_a_checkpoint_of_another_configuration_is_refused(tmp_path, key, changed):
    train(tmp_path, epochs=1)
    with pytest.raises(UserError, match=f"another configuration.*{key}"):
        train(tmp_path, **({"epochs": 1, "resume": True} | changed))


def cut_short(file):
    file.write_bytes(file.read_bytes()[:-100])


def flip_a_bit(file):
    """Of a parameter: torch reads it without a word."""
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        member = max(archive.infolist(), key=lambda info: info.file_size)
    content[member.header_offset + member.file_size // 2] ^= 4
    file.write_bytes(content)


def lose(file):
    file.unlink()


DAMAGES = (cut_short, flip_a_bit, lambda file: file.write_bytes(b""), lambda file: file.write_bytes(bytes(5000)))


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A training of three epochs that was cut off in the last one, and the parameters that it would have had."""
    whole = parameters(train(tmp_path_factory.mktemp("whole")))
    folder = tmp_path_factory.mktemp("begun")
    with pytest.raises(Fails):
        train(folder, callbacks=[FailAt(29)], save_every_updates=1)
    return folder, whole


@pytest.mark.parametrize("damage", DAMAGES)
def test_where_the_last_checkpoint_is_damaged_the_best_is_gone_on_from_and_comes_to_the_same(
    begun, damage, tmp_path, caplog
):
    folder, whole = begun
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "last.ckpt")
    assert torch.equal(parameters(train(tmp_path, resume=True)), whole)
    (line,) = [line for line in caplog.messages if "whole checkpoint" in line]
    assert "the training goes on from best.ckpt" in line


@pytest.mark.parametrize("damage", [*DAMAGES, lose])
def test_where_the_best_checkpoint_is_damaged_a_later_one_takes_its_place(begun, damage, tmp_path, caplog):
    shutil.copytree(begun[0], tmp_path, dirs_exist_ok=True)
    damage(tmp_path / "best.ckpt")
    fitted = train(tmp_path, resume=True)
    assert fitted.checkpoint == tmp_path / "best.ckpt"
    (line,) = [line for line in caplog.messages if "checkpoint" in line]
    assert "the best epoch from here on takes its place" in line


def test_where_the_best_checkpoint_is_damaged_after_the_last_epoch_the_last_takes_its_place(tmp_path, caplog):
    class DamageAtTheEnd(Callback):
        def on_train_end(self, *_):
            flip_a_bit(tmp_path / "best.ckpt")

    fitted = train(tmp_path, epochs=1, callbacks=[DamageAtTheEnd()])
    assert fitted.checkpoint == tmp_path / "last.ckpt"
    assert np.isnan(fitted.validation_loss)
    assert "the model has the parameters of last.ckpt" in caplog.text


def test_where_both_checkpoints_are_damaged_the_training_is_refused(tmp_path):
    train(tmp_path, epochs=1)
    for name in ("best.ckpt", "last.ckpt"):
        cut_short(tmp_path / name)
    with pytest.raises(
        UserError, match=r"last\.ckpt is not a whole checkpoint.*, and so is best\.ckpt: begin anew, with .* moved away"
    ):
        train(tmp_path, epochs=1, resume=True)


def test_where_there_is_no_best_checkpoint_yet_a_damaged_one_is_refused(tmp_path):
    with pytest.raises(Fails):
        train(tmp_path, callbacks=[FailAt(3)], save_every_updates=1)
    flip_a_bit(tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt is not a whole checkpoint .* is not what was written"):
        train(tmp_path, resume=True)


def test_where_there_is_no_room_the_earlier_checkpoint_stays(tmp_path):
    file = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"number": 1}, file)
    limited = f"""
import resource
from pathlib import Path
import signal
from folkrnn.training.checkpoints import write_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_checkpoint(Path({str(file)!r}), bytes(5000))
"""
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=False)
    assert "UserError: cannot write the checkpoint" in done.stderr
    assert torch.load(file, weights_only=True) == {"number": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    write_checkpoint(file, b"whole")
    assert file.read_bytes() == b"whole"


class Poison(Callback):
    """Makes a parameter infinite before an update."""

    def on_train_batch_start(self, trainer, module, batch, index):
        if trainer.global_step == 13:
            with torch.no_grad():
                module.model.softmax_bias[0] = float("nan")


def test_a_loss_that_is_no_number_stops_the_training_and_names_step_and_batch(tmp_path):
    with pytest.raises(UserError, match=r"loss is nan at update 13 \(epoch 1, batch \d"):
        train(tmp_path, callbacks=[Poison()])
    assert all(bool(torch.isfinite(value).all()) for value in last(tmp_path)["state_dict"].values())


def test_training_ends_early_where_validation_no_longer_improves(tmp_path):
    stubborn = ModernRecipe(batch_size=8, warmup_updates=1, dropout=0.0, learning_rate=0.5)
    fitted = train(tmp_path, stubborn, patience=2, epochs=40)
    assert fitted.updates < 40 * 10
    again = train(tmp_path, stubborn, patience=2, epochs=40, resume=True)
    assert again.updates == fitted.updates


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_resume import train
train(Path({folder!r}), save_every_updates=2, resume=(Path({folder!r}) / "last.ckpt").exists(), callbacks={callbacks})
"""


SLOWLY = (
    "[type('Slowly', (__import__('pytorch_lightning').Callback,), "
    "{'on_train_batch_start': lambda *_: __import__('time').sleep(0.08)})()]"
)


def child(folder, callbacks="()"):
    code = CHILD.format(here=str(Path(__file__).parent), folder=str(folder), callbacks=callbacks)
    return subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    )


def wait_for(file, process):
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.005)


def test_sigterm_finishes_the_batch_saves_and_exits_143(tmp_path, uninterrupted):
    process = child(tmp_path, SLOWLY)
    wait_for(tmp_path / "last.ckpt", process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert last(tmp_path)["global_step"] < 30
    same(train(tmp_path, resume=True), tmp_path, uninterrupted, MODERN)


@pytest.mark.slow
def test_kill_9_at_random_moments_changes_nothing(tmp_path, uninterrupted):
    rng = random.Random(0)
    file = tmp_path / "last.ckpt"
    for _ in range(4):
        written = file.stat().st_mtime_ns if file.exists() else None
        process = child(tmp_path, SLOWLY)
        while not file.exists() or file.stat().st_mtime_ns == written:
            assert process.poll() is None
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.4))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    same(train(tmp_path, resume=True), tmp_path, uninterrupted, MODERN)
