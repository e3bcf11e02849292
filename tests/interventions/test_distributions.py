"""Suppression and displacement: the distributions they draw from, and what they account for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from small_network import SAMPLING, applied, context, ids, network, play

from analyses.measures.displacement import factor
from folkrnn.errors import UserError
from folkrnn.interventions import composition, distributions, softmax
from folkrnn.models.rng import draw
from folkrnn.sampling.redraw import redraw, side_streams
from folkrnn.vocabulary import V2

PITCHES = torch.tensor(V2.of_type("pitch"))


def test_rejection_draws_from_the_distribution_of_what_is_left():
    rng = np.random.default_rng(0)
    distribution = torch.from_numpy(rng.dirichlet(np.ones(8)))
    rejected = torch.zeros(8, dtype=torch.bool)
    rejected[[1, 4, 6]] = True
    count = 20_000
    rows = distribution.expand(count, -1)
    chosen = draw(rows, torch.from_numpy(rng.random(count)))
    sides = side_streams(1, torch.arange(count), torch.zeros(count, dtype=torch.long))
    found = np.bincount(redraw(rows, chosen, rejected.expand(count, -1), sides), minlength=8)
    masked = distribution.masked_fill(rejected, 0).numpy()
    assert found[[1, 4, 6]].sum() == 0
    left = ~rejected.numpy()
    assert chisquare(found[left], count * (masked / masked.sum())[left]).pvalue > 1e-3


def test_rejecting_and_masking_write_tunes_of_the_same_distribution():
    model, many = network(), replace(SAMPLING, tunes=2500, max_tokens=3, batch_size=2500)
    counts = []
    for how in ("resample", "mask"):
        changed = applied(model, distributions.suppress("pitch |", how=how)).model
        counts.append(np.bincount([tune.ids[3] for tune in play(changed, many)], minlength=len(V2)))
    first, second = (count.astype(float) for count in counts)
    often = first + second >= 10
    pooled = (first + second)[often] / 2
    # twice the statistic of one sample against a known distribution, since both are samples
    assert chisquare(first[often], pooled * first[often].sum() / pooled.sum()).pvalue > 1e-3
    assert first[list(V2.of_type("pitch"))].sum() == second[list(V2.of_type("pitch"))].sum() == 0


def test_what_is_too_unlikely_to_be_accepted_is_still_found():
    distribution = torch.tensor([[1 - 1e-9, 1e-9]], dtype=torch.float64)
    rejected = torch.tensor([[True, False]])
    assert redraw(
        distribution, torch.tensor([0]), rejected, side_streams(1, torch.tensor([0]), torch.tensor([0]))
    ).tolist() == [1]


@pytest.mark.parametrize("how", ["resample", "mask"])
def test_suppressed_tokens_come_in_no_row_of_the_window_and_elsewhere_as_before(how):
    model = network()
    control = play(model)
    tunes = play(applied(model, distributions.suppress("pitch", how, steps=[5, 9])).model)
    tunes = [tune for tune in tunes if len(tune.ids) == SAMPLING.max_tokens + 1]
    assert len(tunes) > 10
    kinds = np.array([[V2.types[token] for token in tune.ids[1:]] for tune in tunes])
    assert not (kinds[:, 5:10] == "pitch").any()
    assert (kinds[:, 10:] == "pitch").any()
    same = [tune[:6] for tune in ids(control)]
    assert all(tune[:6] in same for tune in ids(tunes))


@pytest.mark.parametrize("how", ["resample", "mask"])
def test_the_account_names_what_was_suppressed_and_what_came_instead(how):
    model = network()
    done = applied(model, distributions.suppress("pitch", how))
    tunes = play(done.model)
    (effect,) = composition.with_steps(done.model, done.effects, tunes)
    table = effect.table.set_index(["tune", "step"])
    assert len(table) == sum(len(tune.ids) - 1 for tune in tunes)
    for k, tune in enumerate(tunes[:3]):
        read = model.trace(torch.from_numpy(tune.ids[:-1]), "probs")["probs"].double()
        assert np.allclose(table.loc[k, "probability"], read[:, PITCHES].sum(1).numpy(), atol=1e-5)
        for step, row in table.loc[k].iterrows():
            if row["suppressed"]:
                assert row["suppressed_token"] in [V2.tokens[i] for i in PITCHES]
                assert row["substitute_token"] == V2.tokens[tune.ids[step + 1]]
            else:
                assert row["suppressed_token"] == row["substitute_token"] == ""
    assert effect.metrics["suppressed"] == table["suppressed"].sum() > 50


@pytest.mark.parametrize("temperature", [1.0, 0.6, 2.5])
@given(alpha=st.floats(0, 3), seed=st.integers(0, 50))
def test_a_factor_multiplies_the_probability_of_the_tokens_together_at_any_temperature(temperature, alpha, seed):
    logits = torch.randn(5, 137, generator=torch.Generator().manual_seed(seed)) * 3
    chosen = torch.tensor([4, 77])
    delta, limit = distributions.deltas(logits, chosen, alpha, temperature)
    moved = logits.double()
    moved[:, chosen] += (delta * temperature).unsqueeze(1)
    before, after = ((value.double() / temperature).softmax(-1) for value in (logits, moved))
    p, became = before[:, chosen].sum(1), after[:, chosen].sum(1)
    assert torch.equal(limit, alpha * p >= 1)
    assert torch.allclose(became, torch.where(limit, 1 - distributions.LIMIT, alpha * p), rtol=1e-9, atol=1e-12)
    assert torch.allclose(after[:, 5], before[:, 5] * (1 - became) / (1 - p), rtol=1e-6)


def test_delta_and_factor_agree_on_the_worked_example():
    # part 2 of the blog: δ = 1.54 and p = 0.05 give α = 3.94
    p = 0.05
    logits = torch.tensor([[math.log(p), math.log(1 - p)]])
    delta, _ = distributions.deltas(logits, torch.tensor([0]), float(factor(1.54, p)), 1.0)
    assert float(factor(1.54, p)) == pytest.approx(3.9423, abs=1e-4)
    assert float(delta) == pytest.approx(1.54, abs=1e-6)


def test_alpha_zero_masks_token_for_token():
    model = network()
    zero = play(applied(model, distributions.displace("pitch", alpha=0.0)).model)
    assert ids(zero) == ids(play(applied(model, distributions.suppress("pitch", "mask")).model))


def test_a_factor_beyond_the_limit_is_counted_and_the_token_all_but_certain():
    model = network()
    done = applied(model, distributions.displace("pitch", alpha=1e9, steps=[2, 11]))
    tunes = play(done.model)
    (effect,) = composition.with_steps(done.model, done.effects, tunes)
    assert effect.metrics["steps_at_limit"] == effect.metrics["steps"] == 10 * len(tunes)
    assert np.allclose(effect.table["becomes"], 1 - distributions.LIMIT, atol=1e-7)
    assert all(V2.types[token] == "pitch" for tune in tunes for token in tune.ids[3:13])


def test_the_account_of_a_displacement_has_the_rows_of_its_window_alone():
    model = network()
    done = applied(model, distributions.displace("|", alpha=1.2, after="pitch"))
    tunes = play(done.model)
    (effect,) = composition.with_steps(done.model, done.effects, tunes)
    read = [(k, step) for k, tune in enumerate(tunes) for step, id_ in enumerate(tune.ids[:-1]) if id_ in PITCHES]
    assert sorted(zip(effect.table["tune"], effect.table["step"], strict=True)) == read
    assert np.allclose(effect.table["becomes"], 1.2 * effect.table["probability"], rtol=1e-4)


def test_the_account_of_a_window_that_no_tune_reaches_has_no_rows():
    model = network()
    done = applied(model, distributions.displace("|", alpha=1.2, parts=[9, 9]))
    (effect,) = composition.with_steps(done.model, done.effects, play(done.model))
    assert effect.table is None
    assert "steps" not in effect.metrics


def test_a_displacement_acts_after_the_temperature():
    model, cold = network(), replace(SAMPLING, temperature=0.5)
    done = applied(model, distributions.displace("A,", delta=1.54), temperature=0.5)
    (effect,) = composition.with_steps(done.model, done.effects, play(done.model, cold))
    table = effect.table
    assert np.allclose(table["becomes"] / table["probability"], factor(1.54, table["probability"]), rtol=1e-4)


@pytest.mark.parametrize("rng", ["legacy", "legacy_webapp"])
def test_the_authors_samplers_suppress_too(rng):
    few = replace(SAMPLING, tunes=2, rng=rng)
    network_ = network()
    with torch.no_grad():
        network_.softmax_bias[V2.end] = 1.0
    tunes = play(applied(network_, distributions.suppress("pitch")).model, few)
    assert not any(V2.types[token] == "pitch" for tune in tunes for token in tune.ids[3:])


def test_components_that_make_a_token_are_found_by_measurement_and_taken_away():
    model = network(units=40)
    direction = torch.linalg.qr(torch.randn(40, 40, generator=torch.Generator().manual_seed(1)))[0]
    left = torch.linalg.qr(torch.randn(137, 40, generator=torch.Generator().manual_seed(2)))[0]
    bars, speaks = V2.index["|"], 6
    left[bars], left[bars, speaks] = 0.0, 1.0
    left = torch.linalg.qr(left)[0]
    with torch.no_grad():
        model.softmax_weight.copy_(left @ torch.diag(torch.linspace(40, 20, 40)) @ direction.T)
    here = context(model)
    chosen = softmax.remove_component(by="|", count=1).resolved(model, here)
    auc = softmax.separation(model, "|", here)
    assert chosen.components == (int(auc.argmax()) + 1,)
    assert auc.max() > 0.7
    assert softmax.remove_component([3]).resolved(model, here).components == (3,)
    with pytest.raises(UserError, match="count is 41"):
        softmax.remove_component(by="|", count=41).check(model, here)
