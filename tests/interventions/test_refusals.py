"""Bad input is refused before anything is generated, with the bounds named; contradictions too."""

from __future__ import annotations

import pytest
from small_network import SAMPLING, network

from folkrnn.errors import UserError
from folkrnn.interventions import activations, composition, distributions, inputs, push, softmax
from folkrnn.interventions.cuts import cut
from folkrnn.interventions.intervention import RunContext
from folkrnn.vocabulary import V2


def _unread() -> list:
    raise AssertionError("something was generated")


HERE = RunContext(V2, 1, 1.0, SAMPLING.max_tokens, _unread)

BAD = [
    (lambda: cut(units=[32]), "units are 0 to 31"),
    (lambda: cut(units=[0], units_base=1), "units are 1 to 32"),
    (lambda: cut(units=[-1]), "units are 0 to 31"),
    (lambda: cut(units=[3], layer=4), "layers 1 to 3"),
    (lambda: cut(units=[3], layer=0), "layers 1 to 3"),
    (lambda: cut(units=[3], layer="top"), "a number from 1"),
    (lambda: cut(units=[3], layer=[2, 1.5]), "a number from 1"),
    (lambda: cut(units=[3], layer=[True]), "a number from 1"),
    (cut, "cut.units"),
    (lambda: cut(select="random"), "cut.fraction"),
    (lambda: cut(select="random", fraction=1.2), "between 0 and 1"),
    (lambda: cut(select="random", count=33), "between 0 and 32"),
    (lambda: cut(select="radnom", fraction=0.1), "did you mean random"),
    (lambda: cut(select="largest", by="size", fraction=0.1), "no such statistic"),
    (lambda: cut(where="input", units=[1]), "output, recurrence, both"),
    (lambda: cut(units=[1], steps=[30, None]), "between 0 and 24"),
    (lambda: cut(units=[1], steps=[9, 3]), "not before it"),
    (lambda: cut(units=[1], bars=[0, 3]), "between 1 and"),
    (lambda: cut(units=[1], steps=[1, 2, 3]), "[first, last]"),
    (lambda: cut(units=[1], after="mesure"), "'mesure'"),
    (lambda: softmax.truncate_softmax(rank=33), "between 0 and 32"),
    (lambda: softmax.truncate_softmax(rank=-1), "between 0 and 32"),
    (lambda: softmax.remove_component(0), "1 to 32"),
    (lambda: softmax.remove_component(by="|", count=0), "count is 0"),
    (lambda: softmax.scale_softmax(float("nan")), "finite"),
    (lambda: distributions.suppress("||"), "'||'"),
    (lambda: distributions.suppress("|", how="drop"), "resample or mask"),
    (lambda: distributions.suppress("pitch duration measure grouping meter mode transcription"), "leave at least two"),
    (lambda: distributions.displace("A,", alpha=-0.1), "0 or more"),
    (lambda: distributions.displace("A,"), "delta"),
    (lambda: distributions.displace("A,", delta=1.0, alpha=0.1), "not both"),
    (lambda: distributions.displace("H", alpha=0.1), "'H'"),
    (lambda: activations.clamp("l4.h"), "layers 1 to 3"),
    (lambda: activations.clamp("l3.h[32]"), "units 0 to 31"),
    (lambda: activations.clamp("probs"), "probs"),
    (lambda: activations.clamp("l3.h", "median"), "at their mean"),
    (lambda: activations.clamp("l3.h", "mean", add=True), "adds a number"),
    (lambda: activations.clamp("l3.h", unist=3), "did you mean units"),
    (lambda: cut(unit=[3]), "did you mean units"),
    (lambda: activations.clamp("l3.h", layer=1), "how many units"),
    (lambda: activations.noise(deviation=-1.0), "not below 0"),
    (lambda: activations.noise(["l3.h", "logits"], fraction=0.1), "logits has no units of a layer"),
    (lambda: activations.patch("l3.h", "no tune at all"), "no"),
    (lambda: push.push_hidden("Q"), "'Q'"),
    (lambda: push.push_hidden("A,", residual=2.0), "between 0 and 1"),
    (lambda: push.push_hidden("A,", method="dense"), "sparse, minimum_norm"),
    (lambda: inputs.blend_input(1.5), "between 0 and 1"),
    (lambda: inputs.blend_input(0.7, -0.5), "between 0 and 1"),
    (lambda: inputs.blend_input(tokens="pitches"), "'pitches'"),
]


@pytest.mark.parametrize(("make", "says"), BAD)
def test_bad_input_is_refused_with_the_bounds_named(make, says):
    with pytest.raises(UserError) as refusal:
        composition.check({"it": make()}, network(), HERE)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


CONFLICTS = [
    (cut(units=[3, 4]), activations.clamp("l3.h[4]", 0.0), "unit 4 of l3.h"),
    (cut(units=[3, 4]), activations.clamp("out[3]", 0.5), "unit 3 of l3.h"),
    (activations.clamp("l1.c", 0.0), activations.patch("l1.c[7]", "fig1"), "unit 7 of l1.c"),
    (distributions.suppress("| :|"), distributions.displace("|", alpha=0.5), "the distribution of |"),
    (
        distributions.suppress("measure", steps=[3, 9]),
        distributions.displace("|", alpha=0.5, steps=[9, 12]),
        "the distribution of |",
    ),
    (distributions.suppress("A,"), distributions.suppress("pitch", "mask"), "the distribution of A,"),
    (distributions.suppress("|"), activations.clamp("logits[53]", 0.0), "the distribution of |"),
    (inputs.blend_input(), activations.clamp("x[5]", 0.0), "unit 5 of x"),
]


@pytest.mark.parametrize(("one", "other", "says"), CONFLICTS)
def test_two_interventions_may_not_determine_the_same(one, other, says):
    with pytest.raises(UserError, match="both determine") as refusal:
        composition.check({"one": one, "other": other}, network(), HERE)
    assert says in str(refusal.value)


def test_what_is_kept_apart_in_time_or_place_is_no_conflict():
    pairs = [
        (cut(units=[3], steps=[0, 4]), activations.clamp("l3.h[3]", 0.0, steps=[5, None])),
        (cut(units=[3]), activations.clamp("l2.h[3]", 0.0)),
        (distributions.suppress("|", bars=[1, 2]), distributions.displace("|", alpha=0.5, bars=3)),
        (activations.noise("l3.h", 0.1), cut(units=[3])),
        (distributions.suppress("measure"), distributions.displace("A,", alpha=0.5)),
        (distributions.suppress("A,", after="measure"), distributions.displace("A,", alpha=0.5, after="pitch")),
    ]
    for one, other in pairs:
        composition.check({"one": one, "other": other}, network(), HERE)


def test_a_conflict_that_only_a_measurement_shows_is_refused_before_the_tunes_are_played():
    model = network()
    both = {"cut": cut(select="largest", by="norm", fraction=0.5), "clamp": activations.clamp("l3.h", 0.0)}
    composition.check(both, model, HERE)
    with pytest.raises(UserError, match="both determine unit"):
        composition.resolve(both, model, HERE)


def test_an_intervention_of_another_family_is_refused():
    class Other:
        family = "musicvae"

    with pytest.raises(UserError, match="changes folkrnn"):
        composition.check({"cut": cut(units=[1])}, Other(), HERE)
