"""Noise belongs to a row of the whole batch, whoever has the row."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn.datasets.batches import places_of
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.training import noise
from folkrnn.training.language_model import dropped_logits

DRAWS = pytest.mark.parametrize("draw", [noise._drawn, noise._hashed], ids=["cpu", "gpu"])
HERE = torch.device("cpu")


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1), st.integers(0, 10**6))
def test_the_shares_of_all_processes_and_parts_get_the_noise_of_the_whole_batch(tunes, processes, parts, seed, update):
    whole = noise.latents(seed, noise.LATENTS, update, range(tunes), 5, 7)
    for process in range(processes):
        for part in range(parts):
            rows = places_of(tunes, processes, process, parts, part)
            mine = noise.latents(seed, noise.LATENTS, update, rows, 5, 7)
            for one, all_rows in zip(mine, whole, strict=True):
                assert torch.equal(one, all_rows[list(rows)])


def test_fewer_steps_have_the_first_numbers_of_more():
    long, short = (noise.latents(3, noise.LATENTS, 5, range(4), 6, steps) for steps in (20, 8))
    assert torch.equal(long[0], short[0])
    assert torch.equal(long[1][:, :8], short[1])


def test_epsilon_is_normal_and_independent_between_rows_updates_and_seeds():
    found = torch.stack([
        torch.stack([noise.latents(seed, noise.LATENTS, update, range(8), 4000, 1)[0] for update in range(2)])
        for seed in (1, 2)
    ]).flatten(0, 2)  # fmt: skip
    assert found.mean().abs() < 0.02
    assert (found.std() - 1).abs() < 0.02
    others = torch.corrcoef(found) - torch.eye(len(found))
    assert others.abs().max() < 0.09  # 5 standard errors of 4000 numbers


@DRAWS
@pytest.mark.parametrize("share", [0.25, 0.3, 0.5])
def test_dropout_takes_its_share_and_keeps_the_mean(draw, share, monkeypatch):
    monkeypatch.setattr(noise, "_drawn", draw)
    x = torch.ones(16, 100, 64)
    found = noise.dropout(1, 7, range(16), share)(0, x)
    assert abs(float((found == 0).float().mean()) - share) < 0.006
    assert abs(float(found.mean()) - 1) < 0.012
    assert float(found.max()) == pytest.approx(1 / (1 - share), rel=1e-4)


@DRAWS
def test_dropout_is_batch_invariant_and_the_same_at_any_length(draw):
    whole = draw(5, noise.DROPOUT, 3, range(9), (20, 8), 30_000, HERE)
    some = draw(5, noise.DROPOUT, 3, [2, 5], (12, 8), 30_000, HERE)
    assert torch.equal(some, whole[[2, 5], :12])


@DRAWS
def test_dropout_differs_between_rows_layers_updates_and_seeds(draw):
    masks = [
        draw(seed, noise.DROPOUT + layer, update, [row], (100, 40), 1 << 15, HERE).flatten().double()
        for seed in (1, 2, 1 + (1 << 31)) for layer in (0, 1) for update in (0, 1) for row in (0, 1)
    ]  # fmt: skip
    others = torch.corrcoef(torch.stack(masks)) - torch.eye(len(masks))
    assert others.abs().max() < 0.09


@DRAWS
def test_dropout_has_no_pattern_along_steps_or_units(draw):
    kept = draw(1, noise.DROPOUT, 0, range(40), (200, 32), 1 << 15, HERE).double() - 0.5
    along_steps = (kept[:, 1:] * kept[:, :-1]).mean() * 4
    along_units = (kept[..., 1:] * kept[..., :-1]).mean() * 4
    assert max(abs(along_steps), abs(along_units)) < 0.01


def test_on_a_processor_a_rows_mask_is_of_the_16_bit_numbers_of_its_stream():
    found = noise.dropout(3, 5, [4], 0.25)(1, torch.ones(1, 6, 8))[0]
    words = noise.stream(3, noise.DROPOUT + 1, 5, 4).random_raw(12)
    assert torch.equal(found > 0, torch.from_numpy(words.view(np.uint16) >= 2**14).reshape(6, 8))


def test_without_dropout_training_logits_are_the_models():
    model = FolkRNN(units=16, dropout=0.5).eval()
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 137, (3, 9)))
    assert torch.equal(dropped_logits(model, tokens, noise.dropout(1, 0, range(3), 0.0)), model(tokens))


@DRAWS
def test_a_number_that_equals_the_threshold_is_kept(draw):
    def kept(threshold):
        return int(draw(1, noise.DROPOUT, 7, range(16), (1024, 64), threshold, HERE).sum())

    assert 4 <= kept(2**16 - 1) <= 40  # of 2²⁰ numbers 16 are expected to be the largest
    assert 4 <= 2**20 - kept(1) <= 30  # and 16 to be 0
    assert kept(0) == 2**20
