"""When checkpoints are written, and how a training stops and goes on."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from folkrnn.errors import UserError
from folkrnn.training.checkpoints import BEST, LAST, OURS, generators, restore
from folkrnn.training.limits import advice
from folkrnn.training.preemption import Requeued, requeue


class Stop:
    """Which signal, if any, has asked the training to stop after the update at hand, and who listens for it."""

    def __init__(self, preempt: int | None = None) -> None:
        """`preempt` is the signal after which the job is put back into SLURM's queue."""
        self.preempt = preempt
        self.signal: int | None = None
        self.asking = [signal.SIGINT, signal.SIGTERM] + ([preempt] if preempt is not None else [])
        """In rising order of what wins where processes were asked differently."""

    @property
    def urgency(self) -> int:
        """0 where nothing was asked; else the place of the signal, from 1."""
        return 0 if self.signal is None else self.asking.index(self.signal) + 1

    def agree(self, urgency: int) -> None:
        """Takes over what another process was asked."""
        self.signal = self.asking[urgency - 1] if urgency else None

    def listen(self) -> dict[int, Any]:
        """Only notes the signals from now on; returns the handlers of before. A second Ctrl-C stops at once."""
        return {number: signal.signal(number, self._note) for number in self.asking}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number if self.signal is None else self.signal


@contextmanager
def stopping(preempt: int | None = None, first: bool = True) -> Iterator[Stop]:
    """Within the block SIGTERM, Ctrl-C and the signal `preempt` are only noted.

    A training that was stopped so leaves the block with what the signal would have done before it: whatever the
    earlier handler raises, else SystemExit(143) or KeyboardInterrupt. After `preempt` the `first` process requeues the
    job: Requeued is raised, or SystemExit(128 + its number) where that failed.
    """
    stop = Stop(preempt)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = stop.listen()
    try:
        yield stop
    except BaseException as error:
        if stop.signal is None or not isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        if stop.signal == preempt:
            if first and not requeue():
                raise SystemExit(128 + stop.signal) from None
            before[signal.SIGTERM] = signal.SIG_IGN  # SLURM sends it now, and the run is yet to be ended
            raise Requeued from None
        _reinstate(before)
        if callable(before[stop.signal]):
            signal.raise_signal(stop.signal)
        raise KeyboardInterrupt if stop.signal == signal.SIGINT else SystemExit(128 + stop.signal) from None
    finally:
        _reinstate(before)


def _reinstate(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None:
            signal.signal(number, handler)


class Checkpointing(Callback):
    """Writes `last.ckpt` after every epoch, in between as asked for, and when stopped; `best.ckpt` after the best one.

    `minutes` and `updates` are the longest a checkpoint within an epoch is waited for (None: not at all); after
    `patience` validations without improvement training ends. After every `keep_every` epochs one more is written that
    stays, `epoch-0010.ckpt` after ten. `progress` is that of the checkpoint gone on from. `tokens` are those of a model
    that reads tokens: its parameters are of no use without their meaning.
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
        keep_every: int | None = None,
        tokens: Sequence[str] | None = None,
    ) -> None:
        self.folder, self.identity, self.stop = folder, dict(identity), stop
        self.minutes, self.updates, self.patience, self.keep_every = minutes, updates, patience, keep_every
        self.progress, self.tokens = progress, tokens
        self.best, self.since_best = math.inf, 0
        self.position = (0, 0)
        if progress:
            self.best, self.since_best = progress["best"], progress["since_best"]
        self._saved = (time.monotonic(), 0)

    def on_train_start(self, trainer: pl.Trainer, _: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            # in the place of Lightning's handler, which sends to other processes from within the signal, where these
            # may be sending something else
            self.stop.listen()
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
        parts = trainer.accumulate_grad_batches
        if trainer.is_last_batch or (index + 1) % parts:
            return  # the checkpoint after the epoch is about to come, or gradients are half gathered
        stops, due = self._agreed(trainer)
        if stops or due:
            self._save(trainer, LAST, (trainer.current_epoch, (index + 1) // parts))
        if stops:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: pl.Trainer, training: pl.LightningModule) -> None:
        loss = float(trainer.callback_metrics["validation/loss"])
        if not math.isfinite(loss):
            raise UserError(
                f"the validation loss is {loss} after epoch {trainer.current_epoch}, which is not kept. "
                f"{advice(training.recipe)}"
            )
        self.since_best = 0 if loss < self.best else self.since_best + 1
        position = (trainer.current_epoch + 1, 0)
        if loss < self.best:
            self.best = loss
            self._save(trainer, BEST, position)
        if self.keep_every and position[0] % self.keep_every == 0:
            self._save(trainer, f"epoch-{position[0]:04d}.ckpt", position)
        self._save(trainer, LAST, position)
        self._end_if_stale(trainer)
        if self._agreed(trainer)[0]:
            raise KeyboardInterrupt

    def on_save_checkpoint(self, trainer: pl.Trainer, _: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[OURS] = {
            "vocabulary": None if self.tokens is None else list(self.tokens),
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

    def _agreed(self, trainer: pl.Trainer) -> tuple[bool, bool]:
        """Whether the training stops here and whether a checkpoint is due: in any process is in all of them."""
        urgency, due = self.stop.urgency, self._due(trainer)
        if trainer.world_size > 1:
            mine = torch.tensor([urgency, int(due)], device=trainer.strategy.root_device)
            urgency, due = trainer.strategy.reduce(mine, reduce_op="max").tolist()
            self.stop.agree(urgency)
        return urgency > 0, bool(due)
