"""Step: a change of a complete continuous signal, before windows are cut from it.

All steps compute in double precision and return float32. Filters have no phase: they, and all steps
that look at the complete recording, use its future, so they are for offline analysis.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import scipy

from datamodules.signals.kinds import EEG_BANDS
from datamodules.signals.recording import Signal

Samples = npt.NDArray[np.float64]

LARGEST_FACTOR = 10_000
"""Largest numerator and denominator of a change of rate, which bounds the length of the filter."""
ROUNDING = 1e-9
"""Part of a sample by which a number of samples may come out too small."""
VARIANCE_FLOOR = 1e-18
"""Smallest variance whose entropy is taken: below an amplifier's noise, both in uV and in V."""


class Step(Protocol):
    """A frozen dataclass that maps a signal to one as long, to less than a sample of the new rate.

    Its ``repr`` is part of the cache key: two steps with equal ``repr`` must behave identically.

    Attributes:
        causal: Whether a window of the output depends on nothing that was recorded after the
            window's end. A step that does not say so counts as one that looks ahead.
    """

    causal: ClassVar[bool] = False

    def __call__(self, signal: Signal) -> Signal: ...

    def shape(self, n_channels: int, sfreq: float) -> tuple[int, float]:
        """Return number of channels and rate in Hz of the output, from those of the input."""
        return n_channels, sfreq

    def n_times(self, n_times: int, sfreq: float) -> int:
        """Return the number of samples of the output, from number and rate of those of the input.

        The output is never shorter than that.
        """
        _, rate = self.shape(1, sfreq)
        return int(n_times * rate / sfreq + ROUNDING)


class _PerChannel(Step):
    """A step that treats channels alike, one at a time, as an hour of EEG is large in float64."""

    @abstractmethod
    def channel(self, x: Samples, sfreq: float) -> Samples:
        """Return one channel at the new rate, from a channel of shape (T,)."""

    def __call__(self, signal: Signal) -> Signal:
        channels = [
            self.channel(x.astype(np.float64), signal.sfreq).astype(np.float32)
            for x in signal.samples
        ]
        _, sfreq = self.shape(len(channels), signal.sfreq)
        return replace(signal, samples=np.stack(channels), sfreq=sfreq)


@dataclass(frozen=True)
class BandPass(_PerChannel):
    """Butterworth filter, forward and backward: no phase, and half the amplitude at the edges.

    Args:
        low: Lower edge in Hz; None: a low-pass.
        high: Upper edge in Hz; None: a high-pass.
        order: Order of the low-pass that the filter is made from, in one direction.

    Raises:
        ValueError: Edges that are not 0 < low < high < half the rate, or no edge, or no order.
    """

    low: float | None
    high: float | None
    order: int = 4

    def __post_init__(self) -> None:
        edges = self._edges()
        rising = all(lower < upper for lower, upper in pairwise((0.0, *edges)))
        if not edges or not rising or self.order < 1:
            raise ValueError(f"expected 0 < low < high (one may be None), order > 0, found {self}")

    def _edges(self) -> tuple[float, ...]:
        return tuple(edge for edge in (self.low, self.high) if edge is not None)

    def channel(self, x: Samples, sfreq: float) -> Samples:
        edges = self._edges()
        if not edges[-1] < sfreq / 2:
            raise ValueError(
                f"expected edges below half the rate, {sfreq / 2:g} Hz, found {self}; "
                "choose a lower edge or filter before the rate is lowered"
            )
        if len(edges) == 2:
            sos = scipy.signal.butter(self.order, edges, "bandpass", fs=sfreq, output="sos")
        else:
            sos = scipy.signal.butter(
                self.order,
                edges[0],
                "highpass" if self.high is None else "lowpass",
                fs=sfreq,
                output="sos",
            )
        return _both_ways(sos, x)


@dataclass(frozen=True)
class Notch(_PerChannel):
    """Second-order notch, forward and backward, against mains hum.

    Args:
        frequency: Frequency in Hz.
        quality: Frequency over the width of the notch, in one direction, at -3 dB.

    Raises:
        ValueError: A frequency that is not between 0 and half the rate, or no positive quality.
    """

    frequency: float
    quality: float = 30.0

    def __post_init__(self) -> None:
        if not (self.frequency > 0 and self.quality > 0):
            raise ValueError(f"expected a positive frequency and quality, found {self}")

    def channel(self, x: Samples, sfreq: float) -> Samples:
        if not self.frequency < sfreq / 2:
            raise ValueError(
                f"expected a frequency below half the rate, {sfreq / 2:g} Hz, found {self}; "
                "filter before the rate is lowered, or not at all"
            )
        return _both_ways(
            scipy.signal.tf2sos(*scipy.signal.iirnotch(self.frequency, self.quality, fs=sfreq)), x
        )


