"""How a GPU computes while a model trains on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from folkrnn.models.recurrent import tf32


@contextmanager
def arithmetic(rounded: bool, deterministic: bool) -> Iterator[None]:
    """Has recurrent kernels round factors to TF32 or not, and sums be taken in the same order each time or not.

    torch warns of what it cannot do in the same order.
    """
    before, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with tf32(rounded):
        try:
            if deterministic:
                os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when the first product is made
                torch.use_deterministic_algorithms(True, warn_only=True)
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warns)
