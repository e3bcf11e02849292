import signal

import pytorch_lightning as pl
import torch

from folkrnn.tracking import start_run
from folkrnn.tracking.lightning import RunLogger


class Line(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.save_hyperparameters({"units": 1})
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, index):
        self.log("train/loss", self.weight.sum())
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.5)


def test_the_curves_of_a_training_go_into_the_run_that_is_open(store, tmp_path):
    with start_run(store, "training", tmp_path / "r") as run:
        trainer = pl.Trainer(
            max_epochs=2, accelerator="cpu", logger=RunLogger(run), log_every_n_steps=1, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(Line(), torch.utils.data.DataLoader(torch.zeros(3, 1)))
        assert trainer.log_dir == str(tmp_path / "r")
    curve = store.client.get_metric_history(run.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in curve] == [(step, 1 - step / 2) for step in range(6)]
    found = store.client.get_run(run.run_id)
    assert set(found.data.metrics) == {"train/loss"}
    assert found.data.params == {}
    assert len(store.client.search_runs([store.experiment_id])) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_processes_without_a_run_log_nothing(tmp_path):
    logger = RunLogger(None)
    logger.log_metrics({"train/loss": 1.0}, 1)
    assert (logger.name, logger.version, logger.save_dir) == ("", "", None)
