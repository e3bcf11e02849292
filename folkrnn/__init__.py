"""See inside music models: folk-rnn and MusicVAE. The names below are what a notebook needs, loaded on demand."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from folkrnn.explorer import explore
    from folkrnn.lab import Lab, load
    from folkrnn.observation.observation import Observation
    from folkrnn.sampling import Sampling, generate
    from folkrnn.tracking.results import result, results
    from folkrnn.weights.sources import checkpoint, pretrained

__version__ = "0.2.0"
__all__ = [
    "Lab",
    "Observation",
    "Sampling",
    "checkpoint",
    "explore",
    "generate",
    "load",
    "pretrained",
    "result",
    "results",
]

_HOME = {
    "Lab": "folkrnn.lab",
    "Observation": "folkrnn.observation.observation",
    "Sampling": "folkrnn.sampling",
    "checkpoint": "folkrnn.weights.sources",
    "explore": "folkrnn.explorer",
    "generate": "folkrnn.sampling",
    "load": "folkrnn.lab",
    "pretrained": "folkrnn.weights.sources",
    "result": "folkrnn.tracking.results",
    "results": "folkrnn.tracking.results",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'folkrnn' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