@dataclass(frozen=True)
class Resample(_PerChannel):
    """Polyphase resampling behind an anti-aliasing filter; T becomes ``round(T * new / old)``.

    Beyond its ends the signal continues along the line through its first and its last sample. That
    line is not filtered, so that constants and ramps are exact.

    Args:
        sfreq: New rate in Hz.

    Raises:
        ValueError: A rate that is not positive, that leaves no sample, or that is no fraction of
            the old one with a denominator up to ``LARGEST_FACTOR``.
    """

    sfreq: float

    def __post_init__(self) -> None:
        if not self.sfreq > 0:
            raise ValueError(f"expected a positive rate, found {self}")

    def shape(self, n_channels: int, sfreq: float) -> tuple[int, float]:
        return n_channels, float(self.sfreq)

    def n_times(self, n_times: int, sfreq: float) -> int:
        return round(n_times * Fraction(self.sfreq) / Fraction(sfreq))

    def channel(self, x: Samples, sfreq: float) -> Samples:
        exact = Fraction(self.sfreq) / Fraction(sfreq)
        ratio = exact.limit_denominator(LARGEST_FACTOR)
        n_times = round(len(x) * exact)
        if not n_times or abs(ratio - exact) * len(x) >= Fraction(1, 2):
            raise ValueError(
                f"expected at least one sample and a ratio of numbers up to {LARGEST_FACTOR}, "
                f"found {len(x)} samples at {sfreq} Hz for {self}; choose another rate"
            )
        start, slope = float(x[0]), float(x[-1] - x[0]) / max(len(x) - 1, 1)
        rest = x - (start + slope * np.arange(len(x)))
        rest = scipy.signal.resample_poly(rest, ratio.numerator, ratio.denominator)[:n_times]
        return rest + start + slope / float(exact) * np.arange(n_times, dtype=np.float64)


