"""The comparison of a model before and after an intervention, on planted distributions, tunes and cuts."""

import copy
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from analyses.effect import Effect
from analyses.measures import ablated_directions, divergence, paired, watching
from analyses.measures.counting import by_bar, late_counts, wilson
from analyses.measures.effect_numbers import departure_metrics
from analyses.measures.tune_quantities import FIGURE, QUANTITIES, quantities, scale, scrambled, sums
from analyses.measures.tune_sums import ABILITIES, NAMES, TuneSums
from folkrnn.datasets.published_tunes import TUNES, ids_of
from folkrnn.errors import UserError
from folkrnn.interventions import composition
from folkrnn.interventions.distributions import suppress
from folkrnn.interventions.intervention import EffectRecord, RunContext
from folkrnn.interventions.push import push_hidden
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.observation.observation import Observation
from folkrnn.sampling import Sampling, generate, input_tune
from folkrnn.vocabulary import TYPES, V2

FIG1 = TUNES["fig1"].split()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(2)
    return FolkRNN(units=24, layers=2).eval()


@pytest.fixture(scope="module")
def control(model):
    sampling = Sampling(tunes=6, max_tokens=40, prime=("M:4/4", "K:Cmaj"))
    return Observation(model, V2, generate(model, V2, sampling, 5), seed=5)


def changed(model, edit):
    other = copy.deepcopy(model)
    with torch.no_grad():
        edit(other)
    return other


def played(model, control, **beside):
    sampling = Sampling(tunes=6, max_tokens=40, prime=("M:4/4", "K:Cmaj"))
    return Observation(model, V2, generate(model, V2, sampling, 5), seed=5, control=control, **beside)


@pytest.fixture(scope="module")
def published(model):
    """The control has written three published tunes: an untrained model writes no full bar."""
    return Observation(model, V2, [input_tune(ids_of(name, V2), V2, name) for name in TUNES], seed=5)


def test_without_an_intervention_there_is_nothing_to_compare(control):
    with pytest.raises(UserError, match="choose one with intervention="):
        Effect()(control)


def test_an_intervention_of_no_size_has_exactly_no_effect(model, published):
    same = Observation(copy.deepcopy(model), V2, published.transcriptions, seed=5)
    found = Effect(resamples=20, tokens="measure")(replace(same, control=published, matched=(same,)))
    assert found.metrics["counting_kept"] == found.metrics["melody_kept"] == 1
    assert found.metrics["kl"] == found.metrics["matched_kl"] == 0
    assert found.metrics["departed"] == 0
    assert "departure_step" not in found.metrics
    for column in ("difference", "difference_low", "difference_high", "matched_difference", "beyond_matched"):
        assert set(found.tables["quantities"][column].dropna()) == {0.0}
    assert found.metrics["replaced_per_tune"] == 0
    assert "subspace" not in found.figures


def test_the_share_of_tunes_that_show_an_effect_is_that_of_tunes_whose_own_value_moves(model, published):
    tunes = [
        input_tune(V2.encode(words.split()), V2) for words in ("M:4/4 K:Cmaj C 8 | C 4 |", "M:4/4 K:Cmaj C 8 | D 8 |")
    ]
    before = Observation(model, V2, [tunes[1], tunes[1]], seed=5)
    found = Effect(resamples=10)(Observation(model, V2, tunes, seed=5, control=before, resumed=before, null=before))
    assert found.metrics["full_bars_falls"] == 0.5
    assert found.metrics["full_bars_rises"] == 0
    assert found.metrics["difference_full_bars"] == found.metrics["beyond_resumed_full_bars"] == -0.25
    assert found.metrics["resumed_difference_full_bars"] == 0
    assert found.metrics["null_counting_kept"] == 1


