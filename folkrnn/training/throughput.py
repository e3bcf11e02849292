"""How fast a training goes and how long it will still take."""

from __future__ import annotations

import time
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, TQDMProgressBar


class Throughput(Callback):
    """Logs `train/tokens_per_second`: tokens predicted, over all processes, since the values that were logged last."""

    def __init__(self) -> None:
        self.tokens, self.since = 0, time.monotonic()

    def on_train_epoch_start(self, *_: Any) -> None:
        self.tokens, self.since = 0, time.monotonic()  # validation is no training time

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, _: Any, batch: Any, index: int
    ) -> None:
        parts = trainer.accumulate_grad_batches
        if (index + 1) % parts:
            return  # every part of a batch has the size of the whole
        self.tokens += batch[2].tokens
        every = cast("Any", trainer).log_every_n_steps  # which a part of the trainer sets
        if (index + 1) // parts % every == 0:
            now = time.monotonic()
            module.log("train/tokens_per_second", self.tokens / max(1e-9, now - self.since), prog_bar=True)
            self.tokens, self.since = 0, now


class ProgressBar(TQDMProgressBar):
    """Lightning's bar of an epoch, with the time that the whole training will still take at the pace so far."""

    def __init__(self) -> None:
        super().__init__(leave=False)
        self._first: tuple[float, int] | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        super().on_train_start(trainer, module)
        self._first = (time.monotonic(), trainer.global_step)

    def on_exception(self, *_: Any) -> None:
        """Ends the lines of the bars: what is said next begins one of its own."""
        for bar in (self._train_progress_bar, self._val_progress_bar):
            if bar is not None:
                bar.close()

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Any]:
        shown = {
            name: f"{value:.4g}" if isinstance(value, float) else value
            for name, value in super().get_metrics(trainer, module).items()
        }
        return shown | {"left": time_left(self._first, trainer.global_step, int(trainer.estimated_stepping_batches))}


def time_left(first: tuple[float, int] | None, update: int, total: int) -> str:
    """Returns the time to the last update as "1 h 20 min", given (moment, update) at which the counting began."""
    if first is None or update <= first[1]:
        return "?"
    seconds = (time.monotonic() - first[0]) / (update - first[1]) * max(0, total - update)
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
