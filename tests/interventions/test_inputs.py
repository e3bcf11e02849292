"""What the model reads where its input is blended, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_network import applied, network, play

from folkrnn.interventions.inputs import blend_input
from folkrnn.vocabulary import V2, token_type


def test_a_blended_input_is_the_token_written_and_one_random_pitch_by_their_weights():
    model = network()
    tune = max(play(model), key=lambda tune: len(tune.ids))
    read = torch.from_numpy(tune.ids[:-1])
    rows = applied(model, blend_input(0.7, 0.3)).model.trace(read, "x")["x"].numpy()
    plain = np.eye(len(V2), dtype=np.float32)[read.numpy()]
    np.testing.assert_allclose(rows[0], plain[0])  # <s> was not written
    added = rows[1:] - np.float32(0.7) * plain[1:]
    assert np.count_nonzero(np.abs(added) > 1e-6, axis=1).tolist() == [1] * len(added)
    np.testing.assert_allclose(added.max(1), 0.3, rtol=1e-5)
    partners = {V2.tokens[k] for k in added.argmax(1)}
    assert {token_type(token) for token in partners} == {"pitch"}
    assert len(partners) > 3  # drawn anew for each step


@pytest.mark.parametrize(("other", "tokens", "summed"), [(0.3, None, 1.0), (0.3, "pitch", 1.3), (1.0, "pitch", 2.0)])
def test_a_weight_of_one_is_no_blend_only_where_nothing_is_added(other, tokens, summed):
    model = network()
    read = torch.from_numpy(play(model)[4].ids[:-1])
    rows = applied(model, blend_input(1.0, other, tokens=tokens)).model.trace(read, "x")["x"].numpy()
    assert np.allclose(rows[1:].sum(1), summed)
    weak = applied(model, blend_input(0.0, 0.0, tokens=None)).model.trace(read, "x")["x"].numpy()
    assert weak[0].sum() == 1 and not weak[1:].any()
