"""What a model is, whatever its family: a torch module whose activations have names and can be read and changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn

from folkrnn.models.hooks import Hook
from folkrnn.models.positions import Tracker


class Model(nn.Module, ABC):
    """One entry of `model=`. What has a value here holds for a model that says nothing else."""

    family: ClassVar[str]
    """Whose: `folkrnn.families.NAME`, or NAME of an extension, has the `FAMILY` that trains and observes it."""
    reads_tokens: ClassVar[bool] = True
    """Whether it reads the tokens of a vocabulary, which then belongs to its weights."""
    cell: str = "lstm"
    """Kind of its recurrent cells, where it has some."""
    hooks: tuple[Hook, ...] = ()
    """What reads or changes its activations while it runs, see `folkrnn.models.hooks`."""
    tracker: Tracker | None = None
    """Follows where in a tune it is, for hooks that go by it."""

    @property
    @abstractmethod
    def sites(self) -> dict[str, int]:
        """Every site that can be read, and its number of units."""

    @property
    @abstractmethod
    def shape(self) -> str:
        """What kind of network this is, in a few words; two models with the same shape can hold the same weights."""

    @abstractmethod
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws fresh parameters."""

    @property
    def trained_as(self) -> str:
        """The shape, with what else of it decides how a training goes."""
        return self.shape

    @property
    def depth(self) -> int:
        """How many recurrent layers one step passes through, where they are one stack; else 0."""
        return 0

    @property
    def stacked(self) -> str:
        """Cell, depth and units of that stack, such as `lstm 3 × 512`, by which claims say what they are stated for."""
        return ""

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.parameters()).device

    def parameter_counts(self) -> dict[str, int]:
        """Returns the number of trainable numbers, by how they are counted."""
        return {"weights": sum(parameter.numel() for parameter in self.parameters())}

    def metadata(self) -> dict[str, str]:
        """Returns what the shapes of its parameters do not tell of its sizes, to be written beside them."""
        return {}
