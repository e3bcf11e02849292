"""The processes that share a training: who started them, which one this is, and how they agree on what to do.

One command trains in one process, or starts further ones itself (`trainer=ddp trainer.devices=2`); or torchrun, or
SLURM's srun, starts the same command several times. The first process (rank 0) makes the run and its folder; the others
only train. It tells them where checkpoints are through the store at which torch's processes meet anyway.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from folkrnn.errors import UserError

if TYPE_CHECKING:
    from pytorch_lightning.plugins.environments import ClusterEnvironment

_PATIENCE = timedelta(minutes=10)
"""How long one process waits for another before training begins: a node may still prepare its data."""

_RECEIVED = timedelta(seconds=20)

_KEY = "folkrnn/plan"


@dataclass(frozen=True)
class ProcessGroup:
    """What started this process says of it; by default it is alone."""

    launcher: Literal["torchrun", "srun"] | None = None
    rank: int = 0
    size: int = 1
    """Processes over all nodes."""
    nodes: int = 1

    @property
    def on_each_node(self) -> int:
        return self.size // self.nodes


def group() -> ProcessGroup:
    """Returns this process's place among those that torchrun or srun started.

    Raises UserError for tasks of SLURM that are not spread evenly over the nodes.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        size, each = _number("WORLD_SIZE", 1), _number("LOCAL_WORLD_SIZE", 1)
        return ProcessGroup("torchrun", _number("RANK", 0), size, max(1, size // each))
    tasks = _number("SLURM_STEP_NUM_TASKS", _number("SLURM_NTASKS", 1))  # the first is set by srun alone
    in_shell = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive") and "SLURM_STEP_NUM_TASKS" not in os.environ
    if tasks == 1 or in_shell or "SLURM_PROCID" not in os.environ:
        return ProcessGroup()
    each = _number("SLURM_NTASKS_PER_NODE", 0)
    nodes = _number("SLURM_NNODES", max(1, tasks // max(1, each)))
    if each * nodes != tasks:
        raise UserError(
            f"SLURM started {tasks} tasks on {nodes} nodes and {each or 'no number'} per node: ask for them by "
            "--ntasks-per-node, the same number on every node, and start the command with srun"
        )
    return ProcessGroup("srun", _number("SLURM_PROCID", 0), tasks, nodes)


def _number(name: str, otherwise: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else otherwise


@dataclass(frozen=True)
class Arrangement:
    """What Lightning is sent."""

    devices: int | str | list[int]
    nodes: int
    rank: int
    environment: ClusterEnvironment


def arrange(devices: int | str | list[int], nodes: int | str, strategy: str) -> Arrangement:
    """Returns how the processes of a training come about, given `trainer.devices`, `.nodes` and `.strategy`.

    Raises UserError where that contradicts what torchrun or srun started.
    """
    from pytorch_lightning.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    mine = group()
    if mine.launcher is None:
        if nodes not in ("auto", 1):
            raise UserError(
                f"trainer.nodes={nodes}: one command trains on one node; start it on each by torchrun --nnodes={nodes} "
                "or by srun"
            )
        return Arrangement(devices, 1, _number("LOCAL_RANK", 0), LightningEnvironment())
    started = f"{mine.launcher} started {mine.on_each_node} processes on each of {mine.nodes} nodes"
    if mine.size > 1 and strategy == "auto":
        raise UserError(f"{started}, but trainer.strategy=auto trains in one; add trainer=ddp")
    if devices not in ("auto", -1, mine.on_each_node) and not (devices == 1 and mine.size == 1):
        raise UserError(f"trainer.devices={devices}, but {started}; leave trainer.devices out, or start as many")
    if nodes not in ("auto", mine.nodes):
        raise UserError(f"trainer.nodes={nodes}, but {started}; leave trainer.nodes out, or start it on as many")
    if mine.launcher == "torchrun":
        return Arrangement(mine.on_each_node, mine.nodes, mine.rank, TorchElasticEnvironment())
    # what a signal means is decided in training/checkpointing.py: two who requeue would fight
    return Arrangement(mine.on_each_node, mine.nodes, mine.rank, SLURMEnvironment(auto_requeue=False))


@contextmanager
def variables_kept() -> Iterator[None]:
    """Puts back afterwards what Lightning sets for processes that it starts, so that it can start others again."""
    names = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def restarted() -> bool:
    """Whether SLURM or torchrun runs this very job again after it was cut off."""
    return _number("SLURM_RESTART_COUNT", 0) > 0 or _number("TORCHELASTIC_RESTART_COUNT", 0) > 0


_meeting: Any = None
"""The store of this process, which must live until the others have joined."""


def _meet(mine: ProcessGroup) -> Any:
    global _meeting  # noqa: PLW0603 — a process has one
    import torch.distributed as dist

    if _meeting is None:
        environment = arrange("auto", "auto", "ddp").environment
        os.environ["MASTER_ADDR"] = environment.main_address
        os.environ["MASTER_PORT"] = str(environment.main_port)
        try:
            _meeting = next(dist.rendezvous("env://", mine.rank, mine.size, timeout=_PATIENCE))[0]
        except Exception as error:  # torch raises several kinds, all of which mean the same
            raise UserError(
                f"process {mine.rank} of {mine.size} found no other at {environment.main_address}:"
                f"{environment.main_port} within {_PATIENCE}: start all of them by srun or torchrun ({error})"
            ) from error
    return _meeting


@contextmanager
def broadcasting(trains: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """In rank 0, around all that it does: yields what tells the others the plan, plain values, once there is one.

    If the block ends without a word, because something was refused, the others end too. Nobody waits for a word where
    nothing is trained.
    """
    mine = group()
    if mine.size == 1 or not trains:
        yield lambda _: None
        return
    sent: list[dict[str, Any]] = []

    def broadcast(plan: dict[str, Any]) -> None:
        _meet(mine).set(_KEY, json.dumps(plan))
        sent.append(plan)

    try:
        yield broadcast
    finally:
        if not sent:
            _dismiss(mine)


def _dismiss(mine: ProcessGroup) -> None:
    """Tells the others that there is nothing to do, and waits until they know: the store may end with this process."""
    store = _meet(mine)
    store.set(_KEY, json.dumps(None))
    store.set_timeout(_RECEIVED)
    try:
        store.wait([f"{_KEY}/{rank}" for rank in range(1, mine.size)])
    except Exception:  # whoever has not come by now learns it from the broken connection
        return


def receive() -> dict[str, Any] | None:
    """Returns the plan of rank 0, waiting for it; None where there is nothing to do.

    Raises UserError where the first process ended without a word.
    """
    mine = group()
    store = _meet(mine)
    try:
        plan = json.loads(store.get(_KEY))
    except Exception as error:  # torch raises several kinds, all of which mean the same
        raise UserError(f"process {mine.rank} of {mine.size}: the first one ended before the training began") from error
    store.set(f"{_KEY}/{mine.rank}", "received")
    return plan
