"""Where draws are put so that a tune is written again."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from folkrnn.sampling.replay import _inside

UNIT = st.floats(0, 1, exclude_max=True)


@given(st.lists(st.tuples(UNIT, UNIT, UNIT), min_size=1, max_size=20), UNIT)
def test_a_replayed_draw_lies_within_its_tokens_interval_and_later_ones_stay(draws, later):
    ends = np.sort(np.array(draws)[:, :2], axis=1).T
    stream = np.array([draw[2] for draw in draws] + [later])
    found = _inside(ends, stream.copy())
    lower, upper = ends
    assert ((lower <= found[:-1]) & (found[:-1] <= upper)).all()
    wide = upper - lower > 1e-6
    assert ((lower < found[:-1]) & (found[:-1] < upper))[wide].all()
    assert found[-1] == later
