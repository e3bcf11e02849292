"""Figures may bear the names that a document gives them."""

from __future__ import annotations

import pytest

from folkrnn.refusal import Refusal
from folkrnn.study import figure_names


def test_an_entry_names_one_figure_of_one_analysis():
    assert figure_names(["softmax_svd/plane=fig7", "a/b=c=d"]) == {"softmax_svd/plane": "fig7", "a/b": "c=d"}


@pytest.mark.parametrize("entry", ["fig7", "softmax_svd/plane", "plane=fig7", "softmax_svd/plane="])
def test_anything_else_is_refused_with_an_example(entry):
    with pytest.raises(Refusal, match="softmax_svd/plane=fig7"):
        figure_names([entry])
