"""Which units selectors choose, on a network whose units do what they were built to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_network import SEED, network

from folkrnn.errors import UserError
from folkrnn.interventions.choice import selector
from folkrnn.interventions.intervention import RunContext
from folkrnn.interventions.selectors import Ranked, known_units
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.spectra import LENGTH
from folkrnn.vocabulary import V2

BAR, LETTERS = {2, 5}, "CDEFG"


@pytest.fixture(scope="module")
def built() -> tuple[FolkRNN, RunContext]:
    """Ten units that fire on one token each: 2 and 5 on `|`, 0 always, 1 never, the others on a letter of their own."""
    model = FolkRNN(units=10, layers=1, dropout=0.0).eval()
    tokens = {2: "|", 5: "|", **dict(zip((3, 4, 6, 7, 8), LETTERS, strict=True)), 9: "2"}
    with torch.no_grad():
        for part in model.parameters():
            part.zero_()
        model.layers[0].bias.view(4, 10)[:] = torch.tensor([10.0, -10.0, 0.0, 10.0]).unsqueeze(1)
        model.layers[0].bias.view(4, 10)[2, 0] = 5.0
        for unit, token in tokens.items():
            model.layers[0].weight_ih.view(4, 10, -1)[2, unit, V2.index[token]] = 5.0 if unit != 5 else -5.0
        model.softmax_weight[0] = torch.arange(10.0)
    rng = np.random.default_rng(0)
    tunes = []
    for _ in range(12):
        words = ["<s>"] + [word for _ in range(12) for word in [*rng.choice(list(LETTERS), 8), "|"]] + ["</s>"]
        tunes.append(np.array(V2.encode(words)))
    return model, RunContext(V2, SEED, control=lambda: tunes)


def chosen(built: tuple[FolkRNN, RunContext], *arguments: object, **settings: object) -> dict[int, list[int]]:
    model, here = built
    found = selector(*arguments, **settings)
    found.check(model, here)
    return {layer: units.tolist() for layer, units in found.choose(model, here).units.items()}


@pytest.mark.parametrize("dc", [True, False])
def test_units_with_a_planted_period_are_exactly_the_ones_selected_at_five_percent(built, dc):
    assert chosen(built, "periodic", threshold=0.05, dc=dc) == {1: sorted(BAR)}


def test_a_target_share_takes_the_most_periodic_units(built):
    assert chosen(built, "periodic", fraction=0.2) == {1: sorted(BAR)}
    assert set(chosen(built, "periodic", fraction=0.5)[1]) > BAR


def test_the_complement_is_everything_else(built):
    others = chosen(built, "periodic", threshold=0.05, complement=True)[1]
    assert sorted([*others, *BAR]) == list(range(10))


@pytest.mark.parametrize(
    ("by", "largest", "smallest"),
    [("norm", [9], [0]), ("mean", [0], [1]), ("variance", [8], [1])],
)
def test_units_rank_by_any_statistic(built, by, largest, smallest):
    high, low = (chosen(built, select, by=by, count=1)[1] for select in ("largest", "smallest"))
    assert low == smallest
    if by == "variance":  # a letter is likelier than a bar line
        assert high[0] in {3, 4, 6, 7, 8}
    else:
        assert high == largest


def test_units_that_go_with_a_token_type_are_those_correlated_with_its_coming(built):
    model, here = built
    shifted = RunContext(V2, SEED, control=lambda: [np.concatenate([ids, ids[-1:]]) for ids in here.control()])
    rule = selector("token", token="</s>", count=2)
    # before the last </s> but one stands |, on which 2 and 5 fire
    assert set(rule.choose(model, shifted).units[1].tolist()) & BAR
    assert rule.choose(model, shifted).table["score"].between(0, 1).all()


def test_random_units_differ_with_the_seed_and_grow_with_their_number():
    model = network()
    few, more = (selector("random", fraction=f).choose(model, RunContext(V2, 1)).units[3] for f in (0.25, 0.5))
    other = selector("random", fraction=0.25).choose(model, RunContext(V2, 2)).units[3]
    assert len(few) == 8
    assert set(few) < set(more)
    assert set(few) != set(other)


def test_a_matched_choice_has_as_many_random_units_in_each_layer(built):
    model, here = built
    resolved = selector("periodic", threshold=0.05).choose(model, here)
    draws = [resolved.like(seed).choose(model, here).units[1] for seed in range(20)]
    assert {len(units) for units in draws} == {2}
    assert len({tuple(units) for units in draws}) > 10


def test_a_matched_choice_has_units_of_the_same_norms():
    model = network(units=64)
    with torch.no_grad():
        model.softmax_weight.mul_(torch.linspace(0.5, 3, 64))
    here = RunContext(V2)
    ranks = model.softmax_weight.detach().norm(dim=0).argsort().argsort().numpy()
    largest = selector("largest", by="norm", fraction=0.125).choose(model, here)
    draws = [largest.like(seed).choose(model, here).units[3] for seed in range(10)]
    assert {len(units) for units in draws} == {8}
    assert min(ranks[units].min() for units in draws) >= 48
    assert len({tuple(units) for units in draws}) > 5


def test_random_units_without_a_number_are_as_many_as_the_periodic_ones(built):
    assert len(chosen(built, "random", threshold=0.05)[1]) == len(BAR)


def test_layers_are_ranked_each_by_itself_or_all_together():
    model = network()
    here = RunContext(V2)
    apart = selector("largest", by="norm", layer="all", fraction=0.25).choose(model, here).units
    together = selector("largest", by="norm", layer="all", fraction=0.25, jointly=True).choose(model, here).units
    assert [len(units) for units in apart.values()] == [8, 8, 8]
    assert sum(map(len, together.values())) == 24
    assert len(together[3]) == 24 or len({len(units) for units in together.values()}) > 1


def test_units_of_the_papers_count_from_one():
    model = network()
    assert selector(units=[1, 32], units_base=1).choose(model, RunContext(V2)).units[3].tolist() == [0, 31]
    for base, unit in ((0, 32), (1, 33), (1, 0), (2, 2)):
        with pytest.raises(UserError, match=f"unit {unit} does not exist" if base < 2 else "count from 0 or from 1"):
            selector(units=[unit], units_base=base).check(model, RunContext(V2))


def test_shares_of_512_units_are_those_of_part_6():
    from folkrnn.interventions.selectors import size_of

    assert [size_of(fraction, None, 512) for fraction in (0.2, 0.27, 0.33)] == [102, 138, 169]


@pytest.mark.parametrize(("period", "half_width"), [(2.5, 0.5), (3.0, 1.0), (LENGTH, 0.5)])
def test_the_ends_of_the_range_of_periods_may_be_asked_for_and_nothing_beyond(period, half_width):
    beyond = period - 0.01 if period < LENGTH else period + 0.01
    Ranked(period=period, half_width=half_width, count=1).check(network(), RunContext(V2))
    with pytest.raises(UserError, match="period is"):
        Ranked(period=beyond, half_width=half_width, count=1).check(network(), RunContext(V2))


def test_units_are_known_before_a_measurement_where_they_are_numbered_or_chosen_already():
    model = network()
    numbered = selector(units=[1, 32], units_base=1, layer=[1, 3])
    assert {layer: units.tolist() for layer, units in known_units(numbered, model).items()} == {1: [0, 31], 3: [0, 31]}
    resolved = numbered.choose(model, RunContext(V2))
    assert known_units(resolved, model) is resolved.units
    assert known_units(selector("largest", by="norm", count=1), model) == {}


def test_a_measurement_is_of_one_tune_at_least():
    selector(select="periodic", count=2, tunes=1).check(network(), RunContext(V2))
    with pytest.raises(UserError, match="tunes is 0"):
        selector(select="periodic", count=2, tunes=0).check(network(), RunContext(V2))