@pytest.mark.parametrize("delta", [-3.0, 0.7, 2.0])
def test_a_displaced_token_moves_the_distributions_by_the_divergence_of_the_formula(model, control, delta):
    token = V2.index["G"]

    def displace(other):
        other.softmax_bias[token] += delta

    observation = played(changed(model, displace), control)
    distributions = divergence.compare_distributions(observation, control, 100)
    for k in range(len(control.transcriptions)):
        p = control.posterior(k)[:, token].astype(float)
        scale = 1 - p + p * math.exp(delta)
        expected = delta * p * math.exp(delta) / scale - np.log(scale)
        whole = divergence.PARTS.index("all")
        assert distributions.changed[k, whole, 0] == pytest.approx(expected.sum(), abs=1e-4)
        assert distributions.changed[k, whole, 1] == len(p)


def test_a_type_displaced_as_a_whole_moves_when_and_not_which(model, control):
    pitches = list(V2.of_type("pitch"))

    def displace(other):
        other.softmax_bias[pitches] += 1.5

    parts = Effect(resamples=10)(played(changed(model, displace), control)).tables["divergence"].set_index("part")
    assert parts.loc["type", "changed"] == pytest.approx(parts.loc["all", "changed"], rel=1e-4)
    assert parts.loc[list(TYPES), "changed"].abs().max() < 1e-5


@settings(max_examples=40, deadline=None)
@for_all(st.integers(0, 2**32 - 1), st.floats(0.05, 3.0))
def test_the_parts_of_a_divergence_add_up_to_it(seed, spread):
    rng = np.random.default_rng(seed)
    P, Q = (rng.dirichlet(np.full(len(V2), spread), size=3) for _ in range(2))
    parts = divergence.divergence_by_type(P, Q, V2.types)
    assert sum(parts.values()) == pytest.approx(divergence.divergence(P, Q))
    assert all(np.all(part > -1e-12) for part in parts.values())
    assert np.all(divergence.total_variation(P, Q) <= 1)


def test_tokens_that_are_drawn_again_count_in_the_distribution_as_masked_ones_do(model, control):
    context = RunContext(V2)
    distributions = []
    for how in ("resample", "mask"):
        other, _ = suppress("measure", how).edit(model, context)
        observation = Observation(other, V2, control.transcriptions, seed=5, control=control)
        distributions.append(divergence.compare_distributions(observation, control, 3).changed)
    assert distributions[0] == pytest.approx(distributions[1], rel=1e-4, abs=1e-6)
    assert distributions[0][:, 0, 0].min() > 0


@settings(max_examples=30, deadline=None)
@for_all(st.floats(1e-6, 0.999))
def test_excluding_a_token_diverges_by_what_it_leaves_and_by_no_smallest_probability(p):
    rest = (1 - p) / 3
    P = np.array([[p, rest, rest, rest]])
    Q = np.array([[0.0, 1 / 3, 1 / 3, 1 / 3]])
    assert divergence.divergence(Q, P)[0] == pytest.approx(-math.log1p(-p))
    assert divergence.divergence(P, Q)[0] == math.inf


def test_a_suppressed_token_diverges_by_what_the_control_leaves(model, control):
    other, _ = suppress("|").edit(model, RunContext(V2))
    observation = Observation(other, V2, control.transcriptions, seed=5, control=control)
    distributions = divergence.compare_distributions(observation, control, 6)
    for k in range(len(control.transcriptions)):
        p = control.posterior(k)[:, V2.index["|"]].astype(float)
        assert distributions.changed[k, 0, 0] == pytest.approx(-np.log1p(-p).sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("one", "other", "at"),
    [([1, 2, 3], [1, 2, 3], math.inf), ([1, 2, 3], [1, 5, 3], 1), ([1, 2], [1, 2, 3], 2), ([7], [8], 0)],
)
def test_tunes_part_at_the_first_token_that_differs(one, other, at):
    assert divergence.first_difference(one, other) == at


def test_survival_is_the_share_that_has_not_parted_yet():
    assert divergence.survival(np.array([1, 3, 3, math.inf]), 4).tolist() == [1, 0.75, 0.75, 0.25, 0.25]


