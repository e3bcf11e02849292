"""Blocks of tunes or melodies, observed one after the other or by several processes, with the same result to the bit.

What is to be observed is cut into blocks, whatever the number of processes. A work makes arrays of a block alone, and
what it makes of all blocks is read in their order: a sum over blocks then never depends on who summed what. Several
processes each take every n-th block, by Lightning's `predict`, and leave a file for each, the shard. They are spawned
from the process that asks (`ddp_spawn`): Lightning's `ddp` would start the command again in each of them, and a study
observes many times, after a training too, whose ranks have gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from folkrnn.parallel.shards import ALONE, Arrays, Progress, Work, Workers, read_shard


def each_block(
    work: Work, blocks: Sequence[Any], processes: Workers = ALONE, progress: Progress | None = None
) -> Iterator[Arrays]:
    """Yields what `work` makes of every block, in their order.

    Several processes (at most one per block) finish all blocks first; their shards wait on disk, in a temporary folder,
    and are read one at a time. A UserError that `work` raises in another process is raised here too. Raises UserError
    where one of them is killed; whatever ends the others early, none is left running.
    """
    advance = progress or _quiet
    count = min(processes.count, len(blocks))
    if count < 2:
        for block in blocks:
            yield work(block, advance)
        return
    from folkrnn.parallel.predicting import predict

    with TemporaryDirectory(prefix="folkrnn-") as folder:
        predict(work, blocks, processes, count, Path(folder), advance)
        for k in range(len(blocks)):
            yield read_shard(Path(folder), k)


def _quiet(_: int) -> None:
    pass
