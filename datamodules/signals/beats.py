"""Heart beats of a complete recording, from a pulse wave or an ECG.

Rate first, beats second. The spectrum and the autocorrelation of frames of 8 s say how likely each
rate is, and the most likely course of the rate over the recording is found by dynamic programming,
as a heart does not jump from one rate to another and movement does. Beats are then the peaks of the
signal on a time axis that is stretched so that the heart beats evenly, on which one least distance
serves all rates. An interval that differs from its neighbours is not trusted, as it holds a missed
or a made-up beat.

``tests/benchmarks/physiology.py`` compares the outcome with the heart rate that the devices give,
and other detectors with it.

References:
    M. Elgendi et al., "Systolic peak detection in acceleration photoplethysmograms measured from
    emergency responders in tropical conditions", PLoS ONE 8(10), 2013 (the comparison).
    J. Pan, W. J. Tompkins, "A real-time QRS detection algorithm", IEEE Transactions on Biomedical
    Engineering 32, 1985 (the energy of the QRS band, smoothed).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from datamodules.signals.recording import Signal
from datamodules.signals.steps import Step

Samples = npt.NDArray[np.float64]

BEAT_RATE = 8.0
"""Rate in Hz of the output: at most one beat falls in a sample, up to 300 beats a minute."""
CHANNELS = ("interval", "amplitude", "trust", "beat")
"""Channels of the output; see ``Beats``."""
SLOWEST, FASTEST = 35.0, 210.0
"""Heart rates that are looked for, beats a minute."""
N_RATES = 110
"""Number of rates between them, each 1.7 % above the one below."""
FRAME, HOP = 8.0, 2.0
"""Length of the frames in which rates are compared, and time between them, in seconds."""
SEARCH_RATE = 32.0
"""Rate in Hz, or up to twice as much, at which rates are compared."""
SPECTRUM_BAND = (1.0, 4.0)
"""Band in Hz of a wave whose spectrum is compared: slow movement and breath are below."""
PERIOD_BAND = (0.7, 6.0)
"""Band in Hz of a wave whose autocorrelation is compared."""
SECOND_LINE = 0.2
"""Weight of the line at twice a rate."""
PERIODICITY = 3.0
"""Weight of the autocorrelation beside the logarithm of the spectrum."""
LINE_FLOOR = 1e-3
"""Smallest line that counts, of the strongest line of the frame."""
INERTIA = 100.0
"""Cost of a change of the logarithm of the rate by one, in two seconds."""
PEAK_BAND = (1.0, 4.0)
"""Band in Hz of a wave whose peaks are beats."""
WAVE_BAND = (0.5, 8.0)
"""Band in Hz of a wave whose rises give times and amplitudes."""
CYCLE = 24
"""Samples of a cycle on the stretched time axis."""
APART, PROMINENT = 0.6, 0.3
"""Least distance of peaks in cycles, and prominence in root mean squares of ten cycles."""
NEIGHBOURS, TOLERANCE = 9, 0.25
"""Number of neighbours that a beat is compared with, and the ratio, less one, of an interval and
their median up to which it is trusted."""
QRS_BAND = (5.0, 20.0)
"""Band in Hz of an ECG whose energy is a hump a beat."""
QRS_SECONDS = 0.15
"""Length of the window that smooths the energy, in seconds, as in Pan and Tompkins 1985."""
R_BAND = (0.5, 40.0)
"""Band in Hz of an ECG in which the top of an R wave is placed."""
TOP_SECONDS = 0.1
"""Distance to a peak within which the top of the wave lies, in seconds."""
RISE_SECONDS = 0.45
"""Longest rise of a pulse wave, in seconds."""
START_OF_RISE = 0.1
"""Share of a rise at which a beat is placed: wristbands place it at the foot, whose place is
uncertain where the wave is flat before it."""
SMALL = 0.1
"""Beats that are lower than this share of the upper quartile of their neighbours are none, but
diastolic waves or T waves."""


class Found(NamedTuple):
    """The beats of a recording.

    Attributes:
        times: Times of the beats in seconds, shape (N,).
        amplitudes: Rises of the pulse wave, or heights of the R waves, in the unit of the signal,
            shape (N,).
        trusted: Whether the interval that ends with the beat can be trusted, shape (N,); False for
            the first.
    """

    times: Samples
    amplitudes: Samples
    trusted: npt.NDArray[np.bool_]


def find_beats(x: Samples, sfreq: float, kind: Literal["bvp", "ecg"]) -> Found:
    """Find the heart beats of a recording.

    Args:
        x: One channel, shape (T,).
        sfreq: Sampling rate in Hz, at least 16.
        kind: Pulse wave or ECG.

    Returns:
        The beats; none in a signal that is constant or shorter than two seconds.
    """
    if len(x) < 2 * sfreq or np.ptp(x) == 0:
        return Found(np.empty(0), np.empty(0), np.empty(0, np.bool_))
    if kind == "bvp":
        hump, wave = x, _band(x, sfreq, WAVE_BAND)
    else:
        hump, wave = _humps(x, sfreq)
    centres, rates = heart_rate(hump, sfreq)
    places = _peaks(_band(hump, sfreq, PEAK_BAND), sfreq, centres, rates)
    times, heights = _tops(wave, sfreq, places)
    if kind == "bvp":
        times, heights = _rises(wave, sfreq, times)
    usual = scipy.ndimage.percentile_filter(heights, 75, NEIGHBOURS, mode="nearest")
    large = heights > SMALL * usual
    return Found(times[large], heights[large], _trusted(times[large]))


def heart_rate(x: Samples, sfreq: float) -> tuple[Samples, Samples]:
    """Return the most likely course of the heart rate.

    Args:
        x: Signal with a hump a beat, shape (T,).
        sfreq: Sampling rate in Hz.

    Returns:
        Centres of the frames in seconds and rates in Hz, both of shape (frames,).
    """
    step = max(1, int(sfreq // SEARCH_RATE))
    sfreq /= step
    x = _band(x[: len(x) // step * step].reshape(-1, step).mean(axis=1), sfreq, WAVE_BAND)
    x = x / _level(x, round(FRAME * sfreq))
    rates = np.geomspace(SLOWEST, FASTEST, N_RATES).astype(np.float64) / 60
    length = min(len(x), round(FRAME * sfreq))
    hop = round(HOP * sfreq)
    power, _ = _correlated(_band(x, sfreq, SPECTRUM_BAND), length, hop)
    first, second = (_between(power, n * rates * _n_fft(length) / sfreq) for n in (1, 2))
    lines = first + SECOND_LINE * second
    lines = np.log(lines + LINE_FLOOR * lines.max(axis=1, keepdims=True) + 1e-12)
    _, correlation = _correlated(_band(x, sfreq, PERIOD_BAND), length, hop)
    period, half = (_between(correlation, sfreq / (n * rates)) for n in (1, 2))
    course = _most_likely(lines + PERIODICITY * (period - half), np.log(rates))
    centres: Samples = (np.arange(len(course), dtype=np.float64) * hop + length / 2) / sfreq
    return centres, rates[course]


def _correlated(x: Samples, length: int, hop: int) -> tuple[Samples, Samples]:
    """Return power spectra, of sum one, and autocorrelations of frames, one at lag zero."""
    frames = np.lib.stride_tricks.sliding_window_view(x, length)[::hop]
    taper = np.hanning(length)
    frames = (frames - frames.mean(axis=1, keepdims=True)) * taper
    n_fft = _n_fft(length)
    power = np.abs(np.fft.rfft(frames, n_fft)) ** 2
    correlation = np.fft.irfft(power, n_fft)[:, :length]
    shape = np.fft.irfft(np.abs(np.fft.rfft(taper, n_fft)) ** 2, n_fft)[:length]
    shape = np.maximum(shape / shape[0], 0.05)
    total = np.maximum(power.sum(axis=1, keepdims=True), 1e-12)
    return power / total, correlation / np.maximum(correlation[:, :1], 1e-12) / shape


def _n_fft(length: int) -> int:
    return int(4 * 2 ** np.ceil(np.log2(length)))


def _between(values: Samples, places: Samples) -> Samples:
    """Return values of each row at fractional places, of which those beyond the end count as it."""
    places = places.clip(0, values.shape[1] - 1.001)
    below = places.astype(np.int64)
    above = places - below
    return values[:, below] * (1 - above) + values[:, below + 1] * above


def _most_likely(score: Samples, logs: Samples) -> npt.NDArray[np.int64]:
    """Return the course with the largest sum of scores less the cost of changes, (frames,)."""
    cost = INERTIA * np.abs(logs[:, None] - logs)
    best, columns = score[0], np.arange(len(logs))
    before = np.zeros(score.shape, np.int64)
    for frame in range(1, len(score)):
        reached = best[:, None] - cost
        before[frame] = reached.argmax(axis=0)
        best = reached[before[frame], columns] + score[frame]
    course = np.empty(len(score), np.int64)
    course[-1] = best.argmax()
    for frame in range(len(score) - 1, 0, -1):
        course[frame - 1] = before[frame, course[frame]]
    return course


def _peaks(x: Samples, sfreq: float, centres: Samples, rates: Samples) -> Samples:
    """Return the times of peaks at about the given rates, in seconds."""
    times = np.arange(len(x)) / sfreq
    cycles = np.cumsum(np.interp(times, centres, rates)) / sfreq
    even = np.interp(np.arange(cycles[0], cycles[-1], 1 / CYCLE), cycles, times)
    stretched = np.interp(even, times, x)
    stretched = stretched / _level(stretched, 10 * CYCLE)
    peaks, _ = scipy.signal.find_peaks(stretched, distance=APART * CYCLE, prominence=PROMINENT)
    return even[peaks]


def _humps(x: Samples, sfreq: float) -> tuple[Samples, Samples]:
    """Return the smoothed size of an ECG in the QRS band, and the ECG with its R waves upwards."""
    size = np.abs(_band(x, sfreq, QRS_BAND))
    width = max(1, round(QRS_SECONDS * sfreq))
    size = scipy.ndimage.uniform_filter1d(scipy.ndimage.uniform_filter1d(size, width), width)
    wave = _band(x, sfreq, R_BAND)
    # where most R waves point down, the electrodes were exchanged
    low, high = np.quantile(wave, [0.001, 0.999])
    return size, -wave if -low > 1.5 * high else wave


def _tops(wave: Samples, sfreq: float, places: Samples) -> tuple[Samples, Samples]:
    """Return times and heights of the tops of a wave near some places, without repetition.

    Between samples a top lies on the parabola through the three around it.
    """
    near = max(1, int(TOP_SECONDS * sfreq))
    index = np.round(places * sfreq).astype(np.int64)[:, None] + np.arange(-near, near + 1)
    index = index.clip(1, len(wave) - 2)
    tops = np.unique(index[np.arange(len(index)), wave[index].argmax(axis=1)])
    left, top, right = wave[tops - 1], wave[tops], wave[tops + 1]
    bend = np.minimum(left - 2 * top + right, -1e-12)
    shift = (0.5 * (left - right) / bend).clip(-0.5, 0.5)
    return (tops + shift) / sfreq, top


def _rises(wave: Samples, sfreq: float, tops: Samples) -> tuple[Samples, Samples]:
    """Return times at which a pulse wave begins to rise to its tops, and heights of the rises.

    A rise begins where the wave last was below a tenth of it over the lowest point before the top.
    """
    ends = (tops * sfreq).astype(np.int64)
    index = (ends[:, None] - np.arange(int(RISE_SECONDS * sfreq) + 1)).clip(0)
    before = np.concatenate([[0], ends[:-1]])
    values = np.where(index >= before[:, None], wave[index], np.inf)
    lowest = values.min(axis=1)
    rises = values[:, 0] - lowest
    level = lowest + START_OF_RISE * rises
    below = index[np.arange(len(ends)), (values <= level[:, None]).argmax(axis=1)]
    above = np.minimum(below + 1, len(wave) - 1)
    part = (level - wave[below]) / np.maximum(wave[above] - wave[below], 1e-12)
    return (below + part.clip(0, 1)) / sfreq, rises


def _trusted(times: Samples) -> npt.NDArray[np.bool_]:
    """Return which beats end an interval like its neighbours, shape (N,)."""
    trusted = np.zeros(len(times), np.bool_)
    intervals = np.diff(times)
    if len(intervals) > 2:
        median = scipy.ndimage.median_filter(intervals, NEIGHBOURS, mode="nearest")
        trusted[1:] = np.abs(np.log(np.maximum(intervals, 1e-3) / median)) < np.log1p(TOLERANCE)
    return trusted


def _band(x: Samples, sfreq: float, band: tuple[float, float]) -> Samples:
    """Return a signal in a band, as far as its rate reaches, without a phase."""
    high = min(band[1], 0.45 * sfreq)
    sos = scipy.signal.butter(2, (band[0], high), "bandpass", fs=sfreq, output="sos")
    return scipy.signal.sosfiltfilt(sos, x, padlen=min(round(2 * sfreq), len(x) - 1))


def _level(x: Samples, width: int) -> Samples:
    """Return the root of the mean square around each sample."""
    return np.sqrt(np.maximum(scipy.ndimage.uniform_filter1d(x**2, width), 1e-12))


@dataclass(frozen=True)
class Beats(Step):
    """Heart beats as a signal of 8 Hz, from the first channel of a pulse wave or an ECG.

    The channels, between beats each as at the beat before, and before the first one as at it:

    * ``interval``: the last trusted interval between two beats, in seconds.
    * ``amplitude``: the rise of the wave, or the height of the R wave, at the end of that interval,
      in the unit of the source.
    * ``trust``: 1 inside a trusted interval, else 0.
    * ``beat``: 1 in the sample in which a trusted interval ends, else 0.

    A recording without a trusted interval has zeros alone. Noise looks regular now and then: where
    there is no heart at all, still half of the intervals and more are trusted.

    Args:
        kind: Kind of the source.

    Raises:
        ValueError: A rate below 16 Hz.
    """

    kind: Literal["bvp", "ecg"]

    def shape(self, n_channels: int, sfreq: float) -> tuple[int, float]:
        return len(CHANNELS), BEAT_RATE

    def n_times(self, n_times: int, sfreq: float) -> int:
        return int(np.ceil(n_times * BEAT_RATE / sfreq - 1e-9))

    def __call__(self, signal: Signal) -> Signal:
        if signal.sfreq < 2 * BEAT_RATE:
            raise ValueError(
                f"expected at least {2 * BEAT_RATE:g} Hz to find heart beats, found "
                f"{signal.sfreq:g} Hz; take a faster signal, or leave its beats out"
            )
        beats = find_beats(signal.samples[0].astype(np.float64), signal.sfreq, self.kind)
        n_times = self.n_times(signal.samples.shape[1], signal.sfreq)
        samples = np.zeros((len(CHANNELS), n_times), np.float32)
        ends = np.flatnonzero(beats.trusted)
        if len(ends):
            cells = (beats.times * BEAT_RATE).astype(np.int64).clip(0, n_times - 1)
            last = np.searchsorted(cells[ends], np.arange(n_times), side="right") - 1
            held = ends[last.clip(0)]
            samples[0] = np.diff(beats.times, prepend=0.0)[held]
            samples[1] = beats.amplitudes[held]
            for end in ends:
                samples[2, cells[end - 1] : cells[end] + 1] = 1
            samples[3, cells[ends]] = 1
        return Signal(samples, BEAT_RATE, CHANNELS, "mixed")
