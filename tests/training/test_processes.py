"""Several processes train as one does on the same global batches, whoever starts them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

TRAINS = """
import sys
from pathlib import Path
import numpy as np, torch
from pytorch_lightning.callbacks import Callback
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.datasets.melodies import MelodyCorpus, Source
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.musicvae import MusicVAE
from folkrnn.training.autoencoder import ModernAutoencoderRecipe
from folkrnn.training.fit import MELODIES, TUNES, TrainerSettings, fit
from folkrnn.training.language_model import ModernRecipe
from folkrnn.training.musicvae_published import PublishedAutoencoderRecipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import scratch

folder, devices, strategy, name, parts, precision = sys.argv[1:]
folder = Path(folder)
rng = np.random.default_rng(0)
body = lambda: rng.choice(list("CDEFGABcdefgab|"), rng.integers(6, 40))
tunes = Corpus("any notes", [Tune(("M:4/4", "K:Cmaj", *body())) for _ in range(450)])
classes = rng.integers(0, 90, (840, 8)).astype(np.uint8)
sources = [Source(f"melody {i}", "melodies", str(i)) for i in range(840)]
melodies = MelodyCorpus("melodies", classes, np.arange(840), np.ones(840, int), sources, np.arange(840))
recipes = {
    "modern": ModernRecipe(batch_size=8, warmup_updates=10, dropout=0.25),
    "published": PublishedRecipe(batch_size=8, dropout=0.25, split="families"),
    "autoencoder": ModernAutoencoderRecipe(batch_size=13, warmup_updates=10, own=0.3, growth=0.2, shortest=4),
    "published autoencoder": PublishedAutoencoderRecipe(batch_size=13, sampling_rate=5.0),
}

class Curve(Callback):
    losses, sum = [], 0.0
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        self.sum += float(trainer.strategy.reduce(outputs["loss"].detach(), reduce_op="mean"))
        if (index + 1) % int(parts):
            return
        self.losses.append(self.sum)
        self.sum = 0.0
        if trainer.global_step == 50 and trainer.is_global_zero:
            state = {name: value.clone() for name, value in module.model.state_dict().items()}
            torch.save({"losses": self.losses, "parameters": state}, folder / "found.pt")

settings = TrainerSettings(
    1, accelerator="cpu", devices=int(devices) if devices.isdigit() else devices, strategy=strategy,
    accumulate=int(parts), precision=precision, progress=False,
)
recipe = recipes[name]
if "autoencoder" in name:
    model = scratch(MusicVAE(encoder=[24], decoder=[24], z_size=6, max_seq_len=8), seed=1).model
    recipe, corpus, loop = recipe.resolved(model), melodies, MELODIES
else:
    model, corpus, loop = scratch(FolkRNN(units=128), seed=1).model, tunes, TUNES
fit(model, corpus, recipe, settings, 1, folder / "run", None, [Curve()], loop)
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def task(number, nodes, port):
    """The environment of one of two tasks that srun starts."""
    return {
        "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": str(2 // nodes), "SLURM_NNODES": str(nodes),
        "SLURM_PROCID": str(number), "SLURM_LOCALID": str(number % (2 // nodes)),
        "SLURM_NODEID": str(number // (2 // nodes)), "SLURM_NODELIST": "127.0.0.1", "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NAME": "train", "MASTER_PORT": port,
    }  # fmt: skip


def commands(started, script, port):
    """Returns (command, environment) of each process that a user or a cluster starts."""
    if started == "torchrun":
        options = ["--nproc-per-node=2", f"--rdzv-endpoint=127.0.0.1:{port}"]
        return [([sys.executable, "-m", "torch.distributed.run", *options, *script], {})]
    if started == "torchrun on two nodes":
        options = ["--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", f"--master-port={port}"]
        module = [sys.executable, "-m", "torch.distributed.run", *options]
        return [([*module, f"--node-rank={node}", *script], {}) for node in range(2)]
    if started in ("srun", "srun on two nodes"):
        nodes = 1 + started.endswith("two nodes")
        return [([sys.executable, *script], task(number, nodes, port)) for number in range(2)]
    return [([sys.executable, *script], {"MASTER_PORT": port})]


def trained(folder, processes, recipe, parts=1, started="itself", precision="32-true"):
    folder.mkdir()
    script = folder / "train.py"  # Lightning starts further processes by running the very script again
    script.write_text(TRAINS)
    strategy = "ddp" if processes > 1 else "auto"
    devices = str(processes) if started == "itself" else "auto"
    words = [str(script), str(folder), devices, strategy, recipe, str(parts), precision]
    everywhere = os.environ | {"OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=everywhere | own)
        for command, own in commands(started, words, free_port())
    ]
    for process in running:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said[-3000:]
    return torch.load(folder / "found.pt", weights_only=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process makes of each recipe."""
    place, found = tmp_path_factory.mktemp("alone"), {}

    def of(recipe):
        if recipe not in found:
            found[recipe] = trained(place / recipe.replace(" ", "_"), 1, recipe)
        return found[recipe]

    return of


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "updates", "processes", "parts"),
    [
        ("modern", 50, 2, 1), ("modern", 50, 4, 1), ("modern", 50, 2, 3), ("published", 30, 2, 1),
        ("published", 30, 4, 1), ("autoencoder", 50, 2, 1), ("autoencoder", 50, 3, 2),
        ("published autoencoder", 50, 2, 1),
    ],
)  # fmt: skip
def test_several_processes_make_the_first_updates_that_one_makes(tmp_path, alone, recipe, updates, processes, parts):
    """Lasagne's RMSprop divides by the size of the gradient itself: rounding grows faster, tenfold in ten updates."""
    one, several = alone(recipe), trained(tmp_path / "several", processes, recipe, parts)
    assert len(one["losses"]) >= 50
    np.testing.assert_allclose(several["losses"][:updates], one["losses"][:updates], rtol=1e-4)
    if recipe == "published":
        return
    if recipe == "modern":
        assert several["losses"][49] < 0.8 * several["losses"][0]  # it has learned something: these are no idle updates
    for name, value in one["parameters"].items():
        assert (several["parameters"][name] - value).norm() <= 1e-3 * value.norm() + 1e-6, name


@pytest.mark.slow
@pytest.mark.parametrize("started", ["torchrun on two nodes", "srun on two nodes"])
def test_two_processes_are_the_same_whoever_starts_them(tmp_path, two, started):
    found = trained(tmp_path / "found", 2, "modern", started=started)
    assert found["losses"] == two["losses"]
    for name, value in two["parameters"].items():
        assert torch.equal(found["parameters"][name], value), name
    assert sorted(path.name for path in (tmp_path / "found" / "run").glob("*.ckpt")) == ["best.ckpt", "last.ckpt"]


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> dict:
    """What the two processes make that the program starts itself."""
    return trained(Path(tmp_path_factory.mktemp("two")) / "found", 2, "modern")


@pytest.mark.slow
def test_two_processes_learn_in_half_precision(tmp_path, two):
    found = trained(tmp_path / "found", 2, "modern", precision="bf16-mixed")
    np.testing.assert_allclose(found["losses"][:10], two["losses"][:10], rtol=0.02)
    assert found["losses"][49] < 0.8 * found["losses"][0]
    assert {value.dtype for value in found["parameters"].values()} == {torch.float32}
