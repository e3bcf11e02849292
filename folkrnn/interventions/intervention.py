"""What an intervention is: a value that makes a changed model from a model and leaves the original as it was."""

from __future__ import annotations

from typing import Protocol

from folkrnn.models.folkrnn import FolkRNN


class Intervention(Protocol):
    """One entry of `intervention=`; a list of them is applied in order."""

    def check(self, model: FolkRNN) -> None:
        """Raises Refusal where it does not fit the model (a unit or layer that does not exist)."""

    def edit(self, model: FolkRNN) -> FolkRNN:
        """Returns a changed copy; the original is never modified."""
