import warnings
from typing import Literal

import neurokit2
import numpy as np
import numpy.typing as npt
import pytest

from datamodules.signals.beats import Beats
from datamodules.signals.features import HEART_FEATURES, KINDS, features
from datamodules.signals.kinds import EEG_BANDS
from datamodules.synthesis.physiology import Person, Phase, Session, session

STEADY = Person(
    heart_rate=66.0,
    arrhythmia=0.5,
    breathing=0.25,
    pulse=40.0,
    conductance=2.0,
    response=0.1,
    response_rate=5.0,
    temperature=33.0,
    reactivity=1.0,
)
RATES = {"bvp": 64.0, "ecg": 128.0, "resp": 32.0}
WINDOW = 60.0
KIND_NAMES = [*KINDS, "temp", "chest_eda", "bvp_beats"]
CHANNELS = {"acc": 3, "beats": 4, "bvp_beats": 4}


def column(name: str, feature: str, windows: npt.ArrayLike, sfreq: float) -> npt.NDArray:
    values, names = features(name, np.asarray(windows, np.float32), sfreq)
    assert values.shape == (len(values), len(names))
    return values[:, names.index(f"{name}_{feature}")]


@pytest.fixture(scope="module", params=[0.0, 1.0])
def made(request: pytest.FixtureRequest) -> Session:
    phases = [Phase("", 4 * WINDOW, request.param)]
    return session(np.random.default_rng(3), phases, rates=RATES, person=STEADY)


def cut(made: Session, name: str) -> npt.NDArray[np.float32]:
    """Four windows of a signal, shape (4, C, T)."""
    signal = made.signals[name]
    n_times = int(WINDOW * signal.sfreq)
    return np.stack([signal.samples[:, k * n_times : (k + 1) * n_times] for k in range(4)])


def beats_of(made: Session, name: Literal["bvp", "ecg"]) -> npt.NDArray[np.float32]:
    """Four windows of the beats of a signal, shape (4, 4, 480)."""
    samples = Beats(name)(made.signals[name]).samples
    return np.stack([samples[:, 480 * k : 480 * (k + 1)] for k in range(4)])


def planted(made: Session) -> list[npt.NDArray[np.float64]]:
    """Return the planted intervals that end in each of four windows."""
    ends, intervals = made.beats[1:], np.diff(made.beats)
    return [intervals[(ends >= k * WINDOW) & (ends < (k + 1) * WINDOW)] for k in range(4)]


@pytest.mark.parametrize("name", ["bvp", "ecg"])
def test_heart_rate_is_that_of_the_planted_beats(
    made: Session, name: Literal["bvp", "ecg"]
) -> None:
    windows = beats_of(made, name)
    rates = [60 / np.median(intervals) for intervals in planted(made)]
    assert column("bvp_beats", "rate", windows, 8.0) == pytest.approx(rates, abs=1.0)
    assert column("bvp_beats", "trust", windows, 8.0).min() > 0.9


@pytest.mark.parametrize(("name", "slack"), [("bvp", 0.25), ("ecg", 0.05)])
def test_variability_is_that_of_the_planted_beats(
    name: Literal["bvp", "ecg"], slack: float
) -> None:
    person = Person(**{**vars(STEADY), "arrhythmia": 6.0})
    made = session(
        np.random.default_rng(4), [Phase("", 4 * WINDOW, 0.0)], rates=RATES, person=person
    )
    windows, intervals = beats_of(made, name), planted(made)
    assert np.exp(column("bvp_beats", "log_sdnn", windows, 8.0)) == pytest.approx(
        [beats.std() for beats in intervals], rel=slack
    )
    assert np.exp(column("bvp_beats", "log_rmssd", windows, 8.0)) == pytest.approx(
        [np.sqrt((np.diff(beats) ** 2).mean()) for beats in intervals], rel=slack
    )


def events(ends: list[float], intervals: list[float], heights: list[float]) -> npt.NDArray:
    """A window of 60 s of beats made by hand, shape (1, 4, 480)."""
    x = np.zeros((4, 480))
    for end, interval, height in zip(ends, intervals, heights, strict=True):
        x[:2, int(end * 8) :] = [[interval], [height]]
        x[2:, int(end * 8)] = 1
    return x[None]


def test_features_of_beats_made_by_hand() -> None:
    # from the third to the fourth beat one is missing: no difference is taken across it
    window = events([1.0, 2.0, 2.8, 4.9, 5.8], [1.0, 1.0, 0.8, 1.0, 0.9], [1.0, 2.0, 3.0, 2.0, 2.0])
    found = {name: column("bvp_beats", name, window, 8.0)[0] for name in HEART_FEATURES}
    intervals = np.array([1.0, 1.0, 0.8, 1.0, 0.9])
    steps = np.array([0.0, -0.2, -0.1])
    assert found == pytest.approx(
        {
            "rate": 60.0,
            "log_sdnn": np.log(intervals.std()),
            "log_rmssd": np.log((steps**2).mean()) / 2,
            "pnn50": 2 / 3,
            "log_amplitude": np.log(2.0),
            "amplitude_cv": np.sqrt(0.4) / 2.0,
            "trust": 4.7 / 60,
        },
        rel=1e-5,
    )


