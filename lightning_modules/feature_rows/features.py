"""Features of a signal: statistics of each second, differential entropy, rhythms and rises.

A feature is measured on windows as recorded and scaled afterwards, so that one measurement of a
recording serves every scaling.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from datamodules.batch import BREATHING_RATES, EEG_BANDS, SignalSpec, kind_of
from lightning_modules.feature_rows.frames import Frames, n_rows

HEART_FRAME = 8.0
"""Length in seconds of the frames over which heart beats are averaged."""
BREATHING_FRAME = 20.0
"""Length in seconds of the frames in which the rate of breathing is searched."""
RHYTHM_RATE = 32.0
"""Rate in Hz, or up to twice as much, to which a fast signal is averaged to search a rhythm."""
RISE_RATE = 4.0
"""Rate in Hz, or up to twice as much, to which skin conductance is averaged to sum its rises."""
MOMENTS_ONLY = 8.0
"""Rate in Hz below which a signal has no band powers."""
FLOOR = 1e-12
"""Smallest variance of a band that differs from zero, for signals of about unit variance."""
TINY = 1e-30
"""Smallest variance that differs from zero before a signal is scaled."""
ENTROPY = 0.5 * math.log(2 * math.pi * math.e)
"""Differential entropy of a normal variable of variance one."""

Scale = Tensor | float


class Part(nn.Module, ABC):
    """Features of each channel and row: (B, C, T) to (B, C, ``n_features``, R)."""

    n_features: int

    @abstractmethod
    def measure(self, window: Tensor) -> Tensor:
        """Return the input of ``scaled``, shape (B, C, ``n_features``, R), of windows (B, C, T)."""

    @abstractmethod
    def scaled(self, measured: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        """Return features of (window - shift) / scale.

        Args:
            measured: Measurements of the window, shape (B, C, ``n_features``, R).
            shift: Number, or tensor of shape (C, 1).
            scale: Number, or tensor of shape (C, 1).
        """

    def forward(self, window: Tensor) -> Tensor:
        return self.scaled(self.measure(window))


def entropy_of(variance: Tensor) -> Tensor:
    """Return the differential entropy of a normal variable before it is scaled."""
    return ENTROPY + 0.5 * variance.clamp_min(TINY).log()


def scaled_entropy(entropy: Tensor, scale: Scale) -> Tensor:
    """Return the entropy of a variable divided by a scale, at least that of variance ``FLOOR``."""
    return (entropy - _log(scale)).clamp_min(ENTROPY + 0.5 * math.log(FLOOR))


def _log(scale: Scale) -> Scale:
    return scale.log() if isinstance(scale, Tensor) else math.log(scale)


class Moments(Part):
    """Mean, standard deviation and slope a second.

    Args:
        spec: The signal.
        seconds: Length of a frame in seconds.
    """

    n_features = 3
    time: Tensor

    def __init__(self, spec: SignalSpec, seconds: float = 1.0) -> None:
        super().__init__()
        self.frames = Frames(spec.n_times, spec.sfreq, seconds, n_rows(spec))
        time = torch.arange(self.frames.length, dtype=torch.float64) / spec.sfreq
        time = time - time.mean()
        time = time / time.square().sum().clamp_min(FLOOR)
        self.register_buffer("time", time.float(), persistent=False)

    def measure(self, window: Tensor) -> Tensor:
        frames = self.frames(window)  # (B, C, R, L)
        mean = frames.mean(dim=3)
        centred = frames - mean[..., None]
        return torch.stack([mean, centred.square().mean(dim=3).sqrt(), centred @ self.time], dim=2)

    def scaled(self, measured: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        mean, deviation, slope = measured.unbind(dim=2)
        return torch.stack([(mean - shift) / scale, deviation / scale, slope / scale], dim=2)


class DifferentialEntropy(Part):
    """Differential entropy of a normal variable, 0.5 log(2 pi e variance), of each band and second.

    The variance is the power of the frame, without its mean and weighted by a periodic Hann window,
    at the frequencies of the band. Bands above half the rate are left out.

    Args:
        spec: The signal.

    Attributes:
        n_features: Number of bands.
    """

    taper: Tensor
    bands: Tensor

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.frames = Frames(spec.n_times, spec.sfreq, 1.0, n_rows(spec))
        length = self.frames.length
        taper = torch.hann_window(length, dtype=torch.float64)
        frequency = torch.arange(length // 2 + 1, dtype=torch.float64) * spec.sfreq / length
        inside = torch.stack(
            [(frequency >= low) & (frequency < high) for low, high in EEG_BANDS.values()], 1
        )
        inside = inside[:, inside.any(dim=0)]  # (F, bands)
        sides = torch.where(frequency * 2 < spec.sfreq * (1 - 1e-9), 2.0, 1.0)
        bands = inside * sides[:, None] / (length * taper.square().sum())
        self.n_features = bands.shape[1]
        self.register_buffer("taper", taper.float(), persistent=False)
        self.register_buffer("bands", bands.float(), persistent=False)

    def measure(self, window: Tensor) -> Tensor:
        frames = self.frames(window)  # (B, C, R, L)
        frames = (frames - frames.mean(dim=3, keepdim=True)) * self.taper
        power = torch.view_as_real(torch.fft.rfft(frames)).square().sum(dim=-1)  # (B, C, R, F)
        return entropy_of(power @ self.bands).transpose(2, 3)  # (B, C, bands, R)

    def scaled(self, measured: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        channels = scale[..., None] if isinstance(scale, Tensor) else scale  # (C, 1, 1)
        return scaled_entropy(measured, channels)


class Rhythm(Part):
    """Rate of the strongest line in a band, its share of the band, and the entropy of the band.

    The rate in Hz is the peak of the spectrum of a centred frame of several seconds, which is
    weighted by a periodic Hann window after its mean is taken away. Lines are an eighth of the
    frame's resolution apart; only those of the band are computed.

    Args:
        spec: The signal.
        band: Slowest and fastest rate of the search, in Hz.
        seconds: Length of a frame in seconds.
    """

    n_features = 3
    waves: Tensor
    frequency: Tensor

    def __init__(self, spec: SignalSpec, band: tuple[float, float], seconds: float) -> None:
        super().__init__()
        self.step = max(1, int(spec.sfreq // RHYTHM_RATE))
        sfreq = spec.sfreq / self.step
        self.frames = Frames(spec.n_times // self.step, sfreq, seconds, n_rows(spec))
        length = self.frames.length
        apart = sfreq / (8 * length)
        first, last = math.ceil(band[0] / apart - 1e-6), math.floor(band[1] / apart + 1e-6)
        frequency = torch.arange(first, last + 1, dtype=torch.float64) * apart
        time = torch.arange(length, dtype=torch.float64) / sfreq
        taper = torch.hann_window(length, dtype=torch.float64)
        scale = math.sqrt(2 / (8 * length * float(taper.square().sum())))  # to power: variance
        phase = 2 * math.pi * time[:, None] * frequency
        waves = scale * taper[:, None] * torch.cat([phase.cos(), phase.sin()], dim=1)
        self.width = 2 * sfreq / length  # Hz, half the main lobe
        self.register_buffer("waves", waves.float(), persistent=False)
        self.register_buffer("frequency", frequency.float(), persistent=False)

    @staticmethod
    def possible(spec: SignalSpec, band: tuple[float, float]) -> bool:
        """Whether the sampling rate covers the band, and the window two of its longest periods."""
        return 0.45 * spec.sfreq >= band[1] and spec.n_times * band[0] >= 2 * spec.sfreq

    def measure(self, window: Tensor) -> Tensor:
        window = nn.functional.avg_pool1d(window, self.step)  # (B, C, T / step)
        frames = self.frames(window)  # (B, C, R, L)
        frames = frames - frames.mean(dim=3, keepdim=True)
        real, imaginary = (frames @ self.waves).chunk(2, dim=3)
        power = real.square() + imaginary.square()  # (B, C, R, F)
        rate = self.frequency[power.argmax(dim=3)]  # (B, C, R)
        near = (self.frequency - rate[..., None]).abs() <= self.width
        total = power.sum(dim=3)
        share = (power * near).sum(dim=3) / total.clamp_min(TINY)
        return torch.stack([rate, share, entropy_of(total)], dim=2)

    def scaled(self, measured: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        rate, share, entropy = measured.unbind(dim=2)
        lowest = ENTROPY + 0.5 * math.log(FLOOR)
        below = entropy - _log(scale) - lowest  # above zero where the band differs from zero
        share = share * (2 * below.clamp_max(0.0)).exp()
        return torch.stack([rate, share, scaled_entropy(entropy, scale)], dim=2)


class Rise(Part):
    """Summed rise in each second, to which skin conductance responses add.

    Args:
        spec: The signal.
    """

    n_features = 1

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.step = min(spec.n_times, max(1, int(spec.sfreq // RISE_RATE)))
        sfreq = spec.sfreq / self.step
        self.frames = Frames(spec.n_times // self.step, sfreq, 1.0, n_rows(spec))

    def measure(self, window: Tensor) -> Tensor:
        level = nn.functional.avg_pool1d(window, self.step)
        rise = level.diff(dim=2, prepend=level[:, :, :1]).relu()
        frames: Tensor = self.frames(rise)  # (B, C, R, L)
        return frames.sum(dim=3).unsqueeze(2)

    def scaled(self, measured: Tensor, shift: Scale = 0.0, scale: Scale = 1.0) -> Tensor:
        return measured / (scale[..., None] if isinstance(scale, Tensor) else scale)


def make_parts(name: str, spec: SignalSpec) -> list[Part]:
    """Return the features that are computed of a signal, by its kind and sampling rate."""
    kind = kind_of(name)
    entropy = DifferentialEntropy(spec)
    if kind == "eeg" and entropy.n_features:
        return [entropy]
    if kind == "beats":
        return [Moments(spec, HEART_FRAME)]
    parts: list[Part] = [Moments(spec)]
    if kind == "resp" and Rhythm.possible(spec, BREATHING_RATES):
        parts.append(Rhythm(spec, BREATHING_RATES, BREATHING_FRAME))
    if kind == "eda":
        parts.append(Rise(spec))
    slow = kind in ("eda", "temp", "resp", "bvp") or spec.sfreq < MOMENTS_ONLY
    if entropy.n_features and not slow:
        parts.append(entropy)
    return parts