@dataclass(frozen=True)
class Detrend(_PerChannel):
    """Subtracts the line of least squares.

    Args:
        seconds: Length of the pieces that get a line each; the last one takes the remainder. None:
            one line for the complete recording.

    Raises:
        ValueError: Pieces of less than two samples.
    """

    seconds: float | None = None

    def channel(self, x: Samples, sfreq: float) -> Samples:
        if self.seconds is None:
            return scipy.signal.detrend(x)
        width = _n_samples(self.seconds, sfreq, minimum=2)
        return scipy.signal.detrend(x, bp=np.arange(1, len(x) // width) * width)


@dataclass(frozen=True)
class BaselineRemoval(_PerChannel):
    """Subtracts the mean over the start of the recording: the baseline before a trial.

    Args:
        seconds: Length of the baseline; 3 in DEAP, 5 in AMIGOS.

    Raises:
        ValueError: A baseline without a sample, or longer than the recording.
    """

    seconds: float

    def channel(self, x: Samples, sfreq: float) -> Samples:
        width = _n_samples(self.seconds, sfreq, minimum=1)
        if width > len(x):
            raise ValueError(
                f"expected a recording of at least {self.seconds} s, found {len(x) / sfreq:g} s"
            )
        return x - float(x[:width].mean())


@dataclass(frozen=True)
class ZScore(_PerChannel):
    """Scales each channel to mean 0 and standard deviation 1 over the recording; a constant to 0.

    Uses the recording's own future, so it is for offline analysis; no other person's data, and no
    labels.
    """

    def channel(self, x: Samples, sfreq: float) -> Samples:
        # the deviation of equal numbers may come out as a rounding error
        return (x - x.mean()) / x.std() if np.ptp(x) > 0 else np.zeros_like(x)


@dataclass(frozen=True)
class MinMax(_PerChannel):
    """Scales each channel to the range from 0 to 1 over the recording; a constant one to 0.

    Uses the recording's own future, so it is for offline analysis; no other person's data, and no
    labels.
    """

    def channel(self, x: Samples, sfreq: float) -> Samples:
        return (x - float(x.min())) / (float(np.ptp(x)) or 1.0)


@dataclass(frozen=True)
class CommonAverage(Step):
    """Subtracts the mean over channels, sample by sample: the common average reference of EEG.

    Raises:
        ValueError: Less than two channels.
    """

    causal = True

    def __call__(self, signal: Signal) -> Signal:
        if len(signal.samples) < 2:
            raise ValueError(f"expected at least two channels, found {signal.channels}")
        mean = signal.samples.mean(axis=0, dtype=np.float64)
        return replace(signal, samples=(signal.samples - mean).astype(np.float32))


@dataclass(frozen=True)
class ZScoreOverChannels(Step):
    """Scales each sample to mean 0 and standard deviation 1 over channels; equal channels to 0.

    It removes what all channels share, as a common average does.
    """

    causal = True

    def __call__(self, signal: Signal) -> Signal:
        x = signal.samples.astype(np.float64)
        std = x.std(axis=0)
        std[np.ptp(x, axis=0) == 0] = 1.0
        return replace(signal, samples=((x - x.mean(axis=0)) / std).astype(np.float32))


@dataclass(frozen=True)
class AveragePool(Step):
    """Averages squares of neighbouring channels and samples, side by side; drops the remainder.

    Args:
        size: Number of channels, and of samples, of a square.

    Raises:
        ValueError: Fewer channels or samples than that.
    """

    causal = True

    size: int

    def shape(self, n_channels: int, sfreq: float) -> tuple[int, float]:
        return n_channels // self.size, sfreq / self.size

    def __call__(self, signal: Signal) -> Signal:
        n_channels, n_times = (count // self.size for count in signal.samples.shape)
        if self.size < 1 or not n_channels or not n_times:
            raise ValueError(
                f"expected at least {self.size} channels and samples, found {signal.samples.shape}"
            )
        kept = signal.samples[: n_channels * self.size, : n_times * self.size]
        squares = kept.reshape(n_channels, self.size, n_times, self.size)
        first = signal.channels[:: self.size][:n_channels]
        return replace(
            signal,
            samples=squares.mean(axis=(1, 3), dtype=np.float64).astype(np.float32),
            sfreq=signal.sfreq / self.size,
            channels=tuple(f"{name} and {self.size - 1} more" for name in first),
        )


@dataclass(frozen=True)
class DifferentialEntropy(Step):
    """Turns EEG into feature rows: differential entropy of its five bands, one row a window.

    The entropy is that of a normal variable, 0.5 log(2 pi e variance), with the variance of the
    band-passed signal (Butterworth, no phase, the complete recording) in windows from time zero
    that do not overlap. The output has the channels "Fp1 delta", "Fp1 theta", ..., "Fp2 delta" and
    ends with the last full window. Unlike the features that are published with SEED, rows are not
    smoothed.

    Args:
        seconds: Length of a window.

    Raises:
        ValueError: A rate of 100 Hz or less, at which there is no gamma band; a signal shorter
            than one window, or a window of less than two samples.

    References:
        L.-C. Shi, Y.-Y. Jiao, B.-L. Lu, "Differential entropy feature for EEG-based vigilance
        estimation", EMBC 2013.
    """

    seconds: float = 4.0

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError(f"expected windows that last, found {self}")

    def shape(self, n_channels: int, sfreq: float) -> tuple[int, float]:
        return n_channels * len(EEG_BANDS), 1 / self.seconds

    def __call__(self, signal: Signal) -> Signal:
        length = self.seconds * signal.sfreq
        width, n_rows = (int(count + 1e-9) for count in (length, signal.samples.shape[1] / length))
        if width < 2 or n_rows < 1:
            raise ValueError(
                "expected a window of at least two samples that fits into the signal of "
                f"{signal.duration:g} s, found {self}"
            )
        starts = np.round(np.arange(n_rows) * length).astype(np.int64)
        filters = [BandPass(*edges) for edges in EEG_BANDS.values()]
        variances = np.empty((len(signal.samples), len(filters), n_rows))
        for row, samples in enumerate(signal.samples):
            x = samples.astype(np.float64)
            for band, keep in enumerate(filters):
                kept = np.lib.stride_tricks.sliding_window_view(
                    keep.channel(x, signal.sfreq), width
                )
                variances[row, band] = kept[starts].var(axis=1)
        entropy = 0.5 * np.log(2 * math.pi * math.e * variances.clip(min=VARIANCE_FLOOR))
        n_channels, sfreq = self.shape(len(signal.samples), signal.sfreq)
        return Signal(
            entropy.reshape(n_channels, n_rows).astype(np.float32),
            sfreq,
            tuple(f"{channel} {band}" for channel in signal.channels for band in EEG_BANDS),
            "nat",
        )


def _both_ways(sos: Samples, x: Samples) -> Samples:
    """Filter forward and backward; beyond its ends the signal is mirrored through its end points.

    The padding is as long as SciPy's, or as the signal if that is shorter.
    """
    return scipy.signal.sosfiltfilt(sos, x, padlen=min(3 * (2 * len(sos) + 1), len(x) - 1))


def _n_samples(seconds: float, sfreq: float, minimum: int) -> int:
    """Return the number of samples in a stretch of a signal, rounded."""
    n_samples = round(seconds * sfreq)
    if n_samples < minimum:
        raise ValueError(
            f"expected at least {minimum} samples, found {n_samples} in {seconds} s at {sfreq} Hz"
        )
    return n_samples


STEPS: dict[str, type[Step]] = {
    "band_pass": BandPass,
    "notch": Notch,
    "resample": Resample,
    "detrend": Detrend,
    "baseline_removal": BaselineRemoval,
    "z_score": ZScore,
    "min_max": MinMax,
    "common_average": CommonAverage,
    "z_score_over_channels": ZScoreOverChannels,
    "average_pool": AveragePool,
    "differential_entropy": DifferentialEntropy,
}
"""All steps by name."""