def test_without_beats_the_interval_that_holds_gives_the_rate() -> None:
    window = np.zeros((2, 4, 480))
    window[0, 0] = 0.8
    assert column("bvp_beats", "rate", window, 8.0) == pytest.approx([75.0, 0.0])
    assert column("bvp_beats", "trust", window, 8.0) == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize("breaths", [8.0, 15.0, 24.0, 36.0, 45.0])
def test_breathing_rate(breaths: float) -> None:
    times = np.arange(0, 60, 1 / 32)
    rng = np.random.default_rng(0)
    wave = 5 + np.sin(2 * np.pi * breaths / 60 * times) + 0.3 * rng.normal(size=len(times))
    assert column("resp", "rate", [[wave]], 32.0) == pytest.approx([breaths], abs=1.0)
    assert column("resp", "rate_share", [[wave]], 32.0)[0] > 0.3


def test_breathing_rate_of_a_person() -> None:
    made = session(
        np.random.default_rng(6), [Phase("", 4 * WINDOW, 0.0)], rates=RATES, person=STEADY
    )
    assert column("resp", "rate", cut(made, "resp"), 32.0).mean() == pytest.approx(15.0, abs=1.5)


@pytest.mark.parametrize("sfreq", [4.0, 64.0])
@pytest.mark.parametrize("n_responses", [0, 1, 5])
def test_planted_skin_conductance_responses_are_counted(sfreq: float, n_responses: int) -> None:
    times = np.arange(0, 60, 1 / sfreq)
    wave = 2 - 0.001 * times
    for place in range(n_responses):
        since = np.maximum(times - 5 - 10 * place, 0)
        wave = wave + 0.4 * (np.exp(-since / 3) - np.exp(-since / 0.75))
    assert column("eda", "scr_rate", [[wave]], sfreq) == pytest.approx([n_responses])
    largest, total = (column("eda", name, [[wave]], sfreq)[0] for name in ("scr_max", "scr_sum"))
    if n_responses:
        assert largest == pytest.approx(0.19, abs=0.03)
        assert total == pytest.approx(n_responses * 0.18, rel=0.2)
    else:
        assert (largest, total) == (0.0, 0.0)


def test_rises_too_small_to_be_a_response_are_not_counted() -> None:
    times = np.arange(0, 60, 1 / 4)
    wave = 2 + 0.004 * np.sin(2 * np.pi * times / 10)
    assert column("eda", "scr_rate", [[wave]], 4.0) == [0.0]
    assert column("eda", "scr_rate", [[2 + 10 * (wave - 2)]], 4.0)[0] >= 5