def test_a_tune_is_measured_as_by_hand():
    found = quantities("M:4/4 K:Cmaj |: C D E F G A B c | c 4 G 4 | ^f 6 :| C 8 |".split())
    assert found["full_bars"] == (3, 4)
    assert found["full_time"] == (24, 30)
    assert found["repeated_parts"] == (1, 2)
    assert found["step_size"] == (12 + 0 + 5 + 11 + 18, 11)
    assert found["stepwise"] == (7, 11)
    assert found["range"] == (18, 1)
    assert found["in_scale"] == (11, 12)
    assert found["cadence"] == (1, 2)
    assert found["figure_repetition"] == (0, 12 - FIGURE + 1)
    assert set(found) == set(QUANTITIES)


def test_the_papers_first_figure_counts_throughout_and_has_two_parts_of_eight():
    found = quantities(FIG1)
    for name in ("full_bars", "full_time", "counted_throughout", "two_by_eight", "repeated_parts", "cadence"):
        above, below = found[name]
        assert above == below
    assert found["bar_repetition"] == (2, 16)  # bar 1 again in 5; bar 9 again in 13
    assert found["length"] == (108, 1)


def test_a_repeated_bar_is_found_as_repeated_figures():
    above, below = quantities("M:4/4 K:Cmaj C D E F G A B c | C D E F G A B c |".split())["figure_repetition"]
    assert (above, below) == (5, 13)


def test_a_figure_of_long_ago_is_no_repetition():
    phrase, rest = "C D E F".split(), "G A B c d e f g a b".split()
    wander = [f"{note} {length}" for length in (2, 3, 4, 5, 6, 7, 8) for note in rest]
    near, far = (
        quantities(["M:none", "K:Cmaj", *phrase, *" ".join(between).split(), *phrase]) for between in (rest, wander)
    )
    assert near["figure_repetition"][0] == 1
    assert far["figure_repetition"][0] == 0


def test_the_scale_follows_the_mode():
    assert scale("K:Cmaj") == {0, 2, 4, 5, 7, 9, 11}
    assert scale("K:Cmix") == {0, 2, 4, 5, 7, 9, 10}
    assert scale("K:Cdor") == {0, 2, 3, 5, 7, 9, 10}
    assert scale("K:Cmin") == {0, 2, 3, 5, 7, 8, 10}


def test_a_string_without_notes_adds_nothing_to_a_melody():
    found = quantities(["M:4/4", "K:Cmaj", "|", "|"])
    assert [found[name] for name in ("step_size", "in_scale", "cadence", "range", "full_bars")] == [(0, 0)] * 5


def test_scrambling_keeps_the_tokens_and_loses_the_counting():
    (mixed,) = scrambled([FIG1], np.random.default_rng(0))
    assert sorted(mixed) == sorted(FIG1)
    assert mixed[:2] == FIG1[:2]
    assert mixed != FIG1
    above, below = quantities(mixed)["full_bars"]
    assert above < below / 2


def test_nineteen_of_twenty_bootstrap_intervals_hold_the_true_ratio():
    rng = np.random.default_rng(12)
    held = 0
    for _ in range(600):
        below = rng.integers(10, 30, 60)
        chance = np.clip(rng.normal(0.8, 0.1, 60), 0, 1)
        both = np.stack([rng.binomial(below, chance), below], axis=-1)[:, None, :].astype(float)
        low, high = paired.ends(paired.resampled(both, paired.tune_weights(60, 400, rng)))
        held += low[0] <= _TRUE_SHARE <= high[0]
    assert 0.90 <= held / 600 <= 0.98


_TRUE_SHARE = float(np.mean(np.clip(np.random.default_rng(0).normal(0.8, 0.1, 1_000_000), 0, 1)))


def test_pairing_narrows_the_interval_of_a_difference():
    rng = np.random.default_rng(4)
    own = rng.normal(10, 3, 50)
    before = np.stack([own, np.ones(50)], -1)[:, None, :]
    after = np.stack([own + 0.5, np.ones(50)], -1)[:, None, :]
    weights = paired.tune_weights(50, 300, rng)
    low, high = paired.ends(paired.resampled(after, weights) - paired.resampled(before, weights))
    assert low[0] == pytest.approx(0.5)
    assert high[0] == pytest.approx(0.5)


