"""Spectra of signals whose spectra are known (identities of the facts sheet, section 7, number 8)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folkrnn import spectra


def train(period: int, steps: int = 144, start: int = 0) -> np.ndarray:
    pulses = np.zeros(steps)
    pulses[start::period] = 1.0
    return pulses


@given(st.integers(1, 1200), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_energy_over_bins_is_energy_over_steps(steps, seed):
    values = np.random.default_rng(seed).normal(size=(steps, 3))
    found = spectra.energy(spectra.power(values)).sum(0)
    np.testing.assert_allclose(found, (values**2).sum(0), rtol=1e-9)


@given(st.integers(2, 600), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_shares_of_all_bands_add_up_to_one(steps, seed):
    spectrum = spectra.power(np.random.default_rng(seed).normal(size=(steps, 4)))
    rows = np.arange(len(spectrum)) % 5
    np.testing.assert_allclose(sum(spectra.share(spectrum, rows == k) for k in range(5)), 1.0)


def test_the_band_around_nine_is_bins_54_to_60_of_512():
    spectrum = spectra.power(np.ones((100, 1)))
    assert np.flatnonzero(spectra.band(spectrum, 9)).tolist() == list(range(54, 61))


@pytest.mark.parametrize("period", [4, 8, 16, 32])
def test_a_pulse_train_peaks_at_multiples_of_512_over_its_period(period):
    spectrum = spectra.power(train(period, 512)[:, None])[:, 0]
    assert np.flatnonzero(spectrum > 1e-9 * spectrum.max()).tolist() == list(range(0, 257, 512 // period))


def test_a_single_spike_has_a_flat_spectrum():
    spike = np.zeros((144, 1))
    spike[70] = -0.9
    spectrum = spectra.power(spike)
    np.testing.assert_allclose(spectrum, 0.81)
    assert spectra.classify(spectrum, 144, 9) == ["flat"]


def test_a_constant_over_the_whole_window_is_dc_only():
    spectrum = spectra.power(np.full((512, 1), 0.3))
    assert spectra.share(spectrum, np.arange(257) == 0)[0] == pytest.approx(1.0)


def test_without_dc_a_constant_has_no_power_and_no_share():
    spectrum = spectra.power(np.full((100, 1), 0.3), dc=False)
    assert not spectrum.any()
    assert np.isnan(spectra.band_share(spectrum, 100, 9))
    assert spectra.classify(spectrum, 100, 9) == ["off"]


def test_half_the_magnitude_is_shown_and_less_is_not():
    t = np.arange(512)
    for magnitude, seen in ((0.5001, True), (0.4999, False)):
        values = np.cos(2 * np.pi * 64 * t / 512) + magnitude * np.cos(2 * np.pi * 100 * t / 512)
        assert spectra.above_half(spectra.power(values[:, None]))[100, 0] == seen
    level = spectra.decibels(np.array([[4.0], [1.0], [0.0]]))[:, 0]
    assert level[1] == pytest.approx(-6.0206, abs=1e-4)


def test_dc_is_out_of_the_spectrum_with_all_its_leakage():
    values = 5.0 + np.cos(2 * np.pi * np.arange(144) / 9)[:, None]
    share = spectra.band_share(spectra.power(values, dc=False), 144, 9)
    assert share[0] > 0.85
    assert spectra.band_share(spectra.power(values), 144, 9)[0] < 0.05


def test_a_tune_shorter_than_the_period_has_no_share():
    spectrum = spectra.power(np.random.default_rng(0).normal(size=(8, 3)))
    assert np.isnan(spectra.band_share(spectrum, 8, 9)).all()
    assert np.isfinite(spectra.band_share(spectrum, 9, 9)).all()


def test_a_tune_longer_than_the_window_keeps_its_periods():
    values = np.cos(2 * np.pi * np.arange(1300) / 9)[:, None]
    spectrum = spectra.power(values)
    assert len(spectrum) == 769
    assert spectra.band_share(spectrum, 1300, 9)[0] > 0.95
    assert spectra.average(spectrum).shape == (257,)


def test_the_classes_of_part_5_are_told_apart():
    t = np.arange(144)
    planted = {
        "flat": train(200, start=60),
        "harmonic": train(9, start=4),
        "pulse train": train(16, start=3),
        "closely spaced": train(60, start=5),
        "off": np.zeros(144),
        "other": np.cos(2 * np.pi * t / 37) + 0.5,
    }
    spectrum = spectra.power(np.stack(list(planted.values()), axis=1))
    assert spectra.classify(spectrum, 144, 9) == list(planted)


def test_strong_periods_are_the_planted_ones():
    values = np.stack([train(9, 432, start) for start in range(9)], axis=1)
    periods = [period for k, period, _ in spectra.strong_periods(spectra.average(spectra.power(values))) if k]
    np.testing.assert_allclose(periods, [9, 4.5, 3, 2.25], rtol=0.01)
