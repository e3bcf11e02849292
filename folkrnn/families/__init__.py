"""The model families, one package each, whose `FAMILY` is a `folkrnn.families.family.Family`."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from folkrnn.config import extensions
from folkrnn.errors import UserError

if TYPE_CHECKING:
    from folkrnn.datasets.dataset import Dataset
    from folkrnn.families.family import Family
    from folkrnn.models.model import Model
    from folkrnn.observation.observed import Observed, ObservedInput


def family_of(model: Model) -> Family[Model, Dataset, ObservedInput, Observed]:
    """Returns the family of a model: that of `folkrnn.families`, or of an extension, which bears its name.

    Raises UserError where there is none.
    """
    places = [f"{package}.{model.family}" for package in ("folkrnn.families", *extensions.named())]
    place = next((place for place in places if find_spec(place)), None)
    if place is None:
        raise UserError(
            f"{type(model).__name__} is of the family {model.family}, and there is no {' or '.join(places)}"
        )
    # a family takes its own models, datasets and observations, which is what it is found by
    return cast("Family[Model, Dataset, ObservedInput, Observed]", importlib.import_module(place).FAMILY)
