"""Several processes at work on the blocks of an observation: Lightning's `predict`, spawned, each with its shards."""

from __future__ import annotations

import contextlib
import hmac
import io
import logging
import multiprocessing
import multiprocessing.util
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from datetime import timedelta
from multiprocessing.context import get_spawning_popen
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BasePredictionWriter
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor
from torch.multiprocessing import ProcessExitedException
from torch.storage import TypedStorage
from torch.utils.data import DataLoader

from folkrnn.errors import UserError
from folkrnn.parallel.pool import end_with_parent
from folkrnn.parallel.shards import Arrays, Progress, Work, Workers, write_shard

RANKS = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What a training by several processes leaves in the environment; those started here are a group of their own."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

REFUSED = "refused.txt"
"""Where a process leaves the line of a UserError."""

LONGEST = timedelta(days=30)
"""How long a process that is done waits for the others."""

LOOK = 0.2
"""Seconds between two looks at how far the processes are."""

# the first module of ours that a spawned process imports: remarks about how it is made stay out of the terminal
for name in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)
logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
for remark in (".*does not have many workers.*", ".*LeafSpec.*", ".*`srun` command.*"):
    warnings.filterwarnings("ignore", remark)


class Sent:
    """A work on its way to a process that is being started, where it arrives as the work itself.

    It is a pickle, since edits hold closures, and reading a pickle can run code. So it exists only while a process is
    started, in the anonymous pipe by which `multiprocessing` tells a child what to do: no file, no socket. It carries
    an HMAC under the random key of this process, which the child has from the same pipe, and nothing without it is
    read. What a tensor holds goes as an array.
    """

    def __init__(self, work: Any) -> None:
        self.work = work

    def __reduce__(self) -> tuple[Any, ...]:
        if get_spawning_popen() is None:
            raise TypeError("a work goes to a process that is being started, and nowhere else")
        content = io.BytesIO()
        _Pickler(content).dump(self.work)
        return _received, (content.getvalue(), _signature(content.getvalue()))


def _received(content: bytes, signature: bytes) -> Any:
    """The work of a `Sent`; raises ValueError where the process that started this one did not sign it."""
    if not hmac.compare_digest(signature, _signature(content)):
        raise ValueError("a work that did not come from the process that started this one")
    return cloudpickle.loads(content)


def _signature(content: bytes) -> bytes:
    return hmac.digest(multiprocessing.current_process().authkey, content, "sha256")


