import warnings
from typing import Literal

import neurokit2
import numpy as np
import numpy.typing as npt
import pytest

from datamodules.signals.beats import Beats, find_beats
from datamodules.signals.recording import Signal
from datamodules.synthesis.physiology import Phase, session

Kind = Literal["bvp", "ecg"]


def simulated(kind: Kind, sfreq: int, rate: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Two minutes by the simulators of NeuroKit2."""
    options = {"duration": 120, "sampling_rate": sfreq, "heart_rate": rate, "random_state": seed}
    with warnings.catch_warnings(action="ignore"):
        if kind == "bvp":
            return np.asarray(neurokit2.ppg_simulate(**options))
        return np.asarray(neurokit2.ecg_simulate(**options, noise=0.02))


def neurokits_beats(kind: Kind, x: npt.NDArray[np.float64], sfreq: int) -> npt.NDArray[np.float64]:
    """Return the times of the beats as NeuroKit2 finds them, in seconds."""
    with warnings.catch_warnings(action="ignore"):
        if kind == "bvp":
            clean = neurokit2.ppg_clean(x, sampling_rate=sfreq)
            _, found = neurokit2.ppg_peaks(clean, sampling_rate=sfreq)
            return np.asarray(found["PPG_Peaks"]) / sfreq
        clean = neurokit2.ecg_clean(x, sampling_rate=sfreq)
        _, found = neurokit2.ecg_peaks(clean, sampling_rate=sfreq)
        return np.asarray(found["ECG_R_Peaks"]) / sfreq


@pytest.mark.parametrize("rate", [45, 60, 75, 100, 140])
@pytest.mark.parametrize(("kind", "sfreq"), [("bvp", 64), ("bvp", 128), ("ecg", 256)])
def test_beats_are_those_that_neurokit_finds(kind: Kind, sfreq: int, rate: int) -> None:
    x = simulated(kind, sfreq, rate)
    found, theirs = find_beats(x, sfreq, kind), neurokits_beats(kind, x, sfreq)
    assert found.trusted.mean() > 0.95
    assert len(found.times) == pytest.approx(len(theirs), abs=2)
    ours = np.diff(found.times)[found.trusted[1:]]
    assert np.median(ours) == pytest.approx(np.median(np.diff(theirs)), abs=0.01)
    assert 60 / np.median(ours) == pytest.approx(rate, rel=0.02)


@pytest.mark.parametrize("rate", [60, 100])
def test_variability_of_an_ecg_is_not_inflated(rate: int) -> None:
    """Against NeuroKit2 at eight times the rate, where sampling costs nothing."""
    fine = simulated("ecg", 2048, rate, seed=3)
    theirs = np.diff(neurokits_beats("ecg", fine, 2048))
    found = find_beats(fine[::8].copy(), 256.0, "ecg")
    ours = np.diff(found.times)[found.trusted[1:]]
    expected = np.sqrt((np.diff(theirs) ** 2).mean())
    assert np.sqrt((np.diff(ours) ** 2).mean()) == pytest.approx(expected, abs=0.004)


def test_an_upside_down_ecg_has_the_same_beats() -> None:
    """R waves without S waves, as a lead whose electrodes were exchanged shows them."""
    times = np.arange(0, 120, 1 / 256)
    x = np.exp(-0.5 * ((times % 0.85 - 0.4) / 0.01) ** 2)
    up, down = find_beats(x, 256.0, "ecg"), find_beats(-x, 256.0, "ecg")
    np.testing.assert_allclose(down.times, up.times, atol=1e-6)
    np.testing.assert_allclose(np.diff(up.times), 0.85, atol=1e-3)


@pytest.mark.parametrize("kind", ["bvp", "ecg"])
def test_a_change_of_unit_changes_amplitudes_alone(kind: Kind) -> None:
    x = simulated(kind, 128, 80)
    once, more = find_beats(x, 128.0, kind), find_beats(50 * x, 128.0, kind)
    np.testing.assert_allclose(more.times, once.times, atol=1e-6)
    np.testing.assert_allclose(more.amplitudes, 50 * once.amplitudes, rtol=1e-6)


def test_slow_movement_does_not_hide_a_pulse() -> None:
    """Three times the pulse, at a third of its rate: the strongest line is not the heart."""
    pulse = simulated("bvp", 64, 96)
    times = np.arange(len(pulse)) / 64
    wander = np.cumsum(np.random.default_rng(0).normal(size=len(pulse)))
    slow = np.sin(2 * np.pi * 0.53 * times + 0.01 * wander)
    found = find_beats(pulse / pulse.std() + 3 * slow, 64.0, "bvp")
    assert 60 / np.median(np.diff(found.times)) == pytest.approx(96, rel=0.03)


def test_the_heart_rate_is_followed() -> None:
    times = np.arange(0, 300, 1 / 64)
    rate = 60 + 60 * times / 300
    wave = np.sin(2 * np.pi * np.cumsum(rate) / 60 / 64)
    found = find_beats(wave, 64.0, "bvp")
    middle = (found.times[1:] + found.times[:-1]) / 2
    inside = (middle > 5) & (middle < 295)
    expected = np.interp(middle[inside], times, rate)
    np.testing.assert_allclose(60 / np.diff(found.times)[inside], expected, rtol=0.02)


def test_an_interval_without_a_beat_is_not_trusted() -> None:
    times = np.arange(0, 60, 1 / 64)
    wave = np.exp(-(((times % 0.8) - 0.4) ** 2) / 0.01) * ((times < 20) | (times > 20.8))
    found = find_beats(wave, 64.0, "bvp")
    near = (found.times > 19) & (found.times < 22)
    assert not found.trusted[near].all()
    assert found.trusted[(found.times > 3) & (found.times < 18)].all()
    intervals = np.diff(found.times)
    assert np.abs(intervals[found.trusted[1:]] - 0.8).max() < 0.21


def test_noise_is_not_trusted() -> None:
    rng = np.random.default_rng(0)
    noise = find_beats(rng.normal(size=64 * 300), 64.0, "bvp")
    pulse = find_beats(simulated("bvp", 64, 70), 64.0, "bvp")
    assert noise.trusted.mean() < 0.85 < 0.95 < pulse.trusted.mean()


@pytest.mark.parametrize("x", [np.zeros(6400), np.full(6400, 5.0), np.arange(100.0)])
@pytest.mark.parametrize("kind", ["bvp", "ecg"])
def test_no_beats_in_constants_and_snippets(kind: Kind, x: npt.NDArray[np.float64]) -> None:
    assert len(find_beats(x, 64.0, kind).times) == 0
    signal = Signal(x[None].astype(np.float32), 64.0, ("x",), "a.u.")
    samples = Beats(kind)(signal).samples
    assert samples.shape == (4, int(np.ceil(len(x) / 8)))
    assert not samples.any()


@pytest.mark.parametrize("n_times", [128, 200, 1000, 64 * 20 + 3])
@pytest.mark.parametrize("kind", ["bvp", "ecg"])
def test_short_and_awkward_recordings(kind: Kind, n_times: int) -> None:
    rng = np.random.default_rng(n_times)
    spike = np.zeros(n_times)
    spike[n_times // 2] = 1e6
    for x in (
        rng.normal(size=n_times),
        spike,
        1e5 + np.arange(n_times),
        rng.integers(0, 2, n_times),
    ):
        found = Beats(kind)(Signal(np.float32([x]), 64.0, ("x",), "a.u."))
        assert found.samples.shape == (4, int(np.ceil(n_times / 8)))
        assert np.isfinite(found.samples).all()


@pytest.mark.parametrize("kind", ["bvp", "ecg"])
def test_channels_say_what_was_found(kind: Kind) -> None:
    made = session(np.random.default_rng(2), [Phase("", 120.0, 0.0)], rates={kind: 128.0})
    signal = made.signals[kind]
    found = find_beats(signal.samples[0].astype(np.float64), 128.0, kind)
    step = Beats(kind)
    beats = step(signal)
    assert (len(beats.channels), beats.sfreq) == step.shape(1, 128.0) == (4, 8.0)
    interval, amplitude, trust, beat = beats.samples
    cells = np.flatnonzero(beat)
    np.testing.assert_array_equal(cells, np.floor(found.times[found.trusted] * 8))
    np.testing.assert_allclose(interval[cells], np.diff(found.times)[found.trusted[1:]], rtol=1e-5)
    np.testing.assert_allclose(amplitude[cells], found.amplitudes[found.trusted], rtol=1e-5)
    for cell in range(cells[0], len(beat)):
        last = cells[cells <= cell][-1]
        assert (interval[cell], amplitude[cell]) == (interval[last], amplitude[last])
    assert interval[0] == interval[cells[0]]
    assert set(np.unique(trust)) <= {0, 1}
    assert trust[cells].all()


def test_too_slow_a_signal_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 Hz"):
        Beats("bvp")(Signal(np.ones((1, 100), np.float32), 4.0, ("bvp",), "a.u."))
