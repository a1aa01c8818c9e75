import dataclasses
import pickle
import re
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import zscore
from torch.nn.functional import avg_pool2d

from datamodules.signals.cvxeda import PhasicEDA, TonicEDA
from datamodules.signals.recording import Signal
from datamodules.signals.steps import (
    STEPS,
    AveragePool,
    BandPass,
    BaselineRemoval,
    CommonAverage,
    Detrend,
    DifferentialEntropy,
    MinMax,
    Notch,
    Resample,
    Step,
    ZScore,
    ZScoreOverChannels,
)

SFREQ = 128.0
EXAMPLES = [
    BandPass(1.0, 40.0),
    BandPass(None, 40.0, order=3),
    BandPass(1.0, None),
    Notch(50.0),
    Resample(64.0),
    Resample(50),
    Resample(200.0),
    Detrend(),
    Detrend(0.04),
    BaselineRemoval(0.05),
    ZScore(),
    MinMax(),
    CommonAverage(),
    ZScoreOverChannels(),
    AveragePool(3),
    DifferentialEntropy(0.05),
]
OVER_CHANNELS = (CommonAverage, ZScoreOverChannels, AveragePool)
SEED_BANDS = [
    ("delta", 1, 4),
    ("theta", 4, 8),
    ("alpha", 8, 14),
    ("beta", 14, 31),
    ("gamma", 31, 50),
]
RATES = [(64, 128), (4, 64), (700, 64), (1000, 128), (360, 250), (64, 4), (32, 32), (64, 63.9)]


def make(*channels: npt.ArrayLike, sfreq: float = SFREQ) -> Signal:
    names = tuple(f"E{number}" for number in range(len(channels)))
    return Signal(np.array(channels, np.float32), sfreq, names, "uV")


def noise(n_times: int, n_channels: int = 3, seed: int = 0) -> Signal:
    return make(*np.random.default_rng(seed).normal(20.0, 5.0, (n_channels, n_times)))


def sine(frequency: float, n_times: int, sfreq: float = SFREQ) -> npt.NDArray[np.float64]:
    return 3 * np.sin(2 * np.pi * frequency * np.arange(n_times) / sfreq + 0.4)


# ---- every step


def test_every_step_is_in_the_catalogue_by_its_name():
    assert {type(step) for step in EXAMPLES} == set(STEPS.values())
    for name, step in STEPS.items():
        assert name == re.sub(r"(?<!^)(?=[A-Z])", "_", step.__name__).lower()


@pytest.mark.parametrize("n_times", [12, 1000])
@pytest.mark.parametrize("step", EXAMPLES, ids=repr)
def test_of_every_step(step: Step, n_times: int):
    signal = noise(n_times)
    before = signal.samples.copy()
    found = step(signal)
    assert found.samples.dtype == np.float32
    assert np.isfinite(found.samples).all()
    assert (len(found.channels), found.sfreq) == step.shape(3, SFREQ)
    assert isinstance(found.sfreq, float)
    assert abs(found.duration - signal.duration) <= 1 / found.sfreq
    assert found.samples.shape[1] == step.n_times(n_times, SFREQ)
    if not isinstance(step, DifferentialEntropy | AveragePool):
        assert (found.channels, found.unit) == (signal.channels, signal.unit)
    np.testing.assert_array_equal(signal.samples, before)
    np.testing.assert_array_equal(step(signal).samples, found.samples)
    assert pickle.loads(pickle.dumps(step)) == step


@pytest.mark.parametrize(
    "step", [step for step in EXAMPLES if not isinstance(step, OVER_CHANNELS)], ids=repr
)
def test_a_channel_does_not_depend_on_the_others(step: Step):
    signal = noise(100)
    alone = step(make(signal.samples[1])).samples
    together = step(signal).samples
    np.testing.assert_array_equal(together[len(alone) : 2 * len(alone)], alone)


@pytest.mark.parametrize("step", [*EXAMPLES, TonicEDA(), PhasicEDA()], ids=repr)
def test_a_step_says_whether_it_looks_ahead(step: Step):
    """No sample after a window's end may change the window, whatever the window's end."""
    signal = noise(600, n_channels=1 if isinstance(step, TonicEDA | PhasicEDA) else 3)
    full, changes = step(signal), False
    for end in (3, 300):
        samples = signal.samples.copy()
        samples[:, end:] = samples[:, end:][:, ::-1] + 7
        n_times = int(end / SFREQ * full.sfreq + 1e-9)
        window = step(dataclasses.replace(signal, samples=samples)).samples[:, :n_times]
        changes |= not np.array_equal(window, full.samples[:, :n_times])
    assert step.causal is not changes


