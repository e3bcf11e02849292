import math
import time

import numpy as np
import pytest

from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.families import split
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.ngram import baselines
from folkrnn.notation.abc import read_abc
from folkrnn.training.activation_curves import ActivationCurves
from folkrnn.training.fit import TrainerSettings, fit
from folkrnn.training.language_model import ModernRecipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.training.throughput import time_left


def corpus():
    rng = np.random.default_rng(0)
    tunes = [Tune(("M:4/4", "K:Cmaj", *rng.choice(list("CDEFGAB|"), rng.integers(8, 30)))) for _ in range(200)]
    return Corpus("any notes", tunes)


class Noted(list):
    """Stands where a logger of Lightning's would: keeps what was logged, by step."""

    def __call__(self, metrics, step):
        self.append((step, dict(metrics)))

    def values(self, name):
        return {step: metrics[name] for step, metrics in self if name in metrics}


def logger_into(noted):
    from pytorch_lightning.loggers.logger import DummyLogger

    logger = DummyLogger()
    logger.log_metrics = lambda metrics, step=None: noted(metrics, step)
    return logger


def trained(folder, recipe, epochs=2):
    logged, filed, summaries, tunes = Noted(), Noted(), [], []
    data = corpus()
    watch = ActivationCurves(
        data,
        ["l1.h"],
        1,
        filed,
        lambda s, step: summaries.append((step, s)),
        lambda abc, step: tunes.append((step, abc)),
    )
    settings = TrainerSettings(epochs, accelerator="cpu", progress=False)
    fit(FolkRNN(units=8, layers=1), data, recipe, settings, 1, folder, logger_into(logged), [watch])
    return data, logged, filed, summaries, tunes


@pytest.fixture(scope="module")
def modern(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("modern"), ModernRecipe(batch_size=16, warmup_updates=2))


def test_short_memories_are_fitted_on_the_training_tunes_and_filed_once(modern):
    data, _, filed, _, _ = modern
    training, validation = split(data.tunes)
    expected = baselines([data.ids[i] for i in training], [data.ids[i] for i in validation], 137)
    assert expected["uniform"] == pytest.approx(math.log(137))
    for name, value in expected.items():
        assert filed.values(f"baseline/{name}") == {0: value}


def test_each_validation_says_how_far_it_is_below_the_five_grams(modern):
    _, logged, filed, _, _ = modern
    losses = logged.values("validation/loss")
    below = list(filed.values("validation/below_5gram").values())
    five = filed.values("baseline/5gram")[0]
    assert below == pytest.approx([five - loss for loss in losses.values()])
    assert len(below) == 2


def test_each_validation_files_activations_and_a_tune_with_its_share_of_full_bars(modern):
    _, _, filed, summaries, tunes = modern
    steps = [step for step, _ in summaries]
    assert len(steps) == 2
    assert [step for step, _ in tunes] == steps
    assert all(list(read_abc(abc)) for _, abc in tunes)
    for name in ("validation/tunes_full_bars", "validation/tunes_ended"):
        assert all(0 <= value <= 1 for value in filed.values(name).values())
    assert set(filed.values("validation/tunes_ended")) == set(steps)


def test_tunes_written_after_a_validation_are_as_long_as_95_percent_of_the_held_out_ones(modern):
    data, _, _, _, tunes = modern
    lengths = [len(data.ids[i]) - 2 for i in split(data.tunes)[1]]
    longest = max(len(abc.split("K:", 1)[1].replace(" ", "")) for _, abc in tunes)
    assert np.percentile(lengths, 50) < longest


def test_updates_log_gradient_norm_rate_and_pace(modern):
    _, logged, _, _, _ = modern
    for name in ("train/loss", "train/gradient_norm", "train/learning_rate", "train/tokens_per_second"):
        values = list(logged.values(name).values())
        assert values, name
        assert all(value > 0 for value in values), name


def test_nats_per_tune_are_nats_per_token_times_the_mean_length(modern):
    data, logged, _, _, _ = modern
    lengths = [len(data.ids[i]) - 1 for i in split(data.tunes)[1]]
    per_token, per_tune = (list(logged.values(f"validation/{name}").values()) for name in ("loss", "nats_per_tune"))
    assert per_tune == pytest.approx([loss * np.mean(lengths) for loss in per_token], rel=1e-5)


def test_the_published_recipe_logs_what_it_clips_and_nats_per_token_beside_what_it_minimises(tmp_path):
    recipe = PublishedRecipe(batch_size=16, gate_clip=1e-6, lr_decay="as_published")
    data, logged, _, _, _ = trained(tmp_path, recipe, epochs=1)
    shares = list(logged.values("train/gate_clip_share").values())
    assert shares
    assert all(0 < share <= 1 for share in shares)
    assert max(logged.values("train/gate_gradient_max").values()) == pytest.approx(1e-6)
    loss, objective = (next(iter(logged.values(f"train/{name}").values())) for name in ("loss", "objective"))
    lengths = [len(ids) - 1 for ids in data.ids]
    assert min(lengths) < objective / loss < max(lengths)


def test_time_left_is_that_of_the_pace_so_far():
    now = time.monotonic()
    assert time_left((now - 10, 0), 100, 500) == "40 s"
    assert time_left((now - 600, 100), 200, 1000) == "1 h 20 min"
    assert time_left((now, 5), 5, 10) == "?"
