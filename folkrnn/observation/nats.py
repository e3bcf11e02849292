"""What every token of given tunes costs a model, in nats: −ln of the probability that it had."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from folkrnn.datasets.batches import pad
from folkrnn.datasets.repetition import COPIED, NEW, kinds
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.vocabulary import Vocabulary

BATCH = 64


@torch.no_grad()
def token_nats(model: FolkRNN, tunes: Sequence[np.ndarray], padding: int) -> list[np.ndarray]:
    """Returns −ln p of every token after `<s>` of each tune (ids from `<s>` to `</s>`), float64 `[N − 1]` each."""
    found: list[np.ndarray] = [np.empty(0)] * len(tunes)
    order = sorted(range(len(tunes)), key=lambda k: len(tunes[k]))
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        inputs, targets = pad([tunes[k] for k in some], padding)
        log_p = model(inputs.to(model.device)).log_softmax(-1).cpu()
        nats = -log_p.gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1).double().numpy()
        for row, k in enumerate(some):
            found[k] = nats[row, : len(tunes[k]) - 1]
    return found


def by_repetition(nats: Sequence[np.ndarray], tunes: Sequence[np.ndarray], vocabulary: Vocabulary) -> np.ndarray:
    """Returns for each tune the nats of tokens in new and in copied bars and their numbers, `[N, 4]`.

    Columns: nats in new bars, tokens there, nats in bars that stood in the tune before, tokens there
    (`folkrnn.datasets.repetition.kinds`).
    """
    rows = []
    for costs, ids in zip(nats, tunes, strict=True):
        kind = kinds(vocabulary.decode(ids[1:-1]))
        new, copied = kind == NEW, kind == COPIED
        inner = costs[: len(kind)]  # the last is that of </s>
        rows.append([inner[new].sum(), new.sum(), inner[copied].sum(), copied.sum()])
    return np.array(rows, float).reshape(-1, 4)
