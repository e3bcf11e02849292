"""Several processes train as one does on the same global batches."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

TRAINS = """
import sys
from pathlib import Path
import numpy as np, torch
from pytorch_lightning.callbacks import Callback
from folkrnn.datasets.corpus import Corpus, Tune
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training.fit import TrainerSettings, fit
from folkrnn.training.language_model import Recipe
from folkrnn.training.published import PublishedRecipe
from folkrnn.weights.sources import scratch

folder, processes, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(0)
body = lambda: rng.choice(list("CDEFGABcdefgab|"), rng.integers(6, 40))
corpus = Corpus("any notes", [Tune(("M:4/4", "K:Cmaj", *body())) for _ in range(450)])
recipes = {
    "modern": Recipe(batch_size=8, warmup_updates=10, dropout=0.0),
    "published": PublishedRecipe(batch_size=8, dropout=0.0, split="families"),
}

class Curve(Callback):
    losses = []
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        mean = trainer.strategy.reduce(outputs["loss"].detach(), reduce_op="mean")
        self.losses.append(float(mean))
        if trainer.global_step == 50 and trainer.is_global_zero:
            state = {name: value.clone() for name, value in module.model.state_dict().items()}
            torch.save({"losses": self.losses, "parameters": state}, folder / "found.pt")

strategy = "ddp" if processes > 1 else "auto"
settings = TrainerSettings(1, accelerator="cpu", devices=processes, strategy=strategy, progress=False)
model = scratch(FolkRNN(units=128), seed=1).model
fit(model, corpus, recipes[name], settings, 1, folder / "run", None, [Curve()])
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def trained(folder, processes, recipe):
    folder.mkdir()
    script = folder / "train.py"  # Lightning starts further processes by running the very script again
    script.write_text(TRAINS)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, str(script), str(folder), str(processes), recipe]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return torch.load(folder / "found.pt", weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize(("recipe", "updates"), [("modern", 50), ("published", 30)])
def test_several_processes_make_the_first_updates_that_one_makes(tmp_path, recipe, updates, processes):
    """Lasagne's RMSprop divides by the size of the gradient itself: rounding grows faster, tenfold in ten updates."""
    one, several = trained(tmp_path / "one", 1, recipe), trained(tmp_path / "several", processes, recipe)
    assert len(one["losses"]) >= 50
    np.testing.assert_allclose(several["losses"][:updates], one["losses"][:updates], rtol=1e-4)
    if recipe == "published":
        return
    assert several["losses"][49] < 0.8 * several["losses"][0]  # it has learned something: these are no idle updates
    for name, value in one["parameters"].items():
        assert (several["parameters"][name] - value).norm() <= 1e-3 * value.norm() + 1e-6, name