def test_the_spread_between_draws_of_random_units_widens_their_interval():
    rng = np.random.default_rng(4)
    draws = [np.stack([np.full(20, level), np.ones(20)], -1)[:, None, :] for level in (0.0, 1.0)]
    weights = paired.tune_weights(20, 400, rng)
    low, high = paired.ends(paired.resampled_draws(draws, weights, rng))
    assert (low[0], high[0]) == (0, 1)
    low, high = paired.ends(paired.resampled_draws(draws[:1], weights, rng))
    assert (low[0], high[0]) == (0, 0)


def test_what_is_kept_falls_from_the_control_to_the_floor_on_either_side():
    value = np.array([0.8, 0.45, 0.1, 0.0, 1.15, 2.0])
    assert paired.kept(value, np.full(6, 0.8), np.full(6, 0.1)).tolist() == pytest.approx([1, 0.5, 0, 0, 0.5, 0])
    assert np.isnan(paired.kept(np.array([1.0]), np.array([0.3]), np.array([0.3]))[0])


def test_a_cut_takes_away_the_energy_and_the_rank_of_its_columns(model):
    W = model.softmax_weight.detach().double().numpy()
    units = [3, 8, 20]
    rest = W.copy()
    rest[:, units] = 0
    lost = ablated_directions.ablated_directions(W, rest, V2)
    assert lost.rank == 3
    assert lost.remaining_rank == 21
    assert lost.energy_share == pytest.approx((W[:, units] ** 2).sum() / (W**2).sum())
    assert np.allclose(lost.left @ lost.left.T @ W[:, units], W[:, units], atol=1e-9)
    assert lost.components == (None, None, None)
    assert ablated_directions.ablated_directions(W, W, V2) is None


def test_a_component_that_is_taken_away_bears_its_number(model):
    U, s, V = np.linalg.svd(model.softmax_weight.detach().double().numpy(), full_matrices=False)
    kept = np.delete(np.arange(len(s)), [4, 9])
    lost = ablated_directions.ablated_directions((U * s) @ V, (U[:, kept] * s[kept]) @ V[kept], V2)
    assert lost.components == (5, 10)
    table = lost.table(V2)
    assert table["component"].tolist() == [5, 10]
    assert table["share"].tolist() == pytest.approx(list(s[[4, 9]] ** 2 / (s[[4, 9]] ** 2).sum()))


def test_a_direction_is_named_by_the_tokens_that_it_raises(model):
    W = np.zeros((len(V2), 4))
    W[V2.index["|"], 1], W[V2.index["A,"], 1] = 3.0, -2.0
    W[V2.index["G"], 0] = 5.0
    rest = W.copy()
    rest[:, 1] = 0
    (row,) = ablated_directions.ablated_directions(W, rest, V2).table(V2).to_dict("records")
    assert (row["raises"], row["lowers"]) == ("|", "A,")
    assert row["singular_value"] == pytest.approx(math.sqrt(13))


def test_a_replaced_token_is_found_where_the_distribution_and_the_number_give_it():
    bar, other = V2.index["|"], V2.index["G"]
    distribution = np.zeros((3, len(V2)))
    distribution[:, bar], distribution[:, other] = 0.5, 0.5
    first = min(bar, other) == bar
    uniform = np.array([0.25 if first else 0.75, 0.25 if first else 0.75, np.nan])
    ids = np.array([V2.start, other, bar, other])
    assert watching.replaced(distribution, ids, uniform, [bar], V2) == [(0, "G")]


