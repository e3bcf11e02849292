"""Random numbers of edits: the right distribution, one stream per (seed, tune, step), batch-invariant."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from folkrnn.interventions.rng import _GOLDEN, _mixed, normals_at, uniforms_at, uniforms_of
from folkrnn.models.positions import Position, TuneTracker
from folkrnn.vocabulary import V2


def places(count: int) -> Position:
    return TuneTracker(V2).after(TuneTracker(V2).begin(count), torch.zeros(count, dtype=torch.long))


def test_uniforms_and_normals_are_distributed_as_such():
    assert kstest(uniforms_at(places(300), 100, 1, 0).flatten().numpy(), "uniform").pvalue > 1e-3
    assert kstest(normals_at(places(1000), 1001, 1, 0).flatten().numpy(), "norm").pvalue > 1e-3


def test_normals_have_the_moments_of_a_normal_distribution_and_tails():
    drawn = normals_at(places(2000), 1000, 4, 0).double()
    n = drawn.numel()
    assert abs(float(drawn.mean())) < 4 / np.sqrt(n)
    assert abs(float(drawn.square().mean()) - 1) < 4 * np.sqrt(2 / n)
    assert abs(float((drawn**4).mean()) - 3) < 4 * np.sqrt(96 / n)
    assert 4 < float(drawn.abs().max()) < 4.4


def test_tunes_steps_seeds_purposes_and_units_are_independent():
    base = normals_at(places(200), 200, 1, 0).numpy()
    later = places(200)
    later = later._replace(step=later.step + 1)
    others = [normals_at(places(200), 200, 2, 0), normals_at(places(200), 200, 1, 1), normals_at(later, 200, 1, 0)]
    for other in [*(o.numpy() for o in others), np.roll(base, 1, axis=0), np.roll(base, 1, axis=1), base[:, ::-1]]:
        assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(base.size)


def test_rows_are_batch_invariant():
    whole = uniforms_at(places(20), 7, 5, 3)
    alone = uniforms_of(torch.tensor([13]), torch.tensor([0]), 7, 5, 3)
    assert torch.equal(whole[13:14], alone)
    few = places(20)
    few = Position(*(part[[13, 2]] for part in few))
    assert torch.equal(normals_at(few, 9, 5, 3), normals_at(places(20), 9, 5, 3)[[13, 2]])


@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_as_many_numbers_are_drawn_as_were_asked_for(count):
    assert normals_at(places(3), count, 5, 3).shape == uniforms_at(places(3), count, 5, 3).shape == (3, count)


def test_bits_are_mixed_as_splitmix64_does_from_the_seed_1234567():
    states = torch.tensor(1234567) + torch.arange(1, 4) * _GOLDEN
    found = _mixed(states).numpy().astype(np.uint64)
    assert found.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]