def test_a_step_that_does_not_say_so_counts_as_one_that_looks_ahead():
    class Silent(Step):
        def __call__(self, signal: Signal) -> Signal:
            return signal

    assert Silent().causal is False


@pytest.mark.parametrize("step", [BandPass(1, 9), Notch(50), Resample(256), Detrend(), ZScore()])
def test_a_single_sample(step: Step):
    assert np.isfinite(step(make([5.0])).samples).all()


def test_each_sample_is_standardised_over_channels():
    signal = noise(50, n_channels=5)
    found = ZScoreOverChannels()(signal).samples
    np.testing.assert_allclose(found, zscore(signal.samples.astype(float), axis=0), atol=1e-5)
    assert not ZScoreOverChannels()(make([2.0, 7.0], [2.0, 7.0])).samples.any()


@pytest.mark.parametrize(("n_channels", "n_times"), [(3, 3), (8, 100), (62, 31)])
def test_average_pool_is_that_of_torch(n_channels: int, n_times: int):
    signal = noise(n_times, n_channels)
    expected = avg_pool2d(torch.from_numpy(signal.samples)[None], 3)[0]
    found = AveragePool(3)(signal)
    np.testing.assert_allclose(found.samples, expected, rtol=1e-6)
    assert len(found.channels) == n_channels // 3
    assert found.sfreq == pytest.approx(SFREQ / 3)


@pytest.mark.parametrize("shape", [(2, 9), (9, 2)])
def test_nothing_to_pool(shape: tuple[int, int]):
    with pytest.raises(ValueError, match="at least 3 channels and samples"):
        AveragePool(3)(make(*np.zeros(shape)))


def test_steps_that_do_different_things_print_differently():
    others = [BandPass(1.0, 40.0, order=2), Notch(50.0, 20.0), Notch(60.0), DifferentialEntropy()]
    steps = [*EXAMPLES, *others]
    assert len({repr(step) for step in steps}) == len(steps)


# ---- filters


def butterworth(
    frequency: float, low: float | None, high: float | None, order: int, sfreq: float = SFREQ
) -> float:
    """Gain of a filter of the bilinear transform in both directions."""
    at, below, above = (np.tan(np.pi * (f or 0) / sfreq) for f in (frequency, low, high))
    if low is None:
        ratio = at / above
    elif high is None:
        ratio = below / at
    else:
        ratio = (at**2 - below * above) / (at * (above - below))
    return float(1 / (1 + ratio ** (2 * order)))


@pytest.mark.parametrize("order", [2, 3, 4])
@pytest.mark.parametrize(("low", "high"), [(1.0, 8.0), (8.0, 40.0), (4.0, None), (None, 10.0)])
def test_gain_and_phase_of_a_band_pass(low: float | None, high: float | None, order: int):
    for frequency in (0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 20.0, 40.0, 60.0):
        x = sine(frequency, 6000)
        found = BandPass(low, high, order)(make(x)).samples[0]
        gain = butterworth(frequency, low, high, order)
        if frequency in (low, high):
            assert gain == pytest.approx(0.5)
        np.testing.assert_allclose(found[2000:4000], gain * x[2000:4000], atol=1e-4)


@pytest.mark.parametrize("quality", [10.0, 30.0])
def test_gain_and_phase_of_a_notch(quality: float):
    angle = 2 * np.pi * 50 / SFREQ
    for frequency in (10.0, 45.0, 49.0, 49.5, 50.0, 51.0, 60.0):
        x = sine(frequency, 6000)
        found = Notch(50.0, quality)(make(x)).samples[0]
        here = 2 * np.pi * frequency / SFREQ
        offset = (np.cos(here) - np.cos(angle)) ** 2
        gain = offset / (offset + (np.tan(angle / quality / 2) * np.sin(here)) ** 2)
        np.testing.assert_allclose(found[2000:4000], gain * x[2000:4000], atol=1e-4)