def test_watched_tokens_are_counted_on_both_sides(model, control):
    def silence(other):
        other.softmax_bias[list(V2.of_type("measure"))] = -1e4

    found = Effect(resamples=10, tokens="measure")(played(changed(model, silence), control))
    tunes = [control.tokens(k) for k in range(len(control.transcriptions))]
    measures = sum(token in ("|", "|:", ":|", "|1", "|2") for tokens in tunes for token in tokens)
    assert found.metrics["control_watched_per_tune"] == pytest.approx(measures / len(tunes))
    assert found.metrics["watched_per_tune"] == 0
    assert found.metrics["watched_absent"] == 1
    assert found.metrics["watched_probability"] > 0
    figure = found.figures["watched"]  # of tokens that were made rare, none was suppressed
    assert not any("suppressed" in text for text in (figure.caption, figure.drawing.axes[0].get_xlabel()))


def test_what_interventions_watch_is_watched_unless_tokens_are_named(model, control):
    edits = {"one": suppress("measure"), "two": push_hidden("A,", method="minimum_norm")}
    _, effects = composition.apply(edits, model, RunContext(V2))
    observation = replace(played(copy.deepcopy(model), control), effects=effects)
    assert Effect().words(observation) == "measure A,"
    assert Effect(tokens="C").words(observation) == "C"
    assert Effect().words(control) == ""


def test_a_push_is_drawn_where_an_account_tells_of_one(model, control):
    units = pd.DataFrame({"layer": 2, "unit": [1, 5], "push": [0.3, -1.2]})
    effect = EffectRecord("push_hidden", {"residual": 0.05}, {"units": units})
    found = Effect(resamples=10)(replace(played(copy.deepcopy(model), control), effects=[effect]))
    assert (found.metrics["pushed_units"], found.metrics["push_largest"]) == (2, 1.2)
    assert "push" in found.figures


def test_what_came_in_the_place_of_a_suppressed_token_is_taken_from_the_account(model, control):
    steps = pd.DataFrame(
        {
            "tune": [0, 0, 1],
            "step": [9, 4, 7],
            "suppressed_token": ["|", "|", "G"],
            "substitute_token": ["A", "/2", "B"],
        }
    )
    observation = replace(played(copy.deepcopy(model), control), effects=[EffectRecord("s", {}, {"steps": steps})])
    found = watching.recorded_substitutes(observation, V2, [V2.index["|"]])
    assert found[:2] == [[(4, "/2"), (9, "A")], []]
    assert watching.watch_tokens(observation, control, "|").suppressed
    assert not watching.watch_tokens(replace(observation, effects=[]), control, "|").suppressed


def test_a_token_that_is_none_cannot_be_watched(model, control):
    with pytest.raises(UserError, match="H,"):
        Effect(resamples=10, tokens="H,")(played(copy.deepcopy(model), control))


def test_counting_is_told_by_the_number_of_the_bar():
    tunes = [["M:4/4", "K:Cmaj", "C", "8", "|", "C", length, "|"] for length in ("8", "8", "4", "8")]
    table = by_bar(tunes)
    assert table["full"].tolist() == [1, 0.75]
    assert table["tunes"].tolist() == [4, 4]
    assert late_counts(tunes, 1).tolist() == [[1, 1], [1, 1], [0, 1], [1, 1]]
    assert late_counts(tunes, 2).sum() == 0


def test_wilson_intervals_stay_within_nought_and_one():
    assert wilson(0.0, 10) == (0.0, pytest.approx(0.2775, abs=1e-4))
    assert wilson(1.0, 10)[1] == 1


def test_everything_is_filed_with_names_that_claims_can_speak_of(model, published):
    def cut(other):
        other.softmax_weight[:, :8] = 0

    def other_cut(other):
        other.softmax_weight[:, 8:16] = 0

    sampling = Sampling(tunes=3, max_tokens=60)
    after, random = (
        Observation(other, V2, generate(other, V2, sampling, 5), seed=5)
        for other in (changed(model, cut), changed(model, other_cut))
    )
    found = Effect(resamples=20)(replace(after, control=published, matched=(random,)))
    for name in ABILITIES:
        assert {f"{name}_kept", f"{name}_kept_low", f"{name}_kept_high", f"matched_{name}_kept"} <= set(found.metrics)
    assert found.metrics["removed_rank"] == 8
    assert list(found.metrics)[:2] == ["counting_kept", "melody_kept"]
    assert {"differences", "departure", "subspace", "side_by_side"} <= set(found.figures)
    assert set(found.arrays["tunes"]) >= {"control", "changed", "matched", "floor", "divergence"}
    page = found.pages["before_after"]
    assert page.count("<svg") >= 6
    assert 'src="http' not in page
    assert all(math.isfinite(value) for value in found.metrics.values())


