"""A MusicVAE trained by `python run.py`, in a process of its own, at a size that takes seconds."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
TWO_BARS = ["model=musicvae_2bar", "model.encoder=[16]", "model.decoder=[12]", "model.z_size=6"]
SIXTEEN_BARS = [
    "model=musicvae_16bar_small", "model.encoder=[12]", "model.conductor=[8]", "model.decoder=[8]", "model.z_size=6",
]  # fmt: skip
SHORT = ["weights=scratch", "trainer=cpu", "trainer.max_epochs=2", "recipe.batch_size=64", "sampling.tunes=40"]


@pytest.fixture(scope="module")
def tunes(tmp_path_factory):
    """Sixty tunes of twenty bars, none like another, in ABC."""
    rng = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("tunes") / "tunes.abc"
    notes = list("CDEFGABcdefg")
    with file.open("w") as out:
        for number in range(60):
            bars = " | ".join("".join(rng.choice(notes, 8)) for _ in range(20))
            out.write(f"X:{number + 1}\nT:Tune {chr(97 + number % 26)}{chr(97 + number // 26)}x\nM:4/4\nL:1/8\nK:C\n")
            out.write(f"{bars} |]\n\n")
    return file


def run(home, *words, environment=()):
    command = [sys.executable, "run.py", *words, f"tracking.folder={home}", f"hydra.sweep.dir={home}/sweeps"]
    there = os.environ | dict(environment)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False, env=there)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def metrics_of(home):
    from folkrnn.tracking import open_store

    store = open_store(None, "folkrnn", home)
    (found,) = store.client.search_runs([store.experiment_id])
    assert found.info.status == "FINISHED"
    return found.data.metrics


def curve_of(home, name):
    from folkrnn.tracking import open_store

    store = open_store(None, "folkrnn", home)
    (found,) = store.client.search_runs([store.experiment_id])
    return [point.value for point in store.client.get_metric_history(found.info.run_id, name)]


@pytest.mark.slow
def test_two_bars_train_are_watched_and_analysed(tmp_path, tunes):
    run(tmp_path, *TWO_BARS, *SHORT, f"dataset.path={tunes}")
    metrics = metrics_of(tmp_path)
    assert {
        "baseline/always_hold_onsets", "train/loss", "train/kl", "train/beta",
        "validation/loss", "validation/reconstruction", "validation/kl", "validation/best_loss",
        "validation/free_steps", "validation/free_onsets", "validation/active_by_sigma",
        "validation/excited_noise", "activations/dec.l1.h/mean_abs", "latent_spread/music_neurons_by_sigma",
    } <= set(metrics)  # fmt: skip
    assert len(metrics) <= 25
    assert len(curve_of(tmp_path, "validation/loss")) == 2
    (card,) = tmp_path.glob("runs/*/weights/README.md")
    assert "nats per melody" in card.read_text()
    loaded = run(tmp_path / "again", "weights=checkpoint", f"weights.path={card.parent}", "dataset=twinkle",
                 "analysis=latent_example", "observation.sites=[mu]")  # fmt: skip
    assert "z 6" in loaded.stdout


@pytest.mark.slow
def test_sixteen_bars_train_by_their_recipe(tmp_path, tunes):
    run(tmp_path, *SIXTEEN_BARS, *SHORT, f"dataset.path={tunes}", "recipe=published", "recipe.batch_size=64",
        "analysis=none", "observation.sites=[mu,cond.l1.h]")  # fmt: skip
    metrics = metrics_of(tmp_path)
    assert metrics["train/beta"] == pytest.approx(0.2)
    assert "activations/cond.l1.h/mean_abs" in metrics


@pytest.mark.slow
def test_two_processes_share_a_training(tmp_path, tunes):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    run(tmp_path, *TWO_BARS, *SHORT, f"dataset.path={tunes}", "trainer=ddp", "trainer.accelerator=cpu",
        "trainer.devices=2", "analysis=none", environment={"MASTER_PORT": str(port)}.items())  # fmt: skip
    assert len(curve_of(tmp_path, "validation/loss")) == 2
