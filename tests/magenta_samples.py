"""Magenta's variables of small models, drawn at random, and checkpoints that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from folkrnn.models.musicvae_sizes import Sizes
from folkrnn.weights.magenta import shapes
from folkrnn.weights.tensor_bundle import write_bundle

FLAT = Sizes((10, 7), (9, 12), 6, 32)
HIERARCHICAL = Sizes((8,), (9, 7), 5, 48, (6, 10), 3)


def drawn(sizes: Sizes, seed: int = 0) -> dict[str, np.ndarray]:
    """Magenta's variables of a model of these sizes, biases included, large enough for any mistake to show."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes(sizes).items()}


def kept(folder: Path, variables: dict[str, np.ndarray], name: str = "model.ckpt-7") -> Path:
    """Writes the variables as a checkpoint and returns its prefix."""
    write_bundle(folder / name, variables)
    return folder / name


def rounding(name: str) -> float:
    """What adding 1 to a forget bias and taking it off again may cost, the sum being below 4; other values keep all."""
    return 2**-23 if name.endswith("bias") else 0
