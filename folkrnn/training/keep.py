"""When checkpoints are written, and how a training stops and goes on."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from folkrnn.training.checkpoints import BEST, LAST, OURS, generators, restore


@dataclass
class Stop:
    """Whether a signal has asked the training to stop after the batch at hand."""

    signal: int | None = None


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within the block SIGTERM and Ctrl-C are only noted; a second Ctrl-C stops at once, without a checkpoint.

    A training that was stopped so leaves the block with what the signal would have done before it: whatever the
    earlier handler raises, else SystemExit(143) or KeyboardInterrupt.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.signal == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    except BaseException as error:
        _reinstate(before)
        if stop.signal is None or not isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        if callable(before[stop.signal]):
            signal.raise_signal(stop.signal)
        raise KeyboardInterrupt if stop.signal == signal.SIGINT else SystemExit(128 + stop.signal) from None
    finally:
        _reinstate(before)


def _reinstate(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:
            signal.signal(number, handler)


class Keep(Callback):
    """Writes `last.ckpt` after every epoch, in between as asked for, and when stopped; `best.ckpt` after the best one.

    `minutes` and `updates` are the longest a checkpoint within an epoch is waited for (None: not at all); after
    `patience` validations without improvement training ends. `progress` is that of the checkpoint gone on from.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, str],
        stop: Stop,
        minutes: float | None = None,
        updates: int | None = None,
        patience: int | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.identity, self.stop = folder, dict(identity), stop
        self.minutes, self.updates, self.patience = minutes, updates, patience
        self.progress = progress
        self.best, self.since_best = math.inf, 0
        self.position = (0, 0)
        if progress:
            self.best, self.since_best = progress["best"], progress["since_best"]
        self._saved = (time.monotonic(), 0)

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        self._saved = (time.monotonic(), trainer.global_step)
        self._end_if_stale(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.progress is None:
            return
        restore(self.progress["generators"])
        if self.progress["position"][1] == 0:  # the data loader draws a number at the start of an epoch, not within
            torch.empty((), dtype=torch.int64).random_()
        self.progress = None

    def on_train_batch_end(self, trainer: pl.Trainer, _: pl.LightningModule, __: Any, ___: Any, index: int) -> None:
        if trainer.is_last_batch:
            return  # the checkpoint after the epoch is about to come
        stops = self._anywhere(trainer, self.stop.signal is not None or trainer.received_sigterm)
        if stops or self._anywhere(trainer, self._due(trainer)):
            self._save(trainer, LAST, (trainer.current_epoch, index + 1))
        if stops and not trainer.received_sigterm:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        loss = float(trainer.callback_metrics["validation/loss"])
        self.since_best = 0 if loss < self.best else self.since_best + 1
        position = (trainer.current_epoch + 1, 0)
        if loss < self.best:
            self.best = loss
            self._save(trainer, BEST, position)
        self._save(trainer, LAST, position)
        self._end_if_stale(trainer)
        if self.stop.signal == signal.SIGINT:
            raise KeyboardInterrupt

    def on_save_checkpoint(self, trainer: pl.Trainer, _: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        # of a FolkRNN: a model is of no use without the meaning of its tokens
        vocabulary = getattr(getattr(trainer.datamodule, "corpus", None), "vocabulary", None)
        checkpoint[OURS] = {
            "vocabulary": None if vocabulary is None else list(vocabulary.tokens),
            "identity": self.identity,
            "position": list(self.position),
            "best": self.best,
            "since_best": self.since_best,
            "generators": generators(),
        }

    def _save(self, trainer: pl.Trainer, name: str, position: tuple[int, int]) -> None:
        self.position = position
        trainer.save_checkpoint(self.folder / name)
        self._saved = (time.monotonic(), trainer.global_step)

    def _due(self, trainer: pl.Trainer) -> bool:
        moment, update = self._saved
        late = self.minutes is not None and time.monotonic() - moment >= 60 * self.minutes
        return late or (self.updates is not None and trainer.global_step - update >= self.updates)

    def _end_if_stale(self, trainer: pl.Trainer) -> None:
        if self.patience is not None and self.since_best >= self.patience:
            trainer.should_stop = True

    @staticmethod
    def _anywhere(trainer: pl.Trainer, decision: bool) -> bool:
        """Whether any process decides so: all must write a checkpoint together."""
        return trainer.strategy.reduce_boolean_decision(decision, all=False) if trainer.world_size > 1 else decision
