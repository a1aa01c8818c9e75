"""Hand-crafted features of windows, for simple baselines.

Every function maps windows of one signal, float32 of shape (N, C, T), to features of shape (N, F)
and their names. Sources: Schmidt et al. 2018 (WESAD, table 1) for the choice; the time-domain
measures of heart-rate variability are those of the Task Force of the ESC and NASPE, 1996.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy

from datamodules.signals.kinds import BREATHING_RATES, EEG_BANDS, HEART_RATES, kind_of

Windows = npt.NDArray[np.float32]
Features = tuple[npt.NDArray[np.float64], list[str]]

PULSE_BAND = (0.5, 8.0)
"""Pass band of a pulse before beats are detected, in Hz."""
QRS_BAND = (5.0, 20.0)
"""Pass band of an ECG before beats are detected, in Hz."""
SCR_MINIMUM = 0.01
"""Smallest rise that counts as a skin conductance response, in microsiemens."""


def moments(windows: Windows, sfreq: float) -> Features:
    """Return mean, standard deviation and slope a minute of every channel."""
    x = windows.astype(np.float64)
    minutes = np.arange(x.shape[2]) / sfreq / 60
    centred = minutes - minutes.mean()
    slope = x @ centred / max(float(centred @ centred), 1e-12)
    columns = [x.mean(2), x.std(2), slope]
    names = ["mean", "std", "slope"]
    channels = range(x.shape[1])
    return np.concatenate(columns, axis=1), [f"{name}_{c}" for name in names for c in channels]


def skin_conductance(windows: Windows, sfreq: float) -> Features:
    """Return moments and skin conductance responses, absolute and relative to the mean level.

    Responses are rises of the smoothed signal: their number and summed height a minute, and the
    highest. People differ in level by a factor of ten, hence the relative measures.
    """
    level, names = moments(windows, sfreq)
    x = _smoothed(windows[:, 0].astype(np.float64), sfreq)
    change = np.diff(x, axis=1)
    rising = change > 0
    ends = rising[:, :-1] & ~rising[:, 1:]
    run = np.cumsum(np.where(rising, change, 0), axis=1)
    minutes = x.shape[1] / sfreq / 60
    rows = []
    for window in range(len(x)):
        levels = np.r_[run[window, :-1][ends[window]], run[window, -1]]
        rises = np.diff(np.r_[0.0, levels])
        large = rises[rises > SCR_MINIMUM]
        rows.append([len(large) / minutes, large.sum() / minutes, large.max(initial=0.0)])
    steepness = np.abs(change).mean(axis=1) * sfreq
    mean = np.maximum(level[:, 0], 1e-2)
    responses = np.array(rows)
    relative = np.column_stack([level[:, 1], level[:, 2], responses[:, 1], steepness])
    return (
        np.column_stack([level, np.log(mean), responses, steepness, relative / mean[:, None]]),
        [
            *names,
            "log_mean",
            "scr_rate",
            "scr_sum",
            "scr_max",
            "steepness",
            *(f"relative_{name}" for name in ("std", "slope", "scr_sum", "steepness")),
        ],
    )


def pulse(windows: Windows, sfreq: float) -> Features:
    """Return heart rate, its variability and the pulse amplitude."""
    return _beats(windows, sfreq, PULSE_BAND)


def electrocardiogram(windows: Windows, sfreq: float) -> Features:
    """Return heart rate and its variability from the first channel."""
    return _beats(windows, sfreq, QRS_BAND)


def respiration(windows: Windows, sfreq: float) -> Features:
    """Return moments, breathing rate a minute and the share of power at it."""
    level, names = moments(windows, sfreq)
    x = windows[:, 0].astype(np.float64)
    rate, share = _strongest(x - x.mean(axis=1, keepdims=True), sfreq, BREATHING_RATES)
    return np.column_stack([level, rate * 60, share]), [*names, "rate", "rate_share"]


def motion(windows: Windows, sfreq: float) -> Features:
    """Return mean and spread of every axis and of the magnitude, and the magnitude's change."""
    x = windows.astype(np.float64)
    magnitude = np.sqrt((x**2).sum(axis=1))
    change = np.abs(np.diff(magnitude, axis=1))
    columns = [
        x.mean(2),
        x.std(2),
        np.stack(
            [
                magnitude.mean(1),
                magnitude.std(1),
                magnitude.max(1),
                change.mean(1) * sfreq,
                np.quantile(change, 0.9, axis=1) * sfreq,
            ],
            axis=1,
        ),
    ]
    axes = [f"{name}_{axis}" for name in ("mean", "std") for axis in range(x.shape[1])]
    return (
        np.concatenate(columns, axis=1),
        [*axes, "magnitude_mean", "magnitude_std", "magnitude_max", "change", "change_q90"],
    )