class _Pickler(cloudpickle.Pickler):
    """Writes what tensors hold as arrays: torch's own way back goes through a `torch.load` that takes any pickle."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, TypedStorage):
            return super().reducer_override(value)
        held = value._untyped_storage
        content = torch.empty(0, dtype=torch.uint8, device=held.device).set_(held).cpu().numpy()
        return _storage, (content, value.dtype)


def _storage(content: np.ndarray, dtype: torch.dtype) -> TypedStorage:
    """In main memory: on the GPU that it came from, every process would take room."""
    return TypedStorage(wrap_storage=torch.from_numpy(content).untyped_storage(), dtype=dtype, _internal=True)


class Watching(pl.LightningModule):
    """A work, put on the device of the process that it was sent to."""

    def __init__(self, work: Work, threads: int, done: Tensor, folder: Path) -> None:
        super().__init__()
        self.work: Any = Sent(work)
        self.threads, self.done, self.folder = threads, done, folder

    def on_predict_start(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Lightning's handler would go on to the end
        end_with_parent()
        torch.set_num_threads(self.threads)
        if self.device.type == "cuda":  # it arrives in main memory
            self.work.model.to(self.device)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch  # a work puts on its device what it reads there

    def predict_step(self, block: Any, _: int) -> Arrays:
        try:
            return self.work(block, self._advance)
        except UserError as refusal:
            (self.folder / REFUSED).write_text(str(refusal), encoding="utf-8")
            raise

    def _advance(self, count: int) -> None:
        self.done[self.global_rank] += count


class ShardWriter(BasePredictionWriter):
    """Leaves a shard for each block, so that no process holds more than one."""

    def __init__(self, folder: Path) -> None:
        super().__init__("batch")
        self.folder = folder

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Arrays,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        assert batch_indices is not None
        (k,) = batch_indices
        write_shard(self.folder, k, prediction)


def predict(
    work: Work, blocks: Sequence[Any], processes: Workers, count: int, folder: Path, progress: Progress
) -> None:
    """Has `count` processes leave the shards of all blocks in `folder`; process r takes blocks r, r + count, …

    Threads are shared out. Raises what `each_block` says; on the way out no process is left running.
    """
    if processes.device == "cuda" and (work.model is None or work.model.hooks):
        raise UserError("with an intervention tunes are observed on one GPU: set trainer.devices=1")
    done = torch.zeros(count, dtype=torch.int64).share_memory_()
    threads = max(1, torch.get_num_threads() // count)
    before = set(multiprocessing.active_children())
    with _environment(threads), _private(folder), _shown(done, progress):
        trainer = pl.Trainer(
            accelerator=processes.device,
            devices=list(processes.gpus[:count]) or count,
            # ddp_spawn, but patient: Lightning's own gives up on the others after half an hour
            strategy=DDPStrategy(start_method="spawn", timeout=LONGEST),
            plugins=[LightningEnvironment()],
            callbacks=[ShardWriter(folder)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            inference_mode=False,  # products look at how often a weight was written to, which it does not count
        )
        loader = DataLoader(_Items(blocks), batch_size=1, collate_fn=_only)
        try:
            trainer.predict(Watching(work, threads, done, folder), loader, return_predictions=False)
        except SystemExit:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from None
        except Exception as error:
            raise _explained(error, count, folder) from error
        finally:
            for process in set(multiprocessing.active_children()) - before:
                process.kill()
                process.join()


class _Items(torch.utils.data.Dataset):
    """Blocks as Lightning wants them: it would take a list of arrays for several loaders."""

    def __init__(self, blocks: Sequence[Any]) -> None:
        self.blocks = blocks

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, k: int) -> Any:
        return self.blocks[k]


def _only(items: list[Any]) -> Any:
    return items[0]


def _explained(error: Exception, count: int, folder: Path) -> Exception:
    """The UserError behind an error of a process, where there is one, else the error itself."""
    if (folder / REFUSED).is_file():
        return UserError((folder / REFUSED).read_text(encoding="utf-8"))
    if isinstance(error, ProcessExitedException) and error.signal_name:
        return UserError(
            f"process {error.error_index + 1} of the {count} that observed was ended by {error.signal_name}; if memory "
            "ran out, ask for fewer trainer.devices or fewer tunes at once (sampling.batch_size)"
        )
    return error


@contextlib.contextmanager
def _environment(threads: int) -> Iterator[None]:
    """The environment in which processes are started: no ranks of others, a share of the threads."""
    before = dict(os.environ)
    for name in RANKS:
        os.environ.pop(name, None)
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name in (*RANKS, *THREADS):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


@contextlib.contextmanager
def _private(folder: Path) -> Iterator[None]:
    """Has temporary files made in `folder`, which is nobody else's.

    torch takes the traceback of a process that failed from a pickle whose name was free for a moment: where all may
    write, another user could put one there.
    """
    multiprocessing.util.get_temp_dir()  # is kept from the first use on, and that folder is to stay
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def _shown(done: Tensor, progress: Progress) -> Iterator[None]:
    """Calls `progress` with what the processes have counted, while they are at it and once more at the end."""
    ended, shown = threading.Event(), 0

    def look() -> None:
        nonlocal shown
        total = int(done.sum())
        if total > shown:
            progress(total - shown)
            shown = total

    def watch() -> None:
        while not ended.wait(LOOK):
            look()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        look()
