"""What processes share: which they are, what is done with a block, and the files (shards) that they leave of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from folkrnn.errors import UserError
from folkrnn.files.whole import replacing

Arrays = dict[str, np.ndarray]

Progress = Callable[[int], None]
"""Called with the number of tunes or melodies that have just been done."""


class Movable(Protocol):
    """What a work asks of its model in another process."""

    @property
    def hooks(self) -> Sequence[object]:
        """What reads or changes its activations: they stay on the device where they were made."""
        ...

    def to(self, device: Any, /) -> object: ...


class Work(Protocol):
    """What is done with each block. It is sent to other processes with all that it holds."""

    @property
    def model(self) -> Movable | None:
        """What it runs, put on the device of the process that it is sent to; None: nothing that has a device."""
        ...

    def __call__(self, block: Any, progress: Progress, /) -> Arrays: ...


@dataclass(frozen=True)
class Workers:
    """How many processes observe, and on what."""

    count: int = 1
    device: str = "cpu"
    """`cpu` or `cuda`."""
    gpus: tuple[int, ...] = ()
    """Which ones, one per process."""


ALONE = Workers()
"""This process alone, on whatever device its model is."""


def processes(accelerator: str, devices: int | str | Sequence[int]) -> Workers:
    """Returns the processes that `trainer.accelerator` and `trainer.devices` ask for: one per device, as in training.

    Raises UserError for devices that are not there, and for a CPU whose processes are not counted.
    """
    import torch

    present = torch.cuda.device_count() if accelerator in ("auto", "gpu", "cuda") else 0
    if present:
        gpus = _gpus(devices, present)
        return Workers(len(gpus), "cuda", gpus)
    if devices == "auto":
        return ALONE
    if not isinstance(devices, int) or devices < 1:
        raise UserError(f"trainer.devices={devices} names devices, but this is a CPU: give the number of processes")
    return Workers(devices)


def _gpus(devices: int | str | Sequence[int], present: int) -> tuple[int, ...]:
    if devices in ("auto", -1):
        return tuple(range(present))
    chosen = tuple(range(devices)) if isinstance(devices, int) else tuple(map(int, devices))
    if len(chosen) > present or max(chosen, default=0) >= present:
        raise UserError(f"trainer.devices={devices}, but this machine has {present} GPU{'s' if present > 1 else ''}")
    return chosen


def write_shard(folder: Path, k: int, arrays: Arrays) -> None:
    """Writes the arrays of block k whole or not at all."""
    with replacing(folder / f"{k}.npz") as draft, draft.open("wb") as file:
        np.savez(file, **cast("dict[str, Any]", arrays))


def read_shard(folder: Path, k: int) -> Arrays:
    """Returns the arrays of block k and removes their file."""
    file = folder / f"{k}.npz"
    with np.load(file, allow_pickle=False) as shard:
        arrays = dict(shard.items())
    file.unlink()
    return arrays
