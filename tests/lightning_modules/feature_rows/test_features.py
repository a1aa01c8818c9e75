"""Features of a signal against closed forms and plain loops."""

import numpy as np
import pytest
import torch

from datamodules.batch import BREATHING_RATES, EEG_BANDS, SignalSpec
from lightning_modules.feature_rows.features import (
    BREATHING_FRAME,
    DifferentialEntropy,
    Moments,
    Rhythm,
    Rise,
    make_parts,
)


def clock(spec: SignalSpec) -> torch.Tensor:
    return torch.arange(spec.n_times, dtype=torch.float64) / spec.sfreq


def entropy(variance: float) -> float:
    return 0.5 * np.log(2 * np.pi * np.e * variance)


def pulses(spec: SignalSpec, rate: float, width: float) -> torch.Tensor:
    """Return a bump of ``width`` seconds at every beat, shape (1, 1, T)."""
    phase = (clock(spec) * rate) % 1 / rate - 4 * width
    return torch.exp(-0.5 * (phase / width) ** 2).float()[None, None]


@pytest.mark.parametrize("sfreq", [125.0, 128.0, 200.0])
def test_entropy_of_a_sine_is_in_its_band_alone(sfreq):
    spec = SignalSpec(1, int(5 * sfreq), sfreq)
    wave = 3 * torch.sin(2 * torch.pi * 10 * clock(spec)).float() + 100
    found = DifferentialEntropy(spec)(wave[None, None])[0, 0]  # (bands, R)
    assert found.shape == (5, 5)
    np.testing.assert_allclose(found[2], entropy(9 / 2), atol=1e-3)
    assert found[[0, 1, 3, 4]].max() < found[2].min() - 3


def test_entropy_of_white_noise_is_its_share_of_the_variance():
    spec = SignalSpec(1, 128 * 4000, 128.0)
    noise = 2 * torch.randn(1, 1, spec.n_times, generator=torch.Generator().manual_seed(0))
    found = DifferentialEntropy(spec)(noise)[0, 0]
    variance = ((2 * found).exp() / (2 * torch.pi * torch.e)).mean(dim=1)
    shares = np.array([(high - low) / 64 for low, high in EEG_BANDS.values()])
    shares[0] *= 17 / 18  # without the mean, which the Hann window mixes into the first line
    np.testing.assert_allclose(variance, 4 * shares, rtol=0.04)


def test_entropy_against_a_loop():
    spec = SignalSpec(2, 300, 100.0)
    window = np.random.default_rng(0).normal(size=(1, 2, 300))
    found = DifferentialEntropy(spec)(torch.from_numpy(window).float())[0]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(100) / 100)
    for channel in range(2):
        for row in range(3):
            frame = window[0, channel, 100 * row : 100 * row + 100]
            power = np.abs(np.fft.rfft((frame - frame.mean()) * hann)) ** 2
            for band, (low, high) in enumerate(EEG_BANDS.values()):
                variance = 2 * power[int(low) : int(high)].sum() / (100 * (hann**2).sum())
                assert found[channel, band, row] == pytest.approx(entropy(variance), abs=1e-4)


@pytest.mark.parametrize(("sfreq", "n_bands"), [(200.0, 5), (64.0, 5), (32.0, 4), (10.0, 2)])
def test_bands_above_half_the_rate_are_left_out(sfreq, n_bands):
    assert DifferentialEntropy(SignalSpec(1, 400, sfreq)).n_features == n_bands


def test_moments_against_a_loop():
    window = np.random.default_rng(0).normal(5, 2, size=(2, 3, 50))
    found = Moments(SignalSpec(3, 50, 10.0))(torch.from_numpy(window).float())
    assert found.shape == (2, 3, 3, 5)
    for row in range(5):
        frame = window[1, 2, 10 * row : 10 * row + 10]
        slope = np.polyfit(np.arange(10) / 10, frame, 1)[0]
        expected = [frame.mean(), frame.std(), slope]
        np.testing.assert_allclose(found[1, 2, :, row], expected, rtol=1e-4, atol=1e-5)


def test_beats_give_moments_of_eight_seconds():
    spec = SignalSpec(4, 240, 8.0)
    window = torch.from_numpy(np.random.default_rng(1).normal(1, 0.2, (2, 4, 240))).float()
    (part,) = make_parts("bvp_beats", spec)
    found = part(window)  # (2, 4, 3, 30)
    assert found.shape == (2, 4, 3, 30)
    for row, start in ((0, 0), (15, 92), (29, 176)):  # centred on 0.5, 15.5, 29.5 s
        frame = window[1, 2, start : start + 64].numpy()
        slope = np.polyfit(np.arange(64) / 8, frame, 1)[0]
        expected = [frame.mean(), frame.std(), slope]
        np.testing.assert_allclose(found[1, 2, :, row], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("breaths", [0.1, 0.4, 0.6, 0.75])
def test_fast_breathing_is_followed(breaths):
    spec = SignalSpec(1, 60 * 32, 32.0)
    wave = torch.sin(2 * torch.pi * breaths * clock(spec)).float()
    found = Rhythm(spec, BREATHING_RATES, BREATHING_FRAME)(wave[None, None])[0, 0]
    np.testing.assert_allclose(found[0], breaths, atol=0.01)


@pytest.mark.parametrize("sfreq", [4.0, 32.0, 700.0])
def test_breathing_rate_and_power(sfreq):
    spec = SignalSpec(1, int(60 * sfreq), sfreq)
    wave = 2 * torch.sin(2 * torch.pi * 0.25 * clock(spec)).float()
    found = Rhythm(spec, BREATHING_RATES, BREATHING_FRAME)(wave[None, None])[0, 0]
    np.testing.assert_allclose(found[0], 0.25, atol=0.01)
    assert found[1].min() > 0.99
    np.testing.assert_allclose(found[2], entropy(2.0), atol=0.02)


@pytest.mark.parametrize("sfreq", [4.0, 32.0])
def test_rise_adds_up_what_goes_up(sfreq):
    spec = SignalSpec(1, int(10 * sfreq), sfreq)
    time = clock(spec)
    level = torch.where(time < 6, time.clamp(2, 4) * 0.5, 2 - (time - 6) * 0.1)
    found = Rise(spec)(level.float()[None, None])[0, 0, 0]
    assert found.shape == (10,)
    assert found.sum() == pytest.approx(1.0, abs=0.01)
    assert found[[0, 1, 5, 6, 7, 8, 9]].abs().max() < 1e-6
