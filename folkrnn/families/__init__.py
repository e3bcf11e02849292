"""The model families: for each a module that says what is its own, under the same names.

`DATA` (the type of its datasets), `EFFECT` (the analysis that compares interventions with their control),
`check_training`, `given`, `check_room`, `fit`, `observe`, `dataset_card`, `file_observation`, `report_entries`.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def family_of(model: object) -> ModuleType:
    """Returns the module of a model's family."""
    return importlib.import_module(f"folkrnn.families.{model.family}")
