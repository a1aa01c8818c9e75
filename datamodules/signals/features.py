"""Hand-crafted features of windows, for simple baselines.

Every function maps windows of one signal, float32 of shape (N, C, T), to features of shape (N, F)
and their names. Sources: Schmidt et al. 2018 (WESAD, table 1) for the choice; the time-domain
measures of heart-rate variability are those of the Task Force of the ESC and NASPE, 1996. Heart
beats are found once a recording (``signals.beats``); windows read them.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy

from datamodules.signals.kinds import BREATHING_RATES, EEG_BANDS, kind_of

Windows = npt.NDArray[np.float32]
Features = tuple[npt.NDArray[np.float64], list[str]]

SCR_MINIMUM = 0.01
"""Smallest rise that counts as a skin conductance response, in microsiemens."""
SCR_SMOOTHING = 1.0
"""Length in seconds of the moving average before responses are looked for: quantisation steps and
noise are suppressed, and a response, which rises for one to three seconds, stays."""
SCR_OVER_NOISE = 7.0
"""Smallest rise in standard deviations of the noise that the moving average leaves."""
HEART_FEATURES = (
    "rate",
    "log_sdnn",
    "log_rmssd",
    "pnn50",
    "log_amplitude",
    "amplitude_cv",
    "trust",
)
"""Names of the features of ``heart``."""
SHORTEST, LOWEST = 1e-3, 1e-6
"""Smallest variability in seconds, and smallest amplitude, whose logarithms are taken."""
CLOSE = 0.125
"""Two intervals follow each other if their ends are as far apart as the second one is long, to this
many seconds, which is the time between samples of ``beats``."""


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

    Responses are rises of the smoothed signal, of at least 0.01 microsiemens and out of reach of
    the window's own noise: their number and summed height a minute, and the highest. People differ
    in level by a factor of ten, hence the relative measures.
    """
    level, names = moments(windows, sfreq)
    raw = windows[:, 0].astype(np.float64)
    x = _smoothed(raw, sfreq)
    minimum = np.maximum(SCR_MINIMUM, SCR_OVER_NOISE * _noise(raw, sfreq))
    change = np.diff(x, axis=1)
    rising = change > 0
    ends = rising[:, :-1] & ~rising[:, 1:]
    run = np.cumsum(np.where(rising, change, 0), axis=1)
    minutes = raw.shape[1] / sfreq / 60
    rows = []
    for window in range(len(x)):
        levels = np.r_[run[window, :-1][ends[window]], run[window, -1:]]
        rises = np.diff(np.r_[0.0, levels])
        large = rises[rises > minimum[window]]
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


def wave(windows: Windows, sfreq: float) -> Features:
    """Return the log of the standard deviation of every channel of a pulse wave or an ECG.

    Rate, variability and amplitude of its beats are features of its ``beats``.
    """
    spread = windows.astype(np.float64).std(axis=2)
    return np.log(np.maximum(spread, 1e-6)), [f"log_std_{c}" for c in range(spread.shape[1])]


def heart(windows: Windows, sfreq: float) -> Features:
    """Return heart rate, its variability, the amplitude and how much of the window can be trusted.

    Intervals are those that can be trusted and end in the window (channels of ``signals.beats``).

    * ``rate``: 60 over the median interval, a minute; with less than three intervals, over the
      mean of the intervals that hold.
    * ``log_sdnn``, ``log_rmssd``: logarithms of the standard deviation of the intervals and of the
      root of the mean squared difference of intervals that follow each other, in seconds, as both
      are skewed; ``pnn50``: share of these differences that exceed 50 ms (Task Force 1996).
    * ``log_amplitude``: logarithm of the mean height of the beats, in the unit of the source;
      ``amplitude_cv``: their standard deviation over their mean.
    * ``trust``: share of the window that these intervals cover, 0 to 1.
    """
    x = windows.astype(np.float64)
    n_times = x.shape[2]
    held = x[:, 0].mean(axis=1)
    rate = np.where(held > 0, 60 / np.where(held > 0, held, 1), 0)
    rows = []
    for row, (interval, amplitude, _, beat) in enumerate(x):
        ends = np.flatnonzero((beat > 0.5) & (interval > 0))
        # padding may repeat the last sample, which is no further beat
        ends = ends[np.diff(ends, prepend=-n_times) / sfreq > interval[ends] - CLOSE - 1e-6]
        intervals, heights = interval[ends], amplitude[ends]
        trust = min(1.0, intervals.sum() * sfreq / n_times)
        sdnn = rmssd = pnn50 = variation = 0.0
        height = amplitude.mean()
        if len(ends) > 2:
            rate[row] = 60 / np.median(intervals)
            sdnn, height = intervals.std(), heights.mean()
            variation = heights.std() / max(abs(height), LOWEST)
            follows = np.abs(np.diff(ends) / sfreq - intervals[1:]) < CLOSE + 1e-6
            if follows.any():
                steps = np.diff(intervals)[follows]
                rmssd, pnn50 = np.sqrt((steps**2).mean()), (np.abs(steps) > 0.05).mean()
        rows.append([sdnn, rmssd, pnn50, height, variation, trust])
    table = np.column_stack([rate, np.array(rows)])
    table[:, 1:3] = np.log(np.maximum(table[:, 1:3], SHORTEST))
    table[:, 4] = np.log(np.maximum(table[:, 4], LOWEST))
    return table, list(HEART_FEATURES)


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
    "bvp": wave,
    "ecg": wave,
    "beats": heart,
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
    """Return a moving average over ``SCR_SMOOTHING`` seconds."""
    width = max(1, round(SCR_SMOOTHING * sfreq))
    kernel = np.ones((1, width)) / width
    return scipy.signal.oaconvolve(x, kernel, mode="valid", axes=1) if x.shape[1] > width else x


def _noise(x: npt.NDArray[np.float64], sfreq: float) -> npt.NDArray[np.float64]:
    """Return the standard deviation of white noise after ``_smoothed``, shape (N,).

    It is taken from second differences, in which what is slower than a few samples is gone, by
    their median size, which single steps do not move.
    """
    if x.shape[1] < 3:
        return np.zeros(len(x))
    size = np.median(np.abs(np.diff(x, 2, axis=1)), axis=1) / 0.6745
    return np.asarray(size / np.sqrt(6 * max(1, round(SCR_SMOOTHING * sfreq))))


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
