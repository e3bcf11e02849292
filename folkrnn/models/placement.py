"""Where the parameters of a model lie while something is done with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

from torch import nn


@contextmanager
def on_cpu(module: nn.Module) -> Iterator[None]:
    """Has the parameters of `module` on the CPU meanwhile, and puts them back.

    What is drawn for them there is the same whatever device they belong to; a GPU draws other numbers from a seed.
    """
    device = next(chain(module.parameters(), module.buffers())).device
    module.to("cpu")
    try:
        yield
    finally:
        module.to(device)
