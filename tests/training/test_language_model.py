import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from folkrnn.datasets.batches import pad
from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training.language_model import ModernRecipe, learning_rate_at, token_loss
from folkrnn.vocabulary import V2
from folkrnn.weights.sources import scratch


def tunes(*lengths):
    rng = np.random.default_rng(0)
    return [np.array([V2.start, *rng.integers(0, 50, n), V2.end]) for n in lengths]


def loss_of(model, some):
    inputs, targets = pad(some, V2.end)
    with torch.no_grad():
        return float(token_loss(model(inputs), targets))


def test_the_loss_is_the_mean_of_minus_log_p_over_real_tokens():
    model = FolkRNN(units=16).eval()
    some = tunes(5, 9)
    distributions = [model.trace(torch.from_numpy(t[:-1]), "probs")["probs"].numpy() for t in some]
    picked = np.concatenate(
        [distribution[np.arange(len(distribution)), t[1:]] for distribution, t in zip(distributions, some, strict=True)]
    )
    assert loss_of(model, some) == pytest.approx(-np.log(picked).mean(), rel=1e-5)


def test_padding_does_not_change_the_loss():
    model = FolkRNN(units=16).eval()
    some = tunes(4, 30)
    alone = [loss_of(model, [t]) * (len(t) - 1) for t in some]
    assert loss_of(model, some) == pytest.approx(sum(alone) / sum(len(t) - 1 for t in some), rel=1e-5)


def test_a_uniform_distribution_costs_ln_137_nats_a_token():
    model = FolkRNN(units=8).eval()
    with torch.no_grad():
        model.softmax_weight.zero_()
    assert loss_of(model, tunes(12)) == pytest.approx(math.log(137), rel=1e-6)


def test_the_learning_rate_warms_up_then_falls_along_half_a_cosine():
    recipe = ModernRecipe(learning_rate=1.0, warmup_updates=10, final_share=0.1)
    rates = [learning_rate_at(update, 110, recipe) for update in range(111)]
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_a_recipe_that_cannot_train_is_refused():
    with pytest.raises(UserError, match="learning_rate"):
        ModernRecipe(learning_rate=0)


def test_initial_input_weights_are_as_large_as_the_recipe_says():
    fresh, model = (scratch(FolkRNN(units=8), seed=1).model for _ in range(2))
    ModernRecipe(input_std=0.1).draw_initial(model, seed=1)
    assert torch.allclose(model.layers[0].weight_ih, fresh.layers[0].weight_ih / 5)
    assert torch.equal(model.layers[1].weight_ih, fresh.layers[1].weight_ih)
    with pytest.raises(UserError, match="input_std"):
        ModernRecipe(input_std=0.0)


@pytest.mark.slow
def test_the_full_model_leaves_the_unigram_plateau_within_fifty_updates():
    from folkrnn.datasets.batches import bucketed
    from folkrnn.datasets.irish import irish
    from folkrnn.training.memory import memory_kept

    corpus = irish()
    counts = np.bincount(np.concatenate([ids[1:] for ids in corpus.ids]), minlength=137)
    share = counts[counts > 0] / counts.sum()
    unigram = -(share * np.log(share)).sum()
    torch.manual_seed(1)
    recipe = ModernRecipe()
    model = FolkRNN(dropout=recipe.dropout)
    model.reset_parameters(torch.Generator().manual_seed(1))
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    batches = bucketed([len(ids) for ids in corpus.ids], 32, np.random.default_rng(0))
    losses = []
    with memory_kept():
        for update, batch in enumerate(batches[:60]):
            optimiser.param_groups[0]["lr"] = learning_rate_at(update, 2000, recipe)
            inputs, targets = pad([corpus.ids[i] for i in batch], V2.end)
            loss = token_loss(model(inputs), targets)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimiser.step()
            losses.append(float(loss))
    assert np.mean(losses[45:60]) < unigram - 0.15