@pytest.mark.parametrize("side", [-1, 1])
def test_half_the_amplitude_at_the_width_of_a_notch(side: int):
    x = sine(50.0 + side * 50.0 / 30 / 2, 9000, 1000.0)
    found = Notch(50.0, 30.0)(make(x, sfreq=1000.0)).samples[0]
    assert found[3000:6000].std() / x[3000:6000].std() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("n_times", [1, 12, 1000])
def test_of_a_constant_remains_what_the_band_holds(n_times: int):
    constant = make(np.full(n_times, 1000.0))
    for kept in (BandPass(None, 10.0), Notch(50.0)):
        np.testing.assert_allclose(kept(constant).samples, 1000.0, rtol=1e-6)
    for removed in (BandPass(1.0, 10.0), BandPass(1.0, None)):
        np.testing.assert_allclose(removed(constant).samples, 0.0, atol=1e-3)


def test_a_ramp_goes_on_beyond_its_ends():
    ramp = 0.1 * np.arange(1000)
    np.testing.assert_allclose(BandPass(None, 10.0)(make(ramp)).samples[0], ramp, atol=0.02)


@pytest.mark.parametrize(
    "step", [BandPass(1.0, 40.0), Detrend(), BaselineRemoval(9.0), ZScore(), MinMax()], ids=repr
)
def test_an_offset_costs_no_precision(step: Step):
    x = np.round(8 * sine(10.0, 4000)) / 8  # so that it is exact in float32 on top of the offset
    found, plain = step(make(x + 2**19)).samples, step(make(x)).samples
    np.testing.assert_allclose(found[:, 1000:3000], plain[:, 1000:3000], atol=1e-4)


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 8), (-1, None), (8, 8), (9, 8), (None, None), (None, 0), (float("nan"), 8)],
)
def test_edges_that_are_none(low: float | None, high: float | None):
    with pytest.raises(ValueError, match=r"expected 0 < low < high .* found BandPass\(low="):
        BandPass(low, high)


def test_filters_beyond_half_the_rate():
    for step in (BandPass(1.0, 64.0), BandPass(64.0, None), BandPass(70.0, 80.0), Notch(64.0)):
        with pytest.raises(ValueError, match=r"below half the rate, 64 Hz, found \w+\("):
            step(noise(100))
    BandPass(1.0, 63.0)(noise(100))
    Notch(63.0)(noise(100))


def test_options_without_sense():
    wrong = [(BandPass, (1, 2, 0)), (Notch, (0.0,)), (Notch, (50.0, 0.0)), (Resample, (0.0,))]
    for step, options in [*wrong, (DifferentialEntropy, (0.0,))]:
        with pytest.raises(ValueError, match=r"expected .*, found"):
            step(*options)


# ---- resampling


@pytest.mark.parametrize(("source", "target"), RATES)
def test_a_resampled_sine_is_the_sine(source: float, target: float):
    slower = min(source, target)
    frequency = slower / 8
    x = sine(frequency, round(60 * source) + 3, source)
    found = Resample(target)(make(x, sfreq=source)).samples[0]
    expected = sine(frequency, len(found), target)
    edge = round(4 * target / slower * 8)
    np.testing.assert_allclose(found[edge:-edge], expected[edge:-edge], atol=0.01)


@pytest.mark.parametrize("n_times", [1, 12, 640])
@pytest.mark.parametrize(("source", "target"), RATES)
def test_constants_and_ramps_survive_resampling(source: float, target: float, n_times: int):
    if n_times * target < source:
        n_times = 20
    found = Resample(target)(make(np.full(n_times, 36.6), sfreq=source))
    np.testing.assert_allclose(found.samples, 36.6, rtol=1e-6)
    if n_times > 1:
        ramp = 5.0 + 0.25 * np.arange(n_times)
        found = Resample(target)(make(ramp, sfreq=source))
        time = np.arange(found.samples.shape[1]) / target
        np.testing.assert_allclose(found.samples[0], 5.0 + 0.25 * source * time, rtol=1e-6)


def test_lengths_after_resampling():
    for source, target in RATES:
        for n_times in range(20, 200):
            found = Resample(target)(make(np.zeros(n_times), sfreq=source))
            assert found.samples.shape[1] == round(n_times * Fraction(target) / Fraction(source))


