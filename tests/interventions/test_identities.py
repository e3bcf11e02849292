"""What must hold exactly of any model: interventions that are the same by different ways, or that change nothing."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from small_network import SAMPLING, applied, ids, network, play

from folkrnn.interventions import activations, distributions, inputs, push, softmax
from folkrnn.interventions.cuts import cut
from folkrnn.parallel import predicting
from folkrnn.parallel.predicting import Sent
from folkrnn.vocabulary import V2

NOTHING = {
    "cut of no units": lambda: cut(select="random", fraction=0.0),
    "cut of no units inside": lambda: cut(select="random", count=0, where="both", layer="all"),
    "cut that never comes": lambda: cut(select="random", fraction=0.5, steps=[20, None], bars=[22, None]),
    "softmax layer of full rank": lambda: softmax.truncate_softmax(rank=32),
    "no component removed": lambda: softmax.remove_component([]),
    "no fraction of components removed": lambda: softmax.truncate_softmax(fraction=0.0),
    "softmax layer times one": lambda: softmax.scale_softmax(1.0),
    "displacement by nothing": lambda: distributions.displace("A,", delta=0.0),
    "probability times one": lambda: distributions.displace("A,", alpha=1.0),
    "no token suppressed": lambda: distributions.suppress([]),
    "suppressed after the end": lambda: distributions.suppress("pitch", steps=[24, None]),
    "noise of no size": lambda: activations.noise(deviation=0.0),
    "shift by nothing": lambda: activations.clamp(value=0.0, add=True),
    "clamp of no units": lambda: activations.clamp(fraction=0.0, value=1.0),
    "push by nothing": lambda: push.push_hidden("A,", delta=0.0, method="minimum_norm"),
    "input of one token": lambda: inputs.blend_input(1.0, 0.0),
    "input of one token and none": lambda: inputs.blend_input(1.0, 0.3, tokens=None),
}


@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_an_intervention_of_size_zero_reproduces_the_control_token_for_token(name, cell):
    model = network(cell)
    assert ids(play(applied(model, NOTHING[name]()).model)) == ids(play(model))


SOMETHING = {
    "cut": lambda: cut(select="random", fraction=0.3),
    "cut inside": lambda: cut(select="random", fraction=0.3, where="recurrence", layer="all"),
    "cut for a while": lambda: cut(select="random", fraction=0.3, where="recurrence", steps=[3, 9]),
    "largest units cut": lambda: cut(select="largest", by="variance", fraction=0.3),
    "rank": lambda: softmax.truncate_softmax(rank=4),
    "rank for a while": lambda: softmax.truncate_softmax(rank=4, bars=[1, 2]),
    "component": lambda: softmax.remove_component(1),
    "scale": lambda: softmax.scale_softmax(0.3),
    "displaced": lambda: distributions.displace("A A, C", delta=3.0),
    "attenuated": lambda: distributions.displace("pitch", alpha=0.3),
    "suppressed": lambda: distributions.suppress("pitch", steps=[0, 20]),
    "masked": lambda: distributions.suppress("pitch duration", how="mask"),
    "zero": lambda: activations.clamp("l2.h[0:9]", 0.0),
    "mean": lambda: activations.clamp("l2.h", "mean"),
    "noise": lambda: activations.noise("l*.h", 0.3),
    "noise on some units": lambda: activations.noise("l1.h", 0.5, select="random", fraction=0.5),
    "patch": lambda: activations.patch("l2.h", "fig1"),
    "push": lambda: push.push_hidden("A,", 4.0, "minimum_norm", where="recurrence"),
    "two-hot": inputs.blend_input,
    "input suppressed": lambda: inputs.blend_input(0.0, 0.0, None, after="pitch"),
}


@pytest.mark.parametrize("name", SOMETHING)
def test_the_original_is_never_modified_and_something_changes(name):
    model = network()
    before = copy.deepcopy(model.state_dict())
    control = ids(play(model))
    changed = applied(model, SOMETHING[name]()).model
    assert ids(play(changed)) != control
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert ids(play(model)) == control


@pytest.mark.parametrize("name", SOMETHING)
def test_edited_tunes_are_batch_invariant(name):
    model = network()
    changed = applied(model, SOMETHING[name]()).model
    together = play(changed)
    few = play(changed, replace(SAMPLING, batch_size=3))
    assert ids(few) == ids(together)
    assert all(np.array_equal(a.probability, b.probability) for a, b in zip(few, together, strict=True))
    assert ids(play(changed, replace(SAMPLING, tunes=5))) == ids(together)[:5]


@pytest.mark.parametrize("name", SOMETHING)
def test_a_model_that_has_played_can_be_sent_to_another_process(name, monkeypatch):
    monkeypatch.setattr(predicting, "get_spawning_popen", object)  # as while a process is being started
    changed = applied(network(), SOMETHING[name]()).model
    played = ids(play(changed))
    assert ids(play(ForkingPickler.loads(ForkingPickler.dumps(Sent(changed))))) == played


@pytest.mark.parametrize("name", SOMETHING)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_reading_a_tune_gives_the_distributions_that_it_was_drawn_from(name, cell):
    model = network(cell)
    changed = applied(model, SOMETHING[name]()).model
    for k, tune in enumerate(play(changed)[:3]):
        tokens = torch.from_numpy(tune.ids[:-1])
        distribution = changed.trace(tokens, ["probs"], tunes=[k])["probs"]
        read = distribution[torch.arange(len(distribution)), torch.from_numpy(tune.ids[1:])].numpy()
        assert np.allclose(read, tune.probability, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_cut_of_the_output_is_a_zeroed_column_and_h_zeroed_before_the_softmax_alone(cell):
    model, units = network(cell), [0, 5, 7]
    zeroed = copy.deepcopy(model)
    with torch.no_grad():
        zeroed.softmax_weight[:, units] = 0
    always = applied(model, cut(units=units)).model
    edited = applied(model, cut(units=units, steps=[0, None])).model
    clamped = applied(model, activations.clamp("out[0,5,7]", 0.0)).model
    inside = applied(model, activations.clamp("l3.h[0,5,7]", 0.0)).model
    wanted = ids(play(zeroed))
    assert wanted != ids(play(model))
    assert ids(play(always)) == ids(play(edited)) == ids(play(clamped)) == wanted
    assert ids(play(inside)) != wanted


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layer", [1, 3])
def test_a_cut_of_both_connections_is_h_held_at_zero(cell, layer):
    model, units = network(cell, start=0.0), [1, 2, 20]
    both = applied(model, cut(units=units, where="both", layer=layer)).model
    held = applied(model, activations.clamp(f"l{layer}.h[1,2,20]", 0.0)).model
    assert ids(play(both)) == ids(play(held)) != ids(play(model))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("where", ["output", "recurrence", "both"])
def test_a_cut_within_a_window_of_all_steps_is_the_cut_of_parameters(cell, layer, where):
    model, units = network(cell), [1, 2, 20]
    always = applied(model, cut(where, units=units, layer=layer)).model
    edited = applied(model, cut(where, units=units, layer=layer, steps=[0, None])).model
    tokens = torch.tensor([V2.encode(["<s>", "M:4/4", "K:Cmaj", "G", "A", "|", "B", "2", "|"])])
    assert torch.allclose(always.trace(tokens, "logits")["logits"], edited.trace(tokens, "logits")["logits"], atol=2e-4)


def test_a_truncation_within_a_window_of_all_steps_is_that_of_the_parameters():
    model = network()
    always = applied(model, softmax.truncate_softmax(rank=5)).model
    edited = applied(model, softmax.truncate_softmax(rank=5, steps=[0, None])).model
    assert ids(play(always)) == ids(play(edited)) != ids(play(model))


READ = torch.tensor([V2.encode("<s> M:4/4 K:Cmaj |: G A B | c 2 d e | f :| G | A B | c </s>".split())])


def logits(model: object) -> torch.Tensor:
    return model.trace(READ, "logits")["logits"][0]


OF_SOFTMAX = {
    "cut": lambda **when: cut(units=[0, 5, 7], **when),
    "component": lambda **when: softmax.remove_component([1, 3], **when),
    "rank": lambda **when: softmax.truncate_softmax(rank=6, **when),
    "scale": lambda **when: softmax.scale_softmax(0.3, bias=True, **when),
}


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(OF_SOFTMAX, 2)))
def test_changes_of_the_softmax_layer_compose_in_order_within_windows_too(first, second):
    model, one, other = network(), OF_SOFTMAX[first], OF_SOFTMAX[second]
    each = [logits(applied(model, *some).model) for some in ([], [one()], [other()], [one(), other()])]
    changed = logits(applied(model, one(steps=[2, 9]), other(steps=[6, 13])).model)
    rows = [slice(0, 2), slice(14, None), slice(2, 6), slice(10, 14), slice(6, 10)]
    for some, wanted in zip(rows, [each[0], each[0], each[1], each[2], each[3]], strict=True):
        assert torch.allclose(changed[some], wanted[some], atol=1e-5)
    assert not torch.allclose(each[3], each[2], atol=1e-2)
    always_behind = logits(applied(model, one(steps=[2, 9]), other()).model)
    assert torch.allclose(always_behind[2:10], each[3][2:10], atol=1e-5)
    assert torch.allclose(always_behind[10:], each[2][10:], atol=1e-5)


def test_three_changes_of_the_softmax_layer_compose_at_the_rows_where_each_is_in_force():
    model, (cut_, component, rank, _) = network(), OF_SOFTMAX.values()
    changed = logits(applied(model, cut_(steps=[2, 9]), component(steps=[6, 13]), rank(steps=[0, 14])).model)
    for rows, some in ((slice(0, 2), ()), (slice(2, 6), (cut_,)), (slice(10, 14), (component,))):
        wanted = logits(applied(model, *(one() for one in some), rank()).model)
        assert torch.allclose(changed[rows], wanted[rows], atol=1e-5)
    both = logits(applied(model, cut_(), component(), rank()).model)
    assert torch.allclose(changed[6:10], both[6:10], atol=1e-5)


@pytest.mark.parametrize("number", [-0.5, 0.75])
def test_a_number_that_is_added_to_units_is_added_to_what_they_were(number):
    model, site = network(), f"l{len(network().layers)}.h"
    changed = applied(model, activations.clamp(f"{site}[3,5]", number, add=True)).model
    before, after = (one.trace(READ, site)[site][0] for one in (model, changed))
    added = torch.zeros(before.shape[1]).index_fill(0, torch.tensor([3, 5]), number)
    assert torch.allclose(after[0], before[0] + added, atol=1e-6)  # at later steps the state remembers


def test_what_is_done_to_logits_is_done_to_those_of_the_changed_softmax_layer():
    held = activations.clamp("logits[53]", 2.5)
    for when in ({}, {"steps": [0, None]}):
        changed = applied(network(), held, softmax.truncate_softmax(rank=6, **when)).model
        assert (logits(changed)[:, 53] == 2.5).all()


def test_a_scaled_softmax_layer_reads_the_units_that_are_left_within_a_window_too():
    model, tokens = network(), torch.tensor([V2.encode(["<s>", "M:4/4", "K:Cmaj", "G", "A", "|", "B", "2", "|"])])
    units = {"units": [0, 5, 7]}
    always = applied(model, cut(**units), softmax.scale_softmax(0.3)).model
    edited = applied(model, cut(**units, steps=[0, None]), softmax.scale_softmax(0.3, steps=[0, None])).model
    wanted = always.trace(tokens, "logits")["logits"]
    assert torch.allclose(edited.trace(tokens, "logits")["logits"], wanted, atol=2e-4)


def test_units_are_selected_in_every_layer_that_the_sites_name():
    chosen = activations.clamp(["l1.h", "l*.c", "out"], 0.0, fraction=0.5)
    (effect,) = applied(network(), chosen).effects
    counts = effect.tables["units"].groupby("site")["unit"].count().to_dict()
    assert counts == {"l1.h": 16, "l1.c": 16, "l2.c": 16, "l3.c": 16, "out": 16}


def test_a_number_of_units_alone_is_a_number_of_random_ones():
    (effect,) = applied(network(), activations.clamp("l2.h", 0.0, count=5)).effects
    assert effect.metrics["units"] == 5


@pytest.mark.parametrize("site", ["l1.h", "l2.c", "l3.h", "l*.o.pre", "out", "logits"])
def test_patching_a_tune_into_itself_changes_nothing(site):
    model = network()
    changed = applied(model, activations.patch(site, source=4)).model
    before, after = play(model)[4], play(changed)[4]
    assert after.ids.tolist() == before.ids.tolist()
    assert np.allclose(before.probability, after.probability, rtol=1e-5, atol=0)


def test_patching_another_tune_makes_the_model_say_what_it_says_there():
    model = network()
    changed = applied(model, activations.patch(["l3.h"], source=4)).model
    tokens = torch.from_numpy(play(model)[7].ids[:-1])
    other = torch.from_numpy(play(model)[4].ids[:-1])
    shared = min(len(tokens), len(other))
    assert torch.allclose(
        changed.trace(tokens, "probs")["probs"][:shared], model.trace(other, "probs")["probs"][:shared], atol=1e-5
    )


def test_a_scaled_softmax_layer_with_its_bias_is_a_temperature():
    model = network()
    scaled = applied(model, softmax.scale_softmax(0.5, bias=True)).model
    tunes = play(model, replace(SAMPLING, temperature=2.0))
    assert ids(play(scaled)) == ids(tunes)


def test_units_held_at_their_mean_stay_there():
    model = network()
    done = applied(model, activations.clamp("l2.h[3,4]", "mean"))
    tokens = torch.from_numpy(play(model)[0].ids[:-1])
    held = done.model.trace(tokens, "l2.h")["l2.h"]
    rows = np.concatenate([model.trace(torch.from_numpy(t.ids[:-1]), "l2.h")["l2.h"].numpy() for t in play(model)])
    assert torch.equal(held[:, 3:5], held[:1, 3:5].expand(len(held), 2))
    assert np.allclose(held[0, 3:5], rows[:, 3:5].mean(0), atol=1e-6)
    assert not torch.equal(held[1:, 5], held[:-1, 5])
