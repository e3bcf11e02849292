import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import run_gru, run_lstm

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN


def small(cell="lstm", **sizes):
    torch.manual_seed(3)
    return FolkRNN(**({"vocabulary_size": 137, "units": 64, "layers": 3, "cell": cell} | sizes)).eval()


def test_the_full_model_has_the_papers_number_of_parameters():
    counts = FolkRNN().parameter_counts()
    assert counts == {"weights": 5_599_881, "with_initial_states": 5_602_953, "as_lasagne_counts": 5_621_722}
    assert sum(p.numel() for p in FolkRNN().parameters()) == 5_599_881


def test_learned_initial_states_are_parameters_and_counted_apart():
    model = FolkRNN(initial_state="learned")
    assert sum(p.numel() for p in model.parameters()) == 5_602_953
    assert model.parameter_counts()["weights"] == 5_599_881


def test_the_softmax_layer_has_the_70281_parameters_of_the_title():
    model = FolkRNN()
    assert model.softmax_weight.numel() + model.softmax_bias.numel() == 70_281


@pytest.mark.parametrize(
    ("cell", "units", "vocabulary", "printed"),
    [("lstm", 800, 226, 13_769_702), ("gru", 800, 226, 10_384_102), ("lstm", 512, 223, 5_872_928)],
)
def test_parameter_totals_equal_those_printed_in_published_logs(cell, units, vocabulary, printed):
    model = FolkRNN(vocabulary, units, 3, cell=cell)
    counts = model.parameter_counts()
    # the log of the GRU counts one initial state a layer, as our model does
    assert counts["as_lasagne_counts"] == printed


@pytest.mark.parametrize(("cell", "reference"), [("lstm", run_lstm), ("gru", run_gru)])
@pytest.mark.parametrize("reconstruct", [True, False])
def test_a_trace_yields_every_activation_of_an_independent_numpy_network(cell, reference, reconstruct):
    model = small(cell)
    tokens = np.random.default_rng(0).integers(0, 137, 40)
    traced = model.trace(torch.from_numpy(tokens), ["l*.*", "l*.*.pre", "logits"], reconstruct=reconstruct)
    expected = reference(model, tokens.tolist())
    for site, value in expected.items():
        np.testing.assert_allclose(traced[site].numpy(), value, atol=2e-6, err_msg=site)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_fused_stepped_and_traced_executions_are_double_precision_rounded(cell):
    model = FolkRNN(cell=cell).eval()
    tokens = torch.randint(0, 137, (18, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(tokens)
        fused = model(tokens)
        state, stepped = model.initial_state(18), []
        for t in range(40):
            logits, state = model.step(tokens[:, t], state)
            stepped.append(logits)
    traced = model.trace(tokens, "logits", reconstruct=False)["logits"]
    for execution in (fused, torch.stack(stepped, 1), traced):
        assert (execution - exact).abs().max() < 2e-6  # twice what was seen over seeds: 40 steps, |logits| < 1


def test_learned_initial_states_are_where_every_execution_begins():
    model = small(initial_state="learned")
    with torch.no_grad():
        model.initial.normal_()
    tokens = torch.tensor([5, 6, 7])
    expected = run_lstm(model, tokens.tolist())
    for reconstruct in (True, False):
        assert np.allclose(model.trace(tokens, "l3.c", reconstruct=reconstruct)["l3.c"], expected["l3.c"], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 136), min_size=1, max_size=12), st.integers(1, 4), st.sampled_from(["lstm", "gru"]))
def test_identities_of_the_cell_hold_on_any_tokens(tokens, layers, cell):
    model = small(cell, layers=layers, units=16)
    s = model.trace(torch.tensor(tokens), "l*.*")
    for k in range(1, layers + 1):
        assert s[f"l{k}.h"].abs().max() < 1
        if cell == "lstm":
            assert torch.allclose(s[f"l{k}.h"], s[f"l{k}.o"] * s[f"l{k}.c"].tanh(), atol=1e-6)
            before = torch.cat([torch.zeros(1, 16), s[f"l{k}.c"][:-1]])
            assert torch.allclose(s[f"l{k}.c"], s[f"l{k}.f"] * before + s[f"l{k}.i"] * s[f"l{k}.g"], atol=1e-6)


def test_padding_does_not_change_what_comes_before_it():
    model = small()
    short, long = torch.randint(0, 137, (1, 7)), torch.randint(0, 137, (1, 20))
    batch = torch.zeros(2, 20, dtype=torch.long)
    batch[0, :7], batch[1] = short, long
    with torch.no_grad():
        together = model(batch)
        assert (together[0, :7] - model(short)[0]).abs().max() < 1e-6
        assert (together[1] - model(long)[0]).abs().max() < 1e-6


def test_dropout_acts_after_every_layer_in_training_and_never_in_steps():
    model = small(dropout=0.5).train()
    tokens = torch.randint(0, 137, (4, 30))
    outputs = model.hidden(tokens)
    for layer in outputs:
        assert 0.4 < (layer == 0).float().mean() < 0.6
    first, _ = model.step(tokens[:, 0], model.initial_state(4))
    again, _ = model.step(tokens[:, 0], model.initial_state(4))
    assert torch.equal(first, again)


def test_visiting_without_changing_changes_nothing_bit_for_bit():
    model = FolkRNN().eval()
    tokens = torch.arange(20)
    with torch.no_grad():
        plain, state = model.step(tokens, model.initial_state(20))
        visited, same = model.step(tokens, model.initial_state(20), lambda site, value: value)
        assert torch.equal(plain, visited)
        again, _ = model.step(tokens, state)
        also, _ = model.step(tokens, same, lambda site, value: value)
    assert torch.equal(again, also)


def test_a_write_to_a_state_changes_that_step_and_all_that_follow():
    model = small()
    tokens = torch.arange(10).unsqueeze(0)
    with torch.no_grad():

        def logits(visit_at):
            state, found = model.initial_state(1), []
            for t in range(10):
                clamp = (lambda site, v: torch.ones_like(v) if site == "l2.c" else v) if t == visit_at else None
                out, state = model.step(tokens[:, t], state, clamp)
                found.append(out)
            return torch.stack(found)

        plain, written = logits(None), logits(4)
    assert torch.equal(plain[:4], written[:4])
    assert ((plain[4:] - written[4:]).abs().amax((1, 2)) > 1e-4).all()


@pytest.mark.parametrize(
    "wrong", [{"units": 0}, {"layers": 0}, {"dropout": 1.0}, {"cell": "rnn"}, {"initial_state": "random"}]
)
def test_sizes_that_make_no_sense_are_refused_by_name(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        FolkRNN(**wrong)