def test_what_is_above_half_the_new_rate_does_not_come_back():
    x = sine(42.0, 6000)
    found = Resample(64.0)(make(x)).samples[0]
    assert np.abs(found[500:-500]).max() < 0.01 * np.abs(x).max()


def test_rates_that_resampling_cannot_reach():
    with pytest.raises(ValueError, match=r"expected at least one sample .* found 12 samples"):
        Resample(1.0)(make(np.zeros(12), sfreq=64.0))
    almost = Resample(64.003)
    assert almost(make(np.zeros(100), sfreq=64.0)).samples.shape == (1, 100)
    with pytest.raises(ValueError, match=r"found 20000 samples at 64\.0 Hz"):
        almost(make(np.zeros(20_000), sfreq=64.0))


# ---- trends, baselines, scales, references


def straight(y: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    time = np.arange(len(y))
    return np.polyval(np.polyfit(time, y.astype(np.float64), 1), time)


def test_detrending_takes_away_the_line_of_least_squares():
    signal = noise(500)
    x = signal.samples[0]
    np.testing.assert_allclose(Detrend()(signal).samples[0], x - straight(x), atol=1e-5)
    ramp = make(7.0 + 0.5 * np.arange(500))
    np.testing.assert_allclose(Detrend()(ramp).samples, 0.0, atol=1e-4)


def test_detrending_in_pieces():
    signal = noise(500)
    found = Detrend(seconds=1.0)(signal).samples[0]
    for start, stop in ((0, 128), (128, 256), (256, 500)):
        piece = signal.samples[0, start:stop]
        np.testing.assert_allclose(found[start:stop], piece - straight(piece), atol=1e-5)
    with pytest.raises(ValueError, match=r"at least 2 samples, found 1 in 0\.01 s"):
        Detrend(0.01)(signal)


def test_the_baseline_is_the_start_of_the_recording():
    x = np.concatenate([np.full(384, 7.0), np.full(1000, 10.0)])
    found = BaselineRemoval(3.0)(make(x, 2 * x)).samples
    np.testing.assert_array_equal(found[:, [0, 383, 384, -1]], [[0, 0, 3, 3], [0, 0, 6, 6]])
    with pytest.raises(ValueError, match=r"at least 12.0 s, found 10\.8125 s"):
        BaselineRemoval(12.0)(make(x))
    with pytest.raises(ValueError, match="at least 1 samples, found 0"):
        BaselineRemoval(0.001)(make(x))


def test_scales():
    signal = noise(1000)
    scaled = ZScore()(signal).samples.astype(np.float64)
    np.testing.assert_allclose(scaled.mean(axis=1), 0.0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(np.corrcoef(scaled[0], signal.samples[0])[0, 1], 1.0)
    found = MinMax()(make([2.0, 4.0, 3.0, 6.0], [-1.0, -1.0, 0.0, -2.0])).samples
    np.testing.assert_array_equal(found, [[0, 0.5, 0.25, 1], [0.5, 0.5, 1, 0]])


@pytest.mark.parametrize("step", [ZScore(), MinMax()])
@pytest.mark.parametrize("value", [0.0, 0.1, -33.3, 1e6])
def test_a_constant_channel_becomes_zero(step: Step, value: float):
    found = step(make(np.full(1001, value), np.arange(1001)))
    assert not found.samples[0].any()
    assert found.samples[1].any()


def test_the_common_average_is_taken_away():
    found = CommonAverage()(make([1.0, 2.0], [3.0, 6.0], [5.0, 1.0])).samples
    np.testing.assert_array_equal(found, [[-2, -1], [0, 3], [2, -2]])
    with pytest.raises(ValueError, match="at least two channels"):
        CommonAverage()(make([1.0, 2.0]))


# ---- differential entropy


def entropy(variance: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(0.5 * np.log(2 * np.pi * np.e * np.asarray(variance)))


def test_entropy_of_sines():
    sfreq, n_times = 200.0, 12_000
    middle = {"delta": 2.0, "theta": 5.75, "alpha": 10.5, "beta": 20.75, "gamma": 39.5}
    rows = {}
    for band, frequency in middle.items():
        time = np.arange(n_times) / sfreq
        wave = np.sin(2 * np.pi * frequency * time)
        found = DifferentialEntropy()(make(2 * wave, 50 * wave, sfreq=sfreq))
        assert found.channels == tuple(f"{c} {b}" for c in ("E0", "E1") for b in middle)
        assert (found.unit, found.sfreq, found.samples.shape) == ("nat", 0.25, (10, 15))
        rows[band] = dict(zip(found.channels, found.samples[:, 2:-2], strict=True))
    for band, found in rows.items():
        np.testing.assert_allclose(found[f"E0 {band}"], entropy(2**2 / 2), atol=0.01)
        np.testing.assert_allclose(found[f"E1 {band}"], entropy(50**2 / 2), atol=0.01)
        for other in middle:
            assert other == band or (found[f"E0 {other}"] < entropy(2**2 / 2) - 2).all()


def test_entropy_of_white_noise():
    sfreq, deviation = 200.0, 3.0
    white = np.random.default_rng(5).normal(0, deviation, (4, 120_000))
    found = DifferentialEntropy()(make(*white, sfreq=sfreq)).samples.reshape(4, 5, -1)
    for number, (_, low, high) in enumerate(SEED_BANDS):
        power, _ = quad(
            lambda f, low=low, high=high: butterworth(f, low, high, 4, sfreq) ** 2,
            1e-3,
            99.9,
            points=[low, high],
        )
        expected = deviation**2 * power / (sfreq / 2)
        variance = np.exp(2 * found[:, number].astype(np.float64)) / (2 * np.pi * np.e)
        # the variance of a window is short of what is slower than the window
        assert variance.mean() == pytest.approx(expected, rel=0.05)
        assert expected == pytest.approx(deviation**2 * (high - low) / (sfreq / 2), rel=0.15)


def test_rows_of_entropy_are_their_windows():
    sfreq = 200.0
    amplitude = np.repeat([1.0, 8.0, 2.0], 4 * 800)
    x = amplitude * np.sin(2 * np.pi * 11 * np.arange(len(amplitude)) / sfreq)
    found = DifferentialEntropy()(make(x, sfreq=sfreq)).samples[2]
    np.testing.assert_allclose(found[[1, 2]], entropy(0.5), atol=0.01)
    np.testing.assert_allclose(found[[5, 6]], entropy(32.0), atol=0.01)


@pytest.mark.parametrize(("sfreq", "seconds"), [(200.0, 0.5), (128.5, 1.0), (333.3, 0.29)])
def test_rows_of_entropy_against_a_loop(sfreq: float, seconds: float):
    white = np.random.default_rng(6).normal(0, 1, 2999)
    found = DifferentialEntropy(seconds)(make(white, sfreq=sfreq)).samples
    assert found.shape == (5, int(2999 / sfreq / seconds))
    for band, (_, low, high) in enumerate(SEED_BANDS):
        kept = BandPass(low, high)(make(white, sfreq=sfreq)).samples[0]
        for row, value in enumerate(found[band]):
            start = round(row * seconds * sfreq)
            window = kept[start : start + int(seconds * sfreq + 1e-6)]
            np.testing.assert_allclose(value, entropy(window.var(dtype=np.float64)), atol=1e-4)


def test_entropy_of_a_flat_channel_and_in_other_units():
    x = np.random.default_rng(7).normal(0, 10, 4000)
    flat = DifferentialEntropy()(make(np.full(4000, 5.0), x, sfreq=200.0)).samples
    assert np.isfinite(flat).all()
    assert (flat[:5] < flat[5:] - 10).all()
    volts = DifferentialEntropy()(make(x * 1e-6, sfreq=200.0)).samples
    np.testing.assert_allclose(volts - flat[5:], np.log(1e-6), atol=1e-4)


def test_entropy_needs_a_window_and_a_gamma_band():
    assert DifferentialEntropy()(make(np.ones(512))).samples.shape == (5, 1)
    assert DifferentialEntropy()(make(np.ones(1023))).samples.shape == (5, 1)
    with pytest.raises(ValueError, match=r"fits into the signal of 3\.99219 s"):
        DifferentialEntropy()(make(np.ones(511)))
    with pytest.raises(ValueError, match="at least two samples"):
        DifferentialEntropy(0.01)(make(np.ones(511)))
    with pytest.raises(ValueError, match="below half the rate, 50 Hz"):
        DifferentialEntropy()(make(np.ones(5000), sfreq=100.0))
    DifferentialEntropy()(make(np.ones(5000), sfreq=101.0))