def test_tunes_without_any_bar_line_are_compared_all_the_same(model, control):
    bare = [input_tune(V2.encode(["M:4/4", "K:Cmaj", *"C D E F".split()]), V2) for _ in control.transcriptions]
    found = Effect(resamples=10)(replace(played(copy.deepcopy(model), control), transcriptions=bare))
    assert found.metrics["full_bars"] == 0


def test_the_sums_of_tunes_add_up_to_those_of_all():
    tunes = [FIG1, TUNES["swing_swang_swung"].split(), TUNES["seed42"].split()]
    together = sums(tunes, [True, True, False])
    assert together.shape == (3, len(QUANTITIES), 2)
    assert paired.ratios(together)[list(QUANTITIES).index("ended")] == pytest.approx(2 / 3)
    assert len(ids_of("fig1", V2)) == len(FIG1)


def planted(full: np.ndarray, notes: np.ndarray) -> np.ndarray:
    """Sums of tunes in which so many of 10 bars are full and so many of 10 steps, notes and parts are melodious."""
    rows = np.full((len(full), len(NAMES), 2), 10.0)
    rows[:, :, 0] = notes[:, None]
    rows[:, NAMES.index("full_bars"), 0] = full
    return rows


def test_melody_is_not_lost_before_counting_where_nothing_is_changed():
    rng = np.random.default_rng(3)
    seen = []
    for _ in range(40):
        control, changed, null = (planted(rng.binomial(10, 0.9, 60), rng.binomial(10, 0.6, 60)) for _ in range(3))
        floor = planted(np.full(60, 1.0), np.full(60, 4.0))
        heard = TuneSums(control, changed, [], floor, np.full(60, np.inf), [], null=null)
        abilities = Effect(resamples=100).compare(heard, rng)[1].set_index("ability")
        seen.append(abilities.loc["melody_less_counting", "beyond_null_high"] < 0)
    assert np.mean(seen) < 0.15


def test_what_an_intervention_takes_is_found_beyond_what_chance_takes():
    rng = np.random.default_rng(3)
    control, null = (planted(rng.binomial(10, 0.9, 200), rng.binomial(10, 0.6, 200)) for _ in range(2))
    changed = planted(rng.binomial(10, 0.9, 200), rng.binomial(10, 0.45, 200))
    heard = TuneSums(control, changed, [], planted(np.full(200, 1.0), np.full(200, 4.0)), np.zeros(200), [], null=null)
    abilities = Effect(resamples=200).compare(heard, rng)[1].set_index("ability")
    assert abilities.loc["melody", "beyond_null"] < -0.3
    assert abs(abilities.loc["counting", "beyond_null"]) < 0.05
    assert abilities.loc["melody_less_counting", "beyond_null_high"] < 0


def test_the_divergence_has_an_interval_and_its_parts_have_none():
    numbers = {"changed": 0.3, "changed_low": 0.2, "changed_high": 0.4, "matched": 0.1, "matched_low": 0.05}
    rows = [{"part": part, **numbers, "matched_high": 0.2} for part in ("all", "type", "pitch")]
    heard = SimpleNamespace(apart=np.array([3.0, np.inf, 7.0]), matched_apart=[])
    found = departure_metrics(pd.DataFrame(rows), heard)
    assert {name for name in found if name.endswith(("_low", "_high"))} == {
        *("kl_low", "kl_high", "matched_kl_low", "matched_kl_high")
    }
    assert (found["kl"], found["kl_type"], found["matched_kl_pitch"]) == (0.3, 0.3, 0.1)
    assert (found["departed"], found["departure_step"]) == (pytest.approx(2 / 3), 7)
