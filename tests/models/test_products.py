"""Products with packed weights are those of torch, and are batch-invariant."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.models.hooks import At
from folkrnn.models.products import Product, can_pack, check_precision
from folkrnn.models.rng import probabilities
from folkrnn.sampling import Sampling, generate
from folkrnn.vocabulary import V2
from folkrnn.weights.sources import pretrained

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")  # said by the switch of oneDNN itself

PACKS = can_pack(torch.zeros(1))
BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
without_bf16 = pytest.mark.skipif(not BF16, reason="this processor does not multiply bf16")
paths = pytest.mark.parametrize("packed", [True, False] if PACKS else [False])


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def weights(seed, rows, *widths):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, width, generator=generator) / width**0.5 for width in widths], torch.randn(rows)


@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_both_paths_give_the_plain_product_to_1e_6(batch, rows, one, other, seed):
    (first, second), bias = weights(seed, rows, one, other)
    x, added = torch.randn(batch, one + other), torch.randn(batch, rows)
    expected = x.double() @ torch.cat([first, second], dim=1).double().t()
    for enabled in (True, False):
        with torch.backends.mkldnn.flags(enabled=enabled):
            product = Product([first, second], bias)
            assert (product(x) - (expected + bias)).abs().max() < 1e-5
            assert (product(x, added) - (expected + added)).abs().max() < 1e-5


@paths
def test_the_steps_of_both_paths_agree_to_1e_6(packed):
    torch.manual_seed(0)
    model = FolkRNN().eval()
    tokens = torch.randint(0, 137, (20, 30))
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=packed):
        engine, state, same = model.engine(), model.initial_state(20), model.initial_state(20)
        for t in range(30):
            logits, state = engine.step(tokens[:, t], state)
            plain, same = model.step(tokens[:, t], same)
            assert (logits - plain).abs().max() < 2e-6  # 512 products are added up once more, in another order
            for mine, theirs in zip(state, same, strict=True):
                assert all((a - b).abs().max() < 1e-6 for a, b in zip(mine, theirs, strict=True))


@pytest.mark.skipif(not PACKS, reason="this torch has no oneDNN")
def test_products_are_batch_invariant_to_the_bit_with_any_number_of_threads(threads):
    (weight,), bias = weights(1, 2048, 512)
    x, added = torch.randn(256, 512), torch.randn(256, 2048)
    product = Product([weight], bias)
    whole, driven = product(x), product(x, added)
    for count in (1, 2):
        threads(count)
        for rows in (1, 2, 3, 7, 15, 16, 17, 33, 64, 100, 255, 256):
            assert torch.equal(product(x[:rows]), whole[:rows])
            assert torch.equal(product(x[:rows], added[:rows]), driven[:rows])


@pytest.mark.skipif(not PACKS, reason="this torch has no oneDNN")
@without_bf16
def test_in_bf16_a_row_is_the_same_among_as_many_others_with_any_number_of_threads(threads):
    """Among more or fewer it need not be: processors with tiles of their own take sums of few rows in another order."""
    (weight,), bias = weights(1, 2048, 512)
    product = Product([weight], bias, "bf16")
    for rows in (16, 33, 256):
        x, order = torch.randn(rows, 512), torch.randperm(rows)
        whole = product(x)
        for count in (1, 2):
            threads(count)
            assert torch.equal(product(x[order]), whole[order])


@paths
def test_a_weight_written_to_in_place_counts_from_the_next_product_on(packed):
    (weight,), bias = weights(2, 8, 5)
    x = torch.randn(3, 5)
    with torch.backends.mkldnn.flags(enabled=packed):
        product = Product([weight], bias)
        before = product(x)
        weight[0] = 0
        bias[1] = 7.0
        after = product(x)
    assert (after - torch.nn.functional.linear(x, weight, bias)).abs().max() < 1e-6
    assert torch.equal(before[:, 2:], after[:, 2:])


def test_a_engine_sees_a_parameter_that_was_edited_after_its_first_step():
    torch.manual_seed(0)
    model = FolkRNN(units=32).eval()
    tokens, engine = torch.arange(16), model.engine()
    engine.step(tokens, model.initial_state(16))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
        plain, _ = model.step(tokens, model.initial_state(16))
    assert (engine.step(tokens, model.initial_state(16))[0] - plain).abs().max() < 1e-6


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_hook_is_called_for_the_sites_it_names_alone_and_changes_no_bit_of_the_rest(cell):
    torch.manual_seed(0)
    model, called = FolkRNN(units=32, cell=cell).eval(), []

    def look(site, value):
        called.append(site)
        return value

    tokens = torch.arange(16)
    plain, state = model.engine().step(tokens, model.initial_state(16))
    for step in (model.step, model.engine().step):
        called.clear()
        step(tokens, model.initial_state(16), At({"l2.h", "logits"}, look))
        assert called == ["l2.h", "logits"]
        called.clear()
        step(tokens, model.initial_state(16), look)
        assert sorted(called) == sorted(model.sites.keys() - {"probs"})
    logits, visited = model.engine().step(tokens, model.initial_state(16), look)
    assert torch.equal(logits, plain)
    assert all(
        torch.equal(a, b) for one, two in zip(state, visited, strict=True) for a, b in zip(one, two, strict=True)
    )


def test_a_write_by_a_hook_of_one_site_is_that_by_a_hook_of_all():
    torch.manual_seed(0)
    model = FolkRNN(units=32).eval()
    tokens = torch.arange(16)

    def clamp(site, value):
        return torch.ones_like(value) if site == "l2.c" else value

    all_sites, _ = model.engine().step(tokens, model.initial_state(16), clamp)
    one_site, _ = model.engine().step(tokens, model.initial_state(16), At({"l2.c"}, clamp))
    plain, _ = model.engine().step(tokens, model.initial_state(16))
    assert torch.equal(all_sites, one_site)
    assert not torch.equal(all_sites, plain)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_an_activation_is_the_same_to_the_bit_whatever_else_is_traced(cell):
    torch.manual_seed(0)
    model = FolkRNN(units=32, cell=cell).eval()
    tokens = torch.randint(0, 137, (18, 12))
    everything = model.trace(tokens, ["x", "l*.*", "l*.*.pre", "logits", "probs"], reconstruct=False)
    assert set(everything) == set(model.sites)
    for site, value in everything.items():
        assert torch.equal(model.trace(tokens, site, reconstruct=False)[site], value)


@without_bf16
def test_distributions_in_bf16_are_within_a_fiftieth_of_those_of_fp32_and_a_thousandth_on_average():
    model = pretrained().model.eval()
    tunes = generate(model, V2, Sampling(tunes=16, max_tokens=150), seed=3)
    tokens = torch.stack([torch.from_numpy(np.resize(tune.ids[:-1], 100)) for tune in tunes])
    distributions = []
    for precision in ("fp32", "bf16"):
        engine, state, rows = model.engine(precision), model.initial_state(16), []
        for column in tokens.T:
            logits, state = engine.step(column, state)
            rows.append(probabilities(logits, 1.0))
        distributions.append(torch.stack(rows))
    apart = (distributions[0] - distributions[1]).abs().sum(-1) / 2
    assert 0 < apart.mean() < 1e-3
    assert apart.max() < 0.02


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="fp32 or bf16"):
        check_precision("fp8", torch.device("cpu"))
