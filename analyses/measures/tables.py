"""Tables read row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd


def rows_of(table: pd.DataFrame, index: bool = True) -> Iterator[Any]:
    """Yields the rows as named tuples; what their fields are, a checker of types cannot know."""
    return iter(table.itertuples(index=index))
