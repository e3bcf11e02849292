"""How the parameters of a training were drawn before its first update, so that they can be drawn again.

A card carries it in a line of its own, `- **Initial parameters**: `seed=1 init=model``, where `init` is `model` (what
the model draws itself), `2015` or `2016` (what the authors of folk-rnn drew).
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import cast, get_args

import torch

from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.initialisation import Era, initialise

OWN = "model"
_LINE = re.compile(r"^- \*\*Initial parameters\*\*: `seed=(\d{1,10}) init=(\w+)`", re.MULTILINE)


@dataclass(frozen=True)
class Initial:
    """The seed, and who drew."""

    seed: int
    init: str = OWN

    @classmethod
    def read(cls, card: str) -> Initial | None:
        """Returns what a card says of it, None where it says nothing."""
        found = _LINE.search(card)
        if found is None or found[2] not in (OWN, *map(str, get_args(Era))):
            return None
        return cls(int(found[1]), found[2])

    def line(self) -> str:
        """Returns the line of a card that says it."""
        return f"- **Initial parameters**: `seed={self.seed} init={self.init}`, so that they can be drawn again\n"

    def model_like(self, model: FolkRNN) -> FolkRNN:
        """Returns a model of the same shape with the initial parameters."""
        fresh = copy.deepcopy(model).cpu()
        fresh.reset_parameters(torch.Generator().manual_seed(self.seed))
        if self.init != OWN:
            initialise(fresh, cast("Era", int(self.init)), torch.Generator().manual_seed(self.seed))
        return fresh.eval()
