"""Vectors over the vocabulary, named by their strongest tokens."""

from __future__ import annotations

import numpy as np

from folkrnn.vocabulary import Vocabulary


def strongest(vector: np.ndarray, vocabulary: Vocabulary, n: int = 6) -> tuple[list[str], list[str]]:
    """Returns the tokens that `vector [V]` raises most and lowers most, at most `n` of each, the strongest first."""
    order = np.argsort(-vector, kind="stable")
    raised = [vocabulary.tokens[i] for i in order[:n] if vector[i] > 0]
    return raised, [vocabulary.tokens[i] for i in order[::-1][:n] if vector[i] < 0]
