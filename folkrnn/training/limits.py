"""What the numbers of a recipe may be."""

from __future__ import annotations

import math
from typing import Any

from folkrnn.errors import UserError


def check_recipe(recipe: Any, **allowed: str) -> None:
    """Raises UserError, by its name, for a setting of a recipe that is neither None nor within its limits.

    Of each kind of limit the names that it holds for, separated by blanks: `above_zero`, `from_zero` (both finite),
    `share` (0 to 1), `below_one` (0 to 1, without 1), `count` (whole, from 1), `whole` (from 0).
    """
    for kind, names in allowed.items():
        for name in names.split():
            value = getattr(recipe, name)
            if value is not None and not _is(value, kind):
                raise UserError(f"recipe.{name}={value}: must be {_WORDS[kind]}")


def advice(recipe: Any) -> str:
    """Returns the sentence that ends what is said of a training that runs away."""
    return f"A smaller recipe.{'first_rate' if hasattr(recipe, 'first_rate') else 'learning_rate'} may help"


_WORDS = {
    "above_zero": "a number above 0",
    "from_zero": "a number from 0",
    "share": "a number from 0 to 1",
    "below_one": "a number from 0, below 1",
    "count": "a whole number from 1",
    "whole": "a whole number from 0",
}


def _is(value: Any, kind: str) -> bool:
    if kind in ("count", "whole"):
        return isinstance(value, int) and value >= (kind == "count")
    if not 0 <= value < math.inf:
        return False
    return {"above_zero": value > 0, "share": value <= 1, "below_one": value < 1}.get(kind, True)