def band_powers(windows: Windows, sfreq: float) -> Features:
    """Return the log power of every channel in those of the five EEG bands that the rate allows."""
    x = windows.astype(np.float64)
    frequencies, power = scipy.signal.welch(x, sfreq, nperseg=min(x.shape[2], round(2 * sfreq)))
    columns, names = [], []
    for band, (low, high) in EEG_BANDS.items():
        inside = (frequencies >= low) & (frequencies < high)
        if inside.any():
            columns.append(np.log(np.maximum(power[:, :, inside].mean(2), 1e-12)))
            names += [f"{band}_{c}" for c in range(x.shape[1])]
    if not columns:
        return moments(windows, sfreq)
    return np.concatenate(columns, axis=1), names


KINDS: dict[str, Callable[[Windows, float], Features]] = {
    "eda": skin_conductance,
    "bvp": pulse,
    "ecg": electrocardiogram,
    "resp": respiration,
    "acc": motion,
    "eeg": band_powers,
    "emg": band_powers,
}
"""Features by kind of signal (see ``kind_of``); a signal of any other kind has moments."""


def features(name: str, windows: Windows, sfreq: float) -> Features:
    """Return the features of one signal.

    Args:
        name: Name of the signal, which tells its kind.
        windows: Windows of the signal, shape (N, C, T).
        sfreq: Rate in Hz.

    Returns:
        Finite float64 of shape (N, F), and F names that begin with the signal's.
    """
    if windows.shape[2] == 1:  # a single sample does not change
        channels = range(windows.shape[1])
        return windows[:, :, 0].astype(np.float64), [f"{name}_value_{c}" for c in channels]
    values, names = KINDS.get(kind_of(name), moments)(windows, sfreq)
    return values, [f"{name}_{feature}" for feature in names]


def _smoothed(x: npt.NDArray[np.float64], sfreq: float) -> npt.NDArray[np.float64]:
    """Return a moving average over half a second, which suppresses quantisation steps."""
    width = max(1, round(0.5 * sfreq))
    kernel = np.ones((1, width)) / width
    return scipy.signal.oaconvolve(x, kernel, mode="valid", axes=1) if x.shape[1] > width else x


def _strongest(
    x: npt.NDArray[np.float64], sfreq: float, band: tuple[float, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the frequency (Hz) of the strongest line in a band, and its share of the power."""
    n_fft = int(2 ** np.ceil(np.log2(max(x.shape[1], 8 * sfreq))))
    power = np.abs(np.fft.rfft(x * np.hanning(x.shape[1]), n_fft)) ** 2
    frequencies = np.fft.rfftfreq(n_fft, 1 / sfreq)
    inside = (frequencies >= band[0]) & (frequencies <= band[1])
    if not inside.any():
        return np.zeros(len(x)), np.zeros(len(x))
    peak = frequencies[inside][power[:, inside].argmax(axis=1)]
    near = inside & (np.abs(frequencies - peak[:, None]) <= 0.1 * peak[:, None])
    total = np.maximum(power[:, inside].sum(axis=1), 1e-12)
    return peak, np.where(near, power, 0).sum(axis=1) / total


def _beats(windows: Windows, sfreq: float, band: tuple[float, float]) -> Features:
    """Return features of the heart beats in the first channel; moments if the rate is too low."""
    x = windows[:, 0].astype(np.float64)
    high = min(band[1], 0.45 * sfreq)
    names = [
        "rate_spectral",
        "rate_share",
        "rate",
        "rate_std",
        "sdnn",
        "rmssd",
        "pnn50",
        "amplitude",
        "amplitude_cv",
        "log_std",
    ]
    if high <= band[0] or x.shape[1] < 4 * sfreq:
        return moments(windows, sfreq)
    sos = scipy.signal.butter(2, (band[0], high), "bandpass", fs=sfreq, output="sos")
    clean = scipy.signal.sosfiltfilt(sos, x, axis=1)
    spectral, share = _strongest(clean if band == PULSE_BAND else np.abs(clean), sfreq, HEART_RATES)
    spread = clean.std(axis=1)
    rows = np.zeros((len(x), len(names)))
    rows[:, 0], rows[:, 1], rows[:, 9] = spectral * 60, share, np.log(np.maximum(spread, 1e-6))
    for row, window in enumerate(clean):
        distance = max(1, int(0.6 * sfreq / np.clip(spectral[row], *HEART_RATES)))
        peaks, _ = scipy.signal.find_peaks(window, distance=distance, prominence=0.5 * spread[row])
        intervals = np.diff(peaks) / sfreq
        intervals = intervals[(intervals > 1 / HEART_RATES[1]) & (intervals < 1 / HEART_RATES[0])]
        if len(intervals) > 2:
            steps = np.diff(intervals)
            heights = window[peaks]
            rows[row, 2:9] = (
                60 / np.median(intervals),
                (60 / intervals).std(),
                intervals.std(),
                np.sqrt((steps**2).mean()),
                (np.abs(steps) > 0.05).mean(),
                heights.mean(),
                heights.std() / max(abs(heights.mean()), 1e-6),
            )
    return rows, names
