"""How far short memories get: uniform, unigram and longer n-gram models of token sequences, in nats per token.

Witten and Bell's estimate (1991, method C), interpolated with the next shorter context: a context h that occurred n(h)
times before r(h) distinct tokens gives P(w | h) = (n(hw) + r(h) P(w | h′)) / (n(h) + r(h)), where h′ is h without its
oldest token; the empty context falls back on the uniform distribution over the vocabulary. Contexts do not reach
beyond `<s>`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

ORDERS = (1, 2, 3, 4, 5)
NAMES = {1: "unigram", 5: "5gram"}


class NGrams:
    """Counts of all n-grams up to `order` in `tunes` (token ids from `<s>` to `</s>`), and the distributions that
    follow.
    """

    def __init__(self, tunes: Sequence[np.ndarray], order: int, vocabulary_size: int) -> None:
        self.order, self.vocabulary_size = order, vocabulary_size
        self._counts: list[dict[tuple[int, ...], dict[int, int]]] = [{} for _ in range(order)]
        for ids in tunes:
            tokens = ids.tolist()
            for place in range(1, len(tokens)):
                for length in range(min(order, place + 1)):
                    after = self._counts[length].setdefault(tuple(tokens[place - length : place]), {})
                    after[tokens[place]] = after.get(tokens[place], 0) + 1
        self._totals = [{context: sum(after.values()) for context, after in level.items()} for level in self._counts]

    def probabilities(self, context: Sequence[int], token: int) -> list[float]:
        """Returns P(token | the last n − 1 tokens of `context`) for n = 1 … `order`."""
        distribution, distributions = 1 / self.vocabulary_size, []
        for length in range(self.order):
            if length <= len(context):
                seen = tuple(context[len(context) - length :])
                after = self._counts[length].get(seen)
                if after is not None:
                    distribution = (after.get(token, 0) + len(after) * distribution) / (
                        self._totals[length][seen] + len(after)
                    )
            distributions.append(distribution)
        return distributions

    def nats(self, tunes: Sequence[np.ndarray]) -> list[float]:
        """Returns the mean of −ln P over the tokens after `<s>` of all `tunes`, for n = 1 … `order`."""
        sums, tokens = [0.0] * self.order, 0
        for ids in tunes:
            line = ids.tolist()
            for place in range(1, len(line)):
                context = line[max(0, place - self.order + 1) : place]
                for n, distribution in enumerate(self.probabilities(context, line[place])):
                    sums[n] -= math.log(distribution)
            tokens += len(line) - 1
        return [total / tokens for total in sums]


def baselines(
    training: Sequence[np.ndarray], validation: Sequence[np.ndarray], vocabulary_size: int
) -> dict[str, float]:
    """Returns what knowing nothing and short memories cost on the validation tunes, in nats per token.

    Keys `uniform`, `unigram`, `2gram`, `3gram`, `4gram`, `5gram`; fitted on the training tunes.
    """
    nats = NGrams(training, max(ORDERS), vocabulary_size).nats(validation)
    named = {NAMES.get(n, f"{n}gram"): value for n, value in zip(ORDERS, nats, strict=True)}
    return {"uniform": math.log(vocabulary_size)} | named