@pytest.mark.parametrize("size", [0.001, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("sfreq", [4.0, 32.0])
def test_noise_is_no_response(sfreq: float, size: float) -> None:
    rng = np.random.default_rng(1)
    windows = 5 + size * rng.normal(size=(50, 1, int(60 * sfreq)))
    assert column("eda", "scr_rate", windows, sfreq).mean() < 0.2


def test_responses_are_counted_as_neurokit_plants_them() -> None:
    for seed, n_responses in enumerate((1, 3, 6)):
        with warnings.catch_warnings(action="ignore"):
            wave = neurokit2.eda_simulate(
                duration=60,
                sampling_rate=32,
                scr_number=n_responses,
                drift=0,
                noise=0.01,
                random_state=seed,
            )
        assert column("eda", "scr_rate", [[wave]], 32.0)[0] == pytest.approx(n_responses, abs=1)


@pytest.mark.parametrize("breaths", [12, 20, 40])
def test_breathing_rate_is_that_of_neurokits_simulator(breaths: int) -> None:
    with warnings.catch_warnings(action="ignore"):
        wave = neurokit2.rsp_simulate(
            duration=60, sampling_rate=32, respiratory_rate=breaths, random_state=1
        )
    assert column("resp", "rate", [[wave]], 32.0)[0] == pytest.approx(breaths, abs=1.0)


def test_a_response_that_the_window_cuts_off_is_counted() -> None:
    wave = np.r_[np.full(200, 2.0), np.linspace(2.0, 2.5, 40)]
    assert column("eda", "scr_rate", [[wave]], 4.0) == pytest.approx([1.0], rel=0.01)
    assert column("eda", "scr_max", [[wave]], 4.0) == pytest.approx([0.5], abs=0.02)


@pytest.mark.parametrize(("name", "feature"), [("temp", "slope_0"), ("eda", "slope_0")])
def test_slope_of_a_ramp_is_by_the_minute(name: str, feature: str) -> None:
    times = np.arange(0, 30, 1 / 4)
    ramps = np.array([[33 + rate / 60 * times] for rate in (0.0, 0.6, -1.2)])
    assert column(name, feature, ramps, 4.0) == pytest.approx([0.0, 0.6, -1.2], abs=1e-4)
    assert column(name, "mean_0", ramps, 4.0) == pytest.approx(ramps.mean(axis=(1, 2)), abs=1e-4)
    assert column(name, "std_0", ramps, 4.0) == pytest.approx(ramps.std(axis=(1, 2)), abs=1e-4)


def test_motion() -> None:
    rng = np.random.default_rng(0)
    still = np.broadcast_to(np.array([0.6, 0.0, 0.8])[:, None], (3, 320))
    moved = still + 0.1 * rng.normal(size=(3, 320))
    windows = np.stack([still, moved])
    assert column("acc", "magnitude_mean", windows, 32.0)[0] == pytest.approx(1.0, abs=1e-6)
    assert column("acc", "magnitude_std", windows, 32.0) == pytest.approx(
        [0.0, np.linalg.norm(moved, axis=0).std()], abs=1e-6
    )
    assert column("acc", "change", windows, 32.0) == pytest.approx(
        [0.0, np.abs(np.diff(np.linalg.norm(moved, axis=0))).mean() * 32], abs=1e-4
    )
    assert column("acc", "mean_2", windows, 32.0) == pytest.approx([0.8, moved[2].mean()])


@pytest.mark.parametrize("band", EEG_BANDS)
def test_band_powers_find_the_planted_band(band: str) -> None:
    low, high = EEG_BANDS[band]
    times = np.arange(0, 10, 1 / 200)
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.normal(size=(1, 2, len(times)))
    noise[0, 1] += np.sin(2 * np.pi * (low + high) / 2 * times)
    second = {name: column("eeg", f"{name}_1", noise, 200.0)[0] for name in EEG_BANDS}
    first = {name: column("eeg", f"{name}_0", noise, 200.0)[0] for name in EEG_BANDS}
    assert max(second, key=lambda name: second[name]) == band
    assert second[band] > first[band] + 3


def test_bands_beyond_the_rate_are_left_out() -> None:
    _, names = features("eeg", np.ones((2, 1, 160), np.float32), 16.0)
    assert names == ["eeg_delta_0", "eeg_theta_0", "eeg_alpha_0"]


# ---- every kind


def awkward(name: str, n_times: int) -> npt.NDArray[np.float32]:
    """Windows that a device gives now and then, shape (6, C, n_times)."""
    rng = np.random.default_rng(2)
    n_channels = CHANNELS.get(name, 1)
    shape = (n_channels, n_times)
    spike = np.zeros(shape)
    spike[:, n_times // 2] = 1e6
    windows = [np.zeros(shape), np.full(shape, 36.6), np.full(shape, -5.0), spike]
    windows += [1e4 * rng.normal(size=shape), np.where(rng.random(shape) < 0.1, 500.0, 0.0)]
    return np.array(windows, np.float32)


@pytest.mark.parametrize("n_times", [1, 2, 10, 250, 3840])
@pytest.mark.parametrize("name", KIND_NAMES)
def test_features_are_finite(name: str, n_times: int) -> None:
    for sfreq in (4.0, 64.0):
        values, names = features(name, awkward(name, n_times), sfreq)
        assert values.dtype == np.float64
        assert values.shape == (6, len(names))
        assert np.isfinite(values).all()
        assert len(set(names)) == len(names)
        assert all(feature.startswith(f"{name}_") for feature in names)


@pytest.mark.parametrize("n_times", [10, 250, 3840])
@pytest.mark.parametrize("name", KIND_NAMES)
def test_features_of_a_window_know_no_other(name: str, n_times: int) -> None:
    rng = np.random.default_rng(3)
    n_channels = CHANNELS.get(name, 1)
    plain = rng.normal(2.0, 1.0, (4, n_channels, n_times)).astype(np.float32)
    windows = np.concatenate([plain, awkward(name, n_times)])
    together, names = features(name, windows, 64.0)
    for row in range(len(windows)):
        alone, alone_names = features(name, windows[row : row + 1], 64.0)
        assert alone_names == names
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-6, atol=1e-6)
    order = rng.permutation(len(windows))
    shuffled, _ = features(name, windows[order], 64.0)
    np.testing.assert_allclose(shuffled, together[order], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", KIND_NAMES)
def test_windows_stay_as_they_are(name: str) -> None:
    windows = awkward(name, 640)
    before = windows.copy()
    features(name, windows, 64.0)
    np.testing.assert_array_equal(windows, before)


def test_the_last_word_of_a_name_says_what_it_is() -> None:
    windows = np.random.default_rng(0).normal(2, 1, (2, 1, 640)).astype(np.float32)
    wrist, wrist_names = features("eda", windows, 64.0)
    chest, chest_names = features("chest_eda", windows, 64.0)
    np.testing.assert_array_equal(wrist, chest)
    assert chest_names == [f"chest_{name}" for name in wrist_names]
    assert features("unheard_of", windows, 64.0)[1] == [
        *("unheard_of_mean_0", "unheard_of_std_0", "unheard_of_slope_0")
    ]
